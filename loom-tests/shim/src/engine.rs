//! The two engines, and which of them runs on this OS thread.

use std::cell::Cell;

/// A model checker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Engine {
    /// loom: partial-order reduction, exhaustive or up to a number of preemptions, at most five threads.
    Loom,
    /// shuttle: random, PCT or exhaustive depth-first schedules, replayable.
    Shuttle,
}

impl Engine {
    /// The word used in reports.
    pub fn word(self) -> &'static str {
        match self {
            Engine::Loom => "loom",
            Engine::Shuttle => "shuttle",
        }
    }
}

thread_local!(static ENGINE: Cell<Option<Engine>> = const { Cell::new(None) });

/// The engine that runs on this thread.
///
/// # Panics
/// Outside a model.
pub(crate) fn current() -> Engine {
    ENGINE.get().expect("a lock or an atomic of the model was used outside a model: create it inside the model's body")
}

pub(crate) fn set(engine: Option<Engine>) -> Option<Engine> {
    ENGINE.replace(engine)
}
