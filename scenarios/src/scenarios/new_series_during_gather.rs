//! New label sets are created in a vector while that vector is being gathered: the report's suspicion in its strongest form.
//!
//! A control. Creating a series takes the write lock of the vector's children, and `gather()` holds their read lock while
//! it copies them, so this is a place where an update and a scrape really wait for one another. But only one way: the
//! scrape holds what the update wants, and wants nothing that the update holds. When it has copied the vector, the update
//! goes on.
//!
//! That is shown in the worst case. A scrape is stopped inside `metric()` of one child, with the children locked for
//! reading; a thread asks for a label set that does not exist and is seen parked on that very vector; then the scrape goes
//! on, and it is stopped a second time, still inside the gather, until the new series has been created and updated. Only
//! then may it end.
//!
//! ```text
//! scrape       READ registry ── READ children, held in metric() ....... leaves the vector, held ............. 200 OK
//! label-maker       with_label_values("new"): waits for WRITE children ──────────> granted ── inc() ──┘
//! ```
//!
//! ## Run it
//! `cargo xtask repro 'new-series-during-gather*'`
//!
//! ## What it prints
//! ```text
//!                                     timeout-          timeout-
//!                            naive    inline   offload  offload  try-lock atomics exporter official
//! ─────────────────────────────────────────────────────────────────────────────────────────────────
//! update during gather
//!   new-series-during-gather ✓ served ✓ served ✓ served ✓ served ✓ served –       ✓ served ✓ served
//!
//!                            guarded
//! ───────────────────────────────────
//! update during gather
//!   new-series-during-gather ✓ served
//! ```

use super::handlers;
use super::prometheus::core::{Collector, Desc, Metric, MetricVec, MetricVecBuilder};
use super::prometheus::{IntCounter, Opts, Registry, proto};
use crate::lesson::{Cell, Lesson};
use crate::official_registry;
use crate::setting::Setting;
use crate::stage::{App, PATIENCE, Stage};
use crate::variants::{Library, Variant, exporter, official};
use gatherlock::catalogue::{Gate, LockMemory, Problem, wait_until_parked};
use gatherlock::model::{Command, Company, Drive, Outcome, Release};
use prometheus_client::collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, MetricEncoder};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::metrics::{MetricType, TypedMetric};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

/// Where the scrape is stopped.
#[derive(Clone, Debug)]
struct Stops {
    /// Inside the vector, its children locked for reading.
    inside: Arc<Gate>,
    /// Behind the vector, still inside the gather.
    behind: Arc<Gate>,
}

impl Stops {
    fn new(stage: &Stage) -> Result<Stops, Problem> {
        Ok(Stops { inside: stage.gate("gather inside the vector")?, behind: stage.gate("gather behind the vector")? })
    }
}

/// Lets `make` create a series while the scrape stands inside the vector, and the scrape go on when `make` is parked on
/// the vector's lock; and end when `make` is done.
fn drive(app: App, stage: &Stage, stops: Stops, children: LockMemory, make: impl Fn() + Clone + Send + 'static) -> App {
    let stage = stage.clone();
    app.on(Command::Arm, move || {
        stops.inside.close();
        stops.behind.close();
        let (stage, stops, make) = (stage.clone(), stops.clone(), make.clone());
        stage.clone().actor("referee", move || {
            stops.inside.wait_for_arrival();
            let behind = stops.behind.clone();
            let maker_stage = stage.clone();
            let maker = stage.actor("label-maker", move || {
                make();
                behind.wait_for_arrival();
                maker_stage.journal().reached("new series made and updated");
                behind.open();
                Ok(())
            })?;
            wait_until_parked(maker, &children, PATIENCE)?;
            stage.journal().reached("new series parked on the children's lock");
            stops.inside.open();
            Ok(())
        })?;
        Ok(())
    })
}

/// A counter like `IntCounter`, at whose collection a scrape can be stopped.
#[derive(Clone)]
struct HeldCounter {
    counter: IntCounter,
    inside: Arc<Gate>,
}

impl Metric for HeldCounter {
    fn metric(&self) -> proto::Metric {
        self.inside.pass();
        self.counter.metric()
    }
}

/// Makes the children of the vector.
#[derive(Clone)]
struct HeldCounters {
    inside: Arc<Gate>,
}

impl MetricVecBuilder for HeldCounters {
    type M = HeldCounter;
    type P = Opts;

    fn build<V: AsRef<str>>(&self, opts: &Opts, values: &[V]) -> super::prometheus::Result<HeldCounter> {
        let mut child = Opts::new(opts.name.clone(), opts.help.clone());
        for (label, value) in opts.variable_labels.iter().zip(values) {
            child = child.const_label(label, value.as_ref());
        }
        Ok(HeldCounter { counter: IntCounter::with_opts(child)?, inside: self.inside.clone() })
    }
}

/// The vector as it is registered: the scrape can be stopped once more when it has left the children.
struct HeldVector {
    vector: MetricVec<HeldCounters>,
    behind: Arc<Gate>,
}

impl Collector for HeldVector {
    fn desc(&self) -> Vec<&Desc> {
        self.vector.desc()
    }

    fn collect(&self) -> Vec<proto::MetricFamily> {
        let families = self.vector.collect();
        self.behind.pass();
        families
    }
}

fn on_prometheus(stage: &Stage) -> Result<App, Problem> {
    let registry = Registry::new();
    let bump = handlers::canary(&registry)?;
    let stops = Stops::new(stage)?;
    let opts = Opts::new("responses_total", "Responses").variable_label("code");
    let vector = MetricVec::create(proto::MetricType::COUNTER, HeldCounters { inside: stops.inside.clone() }, opts)?;
    vector.with_label_values(&["200"]).counter.inc();
    registry.register(Box::new(HeldVector { vector: vector.clone(), behind: stops.behind.clone() }))?;
    let app = App::new(handlers::routes(stage.setting.variant, registry, stage.deadline()), bump);
    // SAFETY: a vector is a single `Arc`, and that allocation comes from the C library.
    let children = unsafe { LockMemory::behind(&vector) };
    Ok(drive(app, stage, stops, children, move || vector.with_label_values(&["503"]).counter.inc()))
}

/// Where a scrape is stopped inside a `Family`: its children are made without arguments.
static INSIDE: OnceLock<Arc<Gate>> = OnceLock::new();

/// The same counter for `prometheus-client`.
#[derive(Clone, Debug, Default)]
struct OfficialHeldCounter(Counter);

impl EncodeMetric for OfficialHeldCounter {
    fn encode(&self, encoder: MetricEncoder) -> Result<(), std::fmt::Error> {
        if let Some(inside) = INSIDE.get() {
            inside.pass();
        }
        self.0.encode(encoder)
    }

    fn metric_type(&self) -> MetricType {
        self.0.metric_type()
    }
}

impl TypedMetric for OfficialHeldCounter {
    const TYPE: MetricType = MetricType::Counter;
}

/// A collector behind the family: `encode` visits collectors after metrics.
#[derive(Debug)]
struct OfficialBehind(Arc<Gate>);

impl collector::Collector for OfficialBehind {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), std::fmt::Error> {
        self.0.pass();
        ConstGauge::new(1i64).encode(encoder.encode_descriptor("build_info", "Build", None, MetricType::Gauge)?)
    }
}

type Labels = Vec<(&'static str, &'static str)>;

fn on_official(stage: &Stage) -> Result<App, Problem> {
    let registry = official_registry::SharedRegistry::default();
    let (routes, bump) = official::routes(&registry);
    let stops = Stops::new(stage)?;
    INSIDE.set(stops.inside.clone()).map_err(|_| "a trial has one application")?;
    // A function item has no size, so the family is a single pointer and its lock can be found.
    let family = Family::new_with_constructor(OfficialHeldCounter::default);
    let ok: Labels = vec![("code", "200")];
    family.get_or_create(&ok).0.inc();
    let mut writable = official_registry::write(&registry);
    writable.register("responses", "Responses", family.clone());
    writable.register_collector(Box::new(OfficialBehind(stops.behind.clone())));
    drop(writable);
    // SAFETY: the family is a single `Arc`, and that allocation comes from the C library.
    let children = unsafe { LockMemory::behind(&family) };
    Ok(drive(App::new(routes, bump), stage, stops, children, move || {
        family.get_or_create(&vec![("code", "503")]).0.inc();
    }))
}

/// Nothing of the application runs inside `render()`, so it cannot be stopped there: series are created from before the
/// scrape until after the answer.
fn on_exporter(stage: &Stage) -> Result<App, Problem> {
    let (routes, bump) = exporter::routes()?;
    metrics::counter!("responses_total", "code" => "200").increment(1);
    let stopped = Arc::new(AtomicBool::new(false));
    let (stage, stop) = (stage.clone(), stopped.clone());
    Ok(App::new(routes, bump)
        .on(Command::Arm, move || {
            let stopped = stopped.clone();
            stage.actor("label-maker", move || {
                let mut codes = (1000..5000).cycle();
                while !stopped.load(Ordering::Relaxed) {
                    let code = codes.next().unwrap_or_default().to_string();
                    metrics::counter!("responses_total", "code" => code).increment(1);
                }
                Ok(())
            })?;
            Ok(())
        })
        .on(Command::Release, move || {
            stop.store(true, Ordering::Relaxed);
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
    id: "new-series-during-gather",
    family: "update during gather",
    source: include_str!("new_series_during_gather.rs"),
    origin: &["the incident report"],
    company: Company::Together,
    bound_ms: None,
    drive: Drive::Scrapes { extra: 0 },
    release: Release::AfterBound,
    advice: &[],
    expect,
    play,
};

fn expect(setting: &Setting) -> Cell {
    match setting.variant {
        Variant::Exporter => Cell::must(
            Outcome::Served,
            "a new series takes the write lock of one shard for an insertion; render() copies under read locks and waits for nothing \
             else (the overlap is by load: nothing can hold render() inside)",
        ),
        Variant::Official => Cell::must(
            Outcome::Served,
            "encode() holds the family's read lock and wants nothing that the creating thread holds",
        ),
        Variant::Atomics => Cell::Skip("no label sets: a series that is not written into the text does not exist"),
        _ => Cell::must(
            Outcome::Served,
            "the scrape holds the children's read lock and wants nothing that the creating thread holds: it waits one way only",
        ),
    }
}
