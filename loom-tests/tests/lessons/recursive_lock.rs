//! Pattern 2, "the lock taken twice": a reader that reads again, and a writer that queues in between.
//!
//! The second read is fine as long as nobody wants to write, which is why tests do not find it. A lock that is fair to
//! writers makes new readers wait behind a queued one; the reader then waits for the writer, and the writer for the reader.
//! loom's own `RwLock` is not fair and does not show it, so this lesson uses the shim's, which behaves like `parking_lot`'s.

use gatherlock_loom_tests::explore::{Finding, exhaustively};
use gatherlock_loom_tests::shim::{RwLock, thread::spawn};
use std::sync::Arc;

fn a_gather_inside_a_gather(somebody_registers: bool) -> Finding {
    exhaustively(move || {
        let registry = Arc::new(RwLock::new(0));
        let written = Arc::clone(&registry);
        let writer = somebody_registers.then(|| spawn("register", move || *written.write() += 1));
        let gather = registry.read(); // gather() ...
        drop(registry.read()); // ... and a collect() that gathers
        drop(gather);
        writer.into_iter().for_each(|writer| writer.join().unwrap());
    })
}

#[test]
fn it_hangs_only_if_a_writer_queues() {
    assert!(matches!(a_gather_inside_a_gather(true), Finding::Deadlock(trace) if trace.cycle.len() == 2));
    assert!(matches!(a_gather_inside_a_gather(false), Finding::None));
}
