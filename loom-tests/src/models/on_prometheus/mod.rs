//! The models' bodies, compiled once for each `prometheus` version.

mod application_locks;
mod channels;
mod recursive;
mod updates;

use super::{SERIES, prometheus};
use crate::models::Model;
use crate::shim::collections::HashMap;
use crate::shim::thread::{JoinHandle, spawn};
use crate::signature::{Signature, WaitsFor};
use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{IntCounter, Registry};

/// Every model.
pub fn models() -> Vec<Model> {
    [recursive::models(), application_locks::models(), channels::models(), updates::models()].concat()
}

/// The label of the registry's lock.
const REGISTRY: &str = "RwLock<RegistryCore>";
const GATHER: &str = "Registry::gather";
const REGISTER: &str = "Registry::register";
const COLLECT: &str = "Collector>::collect";

/// A collector written by a user: `collect()` does something, under the registry's read lock.
struct Calling<F> {
    desc: Desc,
    call: F,
}

impl<F: Fn() + Send + Sync> Collector for Calling<F> {
    fn desc(&self) -> Vec<&Desc> {
        vec![&self.desc]
    }

    fn collect(&self) -> Vec<MetricFamily> {
        (self.call)();
        Vec::new()
    }
}

/// A registry with one collector that calls `call` with it.
fn registry_calling(call: impl Fn(&Registry) + Send + Sync + 'static) -> Registry {
    let registry = Registry::new();
    let inside = registry.clone();
    let desc = Desc::new("calling".into(), "help".into(), Vec::new(), HashMap::new()).expect("a valid description");
    registry.register(Box::new(Calling { desc, call: move || call(&inside) })).expect("an empty registry");
    registry
}

fn counter(name: &str) -> IntCounter {
    IntCounter::new(name, "help").expect("a valid name")
}

/// A thread that registers a new counter.
fn registering(registry: &Registry, name: &'static str) -> JoinHandle<()> {
    let registry = registry.clone();
    spawn("register", move || registry.register(Box::new(counter(name))).expect("a new name"))
}

fn join(thread: JoinHandle<()>) {
    thread.join().expect("the thread does not panic");
}
