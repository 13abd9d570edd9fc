//! `collect()` asks another machine, and that machine accepts the connection and says nothing.
//!
//! The collector reports how far a replica is behind, and finds out by asking the replica, over a blocking socket without
//! a timeout, inside the scrape. While the replica answers, this costs a millisecond. When it hangs, so does `/metrics`,
//! and with it every metric that has nothing to do with the replica.
//!
//! No lock is involved, so there is nothing to untangle: the thread waits in `recv`, and only the other side, or a
//! deadline, can end that. It ends by itself when the peer answers at last.
//!
//! node_exporter hangs this way in `statfs` on a dead network mount, again and again. reth ran hooks that walk its
//! database inside the request for `/metrics`, with the `metrics` exporter, which has no collectors but can be given
//! something to do before it renders; the fix moved them to a background task.
//!
//! ```text
//! scrape       READ registry ── collect(): connect ── recv ............. (until the peer speaks)
//! peer                             accepts, says nothing
//! ```
//!
//! In the case `group=own` the collector has a registry and a group of its own behind the guard's endpoint: then the answer
//! is `200` with everything else on it, and says which group is missing.
//!
//! ## Run it
//! `cargo xtask repro 'slow-collect*'`
//!
//! ## What it prints
//! ```text
//!                               timeout-                   timeout-
//!                naive          inline         offload     offload     try-lock       atomics  exporter       official
//! ───────────────────────────────────────────────────────────────────────────────────────────────────────────────────────
//! I/O in a scrape
//!   slow-collect ✓ stalled      ✓ stalled      ✓ stalled   ✓ contained ✓ stalled      ✓ served ✓ stalled      ✓ stalled
//!                  +0.67/scrape   +0.67/scrape   +1/scrape   +1/scrape   +0.67/scrape            +0.33/scrape   +1/scrape
//!                  recovers       recovers       recovers    recovers    recovers                recovers       recovers
//!
//!                guarded
//! ─────────────────────────────
//! I/O in a scrape
//!   slow-collect ✓ contained
//!                  +0.33/scrape
//!                  recovers
//!   slow-collect ✓ contained
//!     group=own    +0.33/scrape
//!                  recovers
//!
//!   naive            stalled     `tokio-rt-worker` 3440 waits for receive from TCP peer 127.0.0.1:38017 (local
//!                                127.0.0.1:43238) in gatherlock_scenarios::peer::Peer::lag (scenarios/src/peer.rs:62)
//! ```

use super::handlers;
use super::prometheus::core::{Collector, Desc};
use super::prometheus::{IntGauge, Registry, proto};
use crate::lesson::{Cell, Lesson};
use crate::official_registry;
use crate::peer::Peer;
use crate::setting::Setting;
use crate::stage::{App, Stage};
use crate::variants::atomics::write_metric;
use crate::variants::{Library, Variant, atomics, because, exporter, official};
use gatherlock::catalogue::Problem;
use gatherlock::model::{Command, Company, Drive, Outcome, Release};
use prometheus_client::collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::gauge::ConstGauge;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::channel;

/// Reports how far the replica is behind, by asking it.
struct LagCollector {
    replica: Peer,
    lag: IntGauge,
}

impl Collector for LagCollector {
    fn desc(&self) -> Vec<&Desc> {
        self.lag.desc()
    }

    fn collect(&self) -> Vec<proto::MetricFamily> {
        // The mistake: I/O without a deadline while a scrape waits.
        match self.replica.lag() {
            Ok(lag) => {
                self.lag.set(lag as i64);
                self.lag.collect()
            }
            Err(_) => Vec::new(),
        }
    }
}

fn on_prometheus(stage: &Stage, replica: &Peer) -> Result<App, Problem> {
    let registry = Registry::new();
    let bump = handlers::canary(&registry)?;
    let lag = IntGauge::new("replica_lag", "Entries that the replica is behind")?;
    let collector = Box::new(LagCollector { replica: replica.clone(), lag });
    if has_group(&stage.setting) {
        let slow = Registry::new();
        slow.register(collector)?;
        let groups = handlers::grouped(&[("app", &registry), ("replica", &slow)], stage.deadline())?;
        return Ok(App::new(groups.ok_or("the handler has no groups")?, bump));
    }
    registry.register(collector)?;
    Ok(App::new(handlers::routes(stage.setting.variant, registry, stage.deadline()), bump))
}

/// The same collector for `prometheus-client`.
#[derive(Debug)]
struct OfficialLagCollector {
    replica: Peer,
}

impl collector::Collector for OfficialLagCollector {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), std::fmt::Error> {
        let Ok(lag) = self.replica.lag() else { return Ok(()) };
        let help = "Entries that the replica is behind";
        ConstGauge::new(lag as i64).encode(encoder.encode_descriptor("replica_lag", help, None, MetricType::Gauge)?)
    }
}

fn on_official(replica: &Peer) -> App {
    let registry = official_registry::SharedRegistry::default();
    let (routes, bump) = official::routes(&registry);
    official_registry::write(&registry).register_collector(Box::new(OfficialLagCollector { replica: replica.clone() }));
    App::new(routes, bump)
}

/// A hook that runs before the page is rendered takes the collector's place.
fn on_exporter(replica: &Peer) -> Result<App, Problem> {
    let (handle, bump) = exporter::install()?;
    let asked = replica.clone();
    let routes = exporter::page(move || {
        if let Ok(lag) = asked.lag() {
            metrics::gauge!("replica_lag").set(lag as f64);
        }
        handle.render()
    });
    Ok(App::new(routes, bump))
}

/// The page shows what a thread of its own was told last. That thread waits instead of the scrape.
fn on_atomics(stage: &Stage, replica: &Peer) -> Result<App, Problem> {
    let lag = Arc::new(AtomicU64::new(replica.lag()?));
    let (shown, asked) = (lag.clone(), replica.clone());
    let (routes, bump) = atomics::routes(move |text| {
        let lag = shown.load(Ordering::Relaxed);
        write_metric(text, "replica_lag", "gauge", "Entries that the replica is behind, when last heard of", lag);
    });
    let (tick, ticks) = channel::<()>();
    stage.actor("lag-poller", move || {
        for () in ticks {
            lag.store(asked.lag()?, Ordering::Relaxed);
        }
        Ok(())
    })?;
    let silent = replica.clone();
    Ok(App::new(routes, bump).on(Command::Arm, move || {
        silent.fall_silent();
        Ok(tick.send(())?)
    }))
}

fn play(stage: &Stage) -> Result<App, Problem> {
    play_with(stage, false)
}

/// The same application; when the peer recovers, it answers the connections of before, or has forgotten them.
pub(super) fn play_with(stage: &Stage, forgotten: bool) -> Result<App, Problem> {
    let replica = Peer::start(stage)?;
    let (silent, recovered) = (replica.clone(), replica.clone());
    let arm = move || {
        silent.fall_silent();
        Ok(())
    };
    let app = match stage.setting.variant.library() {
        Library::Prometheus => on_prometheus(stage, &replica)?.on(Command::Arm, arm),
        Library::Official => on_official(&replica).on(Command::Arm, arm),
        Library::Exporter => on_exporter(&replica)?.on(Command::Arm, arm),
        Library::Atomics => on_atomics(stage, &replica)?,
    };
    Ok(app.on(Command::Release, move || {
        recovered.recover(forgotten);
        Ok(())
    }))
}

pub(crate) const LESSON: Lesson = Lesson {
    id: "slow-collect",
    family: "I/O in a scrape",
    source: include_str!("slow_collect.rs"),
    origin: &["prometheus/node_exporter#868", "paradigmxyz/reth#24566"],
    company: Company::Together,
    bound_ms: None,
    drive: Drive::Scrapes { extra: 2 },
    release: Release::AtEnd,
    advice: &[
        "collect() reports what is known; a thread of its own finds out, at its own pace, and leaves the value in a gauge",
        "if a scrape must do I/O, give every call a deadline shorter than the scrape's, and report the failure as a metric",
    ],
    expect,
    play,
};

/// Whether the collector is in a group of its own.
fn has_group(setting: &Setting) -> bool {
    setting.params.contains_key("group")
}

fn expect(setting: &Setting) -> Cell {
    if has_group(setting) {
        let because = "the group with the replica is missing and named, in a header and in a metric; what the others say is served";
        return match setting.variant {
            Variant::Guarded => Cell::contained_once(3, because).recovers(true),
            _ => {
                Cell::Skip("one registry behind one handler: a group that may be missing alone is what `guarded` adds")
            }
        };
    }
    match setting.variant {
        Variant::Naive => {
            Cell::must(Outcome::Stalled, "the scrape's thread waits in recv for a peer that says nothing")
                .recovers(true)
        }
        Variant::TimeoutInline => Cell::must(Outcome::Stalled, because::TIMER_CANNOT_FIRE).recovers(true),
        Variant::Offload => Cell::must(Outcome::Stalled, because::NO_DEADLINE).recovers(true),
        Variant::TimeoutOffload => Cell::contained_leaking(1.0, because::TIMER_FIRES).recovers(true),
        Variant::TryLock => Cell::must(Outcome::Stalled, "no lock is involved, so none can be tried").recovers(true),
        Variant::Official => {
            Cell::must(Outcome::Stalled, "encode() runs the same I/O on the async worker").recovers(true)
        }
        Variant::Exporter => {
            Cell::must(Outcome::Stalled, "a hook before render() does the same I/O on the async worker").recovers(true)
        }
        Variant::Atomics => Cell::must(
            Outcome::Served,
            "the page shows the last known value; the thread that asks is the one that waits, and no scrape waits for it",
        ),
        Variant::Guarded => Cell::contained_once(3, because::ONE_THREAD).recovers(true),
    }
}
