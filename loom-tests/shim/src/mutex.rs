//! `parking_lot::Mutex`, and `std::sync::Mutex` with its poison.

use crate::context;
use crate::event::{Action, Mode, ObjectKind};
use crate::monitor::{Look, Monitor};
use std::cell::UnsafeCell;
use std::fmt;
use std::ops::{Deref, DerefMut};
use std::panic::Location;
use std::sync::{LockResult, PoisonError, TryLockError, TryLockResult};

#[derive(Debug, Default)]
struct State {
    held: bool,
    poisoned: bool,
}

/// A mutex that behaves like `parking_lot::Mutex`.
pub struct Mutex<T: ?Sized> {
    monitor: Monitor<State>,
    data: UnsafeCell<T>,
}

// SAFETY: the data is reached through the one guard that `held` allows.
unsafe impl<T: ?Sized + Send> Send for Mutex<T> {}
// SAFETY: as above.
unsafe impl<T: ?Sized + Send> Sync for Mutex<T> {}

/// Exclusive access.
#[must_use = "the lock is released at once if the guard is not kept"]
pub struct MutexGuard<'a, T: ?Sized> {
    lock: &'a Mutex<T>,
    at: &'static Location<'static>,
    /// Whether a panic of the holder leaves the mutex poisoned.
    poisons: bool,
}

impl<T> Mutex<T> {
    /// An unlocked mutex.
    ///
    /// # Panics
    /// Outside a model.
    pub fn new(value: T) -> Self {
        Mutex::of_kind(ObjectKind::Mutex, value)
    }

    fn of_kind(kind: ObjectKind, value: T) -> Self {
        let object = context::new_object::<T>(kind);
        Mutex { monitor: Monitor::new(object, State::default()), data: UnsafeCell::new(value) }
    }

    /// The value.
    pub fn into_inner(self) -> T {
        self.data.into_inner()
    }
}

impl State {
    fn take(&mut self) -> bool {
        !std::mem::replace(&mut self.held, true)
    }
}

impl<T: ?Sized> Mutex<T> {
    /// Waits while another guard exists, be it this thread's own.
    #[track_caller]
    pub fn lock(&self) -> MutexGuard<'_, T> {
        self.lock_at(Location::caller(), false).0
    }

    /// Exclusive access, if no guard exists.
    #[track_caller]
    pub fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
        Some(self.try_lock_at(Location::caller(), false)?.0)
    }

    /// The guard, and whether the mutex is poisoned.
    fn lock_at(&self, at: &'static Location<'static>, std: bool) -> (MutexGuard<'_, T>, bool) {
        let poisoned = self.monitor.wait_until(Mode::Lock, at, |state| match state.take() {
            true => Look::Done(state.poisoned),
            false => Look::Wait(Action::Blocked),
        });
        (MutexGuard { lock: self, at, poisons: std && !context::is_unwinding() }, poisoned)
    }

    fn try_lock_at(&self, at: &'static Location<'static>, std: bool) -> Option<(MutexGuard<'_, T>, bool)> {
        let poisoned = self.monitor.attempt(Mode::Lock, at, |state| state.take().then_some(state.poisoned))?;
        Some((MutexGuard { lock: self, at, poisons: std && !context::is_unwinding() }, poisoned))
    }
}

impl<'a, T: ?Sized> MutexGuard<'a, T> {
    /// Gives the mutex back without forgetting it: what `Condvar::wait` needs.
    pub(crate) fn into_lock(self) -> (&'a Mutex<T>, &'static Location<'static>) {
        (self.lock, self.at)
    }
}

impl<T: ?Sized> Drop for MutexGuard<'_, T> {
    fn drop(&mut self) {
        self.lock.monitor.release(Mode::Lock, self.at, |state| {
            state.held = false;
            state.poisoned |= self.poisons && context::is_unwinding();
            true
        });
    }
}

impl<T: ?Sized> Deref for MutexGuard<'_, T> {
    type Target = T;
    fn deref(&self) -> &T {
        // SAFETY: this is the only guard, because `held` stays set until it is dropped.
        unsafe { &*self.lock.data.get() }
    }
}

impl<T: ?Sized> DerefMut for MutexGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: as in `deref`, and the guard is borrowed mutably.
        unsafe { &mut *self.lock.data.get() }
    }
}

impl<T: Default> Default for Mutex<T> {
    fn default() -> Self {
        Mutex::new(T::default())
    }
}

impl<T: ?Sized> fmt::Debug for Mutex<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Mutex { .. }")
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for MutexGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

/// A mutex that behaves like `std::sync::Mutex`: a holder that panics poisons it.
#[derive(Debug)]
pub struct PoisonMutex<T: ?Sized>(Mutex<T>);

/// The guard of a [`PoisonMutex`].
pub type PoisonMutexGuard<'a, T> = MutexGuard<'a, T>;

impl<T> PoisonMutex<T> {
    /// An unlocked mutex.
    ///
    /// # Panics
    /// Outside a model.
    pub fn new(value: T) -> Self {
        PoisonMutex(Mutex::of_kind(ObjectKind::StdMutex, value))
    }
}

fn result<T>((guard, poisoned): (T, bool)) -> LockResult<T> {
    if poisoned { Err(PoisonError::new(guard)) } else { Ok(guard) }
}

impl<T: ?Sized> PoisonMutex<T> {
    /// Waits while another guard exists, be it this thread's own.
    ///
    /// # Errors
    /// If a holder panicked; the error holds the guard.
    #[track_caller]
    pub fn lock(&self) -> LockResult<MutexGuard<'_, T>> {
        result(self.0.lock_at(Location::caller(), true))
    }

    /// Exclusive access, if no guard exists.
    ///
    /// # Errors
    /// If a guard exists, or a holder panicked.
    #[track_caller]
    pub fn try_lock(&self) -> TryLockResult<MutexGuard<'_, T>> {
        match self.0.try_lock_at(Location::caller(), true) {
            Some(locked) => Ok(result(locked)?),
            None => Err(TryLockError::WouldBlock),
        }
    }

    /// Whether a holder panicked.
    pub fn is_poisoned(&self) -> bool {
        let mut poisoned = false;
        self.0.monitor.change(|state| {
            poisoned = state.poisoned;
            false
        });
        poisoned
    }

    pub(crate) fn relock<'a>(lock: &'a Mutex<T>, at: &'static Location<'static>) -> LockResult<MutexGuard<'a, T>> {
        result(lock.lock_at(at, true))
    }
}

impl<T: Default> Default for PoisonMutex<T> {
    fn default() -> Self {
        PoisonMutex::new(T::default())
    }
}
