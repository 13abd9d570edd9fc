//! Runs a model's body under an engine: what was found, and how strong that is.
//!
//! Executions are counted and timed here, not by the engines: loom looks at its own limits only every 20 000 executions
//! and then returns as if it had seen everything.

mod loom;
mod pass;
mod shuttle;

use crate::behaviour::{self, Behaviour};
use crate::counterexample::{self, Counterexample};
use crate::replay::Replay;
use crate::shim::{Engine, Recording};
use pass::{Ended, Pass, Wanted};
use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant};

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

/// Where to give up. Hitting a limit makes the result [`Strength::Limit`], never exhaustive.
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

/// Explores bodies.
#[derive(Clone, Copy, Debug)]
pub struct Explorer {
    search: Search,
    limits: Limits,
    behaviours: bool,
    counter: Option<&'static AtomicU64>,
}

impl Explorer {
    /// An explorer with the default limits.
    pub fn new(search: Search) -> Self {
        Explorer { search, limits: Limits::default(), behaviours: false, counter: None }
    }

    /// With other limits.
    pub fn limits(self, limits: Limits) -> Self {
        Explorer { limits, ..self }
    }

    /// Collects the distinct behaviours. Slower: every execution is recorded.
    pub fn behaviours(self) -> Self {
        Explorer { behaviours: true, ..self }
    }

    /// Adds each execution to `counter` as it begins, for whoever shows progress.
    pub fn counting(self, counter: &'static AtomicU64) -> Self {
        Explorer { counter: Some(counter), ..self }
    }

    /// Explores `body`.
    ///
    /// # Panics
    /// If called inside a model.
    pub fn run(self, body: impl Fn() + Send + Sync + 'static) -> Exploration {
        self.run_body(Arc::new(body))
    }

    /// Explores `body`.
    ///
    /// # Panics
    /// If called inside a model.
    pub fn run_body(self, body: Body) -> Exploration {
        let started = Instant::now();
        let all = if self.behaviours { Recording::Everything } else { Recording::Off };
        let wanted = Wanted { all, only: None, counter: self.counter };
        let pass = self.pass(&body, wanted);
        let time = started.elapsed();
        let executions = pass.executions;
        let behaviours = pass.behaviours;
        let (finding, strength) = match pass.ended {
            Ended::Finished => (Finding::None, self.strength_of_all(executions)),
            Ended::Limit(limit) => {
                let reason = format!("the search was given up at {limit} without a finding");
                (Finding::Inconclusive { reason }, Strength::Limit { limit })
            }
            Ended::Spin => (Finding::Inconclusive { reason: self.spin() }, self.gave_up_spinning()),
            Ended::Broken(reason) => (Finding::Inconclusive { reason }, Strength::Limit { limit: "an error".into() }),
            Ended::Stuck | Ended::Panicked(_) => {
                let replay = match self.search {
                    Search::Loom { preemptions } => Replay::Loom { preemptions, execution: executions },
                    Search::Dfs | Search::Random { .. } | Search::Pct { .. } => Replay::Shuttle { tasks: pass.tasks },
                };
                self.replay(&body, &replay)
            }
        };
        Exploration { search: self.search, finding, strength, executions, time, behaviours }
    }

    /// Runs one execution of `body` again, with stacks.
    pub fn replay(&self, body: &Body, replay: &Replay) -> (Finding, Strength) {
        let pass = match replay {
            Replay::Loom { preemptions, execution } => {
                let wanted = Wanted { all: Recording::Off, only: Some((*execution, Recording::Stacks)), counter: None };
                loom::run(body, *preemptions, self.limits, wanted, false)
            }
            Replay::Shuttle { tasks } => shuttle::replay(body, tasks.clone(), self.limits),
        };
        let trace = |pass: &Pass| Box::new(counterexample::of(&pass.recorded, replay));
        match pass.ended {
            Ended::Stuck if pass.recorded.deadlocked => {
                let trace = trace(&pass);
                let finding = if trace.cycle.is_empty() { Finding::Blocked(trace) } else { Finding::Deadlock(trace) };
                (finding, Strength::Witness)
            }
            Ended::Stuck => {
                let reason = "the engine reports a deadlock that no lock of the shim explains: is a primitive of the \
                              engine used directly?";
                (Finding::Inconclusive { reason: reason.into() }, Strength::Limit { limit: "an error".into() })
            }
            Ended::Panicked(ref message) => {
                (Finding::Panicked { message: message.clone(), trace: trace(&pass) }, Strength::Witness)
            }
            Ended::Finished => (Finding::None, Strength::Sampled { schedules: 1 }),
            Ended::Spin => (Finding::Inconclusive { reason: self.spin() }, self.gave_up_spinning()),
            Ended::Limit(limit) => {
                let reason = format!("the replay was given up at {limit}: does {replay} belong to this model?");
                (Finding::Inconclusive { reason }, Strength::Limit { limit })
            }
            Ended::Broken(reason) => (Finding::Inconclusive { reason }, Strength::Limit { limit: "an error".into() }),
        }
    }

    fn pass(&self, body: &Body, wanted: Wanted) -> Pass {
        match self.search {
            Search::Loom { preemptions } => loom::run(body, preemptions, self.limits, wanted, self.behaviours),
            _ => shuttle::run(body, self.search, self.limits, wanted, self.behaviours),
        }
    }

    fn strength_of_all(&self, executions: u64) -> Strength {
        match self.search {
            Search::Loom { preemptions: Some(preemptions) } => Strength::Bounded { preemptions },
            Search::Loom { preemptions: None } | Search::Dfs => Strength::Exhausted,
            Search::Random { .. } | Search::Pct { .. } => Strength::Sampled { schedules: executions },
        }
    }

    fn spin(&self) -> String {
        format!("unbounded spin: an execution has more than {} scheduling points", self.limits.steps)
    }

    fn gave_up_spinning(&self) -> Strength {
        Strength::Limit { limit: format!("{} scheduling points in one execution", self.limits.steps) }
    }
}

/// What loom finds in `body`, over every schedule.
///
/// # Panics
/// If called inside a model.
pub fn exhaustively(body: impl Fn() + Send + Sync + 'static) -> Finding {
    Explorer::new(Search::Loom { preemptions: None }).limits(Limits::patient()).run(body).finding
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

/// Visits every schedule of `body` under shuttle, and goes on after those that hang; `None` if a limit is hit.
///
/// # Panics
/// If called inside a model.
pub fn every_schedule(body: Body, limits: Limits) -> Option<Every> {
    shuttle::run_past_hangs(&body, limits)
}

pub(crate) fn behaviour_of(recorded: &crate::shim::Recorded) -> Behaviour {
    behaviour::of(recorded)
}
