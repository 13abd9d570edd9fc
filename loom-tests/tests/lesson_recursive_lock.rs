//! Pattern 2, "the lock taken twice": a reader that reads again, and a writer that queues in between.
//!
//! The second read is fine as long as nobody wants to write, which is why tests do not find it. A lock that is fair to
//! writers makes new readers wait behind a queued one; the reader then waits for the writer, and the writer for the reader.
//! loom's own `RwLock` is not fair and does not show it, so this lesson uses the shim's, which behaves like `parking_lot`'s.

use gatherlock_loom_tests::explore::{Explorer, Finding, Search};
use gatherlock_loom_tests::shim::{RwLock, thread::spawn};
use std::sync::Arc;

fn gather_inside_gather(somebody_registers: bool) -> Finding {
    let body = move || {
        let registry = Arc::new(RwLock::new(Vec::new()));
        let written = Arc::clone(&registry);
        let writer = somebody_registers.then(|| spawn("register", move || written.write().push("new")));
        let gather = registry.read(); // gather() ...
        let again = registry.read().len(); // ... and a collect() that gathers
        assert!(again <= 1 && gather.len() == again);
        drop(gather);
        writer.into_iter().for_each(|writer| writer.join().expect("no panic"));
    };
    Explorer::new(Search::Loom { preemptions: None }).run(body).finding
}

#[test]
fn a_queued_writer_makes_it_hang() {
    assert!(matches!(gather_inside_gather(true), Finding::Deadlock(trace) if trace.cycle == ["register", "main"]));
}

#[test]
fn without_a_writer_it_never_does() {
    assert!(matches!(gather_inside_gather(false), Finding::None));
}
