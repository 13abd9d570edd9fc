//! Which handler a `prometheus` registry is served by, and the canary that lives in it.

use super::prometheus::{IntCounter, Registry, Result};
use super::{Variant, naive, offload, timeout_inline, timeout_offload};
use axum::Router;
use std::time::Duration;

/// `/metrics` as `variant` serves `registry`.
///
/// # Panics
/// If the variant does not serve a `prometheus` registry.
pub(crate) fn routes(variant: Variant, registry: Registry, deadline: Duration) -> Router {
    match variant {
        // `try-lock` changes the application's own locks, never the handler.
        Variant::Naive | Variant::TryLock => naive::routes(registry),
        Variant::TimeoutInline => timeout_inline::routes(registry, deadline),
        Variant::Offload => offload::routes(registry),
        Variant::TimeoutOffload => timeout_offload::routes(registry, deadline),
        Variant::Atomics | Variant::Exporter | Variant::Official => {
            panic!("`{}` serves no prometheus registry", variant.id())
        }
    }
}

/// Registers the canary and returns what bumps it.
pub(crate) fn canary(registry: &Registry) -> Result<impl FnMut() + 'static> {
    let canary = IntCounter::new("gatherlock_canary_total", "Bumped before each judged scrape")?;
    registry.register(Box::new(canary.clone()))?;
    Ok(move || canary.inc())
}
