//! Pattern 1, "update during gather": two threads take the same two locks, each in its own order.
//!
//! The scrape has the registry's lock and asks the application for a number; the worker has the application's lock and
//! registers a metric. Neither is wrong alone. The cure is to keep no lock of one's own while the registry is called.

use gatherlock_loom_tests::explore::{Finding, exhaustively};
use gatherlock_loom_tests::shim::{Mutex, thread::spawn};
use std::sync::Arc;

fn a_scrape_and_a_worker(keeps_its_lock: bool) -> Finding {
    exhaustively(move || {
        let locks = Arc::new((Mutex::new("registry"), Mutex::new("application")));
        let shared = Arc::clone(&locks);
        let worker = spawn("worker", move || {
            let _kept = keeps_its_lock.then_some(shared.1.lock()); // if not kept, it is given back here
            drop(shared.0.lock()); // register()
        });
        let gather = locks.0.lock(); // gather() ...
        drop(locks.1.lock()); // ... and a collect() under it
        drop(gather);
        worker.join().unwrap();
    })
}

#[test]
fn opposite_orders_deadlock_unless_the_worker_lets_go_first() {
    assert_eq!([true, false].map(|keeps| a_scrape_and_a_worker(keeps).word()), ["deadlock", "none"]);
}
