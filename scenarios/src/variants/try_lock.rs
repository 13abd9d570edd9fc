//! `try-lock`: "use `try_lock()` instead of `lock()` in metrics updates". The handler is the naive one; the application
//! takes its own locks with `try_lock`, in collectors and in updates, and leaves out what it cannot get.
//!
//! It cannot change the locks inside the metrics library: those of the registry, of a vector, of a histogram.

/// How an application takes the locks it owns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Locking {
    /// `lock()`: waits its turn.
    Wait,
    /// `try_lock()`: leaves the value, the update or the family out if the lock is taken.
    Try,
}
