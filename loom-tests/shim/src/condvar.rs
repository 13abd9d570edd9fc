//! `std::sync::Condvar`, without time and without spurious wake-ups.

use crate::context;
use crate::event::{Action, Mode, ObjectKind};
use crate::monitor::{Look, Monitor};
use crate::mutex::{MutexGuard, PoisonMutex};
use std::fmt;
use std::panic::Location;
use std::sync::LockResult;

#[derive(Debug, Default)]
struct State {
    /// The ticket of the next waiter.
    next: usize,
    /// Tickets that still wait, oldest first.
    waiting: Vec<usize>,
}

/// A condition variable. A notification without a waiter is lost.
pub struct Condvar(Monitor<State>);

impl Condvar {
    /// A condition variable without waiters.
    ///
    /// # Panics
    /// Outside a model.
    pub fn new() -> Self {
        Condvar(Monitor::new(context::new_object::<()>(ObjectKind::Condvar), State::default()))
    }

    /// Gives the mutex back, waits for a notification, and takes the mutex again.
    ///
    /// # Errors
    /// If a holder of the mutex panicked.
    #[track_caller]
    pub fn wait<'a, T>(&self, guard: MutexGuard<'a, T>) -> LockResult<MutexGuard<'a, T>> {
        let at = Location::caller();
        let mut ticket = 0;
        self.0.change(|state| {
            ticket = state.next;
            state.next += 1;
            state.waiting.push(ticket);
            false
        });
        let (lock, _) = guard.into_lock();
        self.0.wait_until(Mode::Notified, at, |state| match state.waiting.contains(&ticket) {
            true => Look::Wait(Action::Blocked),
            false => Look::Done(()),
        });
        PoisonMutex::relock(lock, at)
    }

    /// Lets the longest waiter go on.
    pub fn notify_one(&self) {
        self.0.change(|state| {
            let any = !state.waiting.is_empty();
            if any {
                state.waiting.remove(0);
            }
            any
        });
    }

    /// Lets all waiters go on.
    pub fn notify_all(&self) {
        self.0.change(|state| {
            let any = !state.waiting.is_empty();
            state.waiting.clear();
            any
        });
    }
}

impl Default for Condvar {
    fn default() -> Self {
        Condvar::new()
    }
}

impl fmt::Debug for Condvar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Condvar { .. }")
    }
}
