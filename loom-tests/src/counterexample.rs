//! The counterexample: the failing interleaving as numbered steps, who holds, who waits, and the string that replays it.
//!
//! It is a type of the report, so that it stands beside the live evidence of the same mechanism. `{trace}` prints it whole.

mod labels;
mod stacks;

pub use gatherlock::model::{
    Counterexample, LockFrame as Frame, LockHeld as Held, LockStep as Step, LockWait as Waits, Progress,
};

use crate::replay::Replay;
use crate::shim::{Action, Recorded};
use crate::waits::{self, Wait};

/// Makes a recorded execution readable.
pub(crate) fn of(recorded: &Recorded, replay: &Replay) -> Counterexample {
    let names = labels::Labels::of(recorded);
    let end = waits::at_end(recorded);
    let thread = |index: usize| recorded.threads[index].clone();
    let steps = recorded.events.iter().enumerate().map(|(index, event)| Step {
        number: index + 1,
        thread: thread(event.thread),
        operation: event.mode.word().to_owned(),
        progress: progress(event.action),
        lock: names.label(event.object),
        at: labels::place(event.at),
    });
    let held = |hold: &waits::Hold| Held {
        thread: thread(hold.thread),
        operation: hold.mode.word().to_owned(),
        lock: names.label(hold.object),
        at: labels::place(recorded.events[hold.event].at),
        step: hold.event + 1,
        stack: stacks::of(&recorded.events[hold.event]),
    };
    let waits_of = |wait: &Wait| Waits {
        thread: thread(wait.thread),
        operation: wait.mode.word().to_owned(),
        lock: names.label(wait.object),
        is_lock: recorded.objects[wait.object].kind.is_lock(),
        progress: progress(wait.action),
        at: labels::place(recorded.events[wait.event].at),
        waits_for: end.blockers(wait, recorded).into_iter().map(thread).collect(),
        step: wait.event + 1,
        stack: stacks::of(&recorded.events[wait.event]),
    };
    Counterexample {
        threads: recorded.threads.clone(),
        steps: steps.collect(),
        holds: end.holds.iter().map(held).collect(),
        waits: end.waits.iter().map(waits_of).collect(),
        cycle: end.circle(recorded).into_iter().map(thread).collect(),
        replay: replay.to_string(),
    }
}

fn progress(action: Action) -> Progress {
    match action {
        Action::Requested => Progress::Asks,
        Action::Blocked => Progress::Waits,
        Action::BlockedByReaders => Progress::WaitsForReaders,
        Action::Done => Progress::Has,
        Action::Refused => Progress::Refused,
        Action::Released => Progress::GivesBack,
    }
}
