//! The counterexample: the failing interleaving as numbered steps, who holds, who waits, and the string that replays it.

mod labels;
mod picture;
mod stacks;

use crate::replay::Replay;
use crate::shim::{Action, Recorded};
use crate::waits::{self, Wait};
use serde::Serialize;
use std::fmt;

/// What happened in the failing execution.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Counterexample {
    /// The threads; the first is the model's body.
    pub threads: Vec<String>,
    /// Every lock operation, in the order in which it happened.
    pub steps: Vec<Step>,
    /// What is still held at the end.
    pub holds: Vec<Held>,
    /// Who waits at the end, and for whom.
    pub waits: Vec<Waits>,
    /// The circle, if there is one: each thread waits for the next, the last for the first. One name is a thread that
    /// waits for itself.
    pub cycle: Vec<String>,
    /// The steps that matter, one column for each thread.
    pub picture: String,
    /// Replays it.
    pub replay: String,
}

/// One lock operation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Step {
    /// From 1.
    pub number: usize,
    /// Who.
    pub thread: String,
    /// What: `read`, `write`, `lock`, …
    pub operation: String,
    /// How far it got: `asks`, `waits`, `waits for readers`, `has it`, `refused`, `gives it back`.
    pub progress: String,
    /// On which lock, by the type that it protects.
    pub lock: String,
    /// The calling line, `crate-version/src/file.rs:line`.
    pub at: String,
}

/// A lock that is still held.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Held {
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
    pub stack: Vec<Frame>,
}

/// A thread that waits at the end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Waits {
    /// Who.
    pub thread: String,
    /// To do what.
    pub operation: String,
    /// On which lock.
    pub lock: String,
    /// Whether the lock is one that a thread owns; a channel, a condition variable and a thread's end are not.
    pub is_lock: bool,
    /// Where.
    pub at: String,
    /// For which threads, as far as that is known.
    pub waits_for: Vec<String>,
    /// Since which step.
    pub step: usize,
    /// Its stack, innermost frame first.
    pub stack: Vec<Frame>,
}

/// A stack frame of the code under test.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Frame {
    /// The function.
    pub function: String,
    /// `crate-version/src/file.rs:line`.
    pub at: String,
}

impl Counterexample {
    /// Makes the recorded execution readable.
    pub fn new(recorded: &Recorded, replay: Replay) -> Self {
        let names = labels::Labels::of(recorded);
        let end = waits::at_end(recorded);
        let steps = recorded.events.iter().enumerate().map(|(index, event)| Step {
            number: index + 1,
            thread: recorded.threads[event.thread].clone(),
            operation: event.mode.word().to_owned(),
            progress: progress(event.action).to_owned(),
            lock: names.label(event.object),
            at: labels::place(event.at),
        });
        let held = |hold: &waits::Hold| Held {
            thread: recorded.threads[hold.thread].clone(),
            operation: hold.mode.word().to_owned(),
            lock: names.label(hold.object),
            at: labels::place(recorded.events[hold.event].at),
            step: hold.event + 1,
            stack: stacks::of(&recorded.events[hold.event]),
        };
        let waits_of = |wait: &Wait| Waits {
            thread: recorded.threads[wait.thread].clone(),
            operation: wait.mode.word().to_owned(),
            lock: names.label(wait.object),
            is_lock: recorded.objects[wait.object].kind.is_lock(),
            at: labels::place(recorded.events[wait.event].at),
            waits_for: end
                .blockers(wait, recorded)
                .into_iter()
                .map(|thread| recorded.threads[thread].clone())
                .collect(),
            step: wait.event + 1,
            stack: stacks::of(&recorded.events[wait.event]),
        };
        Counterexample {
            threads: recorded.threads.clone(),
            steps: steps.collect(),
            holds: end.holds.iter().map(held).collect(),
            waits: end.waits.iter().map(waits_of).collect(),
            cycle: end.circle(recorded).into_iter().map(|thread| recorded.threads[thread].clone()).collect(),
            picture: picture::draw(recorded, &end, &names),
            replay: replay.to_string(),
        }
    }
}

fn progress(action: Action) -> &'static str {
    match action {
        Action::Requested => "asks",
        Action::Blocked => "waits",
        Action::BlockedByReaders => "waits for readers",
        Action::Done => "has it",
        Action::Refused => "refused",
        Action::Released => "gives it back",
    }
}

impl fmt::Display for Counterexample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.picture)?;
        for held in &self.holds {
            writeln!(
                f,
                "{} holds {} ({}), taken at {} in step {}",
                held.thread, held.lock, held.operation, held.at, held.step
            )?;
        }
        for waits in &self.waits {
            let whom = if waits.waits_for.is_empty() { "nobody known".to_owned() } else { waits.waits_for.join(", ") };
            writeln!(f, "{} waits to {} {} at {}: for {whom}", waits.thread, waits.operation, waits.lock, waits.at)?;
            for frame in &waits.stack {
                writeln!(f, "    {} ({})", frame.function, frame.at)?;
            }
        }
        writeln!(f, "all steps:")?;
        let width = self.threads.iter().map(String::len).max().unwrap_or_default();
        for step in &self.steps {
            let Step { number, thread, operation, progress, lock, at } = step;
            writeln!(f, "{number:>4}. {thread:width$}  {operation:<6} {progress:<17} {lock}  {at}")?;
        }
        writeln!(f, "replay: {}", self.replay)
    }
}
