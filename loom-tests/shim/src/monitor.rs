//! A value that only one model thread sees at a time, and whose changes others can wait for: the engine's mutex and
//! condition variable, of which every lock of the shim is made.
//!
//! loom's own `RwLock` is unfair and panics on a recursive read, and its `try_lock` reports deadlocks that are none, so
//! nothing but `lock`, `wait` and `notify_all` of the engines is used.
//!
//! The engines' mutexes poison like `std`'s, by asking whether this OS thread panics; all model threads share that one, so
//! a thread that leaves a monitor while another one unwinds would poison it. No code that can panic runs inside a monitor:
//! that poison means nothing and is passed over.

use crate::context;
use crate::engine::{self, Engine};
use crate::event::{Action, Mode};
use std::ops::{Deref, DerefMut};
use std::panic::Location;
use std::sync::PoisonError;

/// The state and how many threads sleep on it.
#[derive(Debug, Default)]
struct Guarded<S> {
    state: S,
    sleepers: usize,
}

enum Inner<S> {
    Loom(loom::sync::Mutex<Guarded<S>>, loom::sync::Condvar),
    Shuttle(Box<(shuttle::sync::Mutex<Guarded<S>>, shuttle::sync::Condvar)>),
}

enum Inside<'a, S> {
    Loom(loom::sync::MutexGuard<'a, Guarded<S>>),
    Shuttle(shuttle::sync::MutexGuard<'a, Guarded<S>>),
}

impl<S> Deref for Inside<'_, S> {
    type Target = Guarded<S>;
    fn deref(&self) -> &Guarded<S> {
        match self {
            Inside::Loom(guard) => guard,
            Inside::Shuttle(guard) => guard,
        }
    }
}

impl<S> DerefMut for Inside<'_, S> {
    fn deref_mut(&mut self) -> &mut Guarded<S> {
        match self {
            Inside::Loom(guard) => guard,
            Inside::Shuttle(guard) => guard,
        }
    }
}

/// What one look at the state decides.
pub(crate) enum Look<R> {
    /// The operation is done.
    Done(R),
    /// The thread must wait for a change; the action says in which way.
    Wait(Action),
}

/// See the module's documentation.
pub(crate) struct Monitor<S> {
    object: usize,
    inner: Inner<S>,
}

impl<S> Monitor<S> {
    pub(crate) fn new(object: usize, state: S) -> Self {
        let guarded = Guarded { state, sleepers: 0 };
        let inner = match engine::current() {
            Engine::Loom => Inner::Loom(loom::sync::Mutex::new(guarded), loom::sync::Condvar::new()),
            Engine::Shuttle => {
                Inner::Shuttle(Box::new((shuttle::sync::Mutex::new(guarded), shuttle::sync::Condvar::new())))
            }
        };
        Monitor { object, inner }
    }

    fn enter(&self) -> Inside<'_, S> {
        context::switching(|| match &self.inner {
            Inner::Loom(mutex, _) => Inside::Loom(mutex.lock().unwrap_or_else(PoisonError::into_inner)),
            Inner::Shuttle(both) => Inside::Shuttle(both.0.lock().unwrap_or_else(PoisonError::into_inner)),
        })
    }

    /// Leaving is a scheduling point of shuttle's, so another thread may have run when this returns.
    fn leave(inside: Inside<'_, S>) {
        context::switching(|| drop(inside));
    }

    fn sleep<'a>(&'a self, inside: Inside<'a, S>) -> Inside<'a, S> {
        context::switching(|| match (&self.inner, inside) {
            (Inner::Loom(_, changed), Inside::Loom(guard)) => {
                Inside::Loom(changed.wait(guard).unwrap_or_else(PoisonError::into_inner))
            }
            (Inner::Shuttle(both), Inside::Shuttle(guard)) => {
                Inside::Shuttle(both.1.wait(guard).unwrap_or_else(PoisonError::into_inner))
            }
            _ => unreachable!("a guard belongs to the engine of its monitor"),
        })
    }

    /// Looks at the state until `look` says that the operation is done, and waits for a change in between.
    pub(crate) fn wait_until<R>(
        &self,
        mode: Mode,
        at: &'static Location<'static>,
        mut look: impl FnMut(&mut S) -> Look<R>,
    ) -> R {
        context::record(Action::Requested, mode, self.object, at);
        let mut inside = self.enter();
        let mut shown = None;
        loop {
            match look(&mut inside.state) {
                Look::Done(result) => {
                    context::record(Action::Done, mode, self.object, at);
                    Self::leave(inside);
                    return result;
                }
                Look::Wait(action) => {
                    // Once per way of waiting: waking up in vain is the model's affair, not the reader's.
                    if shown.replace(action) != Some(action) {
                        context::record(action, mode, self.object, at);
                    }
                }
            }
            inside.sleepers += 1;
            context::block(self.object, mode, at);
            inside = self.sleep(inside);
            inside.sleepers -= 1;
        }
    }

    /// Looks at the state once.
    pub(crate) fn attempt<R>(
        &self,
        mode: Mode,
        at: &'static Location<'static>,
        look: impl FnOnce(&mut S) -> Option<R>,
    ) -> Option<R> {
        let mut inside = self.enter();
        let result = look(&mut inside.state);
        let action = if result.is_some() { Action::Done } else { Action::Refused };
        context::record(action, mode, self.object, at);
        Self::leave(inside);
        result
    }

    /// Changes the state; if `change` returns true, those who wait look again.
    pub(crate) fn change(&self, change: impl FnOnce(&mut S) -> bool) {
        let mut inside = self.enter();
        if change(&mut inside.state) && inside.sleepers > 0 {
            context::wake(self.object);
            context::switching(|| match &self.inner {
                Inner::Loom(_, changed) => changed.notify_all(),
                Inner::Shuttle(both) => both.1.notify_all(),
            });
        }
        Self::leave(inside);
    }

    /// Gives back what `mode` had taken at `at`. In an execution that is being torn down nothing is given back: the
    /// engine is gone or about to go, and a panic while unwinding would abort the process.
    pub(crate) fn release(&self, mode: Mode, at: &'static Location<'static>, change: impl FnOnce(&mut S) -> bool) {
        if context::is_torn_down() {
            return;
        }
        let object = self.object;
        self.change(|state| {
            context::record(Action::Released, mode, object, at);
            change(state)
        });
    }
}
