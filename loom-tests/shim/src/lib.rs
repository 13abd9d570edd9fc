//! One crate that stands in for `std`, `parking_lot` and `lazy_static` in code that is to be model-checked, under loom
//! and under shuttle.
//!
//! The code under test says `extern crate gatherlock_model_shim as std;` and is otherwise unchanged. What it may use is an
//! explicit list: a primitive that is not modelled does not exist here, so code that starts to use one fails to compile
//! instead of escaping the model. Which engine runs is decided when the model runs ([`enter`]), so one build serves both.
//!
//! Memory model: every lock is built on the engine's mutex and every atomic load is made as a no-op read-modify-write, so
//! loads are sequentially consistent. Orderings weaker than that are not explored.

mod atomics;
mod channel;
pub mod collections;
mod condvar;
mod context;
mod engine;
mod event;
mod lazy;
mod monitor;
mod mutex;
mod rwlock;
pub mod thread;

pub use context::{
    Entered, Recorded, Recording, Waiting, begin_execution, end_execution, enter, is_deadlocked, is_torn_down,
    note_panic, take_recorded, tear_down,
};
pub use engine::Engine;
pub use event::{Action, Event, Mode, Object, ObjectKind};
pub use lazy::{Lazy, initialize};

/// parking_lot's locks; at the root, because `use parking_lot::RwLock` must find them here.
pub use mutex::{Mutex, MutexGuard};
pub use rwlock::{RwLock, RwLockReadGuard, RwLockWriteGuard};

/// The parts of std that hold no state shared between threads.
pub use std::{
    borrow, cmp, convert, error, f64, fmt, io, iter, marker, mem, num, ops, option, result, slice, str, string, vec,
};

/// `std::cell`, without what could be shared between threads.
pub mod cell {
    pub use std::cell::{Cell, Ref, RefCell, RefMut};
}

/// `std::hash`, without the randomly seeded state: iteration order must be the same in every execution.
pub mod hash {
    pub use std::hash::{BuildHasher, BuildHasherDefault, Hash, Hasher};
}

/// `std::time`. Instants are real: no model may branch on one.
pub mod time {
    pub use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
}

/// `std::sync`.
pub mod sync {
    pub use crate::condvar::Condvar;
    pub use crate::mutex::{PoisonMutex as Mutex, PoisonMutexGuard as MutexGuard};
    pub use std::sync::{Arc, LockResult, PoisonError, TryLockError, TryLockResult, Weak};

    /// `std::sync::atomic`.
    pub mod atomic {
        pub use crate::atomics::{AtomicBool, AtomicI64, AtomicU64, AtomicUsize};
        pub use std::sync::atomic::Ordering;
    }

    /// `std::sync::mpsc`.
    pub mod mpsc {
        pub use crate::channel::{
            Receiver, RecvError, SendError, Sender, SyncSender, TryRecvError, TrySendError, channel, sync_channel,
        };
    }
}
