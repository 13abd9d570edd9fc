//! What a detector concluded, and what it rests on.

use serde::{Deserialize, Serialize};

/// What a detector concluded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Evidence {
    /// The detector: `cycle`, `self_wait`, `spin`, `starvation`, `stall`, `leak`, `exposition`, …
    pub detector: String,
    /// What it says, in one sentence.
    pub says: String,
    /// What it rests on: edges or observations, each in words.
    pub because: Vec<String>,
    /// Whether it decides the outcome or only stands beside it.
    pub decisive: bool,
}
