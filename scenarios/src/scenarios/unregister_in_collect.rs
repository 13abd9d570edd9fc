//! A collector unregisters a metric while it is being collected: a read lock, then the write lock, on one thread.
//!
//! The mirror image of `register-in-collect`. A collector that finds out, while it is asked for values, that a peer is
//! gone wants to tidy up and calls `Registry::unregister()` for the peer's gauge. That takes the registry's write lock,
//! while `gather()`, its own caller, holds the read lock.
//!
//! It passes every test in which no peer leaves. The first one that does takes `/metrics` along.
//!
//! ```text
//! scrape 1   gather(): READ registry ──> collect() ──> unregister(): waits for WRITE registry
//!                      └── held until collect() returns, which it never does ──┘
//! scrape 2   gather(): waits for READ registry, behind the writer of scrape 1
//! ```
//!
//! Cleaning up gone label sets at scrape time is common; the kin of this one in Go deleted series of a vector while its
//! own collection held the vector's lock (scylla-manager#2843).
//!
//! ## Run it
//! `cargo xtask repro 'unregister-in-collect*'`
//!
//! ## What it prints
//! ```text
//!                                        timeout-                    timeout-
//!                         naive          inline         offload      offload     try-lock       atomics exporter official
//! ───────────────────────────────────────────────────────────────────────────────────────────────────────────────────────
//! recursive lock
//!   unregister-in-collect ✓ deadlocked   ✓ deadlocked   ✓ deadlocked ✓ contained ✓ deadlocked   –       –        –
//!                           +0.67/scrape   +0.67/scrape   +1/scrape    +1/scrape   +0.67/scrape
//!
//!                         guarded
//! ──────────────────────────────────────
//! recursive lock
//!   unregister-in-collect ✓ served
//!   unregister-in-collect ✓ contained
//!     prometheus=0.13.4     +0.33/scrape
//!
//!   naive            deadlocked  `tokio-rt-worker` 2793 holds prometheus Registry #1 (READ) and waits for it again
//!                                (WRITE): it waits for itself
//! ```

use super::handlers;
use super::prometheus::core::{Collector, Desc};
use super::prometheus::{IntGauge, Registry, proto};
use crate::lesson::{Cell, Lesson};
use crate::locks::parking_lot::Mutex;
use crate::setting::Setting;
use crate::stage::{App, Stage};
use crate::variants::{Variant, because};
use gatherlock::catalogue::Problem;
use gatherlock::model::{Command, Company, Drive, Outcome, Release};
use std::sync::Arc;

/// Gauges of peers that left since the last scrape.
type Gone = Arc<Mutex<Vec<IntGauge>>>;

/// Reports how many peers there are, and removes the gauges of those that have left.
struct PeerCollector {
    registry: Registry,
    gone: Gone,
    peers: IntGauge,
}

impl Collector for PeerCollector {
    fn desc(&self) -> Vec<&Desc> {
        self.peers.desc()
    }

    fn collect(&self) -> Vec<proto::MetricFamily> {
        let gone = std::mem::take(&mut *self.gone.lock());
        for lag in gone {
            self.peers.dec();
            // The mistake: gather() is our caller and holds the read lock of this registry.
            if let Err(error) = self.registry.unregister(Box::new(lag)) {
                eprintln!("cannot remove a peer's gauge: {error}");
            }
        }
        self.peers.collect()
    }
}

fn play(stage: &Stage) -> Result<App, Problem> {
    let registry = Registry::new();
    let bump = handlers::canary(&registry)?;
    let (gone, peers) = (Gone::default(), IntGauge::new("peers", "Peers that have joined")?);
    let lag = IntGauge::new("peer_7_lag", "Entries that the peer is behind")?;
    registry.register(Box::new(lag.clone()))?;
    peers.inc();
    registry.register(Box::new(PeerCollector { registry: registry.clone(), gone: gone.clone(), peers }))?;
    let app = App::new(handlers::routes(stage.setting.variant, registry, stage.deadline()), bump);
    // The trap is an event of the application: a peer leaves.
    Ok(app.volatile("peer_7_lag").on(Command::Arm, move || {
        gone.lock().push(lag.clone());
        Ok(())
    }))
}

pub(crate) const LESSON: Lesson = Lesson {
    id: "unregister-in-collect",
    family: "recursive lock",
    source: include_str!("unregister_in_collect.rs"),
    origin: &["scylladb/scylla-manager#2843 (kin)"],
    company: Company::Together,
    bound_ms: None,
    drive: Drive::Scrapes { extra: 2 },
    release: Release::Never,
    advice: &[
        "unregister when the thing goes away, from the thread that learns of it, never inside collect()",
        "for one value per peer use a GaugeVec and remove_label_values() outside of a scrape",
    ],
    expect,
    play,
};

fn expect(setting: &Setting) -> Cell {
    match setting.variant {
        Variant::Naive => Cell::must(
            Outcome::Deadlocked,
            "unregister() waits for the write lock of the registry whose read lock this thread's own gather() holds",
        ),
        Variant::TimeoutInline => Cell::must(Outcome::Deadlocked, because::TIMER_CANNOT_FIRE),
        Variant::Offload => Cell::must(Outcome::Deadlocked, because::NO_DEADLINE),
        Variant::TimeoutOffload => Cell::contained_leaking(1.0, because::TIMER_FIRES),
        Variant::TryLock => Cell::must(
            Outcome::Deadlocked,
            "the lock that is taken twice is the registry's own, out of try_lock's reach",
        ),
        Variant::Official => Cell::Skip("prometheus-client's registry cannot unregister"),
        Variant::Atomics => Cell::Skip("no registry: unregistering has no counterpart"),
        Variant::Exporter => Cell::Skip("no collectors: nothing of the application runs while the page is rendered"),
        Variant::Guarded => {
            Cell::cured(setting, 3, "the registry holds no lock while it collects, so unregister() waits for nothing")
        }
    }
}
