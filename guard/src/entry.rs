//! A collector as a registry keeps it.

use prometheus::core::Collector;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

/// A registered collector and what to call it when it fails.
pub(crate) struct Entry {
    pub(crate) collector: Arc<dyn Collector>,
    /// The names of its families, joined by commas.
    pub(crate) name: Arc<str>,
    pub(crate) panics: AtomicU64,
}
