//! Sixteen threads register and unregister metrics without pause while the registry is scraped: a flood of writers.
//!
//! A control. With a lock that prefers whoever comes first to the CPU, a flood of writers can keep a reader out for as
//! long as it lasts; kube-state-metrics, whose store is filled by many watchers, timed out its scrapes when pods came and
//! went by the hundred. `parking_lot`'s locks hand themselves over to the thread that has waited longest every so often,
//! so the scrape gets its turn between two writers, and the writers get theirs after the scrape.
//!
//! The writers are running before the scrape is sent. Once it is inside, it is held there until all sixteen are seen
//! parked on the registry's lock; so the scrape ends with the longest possible queue of writers behind it. (With `guarded`
//! nobody parks: there it is held until all sixteen have been round once more beside it.) The registry keeps its size: what
//! a writer registers it unregisters.
//!
//! That it comes out `served` says that this flood does not explain a hang. It is no promise about latency.
//!
//! ```text
//! writer 1-16   WRITE registry, register ── WRITE registry, unregister ── and again ── all parked ── and on
//! scrape        waits its turn ── READ registry ── collect() held until all 16 are parked ── goes on ── 200 OK
//! ```
//!
//! ## Run it
//! `cargo xtask repro 'register-storm*'`
//!
//! ## What it prints
//! ```text
//!                           timeout-          timeout-
//!                  naive    inline   offload  offload  try-lock atomics exporter official
//! ───────────────────────────────────────────────────────────────────────────────────────
//! contention
//!   register-storm ✓ served ✓ served ✓ served ✓ served ✓ served –       ✓ served ✓ served
//!
//!                  guarded
//! ─────────────────────────
//! contention
//!   register-storm ✓ served
//! ```

use super::handlers;
use super::prometheus::core::{Collector, Desc};
use super::prometheus::{IntCounter, IntGauge, Registry, proto};
use crate::lesson::{Cell, Lesson};
use crate::official_registry;
use crate::setting::Setting;
use crate::stage::{App, Stage};
use crate::variants::{Library, Variant, exporter, official};
use gatherlock::catalogue::{Gate, LockMemory, Problem, wait_until_parked};
use gatherlock::model::{Command, Company, Drive, Outcome, Release};
use prometheus_client::encoding::{EncodeMetric, MetricEncoder};
use prometheus_client::metrics::family::{Family, MetricConstructor};
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::{MetricType, TypedMetric};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, mpsc};
use std::time::{Duration, Instant};

/// Threads that register and unregister.
const WRITERS: usize = 16;

/// Far longer than anything that could keep a writer from the lock that the scrape holds.
const GIVE_UP: Duration = Duration::from_secs(30);

/// What a writer does over and over: its number is its own.
type Round = Arc<dyn Fn(usize) -> Result<(), Problem> + Send + Sync>;

/// When a scrape that is held inside may go on.
#[derive(Clone, Copy)]
enum Until {
    /// All writers are parked on this lock, behind the scrape.
    Parked(LockMemory),
    /// All writers have been round once more, beside the scrape.
    Around,
}

/// Runs the writers from `arm` to `release`. A scrape is held at the gate of `inside`, if there is one.
fn drive(app: App, stage: &Stage, round: Round, inside: Option<(Arc<Gate>, Until)>) -> App {
    let stopped = Arc::new(AtomicBool::new(false));
    let rounds: Arc<[AtomicU64; WRITERS]> = Arc::default();
    let (stage, stop) = (stage.clone(), stopped.clone());
    let held = inside.clone().map(|(held, _)| held);
    let armed = app.on(Command::Arm, move || {
        if let Some((held, _)) = &inside {
            held.close();
        }
        let (tell, running) = mpsc::channel();
        let mut writers = Vec::new();
        for writer in 1..=WRITERS {
            let (tell, round, stopped, rounds) = (tell.clone(), round.clone(), stopped.clone(), rounds.clone());
            writers.push(stage.actor(&format!("writer-{writer}"), move || {
                round(writer)?;
                tell.send(())?;
                while !stopped.load(Ordering::Relaxed) {
                    round(writer)?;
                    rounds[writer - 1].fetch_add(1, Ordering::SeqCst);
                }
                Ok(())
            })?);
        }
        // Each has been round once, so the judged scrape meets all of them.
        for _ in &writers {
            running.recv()?;
        }
        if let Some((held, until)) = inside.clone() {
            let (journal, rounds) = (stage.journal().clone(), rounds.clone());
            stage.actor("arbiter", move || {
                held.wait_for_arrival();
                match until {
                    Until::Parked(lock) => {
                        for writer in writers {
                            wait_until_parked(writer, &lock, GIVE_UP)?;
                        }
                        journal.reached("all writers are parked behind the scrape");
                    }
                    Until::Around => {
                        wait_until_around(&rounds)?;
                        journal.reached("all writers have been round beside the scrape");
                    }
                }
                held.open();
                Ok(())
            })?;
        }
        Ok(())
    });
    armed.on(Command::Release, move || {
        stop.store(true, Ordering::Relaxed);
        if let Some(held) = &held {
            held.open();
        }
        Ok(())
    })
}

/// Waits until every writer has made a whole round from now on: the second that it completes began after the first.
fn wait_until_around(rounds: &[AtomicU64; WRITERS]) -> Result<(), Problem> {
    let before = rounds.each_ref().map(|made| made.load(Ordering::SeqCst));
    let started = Instant::now();
    while rounds.iter().zip(before).any(|(made, before)| made.load(Ordering::SeqCst) < before + 2) {
        if started.elapsed() > GIVE_UP {
            return Err("a writer did not get round while the scrape was inside".into());
        }
        // What is waited for is the count just read; yielding only spares the CPU.
        std::thread::yield_now();
    }
    Ok(())
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

fn volatile(app: App, suffix: &str) -> App {
    (1..=WRITERS).fold(app, |app, writer| app.volatile(&format!("session_{writer}_requests{suffix}")))
}

fn on_prometheus(stage: &Stage) -> Result<App, Problem> {
    let registry = Registry::new();
    let bump = handlers::canary(&registry)?;
    let held = stage.gate("gather held inside a collector")?;
    registry.register(Box::new(BuildInfo { info: IntGauge::new("build_info", "Build")?, held: held.clone() }))?;
    // SAFETY: a registry is a single `Arc`, and that allocation comes from the C library; this handle keeps it alive, as it
    // moves into `round` and from there into the application.
    let lock = unsafe { LockMemory::behind(&registry) };
    let app = App::new(handlers::routes(stage.setting.variant, registry.clone(), stage.deadline()), bump);
    let round: Round = Arc::new(move |writer| {
        let requests = IntCounter::new(format!("session_{writer}_requests_total"), "Requests of a session")?;
        registry.register(Box::new(requests.clone()))?;
        registry.unregister(Box::new(requests))?;
        Ok(())
    });
    let until = if handlers::REGISTERING_WAITS { Until::Parked(lock) } else { Until::Around };
    Ok(drive(volatile(app, "_total"), stage, round, Some((held, until))))
}

/// Where encoding a family is held. It is no field, so that the family is a single pointer and its lock can be found.
static ENCODING: OnceLock<Arc<Gate>> = OnceLock::new();

/// A gauge of a session; encoding it can be held.
#[derive(Debug, Default)]
struct SessionGauge(Gauge<i64>);

impl TypedMetric for SessionGauge {
    const TYPE: MetricType = MetricType::Gauge;
}

impl EncodeMetric for SessionGauge {
    fn encode(&self, encoder: MetricEncoder) -> Result<(), std::fmt::Error> {
        if let Some(held) = ENCODING.get() {
            held.pass();
        }
        self.0.encode(encoder)
    }
    fn metric_type(&self) -> MetricType {
        Self::TYPE
    }
}

#[derive(Clone)]
struct NewSession;

impl MetricConstructor<SessionGauge> for NewSession {
    fn new_metric(&self) -> SessionGauge {
        SessionGauge::default()
    }
}

/// `prometheus-client` cannot unregister. What comes and goes there is a label set of a family, behind the family's lock.
fn on_official(stage: &Stage) -> Result<App, Problem> {
    type Labels = [(&'static str, usize); 1];
    let registry = official_registry::SharedRegistry::default();
    let (routes, bump) = official::routes(&registry);
    let held = stage.gate("encode held inside the family")?;
    ENCODING.set(held.clone()).map_err(|_| "the gate is set already")?;
    let sessions = Family::<Labels, SessionGauge, NewSession>::new_with_constructor(NewSession);
    // One session stays, so that there is something to encode, whoever comes or goes.
    drop(sessions.get_or_create(&[("session", 0)]));
    official_registry::write(&registry).register("sessions", "Requests of a session", sessions.clone());
    // SAFETY: a family whose constructor is empty is a single `Arc`, and that allocation comes from the C library; it lives
    // on in the registry.
    let lock = unsafe { LockMemory::behind(&sessions) };
    let round: Round = Arc::new(move |writer| {
        let labels = [("session", writer)];
        drop(sessions.get_or_create(&labels));
        sessions.remove(&labels);
        Ok(())
    });
    Ok(drive(App::new(routes, bump), stage, round, Some((held, Until::Parked(lock)))))
}

/// The `metrics` facade has no way to unregister either, and registering what is there already keeps the size. It takes
/// the locks that rendering takes, too: that of the descriptions and the shards of the registry.
fn on_exporter(stage: &Stage) -> Result<App, Problem> {
    let (routes, bump) = exporter::routes()?;
    let round: Round = Arc::new(|writer| {
        let name = format!("session_{writer}_requests_total");
        metrics::describe_counter!(name.clone(), "Requests of a session");
        metrics::counter!(name).increment(1);
        Ok(())
    });
    Ok(drive(volatile(App::new(routes, bump), "_total"), stage, round, None))
}

fn play(stage: &Stage) -> Result<App, Problem> {
    match stage.setting.variant.library() {
        Library::Official => on_official(stage),
        Library::Exporter => on_exporter(stage),
        _ => on_prometheus(stage),
    }
}

pub(crate) const LESSON: Lesson = Lesson {
    id: "register-storm",
    family: "contention",
    source: include_str!("register_storm.rs"),
    origin: &["kubernetes/kube-state-metrics#995"],
    company: Company::Alone,
    // Generous, because the claim is that nobody gets stuck, not how soon it is over; it costs nothing, the trial ends with
    // the answer.
    bound_ms: Some(2000),
    drive: Drive::Scrapes { extra: 0 },
    release: Release::AfterBound,
    advice: &[],
    expect,
    play,
};

fn expect(setting: &Setting) -> Cell {
    match setting.variant {
        Variant::Atomics => Cell::Skip("no registry: registering has no counterpart"),
        Variant::Exporter => Cell::must(
            Outcome::Served,
            "registering holds the description table and one shard for a moment; rendering takes each of them once and waits \
             behind whoever is inside, not for the flood to end",
        ),
        Variant::Official => Cell::must(
            Outcome::Served,
            "the family's lock is parking_lot's, which is fair every so often: encode() gets in between two writers",
        ),
        Variant::Guarded => Cell::must(
            Outcome::Served,
            "the registry's lock is held to copy the list of collectors out and never while one runs, so writers go on while a \
             scrape is inside; sixteen of them keep it for microseconds each",
        ),
        _ => Cell::must(
            Outcome::Served,
            "the registry's lock is parking_lot's, which is fair every so often: gather() gets in between two writers, each \
             of which holds the lock for microseconds",
        ),
    }
}
