//! A scrape waits for the cache, whose holder waits for the index, whose holder waits to register a metric.
//!
//! No two of the three threads hurt each other. The scrape holds the registry's read lock and wants the cache's lock; the
//! thread that refills the cache holds it and wants the index; the thread that rebuilds the index holds that and
//! registers a metric, which wants the registry's write lock. The circle closes over three locks in three modules, and
//! reading any two of them together shows nothing wrong.
//!
//! containerd had the two-party form: `Collect` ran under the metrics namespace's lock and took the collector's, `Add` took
//! them the other way round. Every further lock between the two makes it harder to see and no less certain.
//!
//! ```text
//! scrape         READ registry ── collect() ────────────────────> waits for cache
//! cache-refill           takes cache ───────────────────────────> waits for index
//! index-build        takes index ── register() ─────────────────> waits for WRITE registry
//! ```
//!
//! ## Run it
//! `cargo xtask repro 'three-party-cycle*'`
//!
//! ## What it prints
//! ```text
//!                                    timeout-                    timeout-
//!                     naive          inline         offload      offload     try-lock  atomics exporter official
//! ────────────────────────────────────────────────────────────────────────────────────────────────────────────────────
//! update during gather
//!   three-party-cycle ✓ deadlocked   ✓ deadlocked   ✓ deadlocked ✓ contained ✓ invalid –       ✓ served ✓ deadlocked
//!                       +0.67/scrape   +0.67/scrape   +1/scrape    +1/scrape                              +0.33/scrape
//!                       2 stuck        2 stuck        2 stuck      2 stuck                                2 stuck
//!
//!                     guarded
//! ────────────────────────────
//! update during gather
//!   three-party-cycle ✓ served
//!
//!   naive            deadlocked  `tokio-rt-worker` 2092 holds prometheus Registry #1 (READ) and waits for Mutex<Cache>
//!                                (LOCK), which `cache-refill` 2100 holds while it waits for Mutex<Index> (LOCK), which
//!                                `index-build` 2098 holds while it waits for prometheus Registry #1 (WRITE)
//! ```

use super::handlers;
use super::prometheus::core::{Collector, Desc};
use super::prometheus::{IntCounter, IntGauge, Registry, proto};
use crate::lesson::{Cell, Lesson};
use crate::locks::parking_lot::Mutex;
use crate::official_registry;
use crate::setting::Setting;
use crate::stage::{App, Stage};
use crate::variants::{Library, Locking, Variant, because, exporter, official};
use gatherlock::catalogue::{Gate, Problem};
use gatherlock::model::{Command, Company, Drive, Outcome, Release};
use prometheus_client::collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::ConstGauge;
use std::sync::Arc;

/// What is kept in memory.
#[derive(Debug, Default)]
struct Cache {
    entries: Vec<String>,
}

/// What the cache is refilled from.
#[derive(Debug, Default)]
struct Index {
    entries: Vec<String>,
}

/// A store with a cache in front of an index, each behind its own lock.
#[derive(Debug)]
struct Store {
    cache: Mutex<Cache>,
    index: Mutex<Index>,
    /// A scrape stands in `collect()`.
    entered: Gate,
    /// The index is taken.
    indexing: Gate,
    /// `collect()` has tried to take the cache and went away; used where locks are tried.
    refused: Gate,
}

impl Store {
    fn new(stage: &Stage, entered: &'static str) -> Result<Arc<Store>, Problem> {
        Ok(Arc::new(Store {
            cache: Mutex::new(Cache { entries: vec!["a".to_string()] }),
            index: Mutex::default(),
            entered: Gate::new(entered, stage.journal())?,
            indexing: Gate::new("index taken", stage.journal())?,
            refused: Gate::new("cache refused", stage.journal())?,
        }))
    }

    /// What `collect()` reports; `None` if the cache was tried and is taken.
    fn cached(&self, locking: Locking) -> Option<i64> {
        self.entered.pass();
        match locking {
            Locking::Wait => Some(self.cache.lock().entries.len() as i64),
            Locking::Try => {
                let cached = self.cache.try_lock().map(|cache| cache.entries.len() as i64);
                if cached.is_none() {
                    self.refused.open();
                }
                cached
            }
        }
    }

    /// Takes the cache, then the index to refill it from.
    fn refill(&self, stage: &Stage, locking: Locking) {
        match locking {
            Locking::Wait => {
                let mut cache = self.cache.lock();
                stage.journal().reached("cache taken");
                self.entered.open();
                cache.entries.clone_from(&self.index.lock().entries);
            }
            Locking::Try => {
                let Some(mut cache) = self.cache.try_lock() else { return };
                stage.journal().reached("cache taken");
                self.entered.open();
                match self.index.try_lock() {
                    Some(index) => cache.entries.clone_from(&index.entries),
                    // It goes on without the index, and is not done yet when the scrape comes by.
                    None => {
                        self.refused.wait_until_open();
                        cache.entries.clear();
                    }
                }
            }
        }
    }

    /// Takes the index, rebuilds it and counts the rebuild in a metric made on first use.
    fn rebuild(
        &self,
        stage: &Stage,
        locking: Locking,
        register: impl FnOnce() -> Result<(), Problem>,
    ) -> Result<(), Problem> {
        let mut index = match locking {
            Locking::Wait => self.index.lock(),
            Locking::Try => match self.index.try_lock() {
                Some(index) => index,
                None => return Ok(()),
            },
        };
        stage.journal().reached("index taken");
        self.indexing.open();
        index.entries.push("b".to_string());
        // The mistake, spread over three modules: the guard above lives on while the registry's lock is asked for.
        register()
    }
}

/// Starts the two threads. Where a scrape is held in `collect()`, the index is taken first, then the cache, and the scrape
/// goes on after that.
fn drive(
    app: App,
    stage: &Stage,
    store: Arc<Store>,
    collected: bool,
    register: impl Fn() -> Result<(), Problem> + Clone + Send + 'static,
) -> App {
    let (stage, locking) = (stage.clone(), stage.setting.variant.locking());
    app.on(Command::Arm, move || {
        if collected {
            store.entered.close();
        }
        let (at_index, rebuilt, register) = (stage.clone(), store.clone(), register.clone());
        stage.actor("index-build", move || {
            if collected {
                rebuilt.entered.wait_for_arrival();
            }
            rebuilt.rebuild(&at_index, locking, register)
        })?;
        let (at_cache, refilled) = (stage.clone(), store.clone());
        stage.actor("cache-refill", move || {
            refilled.indexing.wait_until_open();
            refilled.refill(&at_cache, locking);
            Ok(())
        })?;
        Ok(())
    })
}

/// Reports the size of the cache.
struct CacheCollector {
    store: Arc<Store>,
    locking: Locking,
    cached: IntGauge,
}

impl Collector for CacheCollector {
    fn desc(&self) -> Vec<&Desc> {
        self.cached.desc()
    }

    fn collect(&self) -> Vec<proto::MetricFamily> {
        match self.store.cached(self.locking) {
            Some(cached) => {
                self.cached.set(cached);
                self.cached.collect()
            }
            None => Vec::new(),
        }
    }
}

fn on_prometheus(stage: &Stage) -> Result<App, Problem> {
    let registry = Registry::new();
    let bump = handlers::canary(&registry)?;
    let store = Store::new(stage, "collect() entered")?;
    registry.register(Box::new(CacheCollector {
        store: store.clone(),
        locking: stage.setting.variant.locking(),
        cached: IntGauge::new("cached_entries", "Entries in the cache")?,
    }))?;
    let app = App::new(handlers::routes(stage.setting.variant, registry.clone(), stage.deadline()), bump);
    Ok(drive(app.volatile("index_builds_total"), stage, store, true, move || {
        let builds = IntCounter::new("index_builds_total", "Rebuilds of the index")?;
        Ok(registry.register(Box::new(builds))?)
    }))
}

/// The same collector for `prometheus-client`.
#[derive(Debug)]
struct OfficialCacheCollector {
    store: Arc<Store>,
}

impl collector::Collector for OfficialCacheCollector {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), std::fmt::Error> {
        let Some(cached) = self.store.cached(Locking::Wait) else { return Ok(()) };
        let gauge = ConstGauge::new(cached);
        gauge.encode(encoder.encode_descriptor("cached_entries", "Entries in the cache", None, MetricType::Gauge)?)
    }
}

fn on_official(stage: &Stage) -> Result<App, Problem> {
    let registry = official_registry::SharedRegistry::default();
    let (routes, bump) = official::routes(&registry);
    let store = Store::new(stage, "encode() entered")?;
    official_registry::write(&registry).register_collector(Box::new(OfficialCacheCollector { store: store.clone() }));
    Ok(drive(App::new(routes, bump).volatile("index_builds"), stage, store, true, move || {
        official_registry::write(&registry).register(
            "index_builds",
            "Rebuilds of the index",
            Counter::<u64>::default(),
        );
        Ok(())
    }))
}

/// With the `metrics` facade the gauge is pushed by whoever changes the cache; a scrape takes neither lock.
fn on_exporter(stage: &Stage) -> Result<App, Problem> {
    let (routes, bump) = exporter::routes()?;
    let store = Store::new(stage, "collect() entered")?;
    metrics::gauge!("cached_entries").set(1.0);
    Ok(drive(App::new(routes, bump).volatile("index_builds_total"), stage, store, false, || {
        metrics::counter!("index_builds_total").increment(1);
        Ok(())
    }))
}

fn play(stage: &Stage) -> Result<App, Problem> {
    match stage.setting.variant.library() {
        Library::Official => on_official(stage),
        Library::Exporter => on_exporter(stage),
        _ => on_prometheus(stage),
    }
}

pub(crate) const LESSON: Lesson = Lesson {
    id: "three-party-cycle",
    family: "update during gather",
    source: include_str!("three_party_cycle.rs"),
    origin: &["containerd/containerd#6788 (two-party)"],
    company: Company::Together,
    bound_ms: None,
    drive: Drive::Scrapes { extra: 2 },
    release: Release::Never,
    advice: &[
        "treat gather() as a lock: whatever collect() takes must never be held, even indirectly, around register()",
        "register every metric before threads start, so that no write lock is ever wanted later",
    ],
    expect,
    play,
};

fn expect(setting: &Setting) -> Cell {
    match setting.variant {
        Variant::Naive => Cell::must(
            Outcome::Deadlocked,
            "registry READ by the scrape, cache by cache-refill, index by index-build: each waits for the next, and the last for the first",
        ),
        Variant::TimeoutInline => Cell::must(Outcome::Deadlocked, because::TIMER_CANNOT_FIRE),
        Variant::Offload => Cell::must(Outcome::Deadlocked, because::NO_DEADLINE),
        Variant::TimeoutOffload => Cell::contained_leaking(1.0, because::TIMER_FIRES),
        Variant::TryLock => Cell::must(
            Outcome::Invalid,
            "try_lock fails while cache-refill holds the cache, so the scrape ends, and without the family `cached_entries`",
        ),
        Variant::Official => Cell::must(
            Outcome::Deadlocked,
            "the same circle: the handler's read lock around encode(), cache, index, the write lock around register()",
        ),
        Variant::Exporter => Cell::must(
            Outcome::Served,
            "the gauge is pushed; rendering takes no lock of the application, so the circle cannot close over a scrape",
        ),
        Variant::Atomics => Cell::Skip("no registry: registering has no counterpart"),
        Variant::Guarded => Cell::cured(
            setting,
            3,
            "register() waits for nothing, so the index is released, then the cache: without its last edge the circle is a queue",
        ),
    }
}
