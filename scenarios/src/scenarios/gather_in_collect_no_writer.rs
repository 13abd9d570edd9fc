//! A collector gathers the registry that is gathering it, and nothing else happens: the test that passes.
//!
//! A control. It is the code of `gather-in-collect` to the letter, without the thread that registers a metric between the
//! two reads. Two read locks by one thread are then granted, and `/metrics` is served, every time.
//!
//! That is the trap: this is what a unit test, a load test without registrations, and the first month in production see.
//! The documentation of `parking_lot` says that a recursive read "may deadlock", which reads like a caution and is a
//! matter of one queued writer.
//!
//! ```text
//! scrape        READ registry ── collect() ── gather(): READ registry, granted ── 200 OK
//! ```
//!
//! ## Run it
//! `cargo xtask repro 'gather-in-collect-no-writer*'`
//!
//! ## What it prints
//! ```text
//!                                        timeout-          timeout-
//!                               naive    inline   offload  offload  try-lock atomics exporter official
//! ────────────────────────────────────────────────────────────────────────────────────────────────────
//! recursive lock
//!   gather-in-collect-no-writer ✓ served ✓ served ✓ served ✓ served ✓ served –       –        ✓ served
//!
//!                               guarded
//! ──────────────────────────────────────
//! recursive lock
//!   gather-in-collect-no-writer ✓ served
//!   gather-in-collect-no-writer ✓ served
//!     prometheus=0.13.4
//! ```

use super::gather_in_collect::play_with;
use crate::lesson::{Cell, Lesson};
use crate::setting::Setting;
use crate::variants::Variant;
use gatherlock::model::{Company, Drive, Outcome, Release};

pub(crate) const LESSON: Lesson = Lesson {
    id: "gather-in-collect-no-writer",
    family: "recursive lock",
    source: include_str!("gather_in_collect_no_writer.rs"),
    origin: &["Amanieu/parking_lot#438"],
    company: Company::Together,
    bound_ms: None,
    drive: Drive::Scrapes { extra: 0 },
    release: Release::Never,
    advice: &[],
    expect,
    play: |stage| play_with(stage, false),
};

fn expect(setting: &Setting) -> Cell {
    match setting.variant {
        Variant::Atomics => Cell::Skip("no registry: a nested gather has no counterpart"),
        Variant::Exporter => Cell::Skip("no collectors: nothing of the application runs while the page is rendered"),
        Variant::Guarded => Cell::must(Outcome::Served, "without a writer nothing stands between the two gathers"),
        _ => Cell::must(Outcome::Served, "without a queued writer a second read lock is granted to the same thread"),
    }
}
