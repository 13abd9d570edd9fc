//! The canary that lives in a registry: the counter that must have moved between two scrapes.

use super::prometheus::{IntCounter, Registry, Result};

/// Registers the canary and returns what bumps it.
pub(crate) fn canary(registry: &Registry) -> Result<impl FnMut() + 'static> {
    let canary = IntCounter::new("gatherlock_canary_total", "Bumped before each judged scrape")?;
    registry.register(Box::new(canary.clone()))?;
    Ok(move || canary.inc())
}
