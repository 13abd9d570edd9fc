//! Many scrapers ask at once, each scrape gathers for itself, and together they come late although one alone is quick.
//!
//! A registry with fifteen thousand series takes some milliseconds to gather and encode. Nobody notices, until two Prometheus
//! servers, an agent, a debugging dashboard and their retries ask at the same time, or one slow scrape makes the next ones
//! pile up behind it. All of them do the same work over again, from the same numbers, and share the same processors: the
//! time to the last answer is the number of scrapers times the cost of one. More threads do not help, they only make all of
//! them late together.
//!
//! The Go client had this as "a goroutine leak": collection slower than the interval between scrapes, without a limit on
//! how many run at a time. It got an option to join a gather that is already under way.
//!
//! The size of the storm is computed from what one scrape took just before, in this very trial: one and a half times the
//! bound of work for all processors together. Not more, because a scrape is given up at three times the bound: a storm
//! whose last answers must come after that by arithmetic would show `busy`, which is another story. One and a half leaves a
//! factor of two for what scrapes cost each other when they run side by side.
//!
//! ```text
//! scrape 1     gather, encode ── 200 OK
//! scrape 2     gather, encode ── 200 OK
//! ...                                          the bound passes
//! scrape k                             ........ ^ ............. gather, encode ── 200 OK, late
//! ```
//!
//! ## Run it
//! `cargo xtask repro 'scrape-storm*'`
//!
//! ## What it prints
//! ```text
//!                           timeout-              timeout-
//!                naive      inline     offload    offload     try-lock   atomics    exporter   official
//! ───────────────────────────────────────────────────────────────────────────────────────────────────────
//! contention
//!   scrape-storm ✓ late     ✓ late     ✓ late     ✓ contained ✓ late     ✓ served   ✓ late     ✓ ~served
//!                  recovers   recovers   recovers   recovers    recovers   recovers   recovers   recovers
//!
//!                guarded
//! ─────────────────────────
//! contention
//!   scrape-storm ✓ served
//!                  recovers
//! ```

use super::series;
use crate::lesson::{Cell, Lesson};
use crate::setting::Setting;
use crate::stage::{App, Stage};
use crate::variants::{Variant, because};
use gatherlock::catalogue::Problem;
use gatherlock::model::{Company, Drive, Outcome, Release};

/// Series of the registry: what makes one scrape take ten to twenty milliseconds.
const SERIES: usize = 15_000;

fn play(stage: &Stage) -> Result<App, Problem> {
    Ok(series::serve(stage, SERIES)?.app)
}

pub(crate) const LESSON: Lesson = Lesson {
    id: "scrape-storm",
    family: "contention",
    source: include_str!("scrape_storm.rs"),
    origin: &["prometheus/client_golang#1477"],
    company: Company::Alone,
    // Not shorter: the parent must wake up in time on a machine that is being stormed.
    bound_ms: Some(250),
    drive: Drive::Storm { factor: 1.5, max: 100 },
    release: Release::AtEnd,
    advice: &[
        "let concurrent scrapes share one gather (single flight), or limit how many run and refuse the others",
        "serve a page that was rendered a moment ago when scrapers outnumber processors",
    ],
    expect,
    play,
};

fn expect(setting: &Setting) -> Cell {
    let late = |because| Cell::must(Outcome::Late, because).recovers(true);
    match setting.variant {
        Variant::Naive => {
            late("every scrape gathers and encodes for itself: the work of all of them is one and a half times the bound on all processors")
        }
        Variant::TimeoutInline => late(because::TIMER_CANNOT_FIRE),
        Variant::Offload => late(
            "the blocking pool runs all gathers at once instead of four at a time: the same work on the same processors",
        ),
        Variant::TimeoutOffload => Cell::must(
            Outcome::Contained,
            "four scrapes at a time gather, all others get a 503 at once that says so",
        )
        .recovers(true),
        Variant::TryLock => late("no lock of the application is involved, so there is nothing to try"),
        Variant::Atomics => Cell::must(
            Outcome::Served,
            "a page is copied text and numbers, a tenth of the work, and the storm has an upper limit of 100 scrapers",
        )
        .recovers(true),
        Variant::Exporter => late("rendering is dearer than gather and encode, and every scrape renders for itself"),
        Variant::Official => Cell::may(
            [Outcome::Served, Outcome::Late],
            "every scrape encodes for itself, but at a fifth of the cost: the upper limit of 100 scrapers is reached first, and \
             whether their work exceeds the bound depends on the machine",
        )
        .recovers(true),
        Variant::Guarded => Cell::must(
            Outcome::Served,
            "all scrapes that come while one collection runs share the next one: the work is that of two, however many ask",
        )
        .recovers(true),
    }
}
