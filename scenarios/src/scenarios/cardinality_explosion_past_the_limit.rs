//! The registry has grown so large that a scrape is still encoding when everybody has given up: a hang that is none.
//!
//! From outside this looks like every other hang: the connection stands, not a byte comes, and the next scrape fares no
//! better. Inside, a thread works at full speed and would be done in a second. To call it a deadlock sends people looking
//! for a lock; to call it a spin sends them looking for a word that does not change. What tells it apart is progress: the
//! thread is on CPU in both samples, and no rule knows a loop that it would be stuck in.
//!
//! It is `cardinality-explosion` in one leap: the registry grows past what the hang limit allows, not just past the bound.
//!
//! ```text
//! scrape     gather, encode ................................................................. ── nobody listens
//!                       ^ the bound passes              ^ the hang limit: still on CPU
//! ```
//!
//! ## Run it
//! `cargo xtask repro 'cardinality-explosion-past-the-limit/*'`
//!
//! ## What it prints
//! ```text
//!                                               timeout-         timeout-
//!                                        naive  inline   offload offload  try-lock atomics exporter official
//! ──────────────────────────────────────────────────────────────────────────────────────────────────────────
//! contention
//!   cardinality-explosion-past-the-limit ✓ busy –        –       –        –        –       –        –
//!
//!                                        guarded
//! ──────────────────────────────────────────────
//! contention
//!   cardinality-explosion-past-the-limit –
//!
//!   naive            busy        `tokio-rt-worker` 29784 runs the request, is on CPU and makes progress
//! ```

use super::cardinality_explosion;
use crate::lesson::{Cell, Lesson};
use crate::setting::Setting;
use crate::variants::Variant;
use gatherlock::model::{Drive, Outcome};

pub(crate) const LESSON: Lesson = Lesson {
    id: "cardinality-explosion-past-the-limit",
    source: include_str!("cardinality_explosion_past_the_limit.rs"),
    drive: Drive::Grow { past_hang_limit: true },
    expect,
    ..cardinality_explosion::LESSON
};

fn expect(setting: &Setting) -> Cell {
    match setting.variant {
        Variant::Naive => Cell::must(
            Outcome::Busy,
            "a thread gathers and encodes more series than fit into three times the bound; it is on CPU and gets on with it",
        ),
        _ => Cell::Skip("what a scrape past the hang limit looks like is shown once, with naive"),
    }
}
