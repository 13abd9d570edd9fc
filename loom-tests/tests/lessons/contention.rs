//! Pattern 3, "contention": many threads want one lock, and that alone never hangs.
//!
//! Each holder gives the lock back, so whatever the order, somebody can always go on: scrapes get late, not stuck. What
//! makes a hang of it is a holder that never comes back, because it waits for somebody who does not answer.

use gatherlock_loom_tests::explore::{Finding, exhaustively};
use gatherlock_loom_tests::shim::{Mutex, sync::mpsc::channel, thread::spawn};
use std::sync::Arc;

fn a_scrape_and_two_workers(answers: u32) -> Finding {
    exhaustively(move || {
        let (peer, answer) = channel();
        (0..answers).for_each(|_| peer.send(1).unwrap());
        let shared = Arc::new((Mutex::new(0), answer));
        let workers = ["first", "second"].map(|name| {
            let shared = Arc::clone(&shared);
            spawn(name, move || {
                let mut metrics = shared.0.lock();
                *metrics += shared.1.recv().unwrap(); // under the lock, a question to the peer
            })
        });
        drop(shared.0.lock()); // the scrape
        workers.into_iter().for_each(|worker| worker.join().unwrap());
    })
}

#[test]
fn it_hangs_only_if_a_holder_never_comes_back() {
    assert_eq!([2, 0].map(|answers| a_scrape_and_two_workers(answers).word()), ["none", "blocked"]);
}
