//! How to check a collector of one's own: `cargo run -p gatherlock-loom-tests --example my_collector`.
//!
//! 1. Take the locks from `shim` instead of `parking_lot` (`shim::{Mutex, RwLock}`) or `std` (`shim::sync::Mutex`, channels
//!    from `shim::sync::mpsc`), and threads from `shim::thread`. They behave like the originals; each operation is a step
//!    that the checker orders.
//! 2. Take `Registry` and everything else from `gatherlock_loom_tests::prometheus`: the published source, on those locks.
//! 3. Write the smallest program that has your locks in it: a scrape, and what happens beside it. At most five threads.
//! 4. Give it to an explorer. Every lock and every thread is created inside the body, which runs once per schedule.

use gatherlock_loom_tests::explore::{Explorer, Finding, Search};
use gatherlock_loom_tests::prometheus::core::{Collector, Desc};
use gatherlock_loom_tests::prometheus::proto::MetricFamily;
use gatherlock_loom_tests::prometheus::{IntGauge, Registry};
use gatherlock_loom_tests::shim::{Mutex, thread::spawn};
use std::process::ExitCode;
use std::sync::Arc;

/// The application: a queue whose length is a metric.
#[derive(Default)]
struct Queue {
    jobs: Mutex<Vec<&'static str>>,
}

struct QueueLength {
    queue: Arc<Queue>,
    gauge: IntGauge,
}

impl Collector for QueueLength {
    fn desc(&self) -> Vec<&Desc> {
        self.gauge.desc()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let length = self.queue.jobs.lock().len();
        self.gauge.set(i64::try_from(length).unwrap_or(i64::MAX));
        self.gauge.collect()
    }
}

fn gauge(name: &str) -> IntGauge {
    IntGauge::new(name, "help").expect("a valid name")
}

/// A scrape, and a worker that registers a metric for the job it pushes, under the queue's lock.
fn scrape_beside_a_push() {
    let queue = Arc::new(Queue::default());
    let registry = Registry::new();
    let collector = QueueLength { queue: Arc::clone(&queue), gauge: gauge("queue_length") };
    registry.register(Box::new(collector)).expect("an empty registry");
    let inside = registry.clone();
    let worker = spawn("worker", move || {
        let mut jobs = queue.jobs.lock();
        jobs.push("job");
        inside.register(Box::new(gauge("job_running"))).expect("a new name");
    });
    registry.gather();
    worker.join().expect("no panic");
}

fn main() -> ExitCode {
    let explored = Explorer::new(Search::Loom { preemptions: Some(3) }).run(scrape_beside_a_push);
    println!("{}: {}, {} executions", explored.finding.word(), explored.strength, explored.executions);
    match &explored.finding {
        Finding::None => ExitCode::SUCCESS,
        Finding::Inconclusive { reason } => {
            println!("{reason}");
            ExitCode::from(2)
        }
        Finding::Deadlock(trace) | Finding::Blocked(trace) | Finding::Panicked { trace, .. } => {
            println!("{trace}");
            ExitCode::FAILURE
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_shows_a_deadlock() {
        let explored = Explorer::new(Search::Loom { preemptions: Some(3) }).run(scrape_beside_a_push);
        assert!(matches!(explored.finding, Finding::Deadlock(trace) if trace.cycle.len() == 2));
    }
}
