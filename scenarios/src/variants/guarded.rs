//! `guarded`: this project's own fix. `guard::Registry` stands in the place of the library's registry, and
//! `guard::Endpoint` in the place of the handler.
//!
//! The scenario files are compiled once more against what is here, as they are for another version of the library: their
//! `prometheus` is the real one with another `Registry` in it, which is all that a user of `prometheus` 0.14 changes.

#![allow(clippy::duplicate_mod, reason = "compiling the same file against another registry is the point")]

use super::Variant;
use axum::Router;
use gatherlock::catalogue::Problem;
use gatherlock_guard::{BuildError, Builder, Endpoint, Listener, Source};
use std::time::Duration;

/// `prometheus` with the guard's registry.
pub(crate) mod prometheus {
    pub(crate) use ::prometheus::*;
    pub(crate) use gatherlock_guard::Registry;
}

#[path = "canary.rs"]
mod canary;
pub(crate) use canary::canary;

/// No lock is held while collectors run, so whoever registers goes on.
pub(crate) const REGISTERING_WAITS: bool = false;

/// `/metrics` of `registry`. The variant is always `guarded`: the parameter stands here because the files have it.
pub(crate) fn routes(_: Variant, registry: prometheus::Registry, deadline: Duration) -> Router {
    contain(registry, deadline)
}

/// The registry's endpoint on a port and threads of its own, beside whatever the application's runtime does.
pub(crate) fn listener(registry: &prometheus::Registry, deadline: Duration) -> Result<Option<Listener>, Problem> {
    Ok(Some(Listener::bind("127.0.0.1:0", &endpoint(registry.clone(), deadline)?)?))
}

/// `/metrics` of several registries, each a group of its own: one that is stuck is missing alone.
pub(crate) fn grouped(groups: &[(&str, &prometheus::Registry)], deadline: Duration) -> Result<Option<Router>, Problem> {
    let groups = groups.iter().fold(builder(deadline), |all, (name, registry)| all.group(*name, (*registry).clone()));
    Ok(Some(groups.build()?.router()))
}

/// `/metrics` of any source, behind an endpoint with one group that gives up at `deadline`.
///
/// # Panics
/// If the endpoint's two threads cannot be started.
pub(super) fn contain(source: impl Source, deadline: Duration) -> Router {
    endpoint(source, deadline).expect("two threads can be started").router()
}

fn endpoint(source: impl Source, deadline: Duration) -> Result<Endpoint, BuildError> {
    builder(deadline).group("app", source).build()
}

/// An endpoint gives up at 0.8 of its bound.
fn builder(deadline: Duration) -> Builder {
    Endpoint::builder().bound(deadline.mul_f64(1.25))
}
