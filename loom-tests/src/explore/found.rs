//! What an exploration found, and how strong that is.

use super::search::Search;
use crate::behaviour::Behaviour;
use crate::counterexample::Counterexample;
use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

/// What an exploration rests on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Strength {
    /// Every schedule.
    Exhausted,
    /// Every schedule with at most this many preemptions.
    Bounded {
        /// The bound.
        preemptions: u8,
    },
    /// Schedules that were drawn.
    Sampled {
        /// How many.
        schedules: u64,
    },
    /// One execution that shows it, which needs no other; it can be replayed.
    Witness,
    /// The search was given up.
    Limit {
        /// At which limit.
        limit: String,
    },
}

impl fmt::Display for Strength {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Strength::Exhausted => f.write_str("exhaustive"),
            Strength::Bounded { preemptions } => write!(f, "exhaustive up to {preemptions} preemptions"),
            Strength::Sampled { schedules } => write!(f, "sampled over {schedules} schedules"),
            Strength::Witness => f.write_str("shown by one execution"),
            Strength::Limit { limit } => write!(f, "given up at {limit}"),
        }
    }
}

/// What an exploration found.
#[derive(Clone, Debug)]
pub enum Finding {
    /// No execution hung or panicked.
    None,
    /// Threads wait for each other in a circle, or one for itself.
    Deadlock(Box<Counterexample>),
    /// Nobody can go on, but not because of a circle of locks: a channel, a condition variable.
    Blocked(Box<Counterexample>),
    /// The body panicked.
    Panicked {
        /// With what.
        message: String,
        /// What led there.
        trace: Box<Counterexample>,
    },
    /// Nothing can be said.
    Inconclusive {
        /// Why.
        reason: String,
    },
}

impl Finding {
    /// The word used in reports.
    pub fn word(&self) -> &'static str {
        match self {
            Finding::None => "none",
            Finding::Deadlock(_) => "deadlock",
            Finding::Blocked(_) => "blocked",
            Finding::Panicked { .. } => "panicked",
            Finding::Inconclusive { .. } => "inconclusive",
        }
    }

    /// The failing interleaving, if there is one.
    pub fn counterexample(&self) -> Option<&Counterexample> {
        match self {
            Finding::Deadlock(trace) | Finding::Blocked(trace) | Finding::Panicked { trace, .. } => Some(trace),
            Finding::None | Finding::Inconclusive { .. } => None,
        }
    }
}

/// The result of an exploration.
#[derive(Clone, Debug)]
pub struct Exploration {
    /// How it was searched.
    pub search: Search,
    /// What was found.
    pub finding: Finding,
    /// How strong that is.
    pub strength: Strength,
    /// Executions, up to and including the failing one.
    pub executions: u64,
    /// How long the search took.
    pub time: Duration,
    /// The distinct behaviours, if they were asked for.
    pub behaviours: BTreeSet<Behaviour>,
}

/// The behaviours of a body under every schedule.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Every {
    /// Those of executions that ended.
    pub finished: BTreeSet<Behaviour>,
    /// Those of executions that hung.
    pub hung: BTreeSet<Behaviour>,
    /// How many executions there were.
    pub executions: u64,
}
