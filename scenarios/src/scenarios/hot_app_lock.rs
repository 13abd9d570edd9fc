//! A collector waits its turn at a hot application lock, and the scrape comes late although nothing is deadlocked.
//!
//! `collect()` reads the number of watched objects from the application's index, so it takes the index's lock. A resync
//! holds that lock for as long as it takes to rebuild the index. Nobody waits in a circle: the resync ends, the scrape
//! goes on, and by then Prometheus has given up. In a report this must not look like a deadlock, because the remedy is
//! another one: hold the lock for less, or do not take it in `collect()`.
//!
//! vmagent failed its own scrapes this way while hundreds of watchers contended for the mutex that one gauge's callback
//! takes to count them.
//!
//! The resync here ends when the parent has seen the bound pass, never by chance: how long it takes is what the case says.
//!
//! ```text
//! resync      takes the index ── rebuilds it ................................. ── releases it
//! scrape      READ registry ── collect() ── waits for the index ............. ── goes on ── 200 OK, late
//!                                                       ^ the bound passes
//! ```
//!
//! ## Run it
//! `cargo xtask repro 'hot-app-lock*'`
//!
//! ## What it prints
//! ```text
//!                           timeout-              timeout-
//!                naive      inline     offload    offload     try-lock   atomics    exporter   official
//! ───────────────────────────────────────────────────────────────────────────────────────────────────────
//! contention
//!   hot-app-lock ✓ late     ✓ late     ✓ late     ✓ contained ✓ invalid  ✓ served   ✓ served   ✓ late
//!                  recovers   recovers   recovers   +1/scrape   recovers   recovers   recovers   recovers
//!                                                   recovers
//!
//!                guarded
//! ──────────────────────────
//! contention
//!   hot-app-lock ✓ contained
//!                  +1/scrape
//!                  recovers
//! ```

use super::handlers;
use super::prometheus::core::{Collector, Desc};
use super::prometheus::{IntGauge, Registry, proto};
use crate::lesson::{Cell, Lesson};
use crate::official_registry;
use crate::setting::Setting;
use crate::stage::{App, Stage};
use crate::variants::atomics::write_metric;
use crate::variants::{Library, Locking, Variant, atomics, because, exporter, official};
use gatherlock::catalogue::Problem;
use gatherlock::model::{Command, Company, Drive, Outcome, Release};
use prometheus_client::collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::gauge::ConstGauge;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What the application watches.
#[derive(Debug, Default)]
struct Index {
    objects: Vec<u64>,
}

/// The index behind its lock.
#[derive(Clone, Debug, Default)]
struct Shared(Arc<Mutex<Index>>);

impl Shared {
    fn hold(&self) -> MutexGuard<'_, Index> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
    fn try_hold(&self) -> Option<MutexGuard<'_, Index>> {
        self.0.try_lock().ok()
    }
}

/// Reports the number of watched objects.
struct WatchCollector {
    index: Shared,
    locking: Locking,
    gauge: IntGauge,
}

impl Collector for WatchCollector {
    fn desc(&self) -> Vec<&Desc> {
        self.gauge.desc()
    }

    fn collect(&self) -> Vec<proto::MetricFamily> {
        // The mistake: how long this takes is up to whoever holds the index.
        match self.locking {
            Locking::Wait => self.gauge.set(self.index.hold().objects.len() as i64),
            Locking::Try => match self.index.try_hold() {
                Some(index) => self.gauge.set(index.objects.len() as i64),
                None => return Vec::new(),
            },
        }
        self.gauge.collect()
    }
}

/// The resync: takes the index at `arm` and keeps it until `release`. `publish` tells the outcome to whoever does not look
/// at the index itself.
fn drive(
    app: App,
    stage: &Stage,
    index: Shared,
    publish: impl Fn(usize) + Clone + Send + 'static,
) -> Result<App, Problem> {
    let rebuilding = stage.gate("the index is locked and being rebuilt")?;
    let (stage, done) = (stage.clone(), rebuilding.clone());
    let armed = app.on(Command::Arm, move || {
        rebuilding.close();
        let (index, publish, inside) = (index.clone(), publish.clone(), rebuilding.clone());
        stage.actor("resync", move || {
            let mut index = index.hold();
            inside.pass();
            index.objects = (0..400).collect();
            publish(index.objects.len());
            Ok(())
        })?;
        // Nobody else wants the index before the judged scrape, so it is taken at once.
        rebuilding.wait_for_arrival();
        Ok(())
    });
    Ok(armed.on(Command::Release, move || {
        done.open();
        Ok(())
    }))
}

fn on_prometheus(stage: &Stage) -> Result<App, Problem> {
    let registry = Registry::new();
    let bump = handlers::canary(&registry)?;
    let index = Shared::default();
    registry.register(Box::new(WatchCollector {
        index: index.clone(),
        locking: stage.setting.variant.locking(),
        gauge: IntGauge::new("watched_objects", "Objects that are watched")?,
    }))?;
    let routes = handlers::routes(stage.setting.variant, registry, stage.deadline());
    drive(App::new(routes, bump), stage, index, |_| {})
}

/// The same collector for `prometheus-client`.
#[derive(Debug)]
struct OfficialWatchCollector {
    index: Shared,
}

impl collector::Collector for OfficialWatchCollector {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), std::fmt::Error> {
        let objects = ConstGauge::new(self.index.hold().objects.len() as i64);
        let help = "Objects that are watched";
        objects.encode(encoder.encode_descriptor("watched_objects", help, None, MetricType::Gauge)?)
    }
}

fn on_official(stage: &Stage) -> Result<App, Problem> {
    let registry = official_registry::SharedRegistry::default();
    let (routes, bump) = official::routes(&registry);
    let index = Shared::default();
    official_registry::write(&registry).register_collector(Box::new(OfficialWatchCollector { index: index.clone() }));
    drive(App::new(routes, bump), stage, index, |_| {})
}

/// Whoever changes the index pushes its size; a scrape does not look at the index.
fn on_exporter(stage: &Stage) -> Result<App, Problem> {
    let (routes, bump) = exporter::routes()?;
    let publish = |objects: usize| metrics::gauge!("watched_objects").set(objects as f64);
    publish(0);
    drive(App::new(routes, bump), stage, Shared::default(), publish)
}

/// The same with an atomic.
fn on_atomics(stage: &Stage) -> Result<App, Problem> {
    let objects = Arc::new(AtomicU64::new(0));
    let read = objects.clone();
    let (routes, bump) = atomics::routes(move |text| {
        let value = read.load(Ordering::Relaxed);
        write_metric(text, "watched_objects", "gauge", "Objects that are watched", value);
    });
    let publish = move |count: usize| objects.store(count as u64, Ordering::Relaxed);
    drive(App::new(routes, bump), stage, Shared::default(), publish)
}

fn play(stage: &Stage) -> Result<App, Problem> {
    match stage.setting.variant.library() {
        Library::Prometheus => on_prometheus(stage),
        Library::Official => on_official(stage),
        Library::Exporter => on_exporter(stage),
        Library::Atomics => on_atomics(stage),
    }
}

pub(crate) const LESSON: Lesson = Lesson {
    id: "hot-app-lock",
    family: "contention",
    source: include_str!("hot_app_lock.rs"),
    origin: &["VictoriaMetrics/VictoriaMetrics#9354"],
    company: Company::Together,
    bound_ms: None,
    drive: Drive::Scrapes { extra: 0 },
    release: Release::AfterBound,
    advice: &[
        "do not take a lock in collect() that is held for long elsewhere: let its holder publish the value in an atomic",
        "build the new state outside the lock and swap it in under it",
    ],
    expect,
    play,
};

fn expect(setting: &Setting) -> Cell {
    let late = |because| Cell::must(Outcome::Late, because).recovers(true);
    match setting.variant {
        Variant::Naive => late("collect() waits for the index, which its holder releases after the bound: no cycle, a queue"),
        Variant::TimeoutInline => late(because::TIMER_CANNOT_FIRE),
        Variant::Offload => late(because::NO_DEADLINE),
        Variant::TimeoutOffload => Cell::contained_leaking(1.0, because::TIMER_FIRES).recovers(true),
        Variant::TryLock => Cell::must(
            Outcome::Invalid,
            "try_lock fails while the resync holds the index, so the scrape ends, and without the family `watched_objects`",
        )
        .recovers(true),
        Variant::Official => late("encode() waits for the index in the same way, under the handler's read lock"),
        Variant::Exporter => Cell::must(
            Outcome::Served,
            "the size is pushed when the index changes; rendering takes no lock of the application",
        )
        .recovers(true),
        Variant::Atomics => {
            Cell::must(Outcome::Served, "the page loads an atomic; the index's lock is nothing to it").recovers(true)
        }
        Variant::Guarded => Cell::contained_once(1, because::ONE_THREAD).recovers(true),
    }
}
