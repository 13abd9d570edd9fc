//! What a thread waits for that is neither lock nor file: which kind of event, as far as its frames tell.

use serde::{Deserialize, Serialize};

/// An event that a thread waits for on a futex.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Event {
    /// A job for a thread of a runtime's blocking pool.
    PoolWork,
    /// A task for a worker of a runtime.
    RuntimeWork,
    /// The future that the thread drives in `block_on`.
    Future,
    /// The end of another thread.
    ThreadEnd,
    /// A message on a channel.
    Message,
    /// Room in a channel.
    Room,
    /// Other threads at a barrier.
    Barrier,
    /// The end of a one-time initialisation.
    Initialisation,
    /// A condition variable.
    Condvar,
    /// `unpark` by another thread.
    Unpark,
    /// A futex that is no lock known here, and that no frame explains.
    Futex,
}

impl Event {
    /// What people call it.
    pub fn word(self) -> &'static str {
        match self {
            Event::PoolWork => "work for the blocking pool",
            Event::RuntimeWork => "work for the runtime",
            Event::Future => "a future in block_on",
            Event::ThreadEnd => "end of a thread",
            Event::Message => "message on a channel",
            Event::Room => "room in a channel",
            Event::Barrier => "other threads at a barrier",
            Event::Initialisation => "one-time initialisation",
            Event::Condvar => "condition variable",
            Event::Unpark => "unpark",
            Event::Futex => "a futex",
        }
    }

    /// Whether a thread that waits so only lends itself to a runtime: whoever it is that will end another's wait, it is
    /// hardly this one.
    pub fn is_runtime(self) -> bool {
        matches!(self, Event::PoolWork | Event::RuntimeWork | Event::Future)
    }
}
