//! A collector gathers the registry that is gathering it, while a writer is queued between the two reads.
//!
//! A collector that reports the number of exposed families calls `Registry::gather()`: a second read lock on a lock whose
//! read lock the thread already holds. That works, and looks like the proof that read locks nest. They do not.
//!
//! `parking_lot::RwLock`, which the registry uses, lets no new reader pass a queued writer, so that writers do not starve.
//! When another thread registers a metric between the two reads, its write waits for the first read to end, the second
//! read waits for the write, and the first read ends only when the second has been served. `std::sync::RwLock` does the
//! same. The tests that pass have no writer: see `gather-in-collect-no-writer`.
//!
//! Holochain's metrics froze this way, two reads of one `parking_lot::RwLock` in one call chain and a writer between them;
//! so did Prometheus itself, with Go's `RWMutex`, which keeps the same rule.
//!
//! ```text
//! scrape        READ registry ── collect() ............. gather(): waits for READ, behind the queued writer
//! plugin-load                    register(): waits for WRITE registry, held READ by the scrape
//! ```
//!
//! ## Run it
//! `cargo xtask repro 'gather-in-collect*'`
//!
//! ## What it prints
//! ```text
//!                                    timeout-                    timeout-
//!                     naive          inline         offload      offload     try-lock       atomics exporter official
//! ───────────────────────────────────────────────────────────────────────────────────────────────────────────────────────
//! recursive lock
//!   gather-in-collect ✓ deadlocked   ✓ deadlocked   ✓ deadlocked ✓ contained ✓ deadlocked   –       –        ✓ deadlocked
//!                       +0.33/scrape   +0.67/scrape   +1/scrape    +1/scrape   +0.67/scrape                    +1/scrape
//!                       1 stuck        1 stuck        1 stuck      1 stuck     1 stuck                         1 stuck
//!
//!                       guarded
//! ────────────────────────────────────
//! recursive lock
//!   gather-in-collect   ✓ served
//!   gather-in-collect   ✓ contained
//!     prometheus=0.13.4   +0.33/scrape
//!                         1 stuck
//!
//!   naive            deadlocked  `tokio-rt-worker` 2908 holds prometheus Registry #1 (READ) and waits for it again
//!                                (READ), behind `plugin-load` 2924 in its queue, which waits for prometheus Registry #1
//!                                (WRITE)
//! ```

use super::handlers;
use super::prometheus::core::{Collector, Desc};
use super::prometheus::{IntCounter, IntGauge, Registry, proto};
use crate::lesson::{Cell, Lesson};
use crate::official_registry;
use crate::setting::Setting;
use crate::stage::{App, PATIENCE, Stage};
use crate::variants::{Library, Variant, because, official};
use gatherlock::catalogue::{Gate, LockMemory, Problem, wait_until_parked};
use gatherlock::model::{Command, Company, Drive, Outcome, Release};
use prometheus_client::collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::ConstGauge;
use std::cell::Cell as ThreadCell;
use std::sync::{Arc, PoisonError};

thread_local! {
    /// Whether this thread's gather was started by the collector: its own call of the collector must not start another.
    static NESTED: ThreadCell<bool> = const { ThreadCell::new(false) };
}

/// Reports how many families the registry exposes.
struct FamilyCollector {
    registry: Registry,
    families: IntGauge,
    between: Arc<Gate>,
}

impl Collector for FamilyCollector {
    fn desc(&self) -> Vec<&Desc> {
        self.families.desc()
    }

    fn collect(&self) -> Vec<proto::MetricFamily> {
        if !NESTED.replace(true) {
            self.between.pass();
            // The mistake: gather() is our caller and holds the read lock of this registry.
            self.families.set(self.registry.gather().len() as i64);
            NESTED.set(false);
        }
        self.families.collect()
    }
}

/// Starts the writer when a scrape stands between its two reads, and lets the scrape go on once the writer is parked; or
/// once it is done, where registering waits for nobody.
fn queue_a_writer(
    stage: &Stage,
    between: &Arc<Gate>,
    lock: LockMemory,
    write: impl FnOnce() -> Result<(), Problem> + Send + 'static,
) -> Result<(), Problem> {
    between.close();
    let (stage, between) = (stage.clone(), between.clone());
    stage.clone().actor("referee", move || {
        between.wait_for_arrival();
        let written = Arc::new(Gate::silent("written")?);
        let done = written.clone();
        let writer = stage.actor("plugin-load", move || {
            write()?;
            done.open();
            Ok(())
        })?;
        if handlers::REGISTERING_WAITS {
            wait_until_parked(writer, &lock, PATIENCE)?;
            stage.journal().reached("writer parked on the registry's lock");
        } else {
            written.wait_until_open();
            stage.journal().reached("writer done, between the two gathers");
        }
        between.open();
        Ok(())
    })?;
    Ok(())
}

fn on_prometheus(stage: &Stage, with_writer: bool) -> Result<App, Problem> {
    let registry = Registry::new();
    let bump = handlers::canary(&registry)?;
    let between = stage.gate("between the two reads")?;
    registry.register(Box::new(FamilyCollector {
        registry: registry.clone(),
        families: IntGauge::new("exposed_families", "Families in this registry")?,
        between: between.clone(),
    }))?;
    let app = App::new(handlers::routes(stage.setting.variant, registry.clone(), stage.deadline()), bump);
    if !with_writer {
        return Ok(app);
    }
    // SAFETY: a registry is a single `Arc`, and that allocation comes from the C library.
    let lock = unsafe { LockMemory::behind(&registry) };
    let stage = stage.clone();
    Ok(app.volatile("plugin_calls_total").on(Command::Arm, move || {
        let registry = registry.clone();
        queue_a_writer(&stage, &between, lock, move || {
            let calls = IntCounter::new("plugin_calls_total", "Calls into the plugin")?;
            Ok(registry.register(Box::new(calls))?)
        })
    }))
}

/// The same collector for `prometheus-client`.
#[derive(Debug)]
struct OfficialSizeCollector {
    registry: official_registry::SharedRegistry,
    between: Arc<Gate>,
}

impl collector::Collector for OfficialSizeCollector {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), std::fmt::Error> {
        if NESTED.replace(true) {
            return Ok(());
        }
        self.between.pass();
        let mut text = String::new();
        // The mistake: the handler is our caller and holds the read lock of this registry.
        encode(&mut text, &self.registry.read().unwrap_or_else(PoisonError::into_inner))?;
        NESTED.set(false);
        let help = "Length of this page without this line";
        let length = ConstGauge::new(text.len() as i64);
        length.encode(encoder.encode_descriptor("exposed_bytes", help, None, MetricType::Gauge)?)
    }
}

fn on_official(stage: &Stage, with_writer: bool) -> Result<App, Problem> {
    let registry = official_registry::SharedRegistry::default();
    let (routes, bump) = official::routes(&registry);
    let between = stage.gate("between the two reads")?;
    let collector = OfficialSizeCollector { registry: registry.clone(), between: between.clone() };
    official_registry::write(&registry).register_collector(Box::new(collector));
    let app = App::new(routes, bump);
    if !with_writer {
        return Ok(app);
    }
    let stage = stage.clone();
    Ok(app.volatile("plugin_calls").on(Command::Arm, move || {
        let writer = registry.clone();
        queue_a_writer(&stage, &between, LockMemory::of(&*registry), move || {
            official_registry::write(&writer).register(
                "plugin_calls",
                "Calls into the plugin",
                Counter::<u64>::default(),
            );
            Ok(())
        })
    }))
}

fn play(stage: &Stage) -> Result<App, Problem> {
    play_with(stage, true)
}

/// The same application with or without the thread that registers at the wrong moment.
pub(super) fn play_with(stage: &Stage, with_writer: bool) -> Result<App, Problem> {
    match stage.setting.variant.library() {
        Library::Official => on_official(stage, with_writer),
        _ => on_prometheus(stage, with_writer),
    }
}

pub(crate) const LESSON: Lesson = Lesson {
    id: "gather-in-collect",
    family: "recursive lock",
    source: include_str!("gather_in_collect.rs"),
    origin: &["holochain/holochain#1198", "prometheus/prometheus#1432"],
    company: Company::Together,
    bound_ms: None,
    drive: Drive::Scrapes { extra: 2 },
    release: Release::Never,
    advice: &[
        "never gather, or lock for reading in any other way, what your caller may have locked: read locks do not nest",
        "count families outside of a scrape, or from the result of gather() in the handler",
    ],
    expect,
    play,
};

fn expect(setting: &Setting) -> Cell {
    match setting.variant {
        Variant::Naive => Cell::must(
            Outcome::Deadlocked,
            "the second read waits behind the queued writer, the writer waits for the first read of the same thread",
        ),
        Variant::TimeoutInline => Cell::must(Outcome::Deadlocked, because::TIMER_CANNOT_FIRE),
        Variant::Offload => Cell::must(Outcome::Deadlocked, because::NO_DEADLINE),
        Variant::TimeoutOffload => Cell::contained_leaking(1.0, because::TIMER_FIRES),
        Variant::TryLock => Cell::must(
            Outcome::Deadlocked,
            "the lock that is read twice is the registry's own, out of try_lock's reach",
        ),
        Variant::Official => {
            Cell::must(Outcome::Deadlocked, "std::sync::RwLock lets no reader pass a queued writer either")
        }
        Variant::Atomics => Cell::Skip("no registry: a nested gather has no counterpart"),
        Variant::Exporter => Cell::Skip("no collectors: nothing of the application runs while the page is rendered"),
        Variant::Guarded => Cell::cured(
            setting,
            3,
            "a gather holds no lock while it collects: the writer is not queued behind the first and the second behind nobody",
        ),
    }
}
