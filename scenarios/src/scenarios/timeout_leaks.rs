//! Scrapes that time out leave their gathers behind, and each gather keeps its thread and its permit.
//!
//! A timeout around a task does not end the task. Behind the 503 the gather goes on waiting, with all that it holds. As
//! long as a semaphore limits how many may run, that is bounded: when the permits are gone, further scrapes are refused at
//! once. What matters is what happens when the cause is gone.
//!
//! In the case `stuck=until-release` the peer that everybody waits for answers at last, also on the old connections. The
//! gathers end, permits and threads come back, and the endpoint must recover. In the case `stuck=for-good` the peer has
//! been replaced: it answers whoever asks now, and has forgotten the old connections, which stay open and silent. Those
//! gathers never end, so their permits never come back, and an endpoint that counts permits refuses every scrape for ever
//! although nothing is wrong any more.
//!
//! That is what pg_exporter did: one permit, a scrape that had timed out and was detached instead of ended, and
//! `503 another /metrics scrape is already running` for 66 minutes, until somebody restarted it.
//!
//! ```text
//! scrape 1-4   permit ── gather ── collect(): recv ..... 503 at the deadline; thread and permit stay
//! scrape 5, 6  no permit left: 503 at once
//! (release)    until-release: all six are over, the next is served     for-good: no permit ever comes back, 503 for ever
//! ```
//!
//! ## Run it
//! `cargo xtask repro 'timeout-leaks*'`
//!
//! ## What it prints
//! ```text
//!                                   timeout-                   timeout-
//!                    naive          inline         offload     offload
//! ───────────────────────────────────────────────────────────────────────────
//! I/O in a scrape
//!   timeout-leaks    ✓ stalled      ✓ stalled      ✓ stalled   ✓ contained
//!     stuck=for-good   +0.50/scrape   +0.50/scrape   +1/scrape   +0.67/scrape
//!                      no recovery    no recovery    recovers    no recovery
//!
//!                    try-lock       atomics  exporter       official
//! ────────────────────────────────────────────────────────────────────────
//! I/O in a scrape
//!   timeout-leaks    ✓ stalled      ✓ served ✓ stalled      ✓ stalled
//!     stuck=for-good   +0.33/scrape            +0.17/scrape   +0.50/scrape
//!                      no recovery             no recovery    no recovery
//!
//!                         guarded
//! ──────────────────────────────────────
//! I/O in a scrape
//!   timeout-leaks         ✓ contained
//!     stuck=until-release   +0.17/scrape
//!                           recovers
//!   timeout-leaks         ✓ contained
//!     stuck=for-good        +0.17/scrape
//!                           no recovery
//!
//!   naive            stalled     `tokio-rt-worker` 4476 waits for receive from TCP peer 127.0.0.1:36961 (local
//!                                127.0.0.1:46580) in gatherlock_scenarios::peer::Peer::lag (scenarios/src/peer.rs:62)
//! ```

use super::slow_collect::play_with;
use crate::lesson::{Cell, Lesson};
use crate::setting::Setting;
use crate::variants::{Variant, because};
use gatherlock::model::{Company, Drive, Outcome, Range, Release};

pub(crate) const LESSON: Lesson = Lesson {
    id: "timeout-leaks",
    family: "I/O in a scrape",
    source: include_str!("timeout_leaks.rs"),
    origin: &["nbari/pg_exporter#34"],
    company: Company::Together,
    bound_ms: None,
    drive: Drive::Scrapes { extra: 5 },
    release: Release::AtEnd,
    advice: &[
        "a timeout must end the work, not only the waiting for it: give the I/O inside a deadline of its own",
        "watch how many gathers are in flight, and since when; a permit that is kept for minutes is lost",
    ],
    expect,
    play: |stage| play_with(stage, is_for_good(&stage.setting)),
};

fn is_for_good(setting: &Setting) -> bool {
    setting.param("stuck") == "for-good"
}

fn expect(setting: &Setting) -> Cell {
    let stalled = |because| {
        let cell = Cell::must(Outcome::Stalled, because);
        // How many of the workers six stuck scrapes take along is measured, so what is left after that is not promised.
        if is_for_good(setting) { cell } else { cell.recovers(true) }
    };
    match setting.variant {
        Variant::Naive => stalled("the scrape's thread waits in recv for a peer that says nothing"),
        Variant::TimeoutInline => stalled(because::TIMER_CANNOT_FIRE),
        Variant::Offload => Cell::must(Outcome::Stalled, because::NO_DEADLINE).recovers(true),
        Variant::TimeoutOffload if is_for_good(setting) => Cell::must(
            Outcome::Contained,
            "four gathers time out and keep the four permits for ever: every later scrape is refused, although the peer answers again",
        )
        .limited(|limits| limits.threads_leaked_per_scrape = Some(Range::at_most(1.0)))
        .recovers(false),
        Variant::TimeoutOffload => Cell::must(
            Outcome::Contained,
            "four gathers time out and keep the four permits, the rest is refused at once; when the peer answers, all of it comes back",
        )
        .limited(|limits| limits.threads_leaked_per_scrape = Some(Range::at_most(1.0)))
        .recovers(true),
        Variant::TryLock => stalled("no lock is involved, so none can be tried"),
        Variant::Official => stalled("encode() runs the same I/O on the async worker"),
        Variant::Exporter => stalled("a hook before render() does the same I/O on the async worker"),
        Variant::Atomics => Cell::must(
            Outcome::Served,
            "the page shows the last known value; the thread that asks is the one that waits, and no scrape waits for it",
        ),
        Variant::Guarded if is_for_good(setting) => Cell::contained_once(
            6,
            "the one collection never ends, so its group is missing until the process restarts: one thread, and an honest refusal each time",
        )
        .recovers(false),
        Variant::Guarded => Cell::contained_once(6, because::ONE_THREAD).recovers(true),
    }
}
