//! The endpoint gathers a registry in which nothing is registered: `200 OK` and an empty page.
//!
//! The server was given a registry of its own making. The application registers its metrics elsewhere, in a global one or
//! in the one of before a reload. Nobody notices: registering succeeds, gathering succeeds, encoding nothing succeeds.
//!
//! Here the metrics start out where the server looks. Then the application reloads its configuration, makes a fresh
//! registry, and moves its metrics there; the server keeps the old one.
//!
//! The code that was committed for the incident's service gathers a private registry that nothing updates, and sends the
//! empty body as `application/octet-stream`, which Prometheus 3 refuses to parse. Whether the report's author saw a hang
//! or this cannot be told from the report, and so "answered, but wrong" is an outcome of its own.
//!
//! ```text
//! reload       fresh registry <── requests_total, gatherlock_canary_total
//! scrape       old registry: gather() = [] ── 200 OK, 0 bytes
//! ```
//!
//! ## Run it
//! `cargo xtask repro 'wrong-registry*'`
//!
//! ## What it prints
//! ```text
//!                            timeout-            timeout-
//!                  naive     inline    offload   offload   try-lock  atomics exporter  official
//! ──────────────────────────────────────────────────────────────────────────────────────────────
//! answered, but wrong
//!   wrong-registry ✓ invalid ✓ invalid ✓ invalid ✓ invalid ✓ invalid –       ✓ invalid ✓ invalid
//!
//!                  guarded
//! ──────────────────────────
//! answered, but wrong
//!   wrong-registry ✓ invalid
//! ```

use super::handlers;
use super::prometheus::{IntCounter, Registry};
use crate::lesson::{Cell, Lesson};
use crate::official_registry;
use crate::setting::Setting;
use crate::stage::{App, Stage};
use crate::variants::{Library, Variant, exporter, official};
use gatherlock::catalogue::Problem;
use gatherlock::model::{Command, Company, Drive, Outcome, Release};
use metrics_exporter_prometheus::PrometheusBuilder;
use prometheus_client::metrics::counter::Counter;
use std::sync::{Arc, PoisonError, RwLock};

fn on_prometheus(stage: &Stage) -> Result<App, Problem> {
    let registry = Registry::new();
    let canary = IntCounter::new("gatherlock_canary_total", "Bumped before each judged scrape")?;
    let requests = IntCounter::new("requests_total", "Requests")?;
    registry.register(Box::new(canary.clone()))?;
    registry.register(Box::new(requests.clone()))?;
    let routes = handlers::routes(stage.setting.variant, registry.clone(), stage.deadline());
    let moved = canary.clone();
    Ok(App::new(routes, move || canary.inc()).on(Command::Arm, move || {
        // The mistake: the server is not told of the new registry.
        let fresh = Registry::new();
        for metric in [&moved, &requests] {
            registry.unregister(Box::new(metric.clone()))?;
            fresh.register(Box::new(metric.clone()))?;
        }
        Ok(())
    }))
}

fn on_official() -> App {
    let registry = official_registry::SharedRegistry::default();
    let (routes, bump) = official::routes(&registry);
    official_registry::write(&registry).register("requests", "Requests", Counter::<u64>::default());
    let fresh = official_registry::SharedRegistry::default();
    App::new(routes, bump).on(Command::Arm, move || {
        // The mistake: as above.
        *official_registry::write(&fresh) = std::mem::take(&mut *official_registry::write(&registry));
        Ok(())
    })
}

/// A reload builds the exporter anew. Only one recorder can be installed, so the updates go on to the first.
fn on_exporter() -> Result<App, Problem> {
    let (handle, bump) = exporter::install()?;
    metrics::counter!("requests_total").absolute(0);
    let shown = Arc::new(RwLock::new(handle));
    let reloaded = shown.clone();
    let routes = exporter::page(move || shown.read().unwrap_or_else(PoisonError::into_inner).render());
    Ok(App::new(routes, bump).on(Command::Arm, move || {
        let recorder = PrometheusBuilder::new().build_recorder();
        *reloaded.write().unwrap_or_else(PoisonError::into_inner) = recorder.handle();
        // The mistake: that this fails is ignored.
        let _ = metrics::set_global_recorder(recorder);
        Ok(())
    }))
}

fn play(stage: &Stage) -> Result<App, Problem> {
    match stage.setting.variant.library() {
        Library::Official => Ok(on_official()),
        Library::Exporter => on_exporter(),
        _ => on_prometheus(stage),
    }
}

pub(crate) const LESSON: Lesson = Lesson {
    id: "wrong-registry",
    family: "answered, but wrong",
    source: include_str!("wrong_registry.rs"),
    origin: &["the incident's code"],
    company: Company::Together,
    bound_ms: None,
    drive: Drive::Scrapes { extra: 0 },
    release: Release::Never,
    advice: &[
        "make one registry and hand it to whoever registers and to whoever serves",
        "alert on a scrape that succeeds with no samples: scrape_samples_scraped == 0",
    ],
    expect,
    play,
};

fn expect(setting: &Setting) -> Cell {
    match setting.variant {
        Variant::Atomics => Cell::Skip("no registry: there is no wrong one to gather (see frozen-canary)"),
        Variant::Exporter => Cell::must(
            Outcome::Invalid,
            "the page renders a recorder that could not be installed, so nothing is ever recorded in it",
        ),
        Variant::Official => Cell::must(
            Outcome::Invalid,
            "the handler encodes a registry that the metrics were taken out of: an end mark and nothing before it",
        ),
        Variant::Guarded => Cell::must(
            Outcome::Invalid,
            "the endpoint serves the registry it was given, and that one is empty: there is nothing on the page but the endpoint's \
             own metrics",
        ),
        _ => Cell::must(Outcome::Invalid, "gather() returns no families, so the answer is 200 with an empty body"),
    }
}
