//! A `/metrics` endpoint that always answers within its bound, in two layers that can be adopted apart.
//!
//! [`Registry`] cures what can be cured: it offers what `prometheus::Registry` offers, but holds no lock while it
//! collects, so no collector can meet the registry's lock. [`Endpoint`] contains the rest: it collects on threads of its
//! own, shares each collection between all scrapes, and at the deadline of a scrape refuses it with a reason.

mod accept;
mod answer;
#[cfg(feature = "axum")]
mod axum;
mod budget;
mod clock;
mod deadline;
mod endpoint;
mod flight;
#[cfg(feature = "gzip")]
mod gzip;
#[cfg(feature = "listener")]
mod listener;
mod openmetrics;
mod own;
mod page;
mod panic;
mod source;
mod sync;
mod thread;
#[cfg(feature = "tower")]
mod tower;

#[cfg(feature = "prometheus")]
mod gather;
#[cfg(feature = "prometheus")]
mod order;
#[cfg(feature = "prometheus")]
mod registry;
#[cfg(feature = "prometheus")]
mod text;

pub use answer::{Answer, Request};
pub use endpoint::{BuildError, Builder, Endpoint, Scrape};
#[cfg(feature = "listener")]
pub use listener::Listener;
pub use page::{Format, Page};
pub use source::{Source, SourceError, openmetrics};
#[cfg(feature = "tower")]
pub use tower::{Chunks, Response, Service};

#[cfg(feature = "prometheus")]
pub use gather::{FailedCollector, Gathered};
#[cfg(feature = "prometheus")]
pub use registry::{Registry, default_registry, gather, register, unregister};
