//! Pattern 1, "update during gather": two threads take the same two locks, each in its own order.
//!
//! The scrape has the registry's lock and asks the application for a number; the worker has the application's lock and
//! registers a metric. Neither is wrong alone. Run under loom through the explorer, because plain loom aborts the process
//! on a deadlock with guards alive.

use gatherlock_loom_tests::explore::{Explorer, Finding, Search};
use gatherlock_loom_tests::shim::{Mutex, thread::spawn};
use std::sync::Arc;

fn scrape_and_worker(worker_lets_go_first: bool) -> Finding {
    let body = move || {
        let (registry, application) = (Arc::new(Mutex::new("registry")), Arc::new(Mutex::new(0)));
        let (in_registry, of_worker) = (Arc::clone(&registry), Arc::clone(&application));
        let worker = spawn("worker", move || {
            let mut queue = of_worker.lock();
            *queue += 1;
            if worker_lets_go_first {
                drop(queue); // The cure: no lock of one's own while the registry is called.
            }
            drop(in_registry.lock()); // register()
        });
        let gather = registry.lock(); // gather() ...
        drop(application.lock()); // ... and a collect() under it
        drop(gather);
        worker.join().expect("no panic");
    };
    Explorer::new(Search::Loom { preemptions: None }).run(body).finding
}

#[test]
fn opposite_orders_deadlock() {
    assert!(matches!(scrape_and_worker(false), Finding::Deadlock(trace) if trace.cycle.len() == 2));
}

#[test]
fn letting_go_first_cures_it() {
    assert!(matches!(scrape_and_worker(true), Finding::None));
}
