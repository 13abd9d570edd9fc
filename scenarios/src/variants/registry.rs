//! Which handler a `prometheus` registry is served by.

use super::prometheus::{Encoder, Registry, TextEncoder};
use super::{Variant, guarded, naive, offload, timeout_inline, timeout_offload};
use axum::Router;
use std::time::Duration;

/// Registering in this registry waits for a gather that is under way: it takes the lock that the gather holds.
pub(crate) const REGISTERING_WAITS: bool = true;

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
        // The registry stays the library's own, so its lock is still held while it gathers: contained, not cured.
        Variant::Guarded => guarded::contain(move || encode(&registry), deadline),
        Variant::Atomics | Variant::Exporter | Variant::Official => {
            panic!("`{}` serves no prometheus registry", variant.id())
        }
    }
}

fn encode(registry: &Registry) -> super::prometheus::Result<Vec<u8>> {
    let mut body = Vec::new();
    TextEncoder::new().encode(&registry.gather(), &mut body)?;
    Ok(body)
}
