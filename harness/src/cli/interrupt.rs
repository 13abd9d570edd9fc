//! Ctrl-C for the verbs that look at somebody else's process: asked now and then; a second one ends the tool at once.

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Whether the user has had enough.
#[derive(Clone, Debug, Default)]
pub(super) struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// Catches Ctrl-C, SIGTERM and SIGHUP from here on.
    pub(super) fn catch() -> Result<Interrupt, String> {
        let interrupt = Interrupt::default();
        for signal in [SIGINT, SIGTERM, SIGHUP] {
            // In this order: the first signal sets the flag, and only one that finds it set ends the process.
            let caught = signal_hook::flag::register_conditional_shutdown(
                signal,
                i32::from(super::exit::COULD_NOT_JUDGE),
                Arc::clone(&interrupt.0),
            )
            .and_then(|_| signal_hook::flag::register(signal, Arc::clone(&interrupt.0)));
            caught.map_err(|error| format!("cannot catch signals: {error}"))?;
        }
        Ok(interrupt)
    }

    /// Whether a signal has come.
    pub(super) fn is_set(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}
