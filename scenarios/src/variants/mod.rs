//! The handlers under test: what stands between the route `/metrics` and the metrics. One file each.
//!
//! The handlers that serve a `prometheus` registry use `super::prometheus` and are compiled once for every version of
//! that crate: here for 0.14, in [`on_0_13`] for 0.13.4. [`guarded`] is 0.14 with another registry.

pub(crate) mod atomics;
mod canary;
pub(crate) mod exporter;
pub(crate) mod guarded;
mod naive;
pub(crate) mod official;
mod offload;
pub(crate) mod on_0_13;
mod registry;
mod timeout_inline;
mod timeout_offload;
mod try_lock;

use ::prometheus;
use axum::Router;
pub(crate) use canary::canary;
use gatherlock::catalogue::Problem;
use gatherlock::model;
use gatherlock_guard::Listener;
pub(crate) use registry::{REGISTERING_WAITS, routes};
use std::time::Duration;
pub(crate) use try_lock::Locking;

/// A listener of its own for `registry`, where the handlers have one: these have none.
pub(crate) fn listener(_: &prometheus::Registry, _: Duration) -> Result<Option<Listener>, Problem> {
    Ok(None)
}

/// `/metrics` of two registries of which one may be missing alone, where the handlers can do that: these cannot.
pub(crate) fn grouped(_: &[(&str, &prometheus::Registry)], _: Duration) -> Result<Option<Router>, Problem> {
    Ok(None)
}

/// A handler under test.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Variant {
    /// `gather()` on the async worker.
    Naive,
    /// The same inside `tokio::time::timeout`.
    TimeoutInline,
    /// `gather()` on the blocking pool.
    Offload,
    /// On the blocking pool, with a timeout and a permit.
    TimeoutOffload,
    /// The naive handler of an application that takes its own locks with `try_lock`.
    TryLock,
    /// Hand-written text from atomics; no registry.
    Atomics,
    /// `metrics` with `metrics-exporter-prometheus`.
    Exporter,
    /// `prometheus-client` behind a `std::sync::RwLock`.
    Official,
    /// `guard::Registry` behind `guard::Endpoint`.
    Guarded,
}

/// The metrics library under a variant: what a scenario has to be written for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Library {
    /// The `prometheus` crate.
    Prometheus,
    /// Atomics.
    Atomics,
    /// The `metrics` facade and its Prometheus exporter.
    Exporter,
    /// The `prometheus-client` crate.
    Official,
}

impl Variant {
    /// Every variant, in the order of the matrix columns.
    pub(crate) const ALL: [Variant; 9] = [
        Variant::Naive,
        Variant::TimeoutInline,
        Variant::Offload,
        Variant::TimeoutOffload,
        Variant::TryLock,
        Variant::Atomics,
        Variant::Exporter,
        Variant::Official,
        Variant::Guarded,
    ];

    /// Its id.
    pub(crate) fn id(self) -> &'static str {
        self.described().0
    }

    /// The library it serves.
    pub(crate) fn library(self) -> Library {
        match self {
            Variant::Atomics => Library::Atomics,
            Variant::Exporter => Library::Exporter,
            Variant::Official => Library::Official,
            _ => Library::Prometheus,
        }
    }

    /// How the application takes its own locks.
    pub(crate) fn locking(self) -> Locking {
        match self {
            Variant::TryLock => Locking::Try,
            _ => Locking::Wait,
        }
    }

    /// As the catalogue lists it.
    pub(crate) fn listed(self) -> model::Variant {
        let (id, title, fix) = self.described();
        model::Variant { id: id.to_string(), title: title.to_string(), fix: fix.map(str::to_string) }
    }

    fn described(self) -> (&'static str, &'static str, Option<&'static str>) {
        match self {
            Variant::Naive => ("naive", "gather() on the async worker, as the incident's handler does", None),
            Variant::TimeoutInline => {
                ("timeout-inline", "tokio::time::timeout around a synchronous gather()", Some("fix 1"))
            }
            Variant::Offload => ("offload", "gather() in spawn_blocking, no timeout", None),
            Variant::TimeoutOffload => {
                ("timeout-offload", "spawn_blocking with a timeout and a permit; 503 past it", Some("fix 1"))
            }
            Variant::TryLock => {
                ("try-lock", "naive, and the application takes its own locks with try_lock", Some("fix 1"))
            }
            Variant::Atomics => ("atomics", "text written by hand from atomics, no registry", Some("fix 2")),
            Variant::Exporter => ("exporter", "metrics with metrics-exporter-prometheus", Some("fix 3")),
            Variant::Official => ("official", "prometheus-client, its registry in a std::sync::RwLock", None),
            Variant::Guarded => ("guarded", "guard::Registry behind guard::Endpoint, this project's own fix", None),
        }
    }
}

/// Reasons that hold for a variant whatever the scenario.
pub(crate) mod because {
    /// Why `timeout-inline` does what `naive` does.
    pub(crate) const TIMER_CANNOT_FIRE: &str =
        "as naive: the thread that would poll the timer is the one that is stuck in gather(), so the timer cannot fire";
    /// Why `offload` does what `naive` does.
    pub(crate) const NO_DEADLINE: &str =
        "as naive, on a thread of the blocking pool: the request waits for it without a deadline";
    /// Why `timeout-offload` answers, and at what price.
    pub(crate) const TIMER_FIRES: &str = "the timer runs on a free worker and fires at half the bound, so the answer is a 503 in time; \
         nothing ends the gather() behind it, so every scrape leaves its thread of the blocking pool stuck";
    /// Why `guarded` answers where only containment can help, and at what price.
    pub(crate) const ONE_THREAD: &str = "the cause is behind the registry, so nothing cures it; the endpoint's own thread is the one that is stuck, \
         every scrape is refused by its deadline with the reason, and further scrapes share that one collection";
    /// Why `guarded` cannot cure an older registry.
    pub(crate) const REGISTRY_OF_ITS_OWN: &str = "guard::Registry takes the collectors of 0.14, so this registry stays the library's own and holds its lock while it \
         gathers: the endpoint contains that on one thread, and does not cure it";
}
