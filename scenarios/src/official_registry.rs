//! A `prometheus-client` registry as an application that registers while it runs shares it with its handler.
//!
//! It stands apart from the handler, because it is the application's: a thread that is stuck here serves no request.

use prometheus_client::registry::Registry;
use std::sync::{Arc, PoisonError, RwLock, RwLockWriteGuard};

/// The registry, behind the lock that the library leaves to its user.
pub(crate) type SharedRegistry = Arc<RwLock<Registry>>;

/// The write lock, for whoever registers. Nobody panics while holding it.
pub(crate) fn write(registry: &SharedRegistry) -> RwLockWriteGuard<'_, Registry> {
    registry.write().unwrap_or_else(PoisonError::into_inner)
}
