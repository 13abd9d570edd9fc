//! The one thread of an endpoint that knows the time: it says when the deadline of a scrape has passed.

use std::collections::BTreeSet;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// Deadlines to come, and the thread that waits for them.
#[derive(Default)]
pub(crate) struct Clock {
    state: Mutex<State>,
    earlier: Condvar,
}

#[derive(Default)]
struct State {
    deadlines: BTreeSet<(Instant, u64)>,
    /// Until when the thread sleeps; none while it is awake or sleeps without a deadline.
    asleep_until: Option<Instant>,
    closed: bool,
}

impl Clock {
    /// Adds a deadline. The thread is only woken if it would sleep past it.
    pub(crate) fn set(&self, deadline: (Instant, u64)) {
        let mut state = self.lock();
        state.deadlines.insert(deadline);
        if state.asleep_until.is_none_or(|until| deadline.0 < until) {
            self.earlier.notify_one();
        }
    }

    /// Removes a deadline that no longer matters.
    pub(crate) fn clear(&self, deadline: (Instant, u64)) {
        self.lock().deadlines.remove(&deadline);
    }

    /// Ends the thread.
    pub(crate) fn close(&self) {
        self.lock().closed = true;
        self.earlier.notify_one();
    }

    /// Tells `passed` of each deadline as it passes, until the clock is closed.
    pub(crate) fn run(&self, passed: impl Fn(u64)) {
        let mut state = self.lock();
        while !state.closed {
            let now = Instant::now();
            match state.deadlines.first().copied() {
                Some((at, number)) if at <= now => {
                    state.deadlines.remove(&(at, number));
                    drop(state);
                    passed(number);
                    state = self.lock();
                }
                Some((at, _)) => {
                    state.asleep_until = Some(at);
                    let waited = self.earlier.wait_timeout(state, at.saturating_duration_since(now));
                    state = waited.unwrap_or_else(PoisonError::into_inner).0;
                    state.asleep_until = None;
                }
                None => state = self.earlier.wait(state).unwrap_or_else(PoisonError::into_inner),
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
