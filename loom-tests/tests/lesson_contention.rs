//! Pattern 3, "contention": many threads want one lock, and that alone never hangs.
//!
//! Each holder gives the lock back without wanting another, so whatever the order, somebody can always go on. Scrapes get
//! late, not stuck. What turns contention into a hang is a holder that never comes back: the second model. (Plain loom
//! aborts the process on that one, because guards are dropped while it panics; hence the explorer.)

use gatherlock_loom_tests::explore::{Explorer, Finding, Search};
use gatherlock_loom_tests::shim::{self, thread::spawn};
use loom::sync::{Arc, Mutex};
use loom::thread;

#[test]
fn contention_alone_is_no_deadlock() {
    loom::model(|| {
        let metrics = Arc::new(Mutex::new(0));
        let workers: Vec<_> = (0..2)
            .map(|_| {
                let metrics = Arc::clone(&metrics);
                thread::spawn(move || *metrics.lock().unwrap() += 1)
            })
            .collect();
        let scraped = *metrics.lock().unwrap();
        assert!(scraped <= 2);
        workers.into_iter().for_each(|worker| worker.join().unwrap());
        assert_eq!(*metrics.lock().unwrap(), 2);
    });
}

#[test]
fn a_holder_that_never_comes_back_hangs_them_all() {
    let explored = Explorer::new(Search::Loom { preemptions: None }).run(|| {
        let metrics = std::sync::Arc::new(shim::Mutex::new(0));
        let held = std::sync::Arc::clone(&metrics);
        let (peer, answer) = shim::sync::mpsc::channel::<()>();
        let worker = spawn("worker", move || {
            *held.lock() += answer.recv().map_or(0, |()| 1); // under the lock, a question to a peer ...
        });
        *metrics.lock() += 1; // the scrape
        worker.join().unwrap();
        drop(peer); // ... that never answers
    });
    assert!(matches!(explored.finding, Finding::Blocked(_)), "{:?}", explored.finding);
}
