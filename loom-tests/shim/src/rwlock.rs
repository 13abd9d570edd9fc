//! `parking_lot::RwLock`, fair to writers: a writer that waits has set its bit already, and `read()` waits for that bit.
//!
//! This is what makes a recursive read deadlock as soon as a writer queues between the two reads. An unfair lock would
//! let such a model pass, exhaustively.

use crate::context;
use crate::event::{Action, Mode, ObjectKind};
use crate::monitor::{Look, Monitor};
use std::cell::UnsafeCell;
use std::fmt;
use std::ops::{Deref, DerefMut};
use std::panic::Location;

#[derive(Debug, Default)]
struct State {
    readers: usize,
    /// A writer is inside, or has claimed the lock and waits for the readers to leave.
    writer: bool,
}

/// A reader-writer lock that behaves like `parking_lot::RwLock`.
pub struct RwLock<T: ?Sized> {
    monitor: Monitor<State>,
    data: UnsafeCell<T>,
}

// SAFETY: the data is reached through guards only, and `state` hands those out as a reader-writer lock does; the bounds
// are parking_lot's.
unsafe impl<T: ?Sized + Send> Send for RwLock<T> {}
// SAFETY: as above.
unsafe impl<T: ?Sized + Send + Sync> Sync for RwLock<T> {}

/// Shared access.
#[must_use = "the lock is released at once if the guard is not kept"]
pub struct RwLockReadGuard<'a, T: ?Sized> {
    lock: &'a RwLock<T>,
    mode: Mode,
    at: &'static Location<'static>,
}

/// Exclusive access.
#[must_use = "the lock is released at once if the guard is not kept"]
pub struct RwLockWriteGuard<'a, T: ?Sized> {
    lock: &'a RwLock<T>,
    at: &'static Location<'static>,
}

impl<T> RwLock<T> {
    /// An unlocked lock.
    ///
    /// # Panics
    /// Outside a model.
    pub fn new(value: T) -> Self {
        let object = context::new_object::<T>(ObjectKind::RwLock);
        RwLock { monitor: Monitor::new(object, State::default()), data: UnsafeCell::new(value) }
    }

    /// The value.
    pub fn into_inner(self) -> T {
        self.data.into_inner()
    }
}

impl<T: ?Sized> RwLock<T> {
    /// Waits while a writer is inside or queued.
    #[track_caller]
    pub fn read(&self) -> RwLockReadGuard<'_, T> {
        self.shared(Mode::Read, Location::caller())
    }

    /// Waits while a writer is inside, and while one is queued and no reader is inside.
    #[track_caller]
    pub fn read_recursive(&self) -> RwLockReadGuard<'_, T> {
        self.shared(Mode::ReadRecursive, Location::caller())
    }

    fn shared(&self, mode: Mode, at: &'static Location<'static>) -> RwLockReadGuard<'_, T> {
        self.monitor.wait_until(mode, at, |state| match state.admit(mode) {
            true => Look::Done(()),
            false => Look::Wait(Action::Blocked),
        });
        RwLockReadGuard { lock: self, mode, at }
    }

    /// Shared access, if no writer is inside or queued.
    #[track_caller]
    pub fn try_read(&self) -> Option<RwLockReadGuard<'_, T>> {
        let (mode, at) = (Mode::Read, Location::caller());
        self.monitor.attempt(mode, at, |state| state.admit(mode).then_some(()))?;
        Some(RwLockReadGuard { lock: self, mode, at })
    }

    /// Claims the lock as soon as no other writer has it, which keeps new readers out, then waits for the readers inside.
    #[track_caller]
    pub fn write(&self) -> RwLockWriteGuard<'_, T> {
        let at = Location::caller();
        let mut claimed = false;
        self.monitor.wait_until(Mode::Write, at, |state| {
            if !claimed && state.writer {
                return Look::Wait(Action::Blocked);
            }
            claimed = true;
            state.writer = true;
            match state.readers {
                0 => Look::Done(()),
                _ => Look::Wait(Action::BlockedByReaders),
            }
        });
        RwLockWriteGuard { lock: self, at }
    }

    /// Exclusive access, if nobody is inside or queued.
    #[track_caller]
    pub fn try_write(&self) -> Option<RwLockWriteGuard<'_, T>> {
        let at = Location::caller();
        self.monitor.attempt(Mode::Write, at, |state| {
            let free = !state.writer && state.readers == 0;
            state.writer |= free;
            free.then_some(())
        })?;
        Some(RwLockWriteGuard { lock: self, at })
    }

    /// The value; `&mut` proves that nobody else has it.
    pub fn get_mut(&mut self) -> &mut T {
        self.data.get_mut()
    }
}

impl State {
    fn admit(&mut self, mode: Mode) -> bool {
        let admitted = !self.writer || (mode == Mode::ReadRecursive && self.readers > 0);
        self.readers += usize::from(admitted);
        admitted
    }
}

impl<T: ?Sized> Drop for RwLockReadGuard<'_, T> {
    fn drop(&mut self) {
        self.lock.monitor.release(self.mode, self.at, |state| {
            state.readers -= 1;
            state.readers == 0
        });
    }
}

impl<T: ?Sized> Drop for RwLockWriteGuard<'_, T> {
    fn drop(&mut self) {
        self.lock.monitor.release(Mode::Write, self.at, |state| {
            state.writer = false;
            true
        });
    }
}

impl<T: ?Sized> Deref for RwLockReadGuard<'_, T> {
    type Target = T;
    fn deref(&self) -> &T {
        // SAFETY: while this guard lives `readers` counts it, so no writer has been let in.
        unsafe { &*self.lock.data.get() }
    }
}

impl<T: ?Sized> Deref for RwLockWriteGuard<'_, T> {
    type Target = T;
    fn deref(&self) -> &T {
        // SAFETY: while this guard lives the lock is claimed and no reader is inside.
        unsafe { &*self.lock.data.get() }
    }
}

impl<T: ?Sized> DerefMut for RwLockWriteGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: as in `deref`, and the guard is borrowed mutably.
        unsafe { &mut *self.lock.data.get() }
    }
}

impl<T: Default> Default for RwLock<T> {
    fn default() -> Self {
        RwLock::new(T::default())
    }
}

impl<T: ?Sized> fmt::Debug for RwLock<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RwLock { .. }")
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for RwLockReadGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for RwLockWriteGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}
