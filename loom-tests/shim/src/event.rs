//! What the shim records: one event per lock operation.

use backtrace::Backtrace;
use std::panic::Location;
use std::rc::Rc;

/// What kind of thing an event is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ObjectKind {
    /// `parking_lot::RwLock`.
    RwLock,
    /// `parking_lot::Mutex`.
    Mutex,
    /// `std::sync::Mutex`.
    StdMutex,
    /// `std::sync::Condvar`.
    Condvar,
    /// A channel of `std::sync::mpsc`.
    Channel,
    /// An atomic.
    Atomic,
    /// A lazily initialised static.
    Lazy,
    /// The end of a thread, for which `join` waits.
    Thread,
}

impl ObjectKind {
    /// Whether a thread owns it from acquisition to release. Only such objects make lock cycles.
    pub fn is_lock(self) -> bool {
        matches!(self, ObjectKind::RwLock | ObjectKind::Mutex | ObjectKind::StdMutex | ObjectKind::Lazy)
    }

    /// Its name in traces.
    pub fn word(self) -> &'static str {
        match self {
            ObjectKind::RwLock => "RwLock",
            ObjectKind::Mutex => "Mutex",
            ObjectKind::StdMutex => "std::sync::Mutex",
            ObjectKind::Condvar => "Condvar",
            ObjectKind::Channel => "channel",
            ObjectKind::Atomic => "atomic",
            ObjectKind::Lazy => "lazy static",
            ObjectKind::Thread => "thread",
        }
    }
}

/// A lock, an atomic, a channel or a thread of one execution.
#[derive(Clone, Debug)]
pub struct Object {
    /// Its kind.
    pub kind: ObjectKind,
    /// The type it protects, as the compiler names it; a thread's name.
    pub of: String,
    /// The thread that created it, as an index into the recorded threads.
    pub creator: usize,
    /// How many objects that thread had created before: with `creator` a name that does not depend on the schedule.
    pub nth: usize,
}

/// How an object is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Mode {
    /// Shared.
    Read,
    /// Shared, and allowed past a queued writer while other readers are in (`read_recursive`).
    ReadRecursive,
    /// Exclusive, of a reader-writer lock.
    Write,
    /// Exclusive, of a mutex.
    Lock,
    /// Waiting for a notification.
    Notified,
    /// Sending.
    Send,
    /// Receiving.
    Receive,
    /// Waiting for a thread to end.
    Join,
    /// An atomic operation, by its name.
    Atomic(&'static str),
}

impl Mode {
    /// Its name in traces.
    pub fn word(self) -> &'static str {
        match self {
            Mode::Read => "read",
            Mode::ReadRecursive => "read_recursive",
            Mode::Write => "write",
            Mode::Lock => "lock",
            Mode::Notified => "wait",
            Mode::Send => "send",
            Mode::Receive => "recv",
            Mode::Join => "join",
            Mode::Atomic(name) => name,
        }
    }
}

/// How far an operation got.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Action {
    /// The thread is about to try.
    Requested,
    /// It has to wait.
    Blocked,
    /// It has to wait for the readers inside; it has already claimed the lock, so that new readers queue behind it.
    BlockedByReaders,
    /// It succeeded.
    Done,
    /// A `try_` operation did not succeed.
    Refused,
    /// It gave back what it had.
    Released,
}

/// One step of one execution.
#[derive(Clone, Debug)]
pub struct Event {
    /// The thread, as an index into the recorded threads.
    pub thread: usize,
    /// How far it got.
    pub action: Action,
    /// With what.
    pub mode: Mode,
    /// On what, as an index into the recorded objects.
    pub object: usize,
    /// The calling line, in the code under test; of a release, the line that had acquired.
    pub at: &'static Location<'static>,
    /// The stack, if stacks were asked for; not yet resolved to names, which needs more stack than a model thread has.
    pub stack: Option<Rc<Backtrace>>,
}
