//! What a caught panic said.

use std::any::Any;
use std::sync::Arc;

/// The text of a panic, if it has one.
pub(crate) fn message(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().map(|text| (*text).to_string());
    text.or_else(|| payload.downcast_ref::<String>().cloned()).unwrap_or_else(|| "no message".to_string())
}

/// Adds to how often collectors of a name panicked.
pub(crate) fn add_panics(panics: &mut Vec<(Arc<str>, u64)>, name: Arc<str>, count: u64) {
    match panics.iter_mut().find(|(known, _)| *known == name) {
        Some((_, known)) => *known += count,
        None => panics.push((name, count)),
    }
}

/// What `gatherlock_guard_collector_panics_total` means.
pub(crate) const COUNT_HELP: &str =
    "Panics of the collectors of this name; their families are missing from the scrapes they panicked in.";
