//! The locks that the library's own lock code is written over; the models compile the same code over loom's.

pub(crate) use std::sync::{Condvar, Mutex, MutexGuard};
