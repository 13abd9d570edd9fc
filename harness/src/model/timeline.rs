//! Who did, held and waited when, in one trial.

use serde::{Deserialize, Serialize};

/// A point or a span in a trial.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct TimelineEntry {
    /// Whose line it stands on: `scrape 1`, `parent`, a thread's name and tid.
    pub lane: String,
    /// Microseconds since the child's start.
    pub from_us: u64,
    /// The end of a span; `None` for a point.
    pub to_us: Option<u64>,
    /// What.
    pub kind: TimelineKind,
    /// In a few words.
    pub label: String,
}

/// Kinds of timeline entries, for their colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum TimelineKind {
    /// A request in flight.
    Request,
    /// A lock held.
    Holds,
    /// A thread waiting.
    Waits,
    /// A thread on CPU.
    Runs,
    /// A point the story reached, a command, the bound, a sample.
    Mark,
}
