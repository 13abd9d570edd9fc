//! A `/metrics` endpoint that always answers within its bound, in layers that can be adopted apart.
//!
//! [`Registry`] cures what can be cured: it offers what `prometheus::Registry` offers, but holds no lock while it
//! collects, so no collector can meet the registry's lock. [`Endpoint`] contains the rest: it collects on threads of its
//! own, shares each collection between all scrapes, and at the deadline of a scrape refuses it with a reason.
//!
//! ```
//! use axum::{Router, routing::get};
//! use gatherlock_guard as guard;
//! use prometheus::register_int_counter_with_registry;
//! use std::time::Duration;
//!
//! let registry = guard::Registry::new();
//! let jobs = register_int_counter_with_registry!("jobs_total", "Jobs done.", registry)?;
//! let endpoint = guard::Endpoint::builder()
//!     .group("app", registry.clone())
//!     // What was registered without a registry; a thread of its own, so that it cannot take `app` along.
//!     .group("default", prometheus::default_registry().clone())
//!     .bound(Duration::from_secs(10))
//!     .build()?;
//! let app: Router = Router::new().route("/health", get(|| async { "OK" })).merge(endpoint.router());
//! # jobs.inc();
//! # assert!(endpoint.answer(&guard::Request::get()).to_bytes().starts_with(b"# HELP jobs_total"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod accept;
mod answer;
#[cfg(feature = "axum")]
mod axum;
mod budget;
mod build_error;
mod clock;
mod deadline;
mod endpoint;
mod flight;
mod format;
#[cfg(feature = "gzip")]
mod gzip;
mod inner;
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
mod entry;
#[cfg(feature = "prometheus")]
mod gather;
#[cfg(feature = "prometheus")]
mod labels;
#[cfg(feature = "prometheus")]
mod memory;
#[cfg(feature = "prometheus")]
mod order;
#[cfg(feature = "prometheus")]
mod registry;
#[cfg(feature = "prometheus")]
mod text;

pub use answer::{Answer, Request};
pub use build_error::BuildError;
pub use endpoint::{Builder, Endpoint, Scrape};
pub use format::Format;
#[cfg(feature = "listener")]
pub use listener::Listener;
pub use page::Page;
pub use source::{Source, SourceError, openmetrics};
#[cfg(feature = "tower")]
pub use tower::{Chunks, Response, Service};

#[cfg(feature = "prometheus")]
pub use gather::{FailedCollector, Gathered};
#[cfg(feature = "prometheus")]
pub use registry::{Registry, default_registry, gather, register, unregister};
