//! collect() takes a lock of the application, and the application calls the registry while it has that lock.

use super::{
    COLLECT, GATHER, REGISTER, REGISTRY, Signature, WaitsFor, counter, join, prometheus, registering, registry_calling,
};
use crate::models::{Expect, Model};
use crate::shim::thread::spawn;
use crate::shim::{Mutex, sync};
use prometheus::{PullingGauge, Registry};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

const WORKER_REGISTERS: WaitsFor =
    WaitsFor { thread: "worker", operation: "write", lock: REGISTRY, held_by: &["main"], frames: &[REGISTER] };

/// The scrape's side of the circle: it wants the application's lock, which the worker has.
const fn scrape_wants(lock: &'static str, frames: &'static [&'static str]) -> WaitsFor {
    WaitsFor { thread: "main", operation: "lock", lock, held_by: &["worker"], frames }
}

pub(super) fn models() -> Vec<Model> {
    vec![
        Model {
            name: "register-under-app-lock[lock=parking-lot]",
            lesson: "collect() wants the lock whose holder registers a metric",
            threads: 2,
            expect: Expect::Deadlock(Signature(
                const { &[scrape_wants("Mutex<u32>", &[COLLECT, GATHER]), WORKER_REGISTERS] },
            )),
            body: register_under_parking_lot,
        },
        Model {
            name: "register-under-app-lock[lock=std]",
            lesson: "the same with a std::sync::Mutex",
            threads: 2,
            expect: Expect::Deadlock(Signature(
                const { &[scrape_wants("std::sync::Mutex<u32>", &[COLLECT, GATHER]), WORKER_REGISTERS] },
            )),
            body: register_under_std,
        },
        Model {
            name: "register-under-app-lock[worker=gathers]",
            lesson: "the same lock order, but the worker only reads the registry: never hangs",
            threads: 2,
            expect: Expect::None,
            body: || both_read(false),
        },
        Model {
            name: "register-under-app-lock[worker=gathers,writer=queued]",
            lesson: "and hangs as soon as a third thread queues to register: three threads, two of them readers",
            threads: 3,
            expect: Expect::Deadlock(Signature(
                const {
                    &[
                        scrape_wants("Mutex<u32>", &[COLLECT, GATHER]),
                        WaitsFor {
                            thread: "worker",
                            operation: "read",
                            lock: REGISTRY,
                            held_by: &["register"],
                            frames: &[GATHER],
                        },
                        WaitsFor {
                            thread: "register",
                            operation: "write",
                            lock: REGISTRY,
                            held_by: &["main"],
                            frames: &[REGISTER],
                        },
                    ]
                },
            )),
            body: || both_read(true),
        },
        Model {
            name: "register-under-app-lock[collector=pulling-gauge]",
            lesson: "the closure of a PullingGauge runs under the registry's lock like any collect()",
            threads: 2,
            expect: Expect::Deadlock(Signature(
                const { &[scrape_wants("Mutex<u32>", &["PullingGauge::metric", GATHER]), WORKER_REGISTERS] },
            )),
            body: pulling_gauge,
        },
        Model {
            name: "three-party-cycle",
            lesson: "gather -> cache -> index -> register: no two of them are wrong together",
            threads: 3,
            expect: Expect::Deadlock(Signature(
                const {
                    &[
                        WaitsFor {
                            thread: "main",
                            operation: "lock",
                            lock: "Mutex<Cache>",
                            held_by: &["refresh"],
                            frames: &[COLLECT, GATHER],
                        },
                        WaitsFor {
                            thread: "refresh",
                            operation: "lock",
                            lock: "Mutex<Index>",
                            held_by: &["reindex"],
                            frames: &["three_party_cycle::{{closure}}"],
                        },
                        WaitsFor {
                            thread: "reindex",
                            operation: "write",
                            lock: REGISTRY,
                            held_by: &["main"],
                            frames: &[REGISTER, "three_party_cycle::{{closure}}"],
                        },
                    ]
                },
            )),
            body: three_party_cycle,
        },
        Model {
            name: "hot-app-lock",
            lesson: "collect() queues behind a lock of the application whose holders come back: late, never stuck",
            threads: 3,
            expect: Expect::None,
            body: hot_app_lock,
        },
    ]
}

fn register_under_parking_lot() {
    let app = Arc::new(Mutex::new(0u32));
    let collected = Arc::clone(&app);
    let registry = registry_calling(move |_| *collected.lock() += 1);
    let inside = registry.clone();
    let worker = spawn("worker", move || {
        let mut app = app.lock();
        inside.register(Box::new(counter("late"))).expect("a new name");
        *app += 1;
    });
    registry.gather();
    join(worker);
}

fn register_under_std() {
    let app = Arc::new(sync::Mutex::new(0u32));
    let collected = Arc::clone(&app);
    let registry = registry_calling(move |_| *collected.lock().expect("not poisoned") += 1);
    let inside = registry.clone();
    let worker = spawn("worker", move || {
        let mut app = app.lock().expect("not poisoned");
        inside.register(Box::new(counter("late"))).expect("a new name");
        *app += 1;
    });
    registry.gather();
    join(worker);
}

fn both_read(with_writer: bool) {
    let app = Arc::new(Mutex::new(0u32));
    let collected = Arc::clone(&app);
    // Whoever gathers first takes the lock in collect(); the flag keeps the worker's own gather from taking it twice.
    let first = Arc::new(AtomicBool::new(true));
    let claimed = Arc::clone(&first);
    let registry = registry_calling(move |_| {
        if claimed.swap(false, Ordering::SeqCst) {
            *collected.lock() += 1;
        }
    });
    let inside = registry.clone();
    let worker = spawn("worker", move || {
        let mut app = app.lock();
        if !first.swap(false, Ordering::SeqCst) {
            inside.gather();
        }
        *app += 1;
    });
    let writer = with_writer.then(|| registering(&registry, "late"));
    registry.gather();
    join(worker);
    writer.into_iter().for_each(join);
}

fn pulling_gauge() {
    let app = Arc::new(Mutex::new(0u32));
    let pulled = Arc::clone(&app);
    let registry = Registry::new();
    let gauge = PullingGauge::new("queue", "help", Box::new(move || f64::from(*pulled.lock()))).expect("a valid name");
    registry.register(Box::new(gauge)).expect("an empty registry");
    let inside = registry.clone();
    let worker = spawn("worker", move || {
        let mut app = app.lock();
        inside.register(Box::new(counter("late"))).expect("a new name");
        *app += 1;
    });
    registry.gather();
    join(worker);
}

#[derive(Default)]
struct Cache;

#[derive(Default)]
struct Index;

fn three_party_cycle() {
    let cache = Arc::new(Mutex::new(Cache));
    let index = Arc::new(Mutex::new(Index));
    let collected = Arc::clone(&cache);
    let registry = registry_calling(move |_| drop(collected.lock()));
    let looked_up = Arc::clone(&index);
    let refresh = spawn("refresh", move || {
        let cache = cache.lock();
        drop(looked_up.lock());
        drop(cache);
    });
    let inside = registry.clone();
    let reindex = spawn("reindex", move || {
        let index = index.lock();
        inside.register(Box::new(counter("late"))).expect("a new name");
        drop(index);
    });
    registry.gather();
    join(refresh);
    join(reindex);
}

fn hot_app_lock() {
    let app = Arc::new(Mutex::new(0u32));
    let collected = Arc::clone(&app);
    let registry = registry_calling(move |_| *collected.lock() += 1);
    let holders: Vec<_> = ["worker", "helper"]
        .into_iter()
        .map(|name| {
            let app = Arc::clone(&app);
            spawn(name, move || *app.lock() += 1)
        })
        .collect();
    registry.gather();
    holders.into_iter().for_each(join);
    assert_eq!(*app.lock(), 3);
}
