//! `/metrics` answers at once, with values that nobody updates.
//!
//! The metrics were moved: to atomics, to another library, or only to a new struct. The page shows the new ones. The code
//! that counts still has the old ones in its hands, and both compile, because a counter that is never read and a counter
//! that is never written are equally valid programs.
//!
//! Every check that only asks whether `/metrics` answers is content, and every graph is a flat line, which looks like a
//! quiet service. It takes a value that must have moved to tell: the canary.
//!
//! The incident's own fix ended here: the endpoint was rewritten with atomics, it answers in microseconds, and in the
//! code that was committed the new counters have no callers.
//!
//! ```text
//! service      old.inc()  old.inc()  old.inc()
//! scrape       new.get() = 0 ── 200 OK
//! ```
//!
//! ## Run it
//! `cargo xtask repro 'frozen-canary*'`
//!
//! ## What it prints
//! ```text
//!                           timeout-            timeout-
//!                 naive     inline    offload   offload   try-lock  atomics   exporter  official
//! ───────────────────────────────────────────────────────────────────────────────────────────────
//! answered, but wrong
//!   frozen-canary ✓ invalid ✓ invalid ✓ invalid ✓ invalid ✓ invalid ✓ invalid ✓ invalid ✓ invalid
//!
//!                 guarded
//! ─────────────────────────
//! answered, but wrong
//!   frozen-canary ✓ invalid
//! ```

use super::handlers;
use super::prometheus::{IntCounter, Registry};
use crate::lesson::{Cell, Lesson};
use crate::official_registry;
use crate::setting::Setting;
use crate::stage::{App, Stage};
use crate::variants::{Library, Variant, atomics, exporter, official};
use gatherlock::catalogue::Problem;
use gatherlock::model::{Company, Drive, Outcome, Release};

fn play(stage: &Stage) -> Result<App, Problem> {
    // The page shows the canary that is made here; what would bump it is dropped.
    let routes = match stage.setting.variant.library() {
        Library::Prometheus => {
            let registry = Registry::new();
            let _never_called = handlers::canary(&registry)?;
            handlers::routes(stage.setting.variant, registry, stage.deadline())
        }
        Library::Official => official::routes(&official_registry::SharedRegistry::default()).0,
        Library::Exporter => exporter::routes()?.0,
        Library::Atomics => atomics::routes(|_| ()).0,
    };
    // The mistake: the service goes on updating the counter of before the move.
    let old = IntCounter::new("gatherlock_canary_total", "Bumped before each judged scrape")?;
    Ok(App::new(routes, move || old.inc()))
}

pub(crate) const LESSON: Lesson = Lesson {
    id: "frozen-canary",
    family: "answered, but wrong",
    source: include_str!("frozen_canary.rs"),
    origin: &["the incident's fix"],
    company: Company::Together,
    bound_ms: None,
    drive: Drive::Scrapes { extra: 0 },
    release: Release::Never,
    advice: &[
        "test that an event moves the value on the page, end to end; an answer alone proves nothing",
        "make the old metrics impossible to reach when they are replaced: remove them in the same change",
    ],
    expect,
    play,
};

fn expect(setting: &Setting) -> Cell {
    match setting.variant {
        Variant::Atomics => Cell::must(
            Outcome::Invalid,
            "the page is written from new atomics, the service updates the old counter: the fix as it was committed",
        ),
        _ => Cell::must(
            Outcome::Invalid,
            "the page shows a counter that nobody has a handle to any more; how it is gathered makes no difference",
        ),
    }
}
