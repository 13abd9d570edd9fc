//! A model check as reports keep it: what was expected and found, how strong that is, and the interleaving that fails.

use super::Verdict;
use serde::{Deserialize, Serialize};

/// One model check.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ModelReport {
    /// Its name, `scenario` or `scenario[param=value]`; shared with the live scenario of the same mechanism.
    pub name: String,
    /// One line: what it teaches.
    #[serde(default)]
    pub lesson: String,
    /// How many threads it has, its body included.
    #[serde(default)]
    pub threads: u32,
    /// `loom` or `shuttle`.
    pub engine: String,
    /// The version of `prometheus` under it.
    pub crate_version: String,
    /// What was expected: `deadlock`, `blocked` or `none`.
    pub expectation: String,
    /// What was found: `deadlock`, `blocked`, `none`, `panicked` or `inconclusive`.
    pub outcome: String,
    /// The verdict.
    pub verdict: Verdict,
    /// Why it is not held, if it is not.
    #[serde(default)]
    pub why: Option<String>,
    /// The memory model explored.
    pub memory: String,
    /// How strong it is.
    pub strength: ModelStrength,
    /// The failing interleaving. A report keeps one for each model; the others can be replayed.
    pub counterexample: Option<Counterexample>,
    /// The command line that replays it.
    pub replay: Option<String>,
}

impl ModelReport {
    /// The id of the live scenario that bears its name: the name without parameters.
    pub fn scenario(&self) -> &str {
        model_scenario(&self.name)
    }
}

/// A model's name without its parameters.
pub fn model_scenario(name: &str) -> &str {
    name.split_once('[').map_or(name, |(scenario, _)| scenario)
}

/// How much of a model was explored.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ModelStrength {
    /// `exhausted`, `bounded`, `sampled`, `witness` (one execution shows it, which needs no other) or `limit`.
    pub kind: String,
    /// The preemption bound, if there was one.
    pub preemptions: Option<u32>,
    /// Executions explored.
    pub executions: u64,
    /// How long it took.
    pub seconds: f64,
}

/// What happened in a failing execution.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Counterexample {
    /// The threads; the first is the model's body.
    pub threads: Vec<String>,
    /// Every operation, in the order in which it happened.
    pub steps: Vec<LockStep>,
    /// What is still held at the end.
    pub holds: Vec<LockHeld>,
    /// Who waits at the end, and for whom.
    pub waits: Vec<LockWait>,
    /// The circle, if there is one: each thread waits for the next, the last for the first. One name is a thread that
    /// waits for itself.
    pub cycle: Vec<String>,
    /// The string that replays it, as the checker prints it: `loom:3:7`, `shuttle:0*4,1,0`.
    pub replay: String,
}

/// How far an operation on a lock, a channel, a condition variable or an atomic got.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Progress {
    /// The thread is about to try.
    Asks,
    /// It has to wait.
    Waits,
    /// It has to wait for the readers inside; it has claimed the lock, so that new readers queue behind it.
    WaitsForReaders,
    /// It succeeded.
    Has,
    /// A `try_` operation did not succeed.
    Refused,
    /// It gave back what it had.
    GivesBack,
}

impl Progress {
    /// In words.
    pub fn word(self) -> &'static str {
        match self {
            Progress::Asks => "asks",
            Progress::Waits => "waits",
            Progress::WaitsForReaders => "waits for readers",
            Progress::Has => "has it",
            Progress::Refused => "refused",
            Progress::GivesBack => "gives it back",
        }
    }
}

/// One operation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct LockStep {
    /// From 1.
    pub number: usize,
    /// Who.
    pub thread: String,
    /// What: `read`, `write`, `lock`, `send`, …
    pub operation: String,
    /// How far it got.
    pub progress: Progress,
    /// On which lock, by the type that it protects.
    pub lock: String,
    /// The calling line, `crate-version/src/file.rs:line`.
    pub at: String,
}

/// A lock that is still held.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct LockHeld {
    /// By whom.
    pub thread: String,
    /// How: `read`, `write`, `lock`.
    pub operation: String,
    /// The lock.
    pub lock: String,
    /// Where it was taken.
    pub at: String,
    /// In which step.
    pub step: usize,
    /// The stack that took it, innermost frame first.
    pub stack: Vec<LockFrame>,
}

/// A thread that waits at the end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct LockWait {
    /// Who.
    pub thread: String,
    /// To do what.
    pub operation: String,
    /// On which lock.
    pub lock: String,
    /// Whether the lock is one that a thread owns; a channel, a condition variable and a thread's end are not.
    pub is_lock: bool,
    /// Whether it waits for its turn, or has claimed the lock and waits for the readers inside.
    pub progress: Progress,
    /// Where.
    pub at: String,
    /// For which threads, as far as that is known.
    pub waits_for: Vec<String>,
    /// Since which step.
    pub step: usize,
    /// Its stack, innermost frame first.
    pub stack: Vec<LockFrame>,
}

/// A stack frame of the code under test.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct LockFrame {
    /// The function.
    pub function: String,
    /// `crate-version/src/file.rs:line`.
    pub at: String,
}
