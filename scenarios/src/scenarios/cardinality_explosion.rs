//! One label too many: the registry grows until a scrape no longer fits into its bound.
//!
//! Every new value of a label is a new series for ever, and a scrape gathers, encodes and sends all of them. Nothing is
//! wrong with any lock. The page gets larger and slower by the same small step each time, so no single deployment broke
//! it; one day the scrape takes longer than Prometheus waits, and then every scrape does.
//!
//! An exporter for a DNS filter kept one series for each combination of client, user, upstream and status in its query log,
//! and histograms on top; its endpoint was reported as "deadlocked".
//!
//! The parent scrapes and lets the registry grow by a quarter at most, in turn, until a scrape breaks the bound. The child
//! counts the series at each step in its journal: together with the durations of the scrapes they give the slope.
//!
//! ```text
//! scrape 1   20 000 series   gather, encode ── 200 OK
//! scrape 2   25 000 series   gather, encode ....... ── 200 OK
//! ...                                                   the bound
//! scrape n                   gather, encode .................. ^ .... ── 200 OK, late
//! ```
//!
//! ## Run it
//! `cargo xtask repro 'cardinality-explosion/*'`
//!
//! ## What it prints
//! ```text
//!                                timeout-         timeout-
//!                         naive  inline   offload offload     try-lock atomics exporter official
//! ──────────────────────────────────────────────────────────────────────────────────────────────
//! contention
//!   cardinality-explosion ✓ late ✓ late   ✓ late  ✓ contained ✓ late   –       ✓ late   ✓ late
//!
//!                         guarded
//! ───────────────────────────────────
//! contention
//!   cardinality-explosion ✓ contained
//! ```

use super::series::{self, Series};
use crate::lesson::{Cell, Lesson};
use crate::setting::Setting;
use crate::stage::{App, Stage};
use crate::variants::{Variant, because};
use gatherlock::catalogue::Problem;
use gatherlock::model::{ChildEvent, Command, Company, Drive, Outcome, Release};

/// Series at the start: a scrape of them takes a small part of the bound.
const AT_FIRST: usize = 20_000;

/// The most series that are made, so that a fast machine ends in a message and not in a lack of memory.
const AT_MOST: usize = 6_000_000;

pub(super) fn play(stage: &Stage) -> Result<App, Problem> {
    let Series { app, mut create } = series::serve(stage, AT_FIRST)?;
    let (mut count, journal) = (AT_FIRST, stage.journal().clone());
    let say = move |count: usize| journal.say(ChildEvent::Count { name: "series".to_string(), value: count as u64 });
    say(count);
    Ok(app.on(Command::Grow, move || {
        let grown = count + count / 4;
        if grown > AT_MOST {
            return Err(format!("the registry has {count} series and would grow beyond {AT_MOST}").into());
        }
        create(count..grown);
        count = grown;
        say(count);
        Ok(())
    }))
}

pub(crate) const LESSON: Lesson = Lesson {
    id: "cardinality-explosion",
    family: "contention",
    source: include_str!("cardinality_explosion.rs"),
    origin: &["henrywhitaker3/adguard-exporter#70"],
    company: Company::Alone,
    // Not shorter: pages are handed out and taken back by the hundred megabyte, and the parent must wake up in time.
    bound_ms: Some(250),
    drive: Drive::Grow { past_hang_limit: false },
    release: Release::Never,
    advice: &[
        "never put an address, a user or a path into a label: count by class, and keep the rest for logs",
        "watch `scrape_samples_scraped` and `scrape_duration_seconds`, and set `sample_limit` in Prometheus",
    ],
    expect,
    play,
};

fn expect(setting: &Setting) -> Cell {
    match setting.variant {
        Variant::Naive => Cell::must(
            Outcome::Late,
            "a scrape's cost grows with the number of series, by at most a quarter at a time: it breaks the bound before it \
             could reach three times that",
        ),
        Variant::TimeoutInline => Cell::must(Outcome::Late, because::TIMER_CANNOT_FIRE),
        Variant::Offload => Cell::must(Outcome::Late, because::NO_DEADLINE),
        Variant::TimeoutOffload => Cell::must(
            Outcome::Contained,
            "the timer fires at half the bound and the answer is a 503; the gather behind it ends a little later",
        ),
        Variant::TryLock => Cell::must(Outcome::Late, "no lock is involved, so there is nothing to try"),
        Variant::Exporter => Cell::must(Outcome::Late, "rendering visits every series, too, at twice the cost"),
        Variant::Official => Cell::must(
            Outcome::Late,
            "encoding visits every series, too, at a sixth of the cost: it takes more series, and then it is as late",
        ),
        Variant::Atomics => Cell::Skip("no label sets: a series that is not written into the text does not exist"),
        Variant::Guarded => Cell::must(
            Outcome::Contained,
            "sharing does not make one scrape cheaper: it outgrows the deadline at half the bound and is refused; the \
             collection behind it ends a little later",
        ),
    }
}
