//! Two samples of a process, explained: the hand-over from the live engine to the detectors.

use super::{Edge, Gap, Resource, RuntimeState, Thread};
use serde::{Deserialize, Serialize};

/// What the live engine makes of two samples: facts with their provenance, no judgement.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Explained {
    /// Every thread of the second sample.
    pub threads: Vec<Thread>,
    /// Every lock or other thing that a thread waits for.
    pub resources: Vec<Resource>,
    /// Who holds and who waits.
    pub edges: Vec<Edge>,
    /// Threads that spin, by a named rule.
    pub spins: Vec<Spin>,
    /// The async runtime, where one was recognised.
    pub runtime: Option<RuntimeState>,
    /// How many samples it rests on: 1 or 2.
    pub samples: u32,
    /// What could not be seen, and why.
    pub gaps: Vec<Gap>,
}

/// A thread that burns CPU waiting for a word to change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spin {
    /// The spinning thread.
    pub tid: i32,
    /// The rule that matched, e.g. `prometheus-histogram-proto`.
    pub rule: String,
    /// The id of the resource (of kind `spin_word`) it waits for.
    pub resource: String,
    /// What the word means, e.g. "Histogram `lat`: 2589 observations started, 2588 finished".
    pub says: String,
    /// Whether every word the rule watches had the same value in both samples, and the thread burned CPU between them.
    pub unchanged: bool,
    /// A thread seen inside the code that should change the word.
    pub culprit: Option<i32>,
}
