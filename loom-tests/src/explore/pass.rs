//! One run of an engine over a body, and what both engines' runs have in common.

use super::hook;
use super::search::{Body, Limits};
use crate::behaviour::{self, Behaviour};
use crate::shim::{self, Engine, Recorded, Recording};
use std::any::Any;
use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

/// Which executions to record.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted {
    /// What to record of each.
    pub(super) all: Recording,
    /// The one execution (from 1) to stop after, and what to record of it.
    pub(super) only: Option<(u64, Recording)>,
    /// What to add each execution to.
    pub(super) counter: Option<&'static AtomicU64>,
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    /// The engine had visited all that it was to visit.
    Finished,
    /// At this limit.
    Limit(String),
    /// An execution was too long.
    Spin,
    /// No thread could run.
    Stuck,
    /// The body panicked.
    Panicked(String),
    /// Something else went wrong.
    Broken(String),
}

/// The result of a run.
#[derive(Debug)]
pub(super) struct Pass {
    pub(super) ended: Ended,
    pub(super) executions: u64,
    pub(super) recorded: Recorded,
    pub(super) behaviours: BTreeSet<Behaviour>,
    /// shuttle's choices in the last execution.
    pub(super) tasks: Vec<usize>,
}

/// What a run keeps track of while the engine is at work.
#[derive(Debug)]
pub(super) struct Progress {
    limits: Limits,
    wanted: Wanted,
    collect: bool,
    started: Instant,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    executions: u64,
    limit: Option<String>,
    panicked: Option<String>,
    behaviours: BTreeSet<Behaviour>,
}

/// What the body's wrapper panics with to stop loom, which offers no other way.
struct Stop;

impl Progress {
    pub(super) fn new(limits: Limits, wanted: Wanted, collect: bool) -> Arc<Self> {
        Arc::new(Progress { limits, wanted, collect, started: Instant::now(), state: Mutex::default() })
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Whether another execution may begin; if not, the reason is kept.
    pub(super) fn may_begin(&self) -> bool {
        let mut state = self.state();
        let done = state.executions;
        let limit = if self.wanted.only.is_some_and(|(only, _)| done >= only) {
            Some(format!("execution {done}"))
        } else if done >= self.limits.executions {
            Some(format!("{done} executions"))
        } else if self.started.elapsed() >= self.limits.time {
            Some(format!("{} s", self.limits.time.as_secs_f64()))
        } else {
            None
        };
        let may = limit.is_none();
        state.limit = limit;
        may
    }

    /// Runs the body once. Called by the engine, inside an execution.
    pub(super) fn execute(&self, body: &Body) {
        self.keep_behaviour(&shim::take_recorded());
        let execution = {
            let mut state = self.state();
            state.executions += 1;
            state.executions
        };
        if let Some(counter) = self.wanted.counter {
            counter.fetch_add(1, Ordering::Relaxed);
        }
        let recording = match self.wanted.only {
            Some((only, recording)) if only == execution => recording,
            _ => self.wanted.all,
        };
        shim::begin_execution(recording);
        match catch_unwind(AssertUnwindSafe(|| body())) {
            Ok(()) => shim::end_execution(),
            Err(panic) => {
                if !shim::is_torn_down() {
                    shim::tear_down();
                    self.state().panicked.get_or_insert_with(|| words(panic.as_ref()));
                }
                resume_unwind(panic);
            }
        }
    }

    /// Like [`Progress::execute`], for an engine that can only be stopped by a panic.
    pub(super) fn execute_or_stop(&self, body: &Body) {
        if !self.may_begin() {
            shim::tear_down();
            std::panic::panic_any(Stop);
        }
        self.execute(body);
    }

    /// Keeps the behaviour of the execution that has just ended: other threads may have run on after the body.
    fn keep_behaviour(&self, recorded: &Recorded) {
        if self.collect && !recorded.threads.is_empty() {
            self.state().behaviours.insert(behaviour::of(recorded));
        }
    }

    /// Runs an engine and classes how it ended.
    pub(super) fn run(&self, engine: Engine, start: impl FnOnce()) -> Pass {
        hook::install();
        let entered = shim::enter(engine);
        let was = hook::EXPLORING.replace(true);
        let result = catch_unwind(AssertUnwindSafe(start));
        hook::EXPLORING.set(was);
        let recorded = shim::take_recorded();
        if result.is_ok() && !recorded.deadlocked {
            self.keep_behaviour(&recorded);
        }
        drop(entered);
        let mut state = self.state();
        let ended = match result {
            Ok(()) if recorded.deadlocked => Ended::Stuck,
            Ok(()) => state.limit.take().map_or(Ended::Finished, Ended::Limit),
            Err(panic) if panic.is::<Stop>() => Ended::Limit(state.limit.take().unwrap_or_default()),
            Err(panic) => match state.panicked.take() {
                Some(message) => Ended::Panicked(message),
                None => class(&words(panic.as_ref())),
            },
        };
        Pass {
            ended,
            executions: state.executions,
            recorded,
            behaviours: std::mem::take(&mut state.behaviours),
            tasks: Vec::new(),
        }
    }
}

/// What an engine's own panic means. The engines offer nothing but the message.
fn class(message: &str) -> Ended {
    const STUCK: [&str; 2] = ["deadlock; threads", "deadlock! blocked tasks"];
    const SPIN: [&str; 2] = ["Model exceeded maximum number of branches", "exceeded max_steps bound"];
    if STUCK.iter().any(|start| message.starts_with(start)) {
        Ended::Stuck
    } else if SPIN.iter().any(|start| message.starts_with(start)) {
        Ended::Spin
    } else {
        Ended::Broken(format!("the engine failed: {message}"))
    }
}

fn words(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
    text.unwrap_or("a panic without a message").to_owned()
}
