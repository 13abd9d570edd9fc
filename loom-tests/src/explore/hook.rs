//! The panic hook: panics of explored bodies are part of what is explored, and no news for stderr.

use crate::shim;
use shuttle::scheduler::RandomScheduler;
use shuttle::{Config, Runner};
use std::cell::Cell;
use std::panic::{self, PanicHookInfo};
use std::sync::Once;

// Whether this OS thread explores a body.
thread_local!(pub(super) static EXPLORING: Cell<bool> = const { Cell::new(false) });

/// Sends panics of explored bodies to the shim instead of to stderr; all others go where they went.
pub(super) fn install() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = panic::take_hook();
        // shuttle puts its own hook in front at its first run, for good: let it, then take it away again.
        Runner::new(RandomScheduler::new_from_seed(0, 1), Config::default()).run(|| ());
        drop(panic::take_hook());
        panic::set_hook(Box::new(move |info| {
            if EXPLORING.get() {
                note(info);
            } else {
                before(info);
            }
        }));
    });
}

fn note(info: &PanicHookInfo<'_>) {
    // A panic of an engine is the end of the execution, not of one thread: nothing is poisoned or given back by it.
    let file = info.location().map_or("", |location| location.file());
    let engines = ["/loom-0.", "/shuttle-", "/generator-", "/corosensei-"];
    if engines.iter().any(|engine| file.contains(engine)) {
        shim::tear_down();
    } else {
        shim::note_panic();
    }
}
