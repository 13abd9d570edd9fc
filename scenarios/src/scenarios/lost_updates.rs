//! Updates that take a lock with `try_lock` are dropped while a scrape holds it, and nobody is told.
//!
//! The application counts its jobs behind a lock that the collector takes, too. "Use `try_lock()` instead of `lock()` in
//! metrics updates" sounds harmless: an update never waits for a scrape. But an update that does not wait and cannot go
//! on has only one way left, and that is to be lost. The endpoint answers every time, every answer is a valid page, and
//! the numbers on it are wrong for ever: a counter does not catch up.
//!
//! It is the first of the fixes that the incident report proposes.
//!
//! Here a collector is held inside the lock while the application makes its updates. With `lock()` the first of them is
//! seen parked on that very lock before the collector goes on; with `try_lock()` all of them are made, and lost, in that
//! time. What the application recorded is then compared with what the last page says.
//!
//! ```text
//! scrape     READ registry ── collect() ── takes the tally, held inside ......... ── releases it ── 200 OK
//! worker     lock():      waits for the tally ......................... ── 1000 updates recorded
//! worker     try_lock():  1000 updates: every one of them finds it taken and is dropped
//! ```
//!
//! ## Run it
//! `cargo xtask repro 'lost-updates*'`
//!
//! ## What it prints
//! ```text
//!                         timeout-          timeout-
//!                naive    inline   offload  offload  try-lock    atomics  exporter official
//! ─────────────────────────────────────────────────────────────────────────────────────────
//! answered, but wrong
//!   lost-updates ✓ served ✓ served ✓ served ✓ served ✓ served    ✓ served ✓ served ✓ served
//!                  0 lost   0 lost   0 lost   0 lost   1000 lost   0 lost   0 lost   0 lost
//!
//!                guarded
//! ───────────────────────
//! answered, but wrong
//!   lost-updates ✓ served
//!                  0 lost
//! ```

use super::handlers;
use super::prometheus::core::{Collector, Desc};
use super::prometheus::{IntCounter, Registry, proto};
use crate::lesson::{Cell, Lesson};
use crate::locks::parking_lot::{Mutex, MutexGuard};
use crate::official_registry;
use crate::setting::Setting;
use crate::stage::{App, Stage};
use crate::variants::atomics::write_metric;
use crate::variants::{Library, Locking, Variant, atomics, exporter, official};
use gatherlock::catalogue::{Gate, LockMemory, Problem, wait_until_parked};
use gatherlock::model::{Command, Company, Drive, Outcome, Range, Release};
use prometheus_client::collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Updates that the worker makes while the collector is held inside.
const UPDATES: u64 = 1000;
/// The counter that shows them.
const NAME: &str = "gatherlock_updates_total";
const HELP: &str = "Updates that were recorded";

/// Far longer than anything that could keep the worker from the lock.
const GIVE_UP: Duration = Duration::from_secs(30);

/// What the application records, behind its lock.
type Tally = Arc<Mutex<u64>>;

/// Records one update, or drops it.
fn update(tally: &Mutex<u64>, locking: Locking) {
    match locking {
        Locking::Wait => *tally.lock() += 1,
        Locking::Try => {
            // The mistake: there is no else.
            if let Some(mut tally) = tally.try_lock() {
                *tally += 1;
            }
        }
    }
}

/// How the worker and the held collector are let go.
#[derive(Clone)]
struct Turn {
    inside: Arc<Gate>,
    /// The lock that a worker with `lock()` must be seen parked on before the collector goes on; `None` if updates wait
    /// for nothing.
    waits_for: Option<Tally>,
}

/// The worker: its updates are made while a scrape is inside, if a scrape can be held there.
fn drive(
    app: App,
    stage: &Stage,
    turn: Option<Turn>,
    update: impl Fn() + Clone + Send + 'static,
) -> Result<App, Problem> {
    let made = Arc::new(AtomicU64::new(0));
    let finished = Arc::new(Gate::silent("all updates made")?);
    let (stage, made_in_all, inside) = (stage.clone(), made.clone(), turn.clone().map(|turn| turn.inside));
    let done = finished.clone();
    let app = app.on(Command::Arm, move || {
        if let Some(turn) = &turn {
            turn.inside.close();
        }
        let (turn_of_worker, update, made, done) = (turn.clone(), update.clone(), made.clone(), done.clone());
        let worker = stage.actor("worker", move || {
            if let Some(turn) = &turn_of_worker {
                turn.inside.wait_for_arrival();
            }
            for _ in 0..UPDATES {
                made.fetch_add(1, Ordering::Relaxed);
                update();
            }
            if let Some(Turn { inside, waits_for: None }) = &turn_of_worker {
                inside.open();
            }
            done.open();
            Ok(())
        })?;
        if let Some(Turn { inside, waits_for: Some(tally) }) = turn.clone() {
            stage.actor("arbiter", move || {
                inside.wait_for_arrival();
                wait_until_parked(worker, &LockMemory::of(&*tally), GIVE_UP)?;
                inside.open();
                Ok(())
            })?;
        }
        Ok(())
    });
    let app = app.on(Command::Release, move || {
        // Without effect unless the story went wrong: it is opened long before.
        if let Some(inside) = &inside {
            inside.open();
        }
        finished.wait_until_open();
        Ok(())
    });
    Ok(app.count("updates_made", move || made_in_all.load(Ordering::Relaxed)))
}

/// Exposes the tally.
struct TallyCollector {
    tally: Tally,
    locking: Locking,
    counter: IntCounter,
    inside: Arc<Gate>,
}

impl Collector for TallyCollector {
    fn desc(&self) -> Vec<&Desc> {
        self.counter.desc()
    }

    fn collect(&self) -> Vec<proto::MetricFamily> {
        let held: MutexGuard<'_, u64> = match self.locking {
            Locking::Wait => self.tally.lock(),
            Locking::Try => match self.tally.try_lock() {
                Some(held) => held,
                None => return Vec::new(),
            },
        };
        self.inside.pass();
        self.counter.reset();
        self.counter.inc_by(*held);
        self.counter.collect()
    }
}

fn on_prometheus(stage: &Stage) -> Result<App, Problem> {
    let registry = Registry::new();
    let bump = handlers::canary(&registry)?;
    let (tally, inside) = (Tally::default(), stage.gate("collect() holds the tally")?);
    let locking = stage.setting.variant.locking();
    registry.register(Box::new(TallyCollector {
        tally: tally.clone(),
        locking,
        counter: IntCounter::new(NAME, HELP)?,
        inside: inside.clone(),
    }))?;
    let waits_for = match locking {
        Locking::Wait => Some(tally.clone()),
        Locking::Try => None,
    };
    let app = App::new(handlers::routes(stage.setting.variant, registry, stage.deadline()), bump);
    drive(app, stage, Some(Turn { inside, waits_for }), move || update(&tally, locking))
}

/// The same collector for `prometheus-client`.
#[derive(Debug)]
struct OfficialTallyCollector {
    tally: Tally,
    inside: Arc<Gate>,
}

impl collector::Collector for OfficialTallyCollector {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), std::fmt::Error> {
        let held = self.tally.lock();
        self.inside.pass();
        let counter = ConstCounter::new(*held);
        // The encoder appends `_total`.
        counter.encode(encoder.encode_descriptor("gatherlock_updates", HELP, None, MetricType::Counter)?)
    }
}

fn on_official(stage: &Stage) -> Result<App, Problem> {
    let registry = official_registry::SharedRegistry::default();
    let (routes, bump) = official::routes(&registry);
    let (tally, inside) = (Tally::default(), stage.gate("encode() holds the tally")?);
    let collector = OfficialTallyCollector { tally: tally.clone(), inside: inside.clone() };
    official_registry::write(&registry).register_collector(Box::new(collector));
    let turn = Turn { inside, waits_for: Some(tally.clone()) };
    drive(App::new(routes, bump), stage, Some(turn), move || update(&tally, Locking::Wait))
}

/// Nothing of the application runs inside `render()`, so it cannot be held there: the worker runs from before the scrape.
fn on_exporter(stage: &Stage) -> Result<App, Problem> {
    let (routes, bump) = exporter::routes()?;
    metrics::counter!(NAME).absolute(0);
    drive(App::new(routes, bump), stage, None, || metrics::counter!(NAME).increment(1))
}

fn on_atomics(stage: &Stage) -> Result<App, Problem> {
    let (tally, inside) = (Arc::new(AtomicU64::new(0)), stage.gate("page held half written")?);
    let (read, held) = (tally.clone(), inside.clone());
    let (routes, bump) = atomics::routes(move |text| {
        held.pass();
        write_metric(text, NAME, "counter", HELP, read.load(Ordering::Relaxed));
    });
    drive(App::new(routes, bump), stage, Some(Turn { inside, waits_for: None }), move || {
        tally.fetch_add(1, Ordering::Relaxed);
    })
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
    id: "lost-updates",
    family: "answered, but wrong",
    source: include_str!("lost_updates.rs"),
    origin: &["fix 1 of the incident report"],
    company: Company::Together,
    bound_ms: None,
    drive: Drive::Scrapes { extra: 0 },
    release: Release::AtEnd,
    advice: &[
        "record with atomics, or wait for the lock: an update that gives up is a wrong number for ever",
        "if an update may be dropped, count the dropped ones and expose that count, too",
    ],
    expect,
    play,
};

fn expect(setting: &Setting) -> Cell {
    let losing =
        |range, because| Cell::must(Outcome::Served, because).limited(|limits| limits.lost_updates = Some(range));
    match setting.variant {
        Variant::TryLock => losing(
            Range::at_least(1.0),
            "the collector is inside the lock while the updates are made: try_lock fails and the update has nowhere to go",
        ),
        Variant::Exporter => {
            losing(Range::exactly(0.0), "an update is one atomic addition; rendering reads it and drops nothing")
        }
        Variant::Atomics => losing(Range::exactly(0.0), "an update is one atomic addition and waits for nothing"),
        _ => losing(
            Range::exactly(0.0),
            "an update waits until the collector has left the lock; the collector waits for no update, so both get through",
        ),
    }
}
