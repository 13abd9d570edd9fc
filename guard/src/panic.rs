//! What a caught panic said.

use std::any::Any;

/// The text of a panic, if it has one.
pub(crate) fn message(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().map(|text| (*text).to_string());
    text.or_else(|| payload.downcast_ref::<String>().cloned()).unwrap_or_else(|| "no message".to_string())
}

/// What `gatherlock_guard_collector_panics_total` means.
pub(crate) const COUNT_HELP: &str =
    "Panics of this collector; its families are missing from the scrapes it panicked in.";
