//! `within` in a plain libtest binary, which has no hook of its own and no `main` to change.
#![cfg(live)]

use parking_lot::RwLock;
use prometheus::core::{Collector, Desc};
use prometheus::{Gauge, Opts, Registry, proto};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Long enough for a busy machine to get as far as the hang.
const BOUND: Duration = Duration::from_secs(2);

/// The message of the panic that `act` ends with, because it does not end in time.
fn message<T: Send + 'static>(act: impl FnOnce() -> T + Send + 'static) -> String {
    let panic = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| gatherlock::within(BOUND, act)))
        .err()
        .expect("it was done in time");
    let text = panic.downcast_ref::<String>().expect("the message is no text");
    // The page is wrapped.
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The processes whose parent is this one.
fn children() -> Vec<String> {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap();
    let children = tasks.map(|task| std::fs::read_to_string(task.unwrap().path().join("children")).unwrap_or_default());
    children.flat_map(|list| list.split_whitespace().map(str::to_owned).collect::<Vec<_>>()).collect()
}

#[test]
fn what_is_done_in_time_is_returned() {
    assert_eq!(gatherlock::within(BOUND, || 6 * 7), 42);
}

#[test]
#[should_panic(expected = "what the closure says")]
fn a_panic_is_passed_on() {
    gatherlock::within(BOUND, || panic!("what the closure says"));
}

/// A collector that registers another metric while it is collected.
struct Registering(Registry, Gauge);

impl Collector for Registering {
    fn desc(&self) -> Vec<&Desc> {
        self.1.desc()
    }
    fn collect(&self) -> Vec<proto::MetricFamily> {
        let late = Gauge::with_opts(Opts::new("late", "help")).unwrap();
        self.0.register(Box::new(late)).unwrap();
        self.1.collect()
    }
}

#[test]
fn a_scrape_that_waits_for_itself() {
    let registry = Registry::new();
    let gauge = Gauge::with_opts(Opts::new("early", "help")).unwrap();
    registry.register(Box::new(Registering(registry.clone(), gauge))).unwrap();
    let said = message(move || registry.gather());
    assert!(said.starts_with("not done within 2s "), "{said}");
    assert!(said.contains("hangs in a deadlock with itself"), "{said}");
    assert!(said.contains("holds prometheus Registry #1 (READ) and waits for it again (WRITE)"), "{said}");
}

#[test]
fn two_threads_in_each_others_way() {
    let (inventory, cache) = (Arc::new(Mutex::new(1u64)), Arc::new(RwLock::new(2u64)));
    let (locked, wait) = channel();
    let (i, c) = (inventory.clone(), cache.clone());
    let said = message(move || {
        let held = i.lock().unwrap();
        let (go, gone) = channel();
        let other = std::thread::Builder::new().name("restock".into()).spawn(move || {
            let mut cache = cache.write();
            locked.send(()).unwrap();
            gone.recv().unwrap();
            *cache += *inventory.lock().unwrap();
        });
        wait.recv().unwrap();
        go.send(()).unwrap();
        let sum = *held + *c.read();
        other.unwrap().join().unwrap();
        sum
    });
    assert!(said.contains("hangs in a deadlock:"), "{said}");
    assert!(said.contains("`restock`"), "{said}");
    assert!(said.contains("std::sync::Mutex") && said.contains("parking_lot::RwLock"), "{said}");
}

#[test]
fn a_message_that_never_comes_is_no_deadlock() {
    let (sender, receiver) = channel::<()>();
    let said = message(move || receiver.recv());
    drop(sender);
    assert!(said.starts_with("not done within 2s Stalled"), "{said}");
    assert!(said.contains("waits for message on a channel"), "{said}");
}

#[test]
fn a_helper_that_was_not_needed_is_gone() {
    let helper = gatherlock::gate::Helper::stand_by().unwrap();
    let before = children();
    assert!(!before.is_empty());
    drop(helper);
    // Other tests of this process have helpers of their own; this one's is the one that went.
    let deadline = std::time::Instant::now() + Duration::from_secs(20);
    while before.iter().all(|pid| children().contains(pid)) {
        assert!(std::time::Instant::now() < deadline, "{before:?}");
        std::thread::yield_now();
    }
}
