//! A collector takes an application lock whose holder registers a metric: two locks, taken in opposite order.
//!
//! The scrape takes the registry's read lock and, inside `collect()`, the lock of the session table. A thread that opens
//! a session takes the session table's lock first and registers a gauge for the session while it holds it, which wants
//! the registry's write lock. Each holds what the other waits for.
//!
//! Either path is correct alone, and a test of either passes. They have to meet, which takes a scrape that arrives in the
//! few microseconds in which a session is opened: rare in a test, certain in a month.
//!
//! Neon's safekeeper stopped answering `/metrics` this way: a collector waited for the mutex of a timeline, whose holder
//! was initialising a lazily registered histogram. The fix gave the collector a registry of its own.
//!
//! ```text
//! scrape        READ registry ── collect() ───────────────────> waits for the session table
//! session-open            takes the session table ── register() ──> waits for WRITE registry
//! scrape 2      waits for READ registry, behind the writer
//! ```
//!
//! One case has the session table in a `parking_lot::Mutex`, one in a `std::sync::Mutex`: a detector that watches only
//! one of the two kinds of lock sees half of the cycle of the other.
//!
//! ## Run it
//! `cargo xtask repro 'register-under-app-lock*'`
//!
//! ## What it prints
//! ```text
//!                                          timeout-
//!                           naive          inline         offload
//! ────────────────────────────────────────────────────────────────────
//! update during gather
//!   register-under-app-lock ✓ deadlocked   ✓ deadlocked   ✓ deadlocked
//!     lock=std                +0.67/scrape   +0.67/scrape   +1/scrape
//!                             1 stuck        1 stuck        1 stuck
//!
//!                           timeout-
//!                           offload     try-lock  atomics exporter official
//! ─────────────────────────────────────────────────────────────────────────────
//! update during gather
//!   register-under-app-lock ✓ contained ✓ invalid –       ✓ served ✓ deadlocked
//!     lock=std                +1/scrape                              +1/scrape
//!                             1 stuck                                1 stuck
//!
//!                           guarded
//! ──────────────────────────────────
//! update during gather
//!   register-under-app-lock ✓ served
//!     lock=parking-lot
//!   register-under-app-lock ✓ served
//!     lock=std
//!
//!   naive            deadlocked  `tokio-rt-worker` 4243 holds prometheus Registry #1 (READ) and waits for Mutex<Sessions>
//!                                (LOCK), which `session-open` 4253 holds while it waits for prometheus Registry #1
//!                                (WRITE)
//! ```

use super::handlers;
use super::prometheus::core::{Collector, Desc};
use super::prometheus::{IntCounter, IntGauge, Registry, proto};
use crate::lesson::{Cell, Lesson};
use crate::locks::parking_lot;
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
use std::ops::DerefMut;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The open sessions; the application keeps them behind a mutex.
#[derive(Debug, Default)]
struct Sessions {
    open: Vec<u64>,
}

/// The mutex that the sessions are kept behind: the same application with either kind.
trait SessionTable: std::fmt::Debug + Default + Send + Sync + 'static {
    type Guard<'a>: DerefMut<Target = Sessions>;
    fn hold(&self) -> Self::Guard<'_>;
    fn try_hold(&self) -> Option<Self::Guard<'_>>;
}

impl SessionTable for Mutex<Sessions> {
    type Guard<'a> = MutexGuard<'a, Sessions>;
    fn hold(&self) -> MutexGuard<'_, Sessions> {
        self.lock().unwrap_or_else(PoisonError::into_inner)
    }
    fn try_hold(&self) -> Option<MutexGuard<'_, Sessions>> {
        self.try_lock().ok()
    }
}

impl SessionTable for parking_lot::Mutex<Sessions> {
    type Guard<'a> = parking_lot::MutexGuard<'a, Sessions>;
    fn hold(&self) -> parking_lot::MutexGuard<'_, Sessions> {
        self.lock()
    }
    fn try_hold(&self) -> Option<parking_lot::MutexGuard<'_, Sessions>> {
        self.try_lock()
    }
}

/// Reports the number of open sessions.
#[derive(Debug)]
struct SessionCollector<T> {
    sessions: Arc<T>,
    locking: Locking,
    gauge: IntGauge,
    entered: Arc<Gate>,
}

impl<T: SessionTable> Collector for SessionCollector<T> {
    fn desc(&self) -> Vec<&Desc> {
        self.gauge.desc()
    }

    fn collect(&self) -> Vec<proto::MetricFamily> {
        self.entered.pass();
        match self.locking {
            Locking::Wait => self.gauge.set(self.sessions.hold().open.len() as i64),
            Locking::Try => match self.sessions.try_hold() {
                Some(sessions) => self.gauge.set(sessions.open.len() as i64),
                None => return Vec::new(),
            },
        }
        self.gauge.collect()
    }
}

/// Opens session 7 and gives it a metric of its own, all of it under the lock of the session table.
fn open_session<T: SessionTable>(
    stage: &Stage,
    sessions: &T,
    locking: Locking,
    entered: &Gate,
    register: impl FnOnce() -> Result<(), Problem>,
) -> Result<(), Problem> {
    let mut sessions = match locking {
        Locking::Wait => sessions.hold(),
        Locking::Try => match sessions.try_hold() {
            Some(sessions) => sessions,
            None => return Ok(()),
        },
    };
    stage.journal().reached("session table taken");
    entered.open();
    sessions.open.push(7);
    // The mistake: the guard above lives on while the registry's lock is asked for.
    register()
}

fn on_prometheus<T: SessionTable>(stage: &Stage) -> Result<App, Problem> {
    let registry = Registry::new();
    let bump = handlers::canary(&registry)?;
    let (sessions, entered) = (Arc::<T>::default(), stage.gate("collect() entered")?);
    let locking = stage.setting.variant.locking();
    registry.register(Box::new(SessionCollector {
        sessions: sessions.clone(),
        locking,
        gauge: IntGauge::new("sessions", "Open sessions")?,
        entered: entered.clone(),
    }))?;
    let routes = handlers::routes(stage.setting.variant, registry.clone(), stage.deadline());
    let stage = stage.clone();
    Ok(App::new(routes, bump).volatile("session_7_requests_total").on(Command::Arm, move || {
        entered.close();
        let (stage, sessions, registry, entered) = (stage.clone(), sessions.clone(), registry.clone(), entered.clone());
        stage.clone().actor("session-open", move || {
            entered.wait_for_arrival();
            open_session(&stage, &*sessions, locking, &entered, || {
                let requests = IntCounter::new("session_7_requests_total", "Requests of session 7")?;
                Ok(registry.register(Box::new(requests))?)
            })
        })?;
        Ok(())
    }))
}

/// The same collector for `prometheus-client`.
#[derive(Debug)]
struct OfficialSessionCollector<T> {
    sessions: Arc<T>,
    entered: Arc<Gate>,
}

impl<T: SessionTable> collector::Collector for OfficialSessionCollector<T> {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), std::fmt::Error> {
        self.entered.pass();
        let open = ConstGauge::new(self.sessions.hold().open.len() as i64);
        open.encode(encoder.encode_descriptor("sessions", "Open sessions", None, MetricType::Gauge)?)
    }
}

fn on_official<T: SessionTable>(stage: &Stage) -> Result<App, Problem> {
    let registry = official_registry::SharedRegistry::default();
    let (routes, bump) = official::routes(&registry);
    let (sessions, entered) = (Arc::<T>::default(), stage.gate("encode() entered")?);
    let collector = OfficialSessionCollector { sessions: sessions.clone(), entered: entered.clone() };
    official_registry::write(&registry).register_collector(Box::new(collector));
    let stage = stage.clone();
    Ok(App::new(routes, bump).volatile("session_7_requests").on(Command::Arm, move || {
        entered.close();
        let (stage, sessions, registry, entered) = (stage.clone(), sessions.clone(), registry.clone(), entered.clone());
        stage.clone().actor("session-open", move || {
            entered.wait_for_arrival();
            open_session(&stage, &*sessions, Locking::Wait, &entered, || {
                let requests = Counter::<u64>::default();
                official_registry::write(&registry).register("session_7_requests", "Requests of session 7", requests);
                Ok(())
            })
        })?;
        Ok(())
    }))
}

/// With the `metrics` facade the gauge is pushed when a session opens; nothing takes the session table during a scrape.
fn on_exporter<T: SessionTable>(stage: &Stage) -> Result<App, Problem> {
    let (routes, bump) = exporter::routes()?;
    let (sessions, nobody_waits) = (Arc::<T>::default(), stage.gate("collect() entered")?);
    metrics::gauge!("sessions").set(0.0);
    let stage = stage.clone();
    Ok(App::new(routes, bump).volatile("session_7_requests_total").on(Command::Arm, move || {
        let (stage, sessions, nobody_waits) = (stage.clone(), sessions.clone(), nobody_waits.clone());
        stage.clone().actor("session-open", move || {
            open_session(&stage, &*sessions, Locking::Wait, &nobody_waits, || {
                metrics::counter!("session_7_requests_total").absolute(0);
                metrics::gauge!("sessions").increment(1.0);
                Ok(())
            })
        })?;
        Ok(())
    }))
}

fn play(stage: &Stage) -> Result<App, Problem> {
    match stage.setting.param("lock") {
        "std" => play_with::<Mutex<Sessions>>(stage),
        _ => play_with::<parking_lot::Mutex<Sessions>>(stage),
    }
}

fn play_with<T: SessionTable>(stage: &Stage) -> Result<App, Problem> {
    match stage.setting.variant.library() {
        Library::Official => on_official::<T>(stage),
        Library::Exporter => on_exporter::<T>(stage),
        _ => on_prometheus::<T>(stage),
    }
}

pub(crate) const LESSON: Lesson = Lesson {
    id: "register-under-app-lock",
    family: "update during gather",
    source: include_str!("register_under_app_lock.rs"),
    origin: &["neondatabase/neon#2566"],
    company: Company::Together,
    bound_ms: None,
    drive: Drive::Scrapes { extra: 2 },
    release: Release::Never,
    advice: &[
        "collect() must not take a lock that is also held around register(): copy what it reports out first",
        "register before the lock is taken or after it is released",
    ],
    expect,
    play,
};

fn expect(setting: &Setting) -> Cell {
    match setting.variant {
        Variant::Naive => Cell::must(
            Outcome::Deadlocked,
            "the scrape holds READ on the registry and waits for the session table, whose holder waits for WRITE on the registry",
        ),
        Variant::TimeoutInline => Cell::must(Outcome::Deadlocked, because::TIMER_CANNOT_FIRE),
        Variant::Offload => Cell::must(Outcome::Deadlocked, because::NO_DEADLINE),
        Variant::TimeoutOffload => Cell::contained_leaking(1.0, because::TIMER_FIRES),
        Variant::TryLock => Cell::must(
            Outcome::Invalid,
            "try_lock fails while session-open holds the table, so the scrape ends, and without the family `sessions`",
        ),
        Variant::Official => Cell::must(
            Outcome::Deadlocked,
            "the same cycle: the handler's read lock around encode(), the session table, the write lock around register()",
        ),
        Variant::Exporter => Cell::must(
            Outcome::Served,
            "the gauge is pushed when a session opens; rendering takes no lock of the application, so no order can be wrong",
        ),
        Variant::Atomics => Cell::Skip("no registry: registering has no counterpart"),
        Variant::Guarded => Cell::cured(
            setting,
            3,
            "register() waits for nothing, so the session table is released and the collector gets it: half of the cycle is gone",
        ),
    }
}
