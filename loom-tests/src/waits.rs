//! Who holds and who waits at the end of a recorded execution: a fold over its events.

use crate::shim::{Action, Event, Mode, Recorded};

/// A hold that was not given back.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Hold {
    pub(crate) thread: usize,
    pub(crate) object: usize,
    pub(crate) mode: Mode,
    /// The event that acquired it.
    pub(crate) event: usize,
}

/// A wait that did not end.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wait {
    pub(crate) thread: usize,
    pub(crate) object: usize,
    pub(crate) mode: Mode,
    pub(crate) action: Action,
    /// The event that began the wait.
    pub(crate) event: usize,
}

/// The end of an execution.
#[derive(Clone, Debug, Default)]
pub(crate) struct End {
    pub(crate) holds: Vec<Hold>,
    pub(crate) waits: Vec<Wait>,
}

fn takes(event: &Event, recorded: &Recorded) -> bool {
    recorded.objects[event.object].kind.is_lock()
}

/// Folds the events.
pub(crate) fn at_end(recorded: &Recorded) -> End {
    let mut end = End::default();
    for (index, event) in recorded.events.iter().enumerate() {
        let Event { thread, object, mode, action, .. } = *event;
        match action {
            Action::Requested | Action::Refused => {}
            Action::Blocked | Action::BlockedByReaders => {
                end.waits.retain(|wait| wait.thread != thread);
                end.waits.push(Wait { thread, object, mode, action, event: index });
            }
            Action::Done => {
                end.waits.retain(|wait| wait.thread != thread);
                if takes(event, recorded) {
                    end.holds.push(Hold { thread, object, mode, event: index });
                }
            }
            Action::Released => {
                let held = |hold: &Hold| hold.thread == thread && hold.object == object && hold.mode == mode;
                // A guard may be dropped by another thread than the one that took it.
                let anyone = |hold: &Hold| hold.object == object && hold.mode == mode;
                let found = end.holds.iter().rposition(held).or_else(|| end.holds.iter().rposition(anyone));
                if let Some(found) = found {
                    end.holds.remove(found);
                }
            }
        }
    }
    end
}

impl End {
    /// The threads for which `wait` waits, as far as a lock or a thread's end names them.
    pub(crate) fn blockers(&self, wait: &Wait, recorded: &Recorded) -> Vec<usize> {
        let on = |other: &&Hold| other.object == wait.object;
        let shares = |mode: Mode| matches!(mode, Mode::Read | Mode::ReadRecursive);
        match (wait.mode, wait.action) {
            (Mode::Join, _) => {
                let name = &recorded.objects[wait.object].of;
                recorded.threads.iter().position(|thread| thread == name).into_iter().collect()
            }
            (Mode::Write, Action::BlockedByReaders) => self.holds.iter().filter(on).map(|hold| hold.thread).collect(),
            (Mode::Read | Mode::ReadRecursive | Mode::Write | Mode::Lock, _) => {
                let holders = self.holds.iter().filter(on).filter(|hold| !shares(hold.mode)).map(|hold| hold.thread);
                let claims = |other: &&Wait| other.object == wait.object && other.action == Action::BlockedByReaders;
                holders.chain(self.waits.iter().filter(claims).map(|other| other.thread)).collect()
            }
            (Mode::Notified | Mode::Send | Mode::Receive | Mode::Atomic(_), _) => Vec::new(),
        }
    }

    /// The threads of one circle of waits, in order: each waits for the next, the last for the first. A thread that waits
    /// for itself is a circle of one.
    pub(crate) fn circle(&self, recorded: &Recorded) -> Vec<usize> {
        // Every waiting thread has one wait, so following any blocker of each finds a circle by depth-first search.
        fn follow(end: &End, recorded: &Recorded, path: &mut Vec<usize>, seen: &mut Vec<usize>) -> bool {
            let Some(thread) = path.last().copied() else { return false };
            let Some(wait) = end.waits.iter().find(|wait| wait.thread == thread) else { return false };
            for next in end.blockers(wait, recorded) {
                if let Some(start) = path.iter().position(|thread| *thread == next) {
                    path.drain(..start);
                    return true;
                }
                if !seen.contains(&next) {
                    seen.push(next);
                    path.push(next);
                    if follow(end, recorded, path, seen) {
                        return true;
                    }
                    path.pop();
                }
            }
            false
        }
        for wait in &self.waits {
            let mut path = vec![wait.thread];
            if follow(self, recorded, &mut path, &mut vec![wait.thread]) {
                return path;
            }
        }
        Vec::new()
    }
}
