//! Pattern 3, "contention": many threads want one lock, and that alone never hangs.
//!
//! Each holder gives the lock back without wanting another, so whatever the order, somebody can always go on. Scrapes get
//! late, not stuck. What turns contention into a hang is a holder that never comes back: the second model.

use loom::sync::{Arc, Condvar, Mutex};
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
#[should_panic(expected = "deadlock; threads")]
fn a_holder_that_never_comes_back_is() {
    loom::model(|| {
        let (metrics, never) = (Arc::new(Mutex::new(0)), Arc::new((Mutex::new(()), Condvar::new())));
        let (held, waited) = (Arc::clone(&metrics), Arc::clone(&never));
        let worker = thread::spawn(move || {
            let _metrics = held.lock().unwrap();
            drop(waited.1.wait(waited.0.lock().unwrap()).unwrap()); // a peer that never answers
        });
        drop(metrics.lock().unwrap());
        worker.join().unwrap();
    });
}
