//! Counters, gauges and histograms are updated while they are gathered: what the incident report suspected first.
//!
//! A control. An update of a counter or a gauge is one atomic operation, an `observe()` touches three atomics, and a
//! lookup of an existing label set takes a read lock for a moment; `gather()` takes read locks and copies. No order of
//! these can wait for one another. So two threads update everything there is, as fast as they can, while a gather is held
//! in the middle of the registry: it goes on only after both have completed ten thousand rounds in that time.
//!
//! That it comes out `served` says that plain updates against `gather()` do not explain the incident. It says so for the
//! schedules that ran here; the model checks say more.
//!
//! ```text
//! scrape      READ registry ── collect() of `build_info` held ......... ── goes on ── 200 OK
//! updater-1       inc, set, observe, with_label_values().inc() x 10 000 ── and on until the answer
//! updater-2       inc, set, observe, with_label_values().inc() x 10 000 ── and on until the answer
//! ```
//!
//! ## Run it
//! `cargo xtask repro 'inc-during-gather*'`
//!
//! ## What it prints
//! ```text
//!                              timeout-          timeout-
//!                     naive    inline   offload  offload  try-lock atomics  exporter official
//! ───────────────────────────────────────────────────────────────────────────────────────────
//! update during gather
//!   inc-during-gather ✓ served ✓ served ✓ served ✓ served ✓ served ✓ served ✓ served ✓ served
//!
//!                       guarded
//! ──────────────────────────────
//! update during gather
//!   inc-during-gather   ✓ served
//!   inc-during-gather   ✓ served
//!     prometheus=0.13.4
//! ```

use super::handlers;
use super::prometheus::core::{Collector, Desc};
use super::prometheus::{Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, Opts, Registry, proto};
use crate::lesson::{Cell, Lesson};
use crate::official_registry;
use crate::setting::Setting;
use crate::stage::{App, Stage};
use crate::variants::atomics::write_metric;
use crate::variants::{Library, Variant, atomics, exporter, official};
use gatherlock::catalogue::{Gate, Problem};
use gatherlock::model::{Command, Company, Drive, Outcome, Release};
use prometheus_client::collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::metrics::histogram;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Updates that each updater completes while the gather is held.
const ROUNDS: u64 = 10_000;

/// The application's load: two threads that repeat `update` from `arm` to `release`.
fn drive(app: App, stage: &Stage, held: Option<Arc<Gate>>, update: impl Fn() + Clone + Send + 'static) -> App {
    let stopped = Arc::new(AtomicBool::new(false));
    let (stage, stop) = (stage.clone(), stopped.clone());
    app.on(Command::Arm, move || {
        if let Some(held) = &held {
            held.close();
        }
        let behind = Arc::new(AtomicU64::new(2));
        for name in ["updater-1", "updater-2"] {
            let (held, behind, stopped, update) = (held.clone(), behind.clone(), stopped.clone(), update.clone());
            stage.actor(name, move || {
                if let Some(held) = held {
                    held.wait_for_arrival();
                    (0..ROUNDS).for_each(|_| update());
                    if behind.fetch_sub(1, Ordering::SeqCst) == 1 {
                        held.open();
                    }
                }
                while !stopped.load(Ordering::Relaxed) {
                    update();
                }
                Ok(())
            })?;
        }
        Ok(())
    })
    .on(Command::Release, move || {
        stop.store(true, Ordering::Relaxed);
        Ok(())
    })
}

/// A collector like any other, at which the gather can be held.
struct BuildInfo {
    info: IntGauge,
    held: Arc<Gate>,
}

impl Collector for BuildInfo {
    fn desc(&self) -> Vec<&Desc> {
        self.info.desc()
    }
    fn collect(&self) -> Vec<proto::MetricFamily> {
        self.held.pass();
        self.info.collect()
    }
}

fn on_prometheus(stage: &Stage) -> Result<App, Problem> {
    let registry = Registry::new();
    let bump = handlers::canary(&registry)?;
    let requests = IntCounter::new("requests_total", "Requests")?;
    let in_flight = IntGauge::new("in_flight", "Requests in flight")?;
    let seconds = Histogram::with_opts(HistogramOpts::new("request_seconds", "Duration of requests"))?;
    let by_code = IntCounterVec::new(Opts::new("responses_total", "Responses"), &["code"])?;
    by_code.with_label_values(&["200"]);
    let held = stage.gate("gather held inside a collector")?;
    registry.register(Box::new(requests.clone()))?;
    registry.register(Box::new(in_flight.clone()))?;
    registry.register(Box::new(seconds.clone()))?;
    registry.register(Box::new(by_code.clone()))?;
    registry.register(Box::new(BuildInfo { info: IntGauge::new("build_info", "Build")?, held: held.clone() }))?;
    let app = App::new(handlers::routes(stage.setting.variant, registry, stage.deadline()), bump);
    Ok(drive(app, stage, Some(held), move || {
        in_flight.inc();
        requests.inc();
        seconds.observe(0.25);
        by_code.with_label_values(&["200"]).inc();
        in_flight.dec();
    }))
}

/// The same collector for `prometheus-client`.
#[derive(Debug)]
struct OfficialBuildInfo {
    held: Arc<Gate>,
}

impl collector::Collector for OfficialBuildInfo {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), std::fmt::Error> {
        self.held.pass();
        ConstGauge::new(0i64).encode(encoder.encode_descriptor("build_info", "Build", None, MetricType::Gauge)?)
    }
}

fn on_official(stage: &Stage) -> Result<App, Problem> {
    type Labels = Vec<(&'static str, &'static str)>;
    let registry = official_registry::SharedRegistry::default();
    let (routes, bump) = official::routes(&registry);
    let (requests, in_flight) = (Counter::<u64>::default(), Gauge::<i64>::default());
    let seconds = histogram::Histogram::new([0.1, 0.5, 1.0]);
    let by_code = Family::<Labels, Counter>::default();
    let ok: Labels = vec![("code", "200")];
    drop(by_code.get_or_create(&ok));
    let held = stage.gate("encode held inside a collector")?;
    let mut writable = official_registry::write(&registry);
    writable.register("requests", "Requests", requests.clone());
    writable.register("in_flight", "Requests in flight", in_flight.clone());
    writable.register("request_seconds", "Duration of requests", seconds.clone());
    writable.register("responses", "Responses", by_code.clone());
    writable.register_collector(Box::new(OfficialBuildInfo { held: held.clone() }));
    drop(writable);
    Ok(drive(App::new(routes, bump), stage, Some(held), move || {
        in_flight.inc();
        requests.inc();
        seconds.observe(0.25);
        by_code.get_or_create(&ok).inc();
        in_flight.dec();
    }))
}

/// Nothing of the application runs inside `render()`, so it cannot be held there: the updaters run from before the scrape
/// until after the answer.
fn on_exporter(stage: &Stage) -> Result<App, Problem> {
    let (routes, bump) = exporter::routes()?;
    metrics::describe_counter!("requests_total", "Requests");
    metrics::describe_gauge!("in_flight", "Requests in flight");
    metrics::describe_histogram!("request_seconds", "Duration of requests");
    metrics::describe_counter!("responses_total", "Responses");
    let update = || {
        metrics::gauge!("in_flight").increment(1.0);
        metrics::counter!("requests_total").increment(1);
        metrics::histogram!("request_seconds").record(0.25);
        metrics::counter!("responses_total", "code" => "200").increment(1);
        metrics::gauge!("in_flight").decrement(1.0);
    };
    update();
    Ok(drive(App::new(routes, bump), stage, None, update))
}

fn on_atomics(stage: &Stage) -> Result<App, Problem> {
    #[derive(Default)]
    struct Values {
        requests: AtomicU64,
        in_flight: AtomicU64,
        seconds_sum_ms: AtomicU64,
        seconds_count: AtomicU64,
    }
    let values = Arc::new(Values::default());
    let held = stage.gate("page held half written")?;
    let (read, inside) = (values.clone(), held.clone());
    let (routes, bump) = atomics::routes(move |text| {
        write_metric(text, "requests_total", "counter", "Requests", read.requests.load(Ordering::Relaxed));
        write_metric(text, "in_flight", "gauge", "Requests in flight", read.in_flight.load(Ordering::Relaxed));
        inside.pass();
        let (sum, count) = (&read.seconds_sum_ms, &read.seconds_count);
        let seconds = sum.load(Ordering::Relaxed) as f64 / 1e3;
        write_metric(text, "request_seconds_total", "counter", "Duration of requests", seconds);
        write_metric(text, "responses_total", "counter", "Responses", count.load(Ordering::Relaxed));
    });
    Ok(drive(App::new(routes, bump), stage, Some(held), move || {
        values.in_flight.fetch_add(1, Ordering::Relaxed);
        values.requests.fetch_add(1, Ordering::Relaxed);
        values.seconds_sum_ms.fetch_add(250, Ordering::Relaxed);
        values.seconds_count.fetch_add(1, Ordering::Relaxed);
        values.in_flight.fetch_sub(1, Ordering::Relaxed);
    }))
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
    id: "inc-during-gather",
    family: "update during gather",
    source: include_str!("inc_during_gather.rs"),
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
            "updates are atomics behind a sharded map whose locks are held for a lookup only; render() copies and never waits \
             for an update (the overlap is by load: nothing can hold render() inside)",
        ),
        Variant::Atomics => Cell::must(Outcome::Served, "loads and stores of atomics wait for nothing"),
        Variant::Official => Cell::must(
            Outcome::Served,
            "updates take no lock of the registry, and those of a histogram or a family for the update alone",
        ),
        _ => Cell::must(Outcome::Served, "updates are atomic operations; none holds anything that gather() waits for"),
    }
}
