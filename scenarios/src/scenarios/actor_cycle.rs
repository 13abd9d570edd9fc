//! `collect()` asks an actor over a channel and waits for the reply, while the actor is registering a metric.
//!
//! The inventory belongs to one thread that takes messages; nobody else touches it, and no lock is in sight. The
//! collector sends `Count` and waits for the answer. The message before it was `Add`, and adding the first item of a
//! kind registers a metric for that kind: the write lock of the registry, whose read lock the scrape holds while it waits
//! for the reply that comes after.
//!
//! It is the same cycle as in `register-under-app-lock` with a channel for a lock. A deadlock detector for locks is
//! silent, because one half of the cycle is no lock: who will send on a channel cannot be read from memory. So the
//! outcome is `stalled`, and the cycle is a suspect and no proof.
//!
//! scylla-manager's metrics endpoint hung in a kindred way: a collection that held a vector's lock while it sent into a
//! full channel, and a receiver that wanted that lock before it would receive again.
//!
//! ```text
//! scrape       READ registry ── collect(): sends Count ──> waits for the reply
//! inventory          takes Add ── register(): waits for WRITE registry     (Count stays in the mailbox)
//! ```
//!
//! ## Run it
//! `cargo xtask repro 'actor-cycle*'`
//!
//! ## What it prints
//! ```text
//!                              timeout-                   timeout-
//!               naive          inline         offload     offload     try-lock       atomics exporter official
//! ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────
//! update during gather
//!   actor-cycle ✓ stalled      ✓ stalled      ✓ stalled   ✓ contained ✓ stalled      –       –        ✓ stalled
//!                 +0.67/scrape   +0.67/scrape   +1/scrape   +1/scrape   +0.67/scrape                    +0.67/scrape
//!                 1 stuck        1 stuck        1 stuck     1 stuck     1 stuck                         1 stuck
//!
//!               guarded
//! ──────────────────────
//! update during gather
//!   actor-cycle ✓ served
//!
//!   naive            stalled     `tokio-rt-worker` 2384 waits for message on a channel in
//!                                gatherlock_scenarios::scenarios::actor_cycle::ask
//!                                (scenarios/src/scenarios/actor_cycle.rs:78)
//! ```

use super::handlers;
use super::prometheus::core::{Collector, Desc};
use super::prometheus::{IntCounter, IntGauge, Registry, proto};
use crate::lesson::{Cell, Lesson};
use crate::official_registry;
use crate::setting::Setting;
use crate::stage::{App, Stage};
use crate::variants::{Library, Variant, because, official};
use gatherlock::catalogue::{Gate, Problem};
use gatherlock::model::{Command, Company, Drive, Outcome, Release};
use prometheus_client::collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::ConstGauge;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};

/// What the inventory's thread understands.
enum Message {
    /// Add an item of a new kind.
    Add(String),
    /// Reply with the number of items.
    Count(Sender<i64>),
}

/// The inventory's thread. `register` makes a metric for a kind that is new.
fn inventory(
    mailbox: &Receiver<Message>,
    entered: &Gate,
    register: impl Fn(&str) -> Result<(), Problem>,
) -> Result<(), Problem> {
    let mut items = Vec::new();
    while let Ok(message) = mailbox.recv() {
        match message {
            Message::Add(kind) => {
                entered.wait_for_arrival();
                entered.open();
                // The mistake: a collector may be waiting for our next reply with the registry's read lock held.
                register(&kind)?;
                items.push(kind);
            }
            Message::Count(reply) => {
                // Whoever asked may have gone away.
                let _ = reply.send(items.len() as i64);
            }
        }
    }
    Ok(())
}

/// Asks the inventory; `None` if its thread has ended.
fn ask(inventory: &Sender<Message>, entered: &Gate) -> Option<i64> {
    entered.pass();
    let (reply, answer) = channel();
    inventory.send(Message::Count(reply)).ok()?;
    answer.recv().ok()
}

/// Reports the number of items.
struct InventoryCollector {
    inventory: Sender<Message>,
    items: IntGauge,
    entered: Arc<Gate>,
}

impl Collector for InventoryCollector {
    fn desc(&self) -> Vec<&Desc> {
        self.items.desc()
    }

    fn collect(&self) -> Vec<proto::MetricFamily> {
        match ask(&self.inventory, &self.entered) {
            Some(items) => {
                self.items.set(items);
                self.items.collect()
            }
            None => Vec::new(),
        }
    }
}

fn on_prometheus(stage: &Stage) -> Result<App, Problem> {
    let registry = Registry::new();
    let bump = handlers::canary(&registry)?;
    let (entered, (inventory_sends, mailbox)) = (stage.gate("collect() entered")?, channel());
    registry.register(Box::new(InventoryCollector {
        inventory: inventory_sends.clone(),
        items: IntGauge::new("items", "Items in the inventory")?,
        entered: entered.clone(),
    }))?;
    let routes = handlers::routes(stage.setting.variant, registry.clone(), stage.deadline());
    start(
        App::new(routes, bump).volatile("anvils_sold_total"),
        stage,
        entered,
        (inventory_sends, mailbox),
        move |kind| {
            let sold = IntCounter::new(format!("{kind}_sold_total"), "Items sold of this kind")?;
            Ok(registry.register(Box::new(sold))?)
        },
    )
}

/// The same collector for `prometheus-client`.
#[derive(Debug)]
struct OfficialInventoryCollector {
    inventory: Sender<Message>,
    entered: Arc<Gate>,
}

impl collector::Collector for OfficialInventoryCollector {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), std::fmt::Error> {
        let Some(items) = ask(&self.inventory, &self.entered) else { return Ok(()) };
        let gauge = ConstGauge::new(items);
        gauge.encode(encoder.encode_descriptor("items", "Items in the inventory", None, MetricType::Gauge)?)
    }
}

fn on_official(stage: &Stage) -> Result<App, Problem> {
    let registry = official_registry::SharedRegistry::default();
    let (routes, bump) = official::routes(&registry);
    let (entered, (inventory_sends, mailbox)) = (stage.gate("encode() entered")?, channel());
    let collector = OfficialInventoryCollector { inventory: inventory_sends.clone(), entered: entered.clone() };
    official_registry::write(&registry).register_collector(Box::new(collector));
    start(App::new(routes, bump).volatile("anvils_sold"), stage, entered, (inventory_sends, mailbox), move |kind| {
        let sold = Counter::<u64>::default();
        official_registry::write(&registry).register(format!("{kind}_sold"), "Items sold of this kind", sold);
        Ok(())
    })
}

/// Starts the actor; the trap is a message to it.
fn start(
    app: App,
    stage: &Stage,
    entered: Arc<Gate>,
    (sends, mailbox): (Sender<Message>, Receiver<Message>),
    register: impl Fn(&str) -> Result<(), Problem> + Send + 'static,
) -> Result<App, Problem> {
    let gate = entered.clone();
    stage.actor("inventory", move || inventory(&mailbox, &gate, register))?;
    Ok(app.on(Command::Arm, move || {
        entered.close();
        Ok(sends.send(Message::Add("anvils".to_string()))?)
    }))
}

fn play(stage: &Stage) -> Result<App, Problem> {
    match stage.setting.variant.library() {
        Library::Official => on_official(stage),
        _ => on_prometheus(stage),
    }
}

pub(crate) const LESSON: Lesson = Lesson {
    id: "actor-cycle",
    family: "update during gather",
    source: include_str!("actor_cycle.rs"),
    origin: &["scylladb/scylla-manager#2843 (kin)"],
    company: Company::Together,
    bound_ms: None,
    drive: Drive::Scrapes { extra: 2 },
    release: Release::Never,
    advice: &[
        "collect() must not wait for a thread that registers metrics: let the actor publish its numbers, e.g. in an atomic",
        "if collect() has to ask, wait with recv_timeout() and leave the family out, with a count of how often",
    ],
    expect,
    play,
};

fn expect(setting: &Setting) -> Cell {
    match setting.variant {
        Variant::Naive => Cell::must(
            Outcome::Stalled,
            "the scrape waits for a reply; that its sender waits for the scrape's read lock is a suspect: a channel has no readable owner",
        ),
        Variant::TimeoutInline => Cell::must(Outcome::Stalled, because::TIMER_CANNOT_FIRE),
        Variant::Offload => Cell::must(Outcome::Stalled, because::NO_DEADLINE),
        Variant::TimeoutOffload => Cell::contained_leaking(1.0, because::TIMER_FIRES),
        Variant::TryLock => Cell::must(Outcome::Stalled, "the application has no lock that could be tried"),
        Variant::Official => Cell::must(
            Outcome::Stalled,
            "the same with the handler's read lock and the write lock around register(): one half of the cycle is a channel",
        ),
        Variant::Atomics => Cell::Skip("no registry: registering has no counterpart"),
        Variant::Exporter => Cell::Skip("no collectors: nothing of the application runs while the page is rendered"),
        Variant::Guarded => Cell::cured(
            setting,
            3,
            "register() waits for nothing, so the actor gets to the message that the collector waits to have answered",
        ),
    }
}
