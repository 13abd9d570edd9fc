//! The part of the target process that uses `prometheus-client` behind a `std` lock.

use super::{Gate, named};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::{ConstCounter, Counter};
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;
use std::sync::{Arc, Mutex, RwLock};

#[derive(Debug)]
struct Asking {
    state: Arc<Mutex<u64>>,
    inside: Gate,
    locked: Gate,
}

impl std::fmt::Debug for Gate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Gate")
    }
}

impl Collector for Asking {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        self.inside.open();
        self.locked.pass();
        let counter = ConstCounter::new(*self.state.lock().unwrap());
        let metric = encoder.encode_descriptor("asked", "help", None, counter.metric_type())?;
        counter.encode(metric)
    }
}

pub(super) fn scrape(registry: &RwLock<Registry>) -> String {
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &registry.read().unwrap()).unwrap();
    text
}

pub(super) fn prepare(case: &str) -> Arc<RwLock<Registry>> {
    let registry = Arc::new(RwLock::new(Registry::default()));
    let state = Arc::new(Mutex::new(0));
    let (inside, locked) = (Gate::default(), Gate::default());
    if case == "client-registry-cycle" {
        let asking = Asking { state: state.clone(), inside: inside.clone(), locked: locked.clone() };
        registry.write().unwrap().register_collector(Box::new(asking));
        let r = registry.clone();
        named("late-register", move || {
            let mut state = state.lock().unwrap();
            locked.open();
            inside.pass();
            r.write().unwrap().register("late", "help", Counter::<u64>::default());
            *state += 1;
        });
    }
    registry
}

type Counters = Family<Vec<(String, String)>, Counter>;

fn labels(region: &str, result: &str) -> Vec<(String, String)> {
    vec![("region".to_owned(), region.to_owned()), ("result".to_owned(), result.to_owned())]
}

/// First asks for series that have been made: that works, and leaves old guards behind in the very places of the stack where
/// the next ones will be.
pub(super) fn twice_again(family: &Counters) -> u64 {
    for result in ["hit", "miss"] {
        family.get_or_create(&labels("made", result)).inc();
    }
    twice(family, &["made", "a"])
}

/// Asks for two series of each region in one expression.
pub(super) fn twice(family: &Counters, regions: &[&str]) -> u64 {
    let hit_rate = |region: &str| {
        family.get_or_create(&labels(region, "hit")).get() / family.get_or_create(&labels(region, "miss")).get().max(1)
    };
    regions.iter().map(|region| hit_rate(region)).sum()
}
