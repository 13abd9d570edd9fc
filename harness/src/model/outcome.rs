//! What became of a trial: the mechanical class, with nothing said yet about whether it was expected.

use serde::{Deserialize, Serialize};

/// The mechanical class of a trial or of a diagnosed process.
///
/// The four answered classes are ordered by how good they are for whoever scrapes:
/// `Served` < `Contained` < `Late` < everything else, and everything else is unordered among itself
/// (see [`Outcome::is_better_than`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// Every scrape was answered within the bound, with a valid exposition in which the canary moved.
    Served,
    /// Answered within the bound with an honest refusal, a body marked stale, or a partial body that names what is missing.
    Contained,
    /// Answered, but after the bound.
    Late,
    /// Not answered by the hang limit; threads are on CPU and make progress.
    Busy,
    /// Not answered; the judged request's own wait path reaches a cycle or a self-wait.
    Deadlocked,
    /// Not answered; a named spin rule matches and the word it watches did not change between the samples.
    Livelocked,
    /// Not answered because the runtime's workers or its blocking pool are all taken.
    Starved,
    /// Not answered; a thread waits for something that is no lock cycle, or no thread runs the request at all.
    Stalled,
    /// Answered in time, but wrong.
    Invalid,
    /// The process died.
    Crashed,
    /// Nothing accepts the connection.
    Unreachable,
}

impl Outcome {
    /// Every outcome, in the order of the design's table.
    pub const ALL: [Outcome; 11] = [
        Outcome::Served,
        Outcome::Contained,
        Outcome::Late,
        Outcome::Busy,
        Outcome::Deadlocked,
        Outcome::Livelocked,
        Outcome::Starved,
        Outcome::Stalled,
        Outcome::Invalid,
        Outcome::Crashed,
        Outcome::Unreachable,
    ];

    /// The word used in reports, on the command line and in prose.
    pub fn word(self) -> &'static str {
        match self {
            Outcome::Served => "served",
            Outcome::Contained => "contained",
            Outcome::Late => "late",
            Outcome::Busy => "busy",
            Outcome::Deadlocked => "deadlocked",
            Outcome::Livelocked => "livelocked",
            Outcome::Starved => "starved",
            Outcome::Stalled => "stalled",
            Outcome::Invalid => "invalid",
            Outcome::Crashed => "crashed",
            Outcome::Unreachable => "unreachable",
        }
    }

    /// `served` 0, `contained` 1, `late` 2, all others 3.
    fn rank(self) -> u8 {
        match self {
            Outcome::Served => 0,
            Outcome::Contained => 1,
            Outcome::Late => 2,
            _ => 3,
        }
    }

    /// Whether whoever scrapes is better off with `self` than with `other`. Two outcomes of the last rank are never
    /// better than each other.
    pub fn is_better_than(self, other: Outcome) -> bool {
        self.rank() < other.rank()
    }

    /// Whether no answer came by the hang limit although the process lived and accepted.
    pub fn is_hang(self) -> bool {
        matches!(self, Outcome::Busy | Outcome::Deadlocked | Outcome::Livelocked | Outcome::Starved | Outcome::Stalled)
    }

    /// One sentence for a legend.
    pub fn meaning(self) -> &'static str {
        match self {
            Outcome::Served => "answered within the bound, with a valid exposition in which the canary moved",
            Outcome::Contained => {
                "answered within the bound with an honest refusal, or a body that says what is stale or missing"
            }
            Outcome::Late => "answered, but after the bound",
            Outcome::Busy => "not answered by the hang limit; threads are on CPU and make progress",
            Outcome::Deadlocked => "not answered; the request waits for a cycle of locks, or for itself",
            Outcome::Livelocked => "not answered; a thread spins on a word that does not change",
            Outcome::Starved => "not answered; no thread is left to run the request",
            Outcome::Stalled => "not answered; a thread waits for something that is no lock cycle",
            Outcome::Invalid => "answered in time, but wrong",
            Outcome::Crashed => "the process died",
            Outcome::Unreachable => "nothing accepts the connection",
        }
    }
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.word())
    }
}
