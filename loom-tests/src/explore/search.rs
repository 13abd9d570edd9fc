//! What is searched, in which order, and where to give up.

use crate::shim::Engine;
use std::sync::Arc;
use std::time::Duration;

/// A model's body: runs once per execution, and creates every lock and thread that it uses.
pub type Body = Arc<dyn Fn() + Send + Sync>;

/// The memory model that is explored, whatever the engine.
pub const MEMORY: &str = "sc loads";

/// In which order to visit schedules, and how many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Search {
    /// loom, all schedules that preempt a running thread at most this often; `None` is all schedules.
    Loom {
        /// The bound.
        preemptions: Option<u8>,
    },
    /// shuttle, all schedules.
    Dfs,
    /// shuttle, schedules drawn at random.
    Random {
        /// How many.
        schedules: u64,
        /// From which seed.
        seed: u64,
    },
    /// shuttle, schedules drawn by probabilistic concurrency testing.
    Pct {
        /// How many order constraints a bug may need.
        depth: usize,
        /// How many.
        schedules: u64,
        /// From which seed.
        seed: u64,
    },
}

impl Search {
    /// The engine that it runs under.
    pub fn engine(self) -> Engine {
        match self {
            Search::Loom { .. } => Engine::Loom,
            Search::Dfs | Search::Random { .. } | Search::Pct { .. } => Engine::Shuttle,
        }
    }
}

/// Where to give up. Hitting a limit makes the result [`Strength::Limit`](super::Strength::Limit), never exhaustive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The most executions.
    pub executions: u64,
    /// The longest time.
    pub time: Duration,
    /// The longest execution, in scheduling points; beyond it something spins.
    pub steps: usize,
}

impl Limits {
    /// No limit on time: for tests, whose result must not depend on how busy the machine is.
    pub fn patient() -> Self {
        Limits { time: Duration::MAX, ..Limits::default() }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Limits { executions: 2_000_000, time: Duration::from_secs(60), steps: 5_000 }
    }
}
