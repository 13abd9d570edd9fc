//! Pattern 1, "update during gather": two threads take the same two locks, each in its own order.
//!
//! The scrape has the registry's lock and asks the application for a number; the worker has the application's lock and
//! registers a metric. Neither is wrong alone. With plain loom, no shim: this is all there is to it.

use loom::sync::{Arc, Mutex};
use loom::thread;

fn scrape_and_worker(worker_lets_go_first: bool) {
    let (registry, application) = (Arc::new(Mutex::new(())), Arc::new(Mutex::new(0)));
    let (in_registry, of_worker) = (Arc::clone(&registry), Arc::clone(&application));
    let worker = thread::spawn(move || {
        let mut queue = of_worker.lock().unwrap();
        *queue += 1;
        if worker_lets_go_first {
            drop(queue); // The cure: no lock of one's own while the registry is called.
        }
        drop(in_registry.lock().unwrap()); // register()
    });
    let gather = registry.lock().unwrap(); // gather() ...
    drop(application.lock().unwrap()); // ... and a collect() under it
    drop(gather);
    worker.join().unwrap();
}

#[test]
#[should_panic(expected = "deadlock; threads")]
fn opposite_orders_deadlock() {
    loom::model(|| scrape_and_worker(false));
}

#[test]
fn letting_go_first_cures_it() {
    loom::model(|| scrape_and_worker(true));
}
