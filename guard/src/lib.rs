//! A `/metrics` endpoint that always answers within its bound, in two layers that can be adopted apart.
//!
//! `Registry` cures what can be cured: it offers what `prometheus::Registry` offers, but holds no lock while it
//! collects, so no collector can meet the registry's lock.

mod sync;

#[cfg(feature = "prometheus")]
mod gather;
#[cfg(feature = "prometheus")]
mod order;
#[cfg(feature = "prometheus")]
mod registry;
#[cfg(feature = "prometheus")]
mod text;

#[cfg(feature = "prometheus")]
pub use gather::{FailedCollector, Gathered};
#[cfg(feature = "prometheus")]
pub use registry::{Registry, default_registry, gather, register, unregister};
