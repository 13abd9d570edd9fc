//! A collector registers a metric while it is being collected: a read lock, then the write lock, on one thread.
//!
//! `Registry::gather()` holds the registry's read lock while it calls `collect()` on every collector. A collector that
//! makes one gauge for each peer it meets, and registers it on the spot, asks for the write lock of the very same
//! `RwLock`. The thread waits for a reader to leave, and that reader is itself.
//!
//! Every scrape is fine until the first peer joins; then no scrape ever ends again. With `parking_lot` the waiting writer
//! also blocks all later readers, so every further scrape takes one more thread.
//!
//! The same happened in Python: a collector whose `collect()` touched a cache that registers metrics of its own waited
//! for the registry's lock, which was held further up its own stack.
//!
//! ```text
//! scrape 1   gather(): READ registry ──> collect() ──> register(): waits for WRITE registry
//!                      └── held until collect() returns, which it never does ──┘
//! scrape 2   gather(): waits for READ registry, behind the writer of scrape 1
//! ```
//!
//! ## Run it
//! `cargo xtask repro 'register-in-collect*'`
//!
//! ## What it prints
//! ```text
//!                                      timeout-                    timeout-
//!                       naive          inline         offload      offload
//! ────────────────────────────────────────────────────────────────────────────
//! recursive lock
//!   register-in-collect ✓ deadlocked   ✓ deadlocked   ✓ deadlocked ✓ contained
//!                         +0.67/scrape   +0.67/scrape   +1/scrape    +1/scrape
//!
//!                       try-lock       atomics exporter official
//! ────────────────────────────────────────────────────────────────────
//! recursive lock
//!   register-in-collect ✓ deadlocked   –       –        ✓ deadlocked
//!                         +0.67/scrape                    +0.67/scrape
//!
//!                       guarded
//! ────────────────────────────────────
//! recursive lock
//!   register-in-collect ✓ served
//!   register-in-collect ✓ contained
//!     prometheus=0.13.4   +0.33/scrape
//!
//!   naive            deadlocked  `tokio-rt-worker` 2502 holds prometheus Registry #1 (READ) and waits for it again
//!                                (WRITE): it waits for itself
//! ```

use super::handlers;
use super::prometheus::core::{Collector, Desc};
use super::prometheus::{IntGauge, Registry, proto};
use crate::lesson::{Cell, Lesson};
use crate::locks::parking_lot::Mutex;
use crate::official_registry;
use crate::setting::Setting;
use crate::stage::{App, Stage};
use crate::variants::{Library, Variant, because, official};
use gatherlock::catalogue::Problem;
use gatherlock::model::{Command, Company, Drive, Outcome, Release};
use prometheus_client::collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::gauge::Gauge;
use std::sync::Arc;

/// Peers that joined since the last scrape.
type Joined = Arc<Mutex<Vec<String>>>;

/// Reports how many peers there are, and gives each a gauge of its own when it first sees it.
struct PeerCollector {
    registry: Registry,
    joined: Joined,
    peers: IntGauge,
}

impl Collector for PeerCollector {
    fn desc(&self) -> Vec<&Desc> {
        self.peers.desc()
    }

    fn collect(&self) -> Vec<proto::MetricFamily> {
        let joined = std::mem::take(&mut *self.joined.lock());
        for peer in joined {
            self.peers.inc();
            let lag = IntGauge::new(format!("peer_{peer}_lag"), "Entries that the peer is behind");
            // The mistake: gather() is our caller and holds the read lock of this registry.
            if let Err(error) = lag.and_then(|lag| self.registry.register(Box::new(lag))) {
                eprintln!("no gauge for peer {peer}: {error}");
            }
        }
        self.peers.collect()
    }
}

fn on_prometheus(stage: &Stage) -> Result<App, Problem> {
    let registry = Registry::new();
    let bump = handlers::canary(&registry)?;
    let joined = Joined::default();
    registry.register(Box::new(PeerCollector {
        registry: registry.clone(),
        joined: joined.clone(),
        peers: IntGauge::new("peers", "Peers that have joined")?,
    }))?;
    Ok(drive(App::new(handlers::routes(stage.setting.variant, registry, stage.deadline()), bump), joined))
}

/// The same collector for `prometheus-client`.
#[derive(Debug)]
struct OfficialPeerCollector {
    registry: official_registry::SharedRegistry,
    joined: Joined,
    peers: Gauge,
}

impl collector::Collector for OfficialPeerCollector {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), std::fmt::Error> {
        let joined = std::mem::take(&mut *self.joined.lock());
        for peer in joined {
            self.peers.inc();
            let (name, lag) = (format!("peer_{peer}_lag"), Gauge::<i64>::default());
            // The mistake: the handler is our caller and holds the read lock of this registry.
            official_registry::write(&self.registry).register(name, "Entries that the peer is behind", lag);
        }
        self.peers.encode(encoder.encode_descriptor("peers", "Peers that have joined", None, MetricType::Gauge)?)
    }
}

fn on_official() -> Result<App, Problem> {
    let registry = official_registry::SharedRegistry::default();
    let (routes, bump) = official::routes(&registry);
    let joined = Joined::default();
    let collector =
        OfficialPeerCollector { registry: registry.clone(), joined: joined.clone(), peers: Gauge::default() };
    official_registry::write(&registry).register_collector(Box::new(collector));
    Ok(drive(App::new(routes, bump), joined))
}

/// The trap is an event of the application: a peer joins.
fn drive(app: App, joined: Joined) -> App {
    app.volatile("peer_7_lag").on(Command::Arm, move || {
        joined.lock().push("7".to_string());
        Ok(())
    })
}

fn play(stage: &Stage) -> Result<App, Problem> {
    match stage.setting.variant.library() {
        Library::Official => on_official(),
        _ => on_prometheus(stage),
    }
}

pub(crate) const LESSON: Lesson = Lesson {
    id: "register-in-collect",
    family: "recursive lock",
    source: include_str!("register_in_collect.rs"),
    origin: &["prometheus/client_python#1076"],
    company: Company::Together,
    bound_ms: None,
    drive: Drive::Scrapes { extra: 2 },
    release: Release::Never,
    advice: &[
        "register every metric before the first scrape, or when the thing it measures appears, never inside collect()",
        "for one value per peer use a GaugeVec with a label: a new label set needs no registration",
    ],
    expect,
    play,
};

fn expect(setting: &Setting) -> Cell {
    match setting.variant {
        Variant::Naive => Cell::must(
            Outcome::Deadlocked,
            "register() waits for the write lock of the registry whose read lock this thread's own gather() holds",
        ),
        Variant::TimeoutInline => Cell::must(Outcome::Deadlocked, because::TIMER_CANNOT_FIRE),
        Variant::Offload => Cell::must(Outcome::Deadlocked, because::NO_DEADLINE),
        Variant::TimeoutOffload => Cell::contained_leaking(1.0, because::TIMER_FIRES),
        Variant::TryLock => Cell::must(
            Outcome::Deadlocked,
            "the lock that is taken twice is the registry's own, out of try_lock's reach",
        ),
        Variant::Official => Cell::must(
            Outcome::Deadlocked,
            "encode() runs under the handler's read lock, the collector wants the write lock of the same std::sync::RwLock",
        ),
        Variant::Atomics => Cell::Skip("no registry: registering has no counterpart"),
        Variant::Exporter => Cell::Skip("no collectors: nothing of the application runs while the page is rendered"),
        Variant::Guarded => {
            Cell::cured(setting, 3, "the registry holds no lock while it collects, so register() waits for nothing")
        }
    }
}
