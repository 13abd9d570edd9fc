//! A run of shuttle, with every choice recorded.

use super::found::Every;
use super::pass::{Ended, Pass, Progress, Wanted};
use super::search::{Body, Limits, Search};
use crate::shim::{self, Engine, Recording};
use shuttle::scheduler::{DfsScheduler, PctScheduler, RandomScheduler, Schedule, Scheduler, Task, TaskId};
use shuttle::{Config, FailurePersistence, MaxSteps, Runner};
use std::mem::ManuallyDrop;
use std::sync::{Arc, Mutex, PoisonError};

/// A coroutine's stack, in bytes. The default of 60 KiB is tight for unoptimised code.
const STACK: usize = 256 * 1024;

type Choices = Arc<Mutex<Vec<usize>>>;

/// Asks `inner` and writes down what it chose.
struct Writer {
    /// Never dropped: shuttle's random scheduler takes its drop after a failure as the moment to print advice that is wrong
    /// here. A few kilobytes for each exploration.
    inner: ManuallyDrop<Box<dyn Scheduler + Send>>,
    choices: Choices,
    progress: Arc<Progress>,
}

impl Scheduler for Writer {
    fn new_execution(&mut self) -> Option<Schedule> {
        if shim::is_deadlocked() {
            return None;
        }
        // The inner one first: if it has nothing left, a limit that is reached at the same time was not hit.
        let schedule = self.inner.new_execution()?;
        if !self.progress.may_begin() {
            return None;
        }
        self.choices.lock().unwrap_or_else(PoisonError::into_inner).clear();
        Some(schedule)
    }

    fn next_task(&mut self, runnable: &[&Task], current: Option<TaskId>, is_yielding: bool) -> Option<TaskId> {
        if shim::is_deadlocked() {
            return None;
        }
        let next = self.inner.next_task(runnable, current, is_yielding)?;
        self.choices.lock().unwrap_or_else(PoisonError::into_inner).push(usize::from(next));
        Some(next)
    }

    fn next_u64(&mut self) -> u64 {
        self.inner.next_u64()
    }
}

/// Makes the choices it is given, in one execution.
struct Reader {
    tasks: std::vec::IntoIter<usize>,
    begun: bool,
    diverged: Arc<Mutex<Option<String>>>,
}

impl Scheduler for Reader {
    fn new_execution(&mut self) -> Option<Schedule> {
        (!std::mem::replace(&mut self.begun, true)).then(|| Schedule::new(0))
    }

    fn next_task(&mut self, runnable: &[&Task], _: Option<TaskId>, _: bool) -> Option<TaskId> {
        if shim::is_deadlocked() {
            return None;
        }
        let next = self.tasks.next();
        let found = runnable.iter().map(|task| task.id()).find(|id| next == Some(usize::from(*id)));
        if found.is_none() {
            let why = match next {
                Some(task) => format!("task {task} cannot run at that point"),
                None => "it ends before the model does".to_owned(),
            };
            *self.diverged.lock().unwrap_or_else(PoisonError::into_inner) = Some(why);
        }
        found
    }

    fn next_u64(&mut self) -> u64 {
        0
    }
}

fn config(limits: Limits) -> Config {
    let mut config = Config::new();
    config.stack_size = STACK;
    config.failure_persistence = FailurePersistence::None;
    config.max_steps = MaxSteps::FailAfter(limits.steps);
    config.max_time = None;
    config.silence_warnings = true;
    config
}

pub(super) fn run(body: &Body, search: Search, limits: Limits, wanted: Wanted, collect: bool) -> Pass {
    let schedules = |count: u64| usize::try_from(count).unwrap_or(usize::MAX);
    let inner: Box<dyn Scheduler + Send> = match search {
        Search::Random { schedules: count, seed } => Box::new(RandomScheduler::new_from_seed(seed, schedules(count))),
        Search::Pct { depth, schedules: count, seed } => {
            Box::new(PctScheduler::new_from_seed(seed, depth, schedules(count)))
        }
        Search::Dfs | Search::Loom { .. } => Box::new(DfsScheduler::new(None, false)),
    };
    let progress = Progress::new(limits, wanted, collect);
    let choices = Choices::default();
    let writer =
        Writer { inner: ManuallyDrop::new(inner), choices: Arc::clone(&choices), progress: Arc::clone(&progress) };
    let (inside, body) = (Arc::clone(&progress), Arc::clone(body));
    let mut pass = progress.run(Engine::Shuttle, || {
        Runner::new(writer, config(limits)).run(move || inside.execute(&body));
    });
    pass.tasks = std::mem::take(&mut choices.lock().unwrap_or_else(PoisonError::into_inner));
    pass
}

pub(super) fn replay(body: &Body, tasks: Vec<usize>, limits: Limits) -> Pass {
    let wanted = Wanted { all: Recording::Stacks, only: None, counter: None };
    let progress = Progress::new(limits, wanted, false);
    let diverged = Arc::default();
    let reader = Reader { tasks: tasks.into_iter(), begun: false, diverged: Arc::clone(&diverged) };
    let (inside, body) = (Arc::clone(&progress), Arc::clone(body));
    let mut pass = progress.run(Engine::Shuttle, || {
        Runner::new(reader, config(limits)).run(move || inside.execute(&body));
    });
    if let Some(why) = diverged.lock().unwrap_or_else(PoisonError::into_inner).take() {
        pass.ended = Ended::Broken(format!("the replay string does not belong to this model: {why}"));
    }
    pass
}

/// All schedules, depth first. Unlike shuttle's own, it outlives a run, and so goes on after an execution that hangs.
#[derive(Clone, Default)]
struct Tree(Arc<Mutex<Branches>>);

#[derive(Default)]
struct Branches {
    begun: bool,
    /// At each scheduling point the branch taken and how many there are.
    taken: Vec<(usize, usize)>,
    depth: usize,
}

impl Tree {
    fn branches(&self) -> std::sync::MutexGuard<'_, Branches> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Scheduler for Tree {
    fn new_execution(&mut self) -> Option<Schedule> {
        let mut branches = self.branches();
        if std::mem::replace(&mut branches.begun, true) {
            while branches.taken.pop_if(|(taken, of)| *taken + 1 == *of).is_some() {}
            branches.taken.last_mut()?.0 += 1;
        }
        branches.depth = 0;
        Some(Schedule::new(0))
    }

    fn next_task(&mut self, runnable: &[&Task], _: Option<TaskId>, _: bool) -> Option<TaskId> {
        let mut branches = self.branches();
        let depth = branches.depth;
        branches.depth += 1;
        if depth == branches.taken.len() {
            branches.taken.push((0, runnable.len()));
        }
        let taken = branches.taken[depth].0;
        Some(runnable[taken].id())
    }

    fn next_u64(&mut self) -> u64 {
        0
    }
}

/// Every schedule, also after executions that hang. `None` if a limit is hit or something else goes wrong.
pub(super) fn run_past_hangs(body: &Body, limits: Limits) -> Option<Every> {
    let tree = Tree::default();
    let mut every = Every::default();
    loop {
        let wanted = Wanted { all: Recording::Everything, only: None, counter: None };
        let left = Limits { executions: limits.executions.saturating_sub(every.executions), ..limits };
        let progress = Progress::new(left, wanted, true);
        let writer = Writer {
            inner: ManuallyDrop::new(Box::new(tree.clone())),
            choices: Choices::default(),
            progress: Arc::clone(&progress),
        };
        let (inside, body) = (Arc::clone(&progress), Arc::clone(body));
        let pass = progress.run(Engine::Shuttle, || {
            Runner::new(writer, config(limits)).run(move || inside.execute(&body));
        });
        every.executions += pass.executions;
        every.finished.extend(pass.behaviours);
        match pass.ended {
            Ended::Finished => return Some(every),
            Ended::Stuck if pass.recorded.deadlocked => {
                every.hung.insert(crate::behaviour::of(&pass.recorded));
            }
            _ => return None,
        }
    }
}
