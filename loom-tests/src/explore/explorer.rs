//! Explores a body, and runs one execution of it again.

use super::found::{Every, Exploration, Finding, Strength};
use super::pass::{Ended, Pass, Wanted};
use super::search::{Body, Limits, Search};
use super::{loom, shuttle};
use crate::counterexample;
use crate::replay::Replay;
use crate::shim::Recording;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Instant;

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

/// Visits every schedule of `body` under shuttle, and goes on after those that hang; `None` if a limit is hit.
///
/// # Panics
/// If called inside a model.
pub fn every_schedule(body: Body, limits: Limits) -> Option<Every> {
    shuttle::run_past_hangs(&body, limits)
}
