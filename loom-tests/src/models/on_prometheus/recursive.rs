//! One thread takes a lock it already has.

use super::{
    COLLECT, GATHER, REGISTER, REGISTRY, SERIES, Signature, WaitsFor, counter, join, prometheus, registering,
    registry_calling,
};
use crate::models::{Expect, Model};
use crate::shim::collections::HashMap;
use crate::shim::{RwLock, sync};
use prometheus::core::{MetricVec, MetricVecBuilder};
use prometheus::{IntCounter, Opts};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

pub(super) fn models() -> Vec<Model> {
    vec![
        Model {
            name: "register-in-collect",
            lesson: "a read lock, then the write lock, one thread: every scrape hangs",
            threads: 1,
            expect: Expect::Deadlock(Signature(&[WaitsFor {
                thread: "main",
                operation: "write",
                lock: REGISTRY,
                held_by: &["main"],
                frames: &[REGISTER, COLLECT, GATHER],
            }])),
            body: register_in_collect,
        },
        Model {
            name: "unregister-in-collect",
            lesson: "the same on removal",
            threads: 1,
            expect: Expect::Deadlock(Signature(&[WaitsFor {
                thread: "main",
                operation: "write",
                lock: REGISTRY,
                held_by: &["main"],
                frames: &["Registry::unregister", COLLECT, GATHER],
            }])),
            body: unregister_in_collect,
        },
        Model {
            name: "gather-in-collect",
            lesson: "two read locks of one thread, and a writer that queues between them",
            threads: 2,
            expect: Expect::Deadlock(Signature(&[
                WaitsFor {
                    thread: "main",
                    operation: "read",
                    lock: REGISTRY,
                    held_by: &["register"],
                    frames: &[GATHER, COLLECT, GATHER],
                },
                WaitsFor {
                    thread: "register",
                    operation: "write",
                    lock: REGISTRY,
                    held_by: &["main"],
                    frames: &[REGISTER],
                },
            ])),
            body: gather_in_collect,
        },
        Model {
            name: "gather-in-collect-no-writer",
            lesson: "the same without a writer never hangs, which is why tests miss it",
            threads: 2,
            expect: Expect::None,
            body: gather_in_collect_no_writer,
        },
        Model {
            name: "app-lock-retaken",
            lesson: "an error path inside collect() takes a lock that collect() has already",
            threads: 1,
            expect: Expect::Deadlock(Signature(&[WaitsFor {
                thread: "main",
                operation: "lock",
                lock: "std::sync::Mutex<Vec<u64>>",
                held_by: &["main"],
                frames: &[COLLECT, GATHER],
            }])),
            body: app_lock_retaken,
        },
        Model {
            name: "guard-in-expression",
            lesson: "two guards in one expression: the receiver's write guard is taken first and outlives the argument's read",
            threads: 1,
            expect: Expect::Deadlock(Signature(&[WaitsFor {
                thread: "main",
                operation: "read",
                lock: "RwLock<BTreeMap<&str, u64>>",
                held_by: &["main"],
                frames: &[COLLECT, GATHER],
            }])),
            body: guard_in_expression,
        },
        Model {
            name: "signal-handler-updates",
            lesson: "a handler runs on a thread that is creating a series, and creates one in the same vector",
            threads: 2,
            expect: Expect::Deadlock(Signature(&[WaitsFor {
                thread: "update",
                operation: "read",
                lock: SERIES,
                held_by: &["update"],
                frames: &["signal_handler", "MetricVecCore<T>::get_metric_with_label_values"],
            }])),
            body: signal_handler_updates,
        },
    ]
}

fn register_in_collect() {
    let registry = registry_calling(|registry| {
        let _ = registry.register(Box::new(counter("lazy")));
    });
    registry.gather();
}

fn unregister_in_collect() {
    let registry = registry_calling(|registry| {
        let _ = registry.unregister(Box::new(counter("expired")));
    });
    registry.register(Box::new(counter("expired"))).expect("a new name");
    registry.gather();
}

/// A collector that gathers once: `true` until it has.
fn gathers_once() -> impl Fn(&prometheus::Registry) + Send + Sync {
    // Real, because it is no part of the mechanism and only ever used under the registry's lock.
    let again = AtomicBool::new(true);
    move |registry| {
        if again.swap(false, Ordering::SeqCst) {
            registry.gather();
        }
    }
}

fn gather_in_collect() {
    let registry = registry_calling(gathers_once());
    let writer = registering(&registry, "late");
    registry.gather();
    join(writer);
}

fn gather_in_collect_no_writer() {
    let registry = registry_calling(gathers_once());
    let second = registry.clone();
    let reader = crate::shim::thread::spawn("gather", move || {
        second.gather();
    });
    registry.gather();
    join(reader);
}

fn app_lock_retaken() {
    let samples = Arc::new(sync::Mutex::new(vec![1u64]));
    let registry = registry_calling(move |_| {
        let held = samples.lock().expect("not poisoned");
        if held.len() == 1 {
            // The error path reports how many samples there are, by the function everybody else uses.
            let _ = samples.lock().expect("not poisoned").len();
        }
    });
    registry.gather();
}

fn guard_in_expression() {
    let cache = Arc::new(RwLock::new(std::collections::BTreeMap::from([("a", 1u64)])));
    let registry = registry_calling(move |_| {
        let copied = cache.write().insert("b", cache.read()["a"]);
        assert_eq!(copied, None);
    });
    registry.gather();
}

/// Builds counters for a vector, and is interrupted once by a signal while it does.
#[derive(Clone, Debug)]
struct Interrupted {
    vector: Arc<OnceLock<MetricVec<Interrupted>>>,
    pending: Arc<AtomicBool>,
}

/// What runs on the interrupted thread.
#[inline(never)]
fn signal_handler(vector: &MetricVec<Interrupted>) {
    vector.with_label_values(&["signal"]).inc();
}

impl Interrupted {
    fn interrupted_build(&self, opts: &Opts) -> prometheus::Result<IntCounter> {
        if self.pending.swap(false, Ordering::SeqCst) {
            signal_handler(self.vector.get().expect("set before the first series"));
        }
        IntCounter::with_opts(opts.clone())
    }
}

impl MetricVecBuilder for Interrupted {
    type M = IntCounter;
    type P = Opts;

    // The one signature that differs between the versions.
    metric_vec_build!(Interrupted::interrupted_build);
}

fn signal_handler_updates() {
    let builder = Interrupted { vector: Arc::default(), pending: Arc::new(AtomicBool::new(true)) };
    let opts = Opts { variable_labels: vec!["label".into()], const_labels: HashMap::new(), ..Opts::new("c", "help") };
    let vector =
        MetricVec::create(prometheus::proto::MetricType::COUNTER, builder.clone(), opts).expect("valid options");
    assert!(builder.vector.set(vector.clone()).is_ok());
    let registry = prometheus::Registry::new();
    registry.register(Box::new(vector.clone())).expect("an empty registry");
    let update = crate::shim::thread::spawn("update", move || vector.with_label_values(&["app"]).inc());
    registry.gather();
    join(update);
}
