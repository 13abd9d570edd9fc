//! Two calls that return guards stand in one expression, and the second needs the lock that the first still holds.
//!
//! A table of counters hands out entries as guards: a read lock that lasts as long as the returned value, and the write
//! lock for a moment if the entry has to be made first. `table.entry("a") / table.entry("b")` holds the guard of the
//! first call until the end of the statement, because temporaries live that long. If the second entry is new, its write
//! lock waits for the first guard, on the same thread.
//!
//! With both entries made it works: two read locks. So it works until the first scrape after something new appears.
//!
//! `prometheus-client` hands out series this way: `Family::get_or_create()` returns a guard, and two calls in one struct
//! literal hang (client_rust#231, answered with `get_or_create_owned()`; client_rust#300 met it again).
//!
//! ```text
//! scrape        collect(): entry("hits"): READ table ── entry("misses"): waits for WRITE table
//!                                         └── a temporary, held to the end of the statement ──┘
//! ```
//!
//! ## Run it
//! `cargo xtask repro 'guard-in-expression*'`
//!
//! ## What it prints
//! ```text
//!                                      timeout-                    timeout-
//!                       naive          inline         offload      offload     try-lock  atomics exporter official
//! ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────────
//! recursive lock
//!   guard-in-expression ✓ deadlocked   ✓ deadlocked   ✓ deadlocked ✓ contained ✓ invalid –       –        ✓ deadlocked
//!                         +0.67/scrape   +0.33/scrape   +1/scrape    +1/scrape                              +0.67/scrape
//!
//!                       guarded
//! ────────────────────────────────────
//! recursive lock
//!   guard-in-expression ✓ contained
//!                         +0.33/scrape
//!
//!   naive            deadlocked  `tokio-rt-worker` 3329 holds RwLock<HashMap<String, AtomicU64, RandomState, Global>>
//!                                (READ) and waits for it again (WRITE): it waits for itself
//! ```

use super::handlers;
use super::prometheus::core::{Collector, Desc};
use super::prometheus::{Gauge, Registry, proto};
use crate::lesson::{Cell, Lesson};
use crate::locks::parking_lot::{MappedRwLockReadGuard, Mutex, RwLock, RwLockReadGuard, RwLockWriteGuard};
use crate::official_registry;
use crate::setting::Setting;
use crate::stage::{App, Stage};
use crate::variants::{Library, Locking, Variant, because, official};
use gatherlock::catalogue::Problem;
use gatherlock::model::{Command, Company, Drive, Outcome, Release};
use prometheus_client::collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::ConstGauge;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Counters by name, made on first use.
#[derive(Debug, Default)]
struct Table {
    counters: RwLock<HashMap<String, AtomicU64>>,
}

impl Table {
    /// A guard on the counter, which is made if it does not exist.
    fn entry(&self, name: &str) -> MappedRwLockReadGuard<'_, AtomicU64> {
        if let Ok(counter) = RwLockReadGuard::try_map(self.counters.read(), |counters| counters.get(name)) {
            return counter;
        }
        let mut counters = self.counters.write();
        counters.entry(name.to_string()).or_default();
        RwLockReadGuard::map(RwLockWriteGuard::downgrade(counters), |counters| &counters[name])
    }

    /// The same, giving up where `entry` would wait.
    fn try_entry(&self, name: &str) -> Option<MappedRwLockReadGuard<'_, AtomicU64>> {
        if let Ok(counter) = RwLockReadGuard::try_map(self.counters.try_read()?, |counters| counters.get(name)) {
            return Some(counter);
        }
        let mut counters = self.counters.try_write()?;
        counters.entry(name.to_string()).or_default();
        Some(RwLockReadGuard::map(RwLockWriteGuard::downgrade(counters), |counters| &counters[name]))
    }
}

/// The cache whose hit rate is reported; a new region appears while the service runs.
type Region = Arc<Mutex<String>>;

/// Reports hits per lookup.
struct HitRateCollector {
    table: Arc<Table>,
    region: Region,
    locking: Locking,
    rate: Gauge,
}

impl HitRateCollector {
    /// `None` if a lock was tried and is taken.
    fn rate(&self) -> Option<f64> {
        let region = self.region.lock().clone();
        let (hits, misses) = (format!("{region}-hits"), format!("{region}-misses"));
        let per_lookup = |hits: u64, misses: u64| hits as f64 / (hits + misses).max(1) as f64;
        // The mistake, in either arm: the first guard is a temporary and lives until the end of the statement.
        match self.locking {
            Locking::Wait => Some(per_lookup(
                self.table.entry(&hits).load(Ordering::Relaxed),
                self.table.entry(&misses).load(Ordering::Relaxed),
            )),
            Locking::Try => Some(per_lookup(
                self.table.try_entry(&hits)?.load(Ordering::Relaxed),
                self.table.try_entry(&misses)?.load(Ordering::Relaxed),
            )),
        }
    }
}

impl Collector for HitRateCollector {
    fn desc(&self) -> Vec<&Desc> {
        self.rate.desc()
    }

    fn collect(&self) -> Vec<proto::MetricFamily> {
        match self.rate() {
            Some(rate) => {
                self.rate.set(rate);
                self.rate.collect()
            }
            None => Vec::new(),
        }
    }
}

fn on_prometheus(stage: &Stage, region: &Region) -> Result<App, Problem> {
    let registry = Registry::new();
    let bump = handlers::canary(&registry)?;
    let table = Arc::<Table>::default();
    table.entry("eu-hits").fetch_add(3, Ordering::Relaxed);
    table.entry("eu-misses").fetch_add(1, Ordering::Relaxed);
    registry.register(Box::new(HitRateCollector {
        table,
        region: region.clone(),
        locking: stage.setting.variant.locking(),
        rate: Gauge::new("cache_hit_rate", "Hits per lookup")?,
    }))?;
    Ok(App::new(handlers::routes(stage.setting.variant, registry, stage.deadline()), bump))
}

type Labels = Vec<(&'static str, String)>;

/// The same collector for `prometheus-client`, whose own `Family` is the table.
#[derive(Debug)]
struct OfficialHitRateCollector {
    lookups: Family<Labels, Counter>,
    region: Region,
}

impl collector::Collector for OfficialHitRateCollector {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), std::fmt::Error> {
        let region = self.region.lock().clone();
        let labels = |result: &str| vec![("region", region.clone()), ("result", result.to_string())];
        let per_lookup = |hits: u64, misses: u64| hits as f64 / (hits + misses).max(1) as f64;
        // The mistake: as above.
        let rate = per_lookup(
            self.lookups.get_or_create(&labels("hit")).get(),
            self.lookups.get_or_create(&labels("miss")).get(),
        );
        let gauge = ConstGauge::new(rate);
        gauge.encode(encoder.encode_descriptor("cache_hit_rate", "Hits per lookup", None, MetricType::Gauge)?)
    }
}

fn on_official(region: &Region) -> App {
    let registry = official_registry::SharedRegistry::default();
    let (routes, bump) = official::routes(&registry);
    let lookups = Family::<Labels, Counter>::default();
    let collector = OfficialHitRateCollector { lookups, region: region.clone() };
    for result in ["hit", "miss"] {
        let labels = vec![("region", "eu".to_string()), ("result", result.to_string())];
        collector.lookups.get_or_create(&labels).inc();
    }
    official_registry::write(&registry).register_collector(Box::new(collector));
    App::new(routes, bump)
}

fn play(stage: &Stage) -> Result<App, Problem> {
    let region: Region = Arc::new(Mutex::new("eu".to_string()));
    let app = match stage.setting.variant.library() {
        Library::Official => on_official(&region),
        _ => on_prometheus(stage, &region)?,
    };
    // The trap is an event of the application: the cache moves to a region that was not seen before.
    Ok(app.on(Command::Arm, move || {
        *region.lock() = "us".to_string();
        Ok(())
    }))
}

pub(crate) const LESSON: Lesson = Lesson {
    id: "guard-in-expression",
    family: "recursive lock",
    source: include_str!("guard_in_expression.rs"),
    origin: &["prometheus/client_rust#231", "prometheus/client_rust#300"],
    company: Company::Together,
    bound_ms: None,
    drive: Drive::Scrapes { extra: 2 },
    release: Release::Never,
    advice: &[
        "give each guard a statement of its own, so that it is dropped before the next lock is taken",
        "with prometheus-client use get_or_create_owned(), which returns the series and not a guard",
    ],
    expect,
    play,
};

fn expect(setting: &Setting) -> Cell {
    match setting.variant {
        Variant::Naive => Cell::must(
            Outcome::Deadlocked,
            "the second entry is new and waits for the write lock; the first entry's read guard is a temporary of the same statement",
        ),
        Variant::TimeoutInline => Cell::must(Outcome::Deadlocked, because::TIMER_CANNOT_FIRE),
        Variant::Offload => Cell::must(Outcome::Deadlocked, because::NO_DEADLINE),
        Variant::TimeoutOffload => Cell::contained_leaking(1.0, because::TIMER_FIRES),
        Variant::TryLock => Cell::must(
            Outcome::Invalid,
            "try_write fails against the thread's own read guard, so the rate is unknown and the family is left out",
        ),
        Variant::Official => Cell::must(
            Outcome::Deadlocked,
            "Family::get_or_create() returns a read guard; the second call wants the family's write lock while it lives",
        ),
        Variant::Atomics => Cell::Skip("no collectors and no guards: values are loaded one by one"),
        Variant::Exporter => Cell::Skip("no collectors: nothing of the application runs while the page is rendered"),
        Variant::Guarded => Cell::contained_once(3, because::ONE_THREAD),
    }
}
