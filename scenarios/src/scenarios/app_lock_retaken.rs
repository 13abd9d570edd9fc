//! Inside `collect()`, an error path takes a mutex that `collect()` already holds.
//!
//! The collector locks its readings, asks a sensor and reports. When the sensor fails it calls a helper that counts the
//! failure and answers with the last good value, and that helper locks the readings, too, as it should when it is called
//! from anywhere else. A `std::sync::Mutex` is not recursive: the thread waits for itself.
//!
//! The path is only taken when something else has gone wrong already, so the endpoint dies at the moment at which one
//! wants to look at it. No metrics library is involved: the lock is the application's own.
//!
//! In bmc_exporter one failing command of one machine closed the session from inside the collector, which took the
//! collector's mutex again. In knative's metrics package the mutex was held around a call of a client whose request hook
//! records a metric, and recording takes that mutex.
//!
//! ```text
//! scrape        READ registry ── collect(): takes readings ── sensor fails ── after_failure(): waits for readings
//!                                           └── held by this very thread ─────────────────────────────┘
//! ```
//!
//! ## Run it
//! `cargo xtask repro 'app-lock-retaken*'`
//!
//! ## What it prints
//! ```text
//!                                 timeout-                  timeout-
//!                    naive        inline       offload      offload     try-lock  atomics exporter official
//! ───────────────────────────────────────────────────────────────────────────────────────────────────────────────
//! recursive lock
//!   app-lock-retaken ✓ deadlocked ✓ deadlocked ✓ deadlocked ✓ contained ✓ invalid –       –        ✓ deadlocked
//!                      +1/scrape    +1/scrape    +1/scrape    +1/scrape                              +0.33/scrape
//!
//!                    guarded
//! ─────────────────────────────────
//! recursive lock
//!   app-lock-retaken ✓ contained
//!                      +0.33/scrape
//!
//!   naive            deadlocked  `tokio-rt-worker` 3194 holds Mutex<Readings> (LOCK) and waits for it again (LOCK): it
//!                                waits for itself
//! ```

use super::handlers;
use super::prometheus::core::{Collector, Desc};
use super::prometheus::{Gauge, Registry, proto};
use crate::lesson::{Cell, Lesson};
use crate::official_registry;
use crate::setting::Setting;
use crate::stage::{App, Stage};
use crate::variants::{Library, Locking, Variant, because, official};
use gatherlock::catalogue::Problem;
use gatherlock::model::{Command, Company, Drive, Outcome, Release};
use prometheus_client::collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::gauge::ConstGauge;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// A sensor and what is known of it.
#[derive(Debug, Default)]
struct Thermometer {
    broken: AtomicBool,
    readings: Mutex<Readings>,
}

#[derive(Debug, Default)]
struct Readings {
    last: f64,
    failures: u64,
}

impl Thermometer {
    fn measure(&self) -> Result<f64, &'static str> {
        if self.broken.load(Ordering::SeqCst) { Err("no answer on the bus") } else { Ok(21.5) }
    }

    /// What `collect()` reports; `None` if a lock was tried and is taken.
    fn temperature(&self, locking: Locking) -> Option<f64> {
        let mut readings = match locking {
            Locking::Wait => self.readings.lock().unwrap_or_else(PoisonError::into_inner),
            Locking::Try => self.readings.try_lock().ok()?,
        };
        match self.measure() {
            Ok(celsius) => {
                readings.last = celsius;
                Some(celsius)
            }
            // The mistake: the helper locks what is locked here.
            Err(_) => self.after_failure(locking),
        }
    }

    /// Counts a failure and answers with the last good value.
    fn after_failure(&self, locking: Locking) -> Option<f64> {
        let mut readings = match locking {
            Locking::Wait => self.readings.lock().unwrap_or_else(PoisonError::into_inner),
            Locking::Try => self.readings.try_lock().ok()?,
        };
        readings.failures += 1;
        Some(readings.last)
    }
}

/// Reports the temperature.
struct TemperatureCollector {
    thermometer: Arc<Thermometer>,
    locking: Locking,
    celsius: Gauge,
}

impl Collector for TemperatureCollector {
    fn desc(&self) -> Vec<&Desc> {
        self.celsius.desc()
    }

    fn collect(&self) -> Vec<proto::MetricFamily> {
        match self.thermometer.temperature(self.locking) {
            Some(celsius) => {
                self.celsius.set(celsius);
                self.celsius.collect()
            }
            None => Vec::new(),
        }
    }
}

fn on_prometheus(stage: &Stage, thermometer: &Arc<Thermometer>) -> Result<App, Problem> {
    let registry = Registry::new();
    let bump = handlers::canary(&registry)?;
    registry.register(Box::new(TemperatureCollector {
        thermometer: thermometer.clone(),
        locking: stage.setting.variant.locking(),
        celsius: Gauge::new("temperature_celsius", "Temperature at the inlet")?,
    }))?;
    Ok(App::new(handlers::routes(stage.setting.variant, registry, stage.deadline()), bump))
}

/// The same collector for `prometheus-client`.
#[derive(Debug)]
struct OfficialTemperatureCollector {
    thermometer: Arc<Thermometer>,
}

impl collector::Collector for OfficialTemperatureCollector {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), std::fmt::Error> {
        let Some(celsius) = self.thermometer.temperature(Locking::Wait) else { return Ok(()) };
        let help = "Temperature at the inlet";
        let gauge = ConstGauge::new(celsius);
        gauge.encode(encoder.encode_descriptor("temperature_celsius", help, None, MetricType::Gauge)?)
    }
}

fn on_official(thermometer: &Arc<Thermometer>) -> App {
    let registry = official_registry::SharedRegistry::default();
    let (routes, bump) = official::routes(&registry);
    let collector = OfficialTemperatureCollector { thermometer: thermometer.clone() };
    official_registry::write(&registry).register_collector(Box::new(collector));
    App::new(routes, bump)
}

fn play(stage: &Stage) -> Result<App, Problem> {
    let thermometer = Arc::<Thermometer>::default();
    let app = match stage.setting.variant.library() {
        Library::Official => on_official(&thermometer),
        _ => on_prometheus(stage, &thermometer)?,
    };
    // The trap is an event of the outside world: the sensor breaks.
    Ok(app.on(Command::Arm, move || {
        thermometer.broken.store(true, Ordering::SeqCst);
        Ok(())
    }))
}

pub(crate) const LESSON: Lesson = Lesson {
    id: "app-lock-retaken",
    family: "recursive lock",
    source: include_str!("app_lock_retaken.rs"),
    origin: &["gebn/bmc_exporter#17", "knative/pkg#807"],
    company: Company::Together,
    bound_ms: None,
    drive: Drive::Scrapes { extra: 2 },
    release: Release::Never,
    advice: &[
        "a method that locks must not be called with the lock held: pass the guarded state to the helper instead",
        "test error paths of collectors by gathering while they fail",
    ],
    expect,
    play,
};

fn expect(setting: &Setting) -> Cell {
    match setting.variant {
        Variant::Naive => Cell::must(
            Outcome::Deadlocked,
            "after_failure() waits for the std::sync::Mutex that temperature(), its caller, holds on the same thread",
        ),
        Variant::TimeoutInline => Cell::must(Outcome::Deadlocked, because::TIMER_CANNOT_FIRE),
        Variant::Offload => Cell::must(Outcome::Deadlocked, because::NO_DEADLINE),
        Variant::TimeoutOffload => Cell::contained_leaking(1.0, because::TIMER_FIRES),
        Variant::TryLock => Cell::must(
            Outcome::Invalid,
            "the second try_lock fails against the first, so the failure goes uncounted and the family is left out",
        ),
        Variant::Official => {
            Cell::must(Outcome::Deadlocked, "the mutex is the application's: the metrics library makes no difference")
        }
        Variant::Atomics => Cell::Skip("no collectors and no application lock: nothing can be taken twice"),
        Variant::Exporter => Cell::Skip("no collectors: nothing of the application runs while the page is rendered"),
        Variant::Guarded => Cell::contained_once(3, because::ONE_THREAD),
    }
}
