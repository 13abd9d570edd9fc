//! `guard::Registry` with the collectors of the published `prometheus`: vectors, counters and histograms on modelled locks
//! and atomics, in every schedule that the stated search visits. None hangs; the same bodies with `prometheus::Registry`
//! deadlock where it holds its lock across `collect()`, which shows that the bodies can.
//!
//! The registry is the guard's own source, compiled here over the shim's lock; only what never waits (the counts of panics,
//! the memory of orders, which is swapped and not held) is outside the model.

// What the guard's source calls `prometheus` is the published source on the shim's locks.
extern crate gatherlock_model_prometheus_0_14 as prometheus;

#[allow(dead_code, unreachable_pub)]
#[path = "."]
mod guard {
    pub(crate) mod sync {
        pub(crate) use gatherlock_loom_tests::shim::sync::{Mutex, MutexGuard};
    }
    #[path = "../../guard/src/entry.rs"]
    mod entry;
    #[path = "../../guard/src/gather.rs"]
    pub(crate) mod gather;
    #[path = "../../guard/src/labels.rs"]
    mod labels;
    #[path = "../../guard/src/memory.rs"]
    mod memory;
    #[path = "../../guard/src/order.rs"]
    mod order;
    #[path = "../../guard/src/panic.rs"]
    mod panic;
    #[path = "../../guard/src/registry.rs"]
    pub(crate) mod registry;
    #[path = "../../guard/src/text.rs"]
    mod text;
}

use gatherlock_loom_tests::explore::{Exploration, Explorer, Finding, Limits, Search, Strength};

/// The bodies, for either registry.
macro_rules! bodies {
    ($name:ident, $registry:path) => {
        mod $name {
            use gatherlock_loom_tests::shim::sync::Mutex;
            use gatherlock_loom_tests::shim::thread::{JoinHandle, spawn};
            use prometheus::core::{Collector, Desc};
            use prometheus::proto::MetricFamily;
            use prometheus::{Histogram, HistogramOpts, IntCounter, IntCounterVec, Opts};
            use std::sync::Arc;
            // Part of no mechanism: it keeps a nested gather from nesting again.
            use std::sync::atomic::{AtomicBool, Ordering};
            use $registry as Registry;

            /// A collector that does `act` and then reports a counter.
            struct Acting<F> {
                counter: IntCounter,
                act: F,
            }

            impl<F: Fn() + Send + Sync> Collector for Acting<F> {
                fn desc(&self) -> Vec<&Desc> {
                    self.counter.desc()
                }
                fn collect(&self) -> Vec<MetricFamily> {
                    (self.act)();
                    self.counter.collect()
                }
            }

            fn counter(name: &str) -> IntCounter {
                IntCounter::new(name, "help").expect("a valid name")
            }

            fn acting(name: &str, act: impl Fn() + Send + Sync + 'static) -> Box<dyn Collector> {
                Box::new(Acting { counter: counter(name), act })
            }

            /// A thread that registers a counter, and unregisters it again.
            fn coming_and_going(registry: &Registry) -> JoinHandle<()> {
                let registry = registry.clone();
                spawn("register", move || {
                    registry.register(Box::new(counter("late"))).expect("a new name");
                    registry.unregister(Box::new(counter("late"))).expect("it is there");
                })
            }

            /// The families that a gather brings, all of them: a swallowed panic would be one too few.
            fn gathered(registry: &Registry) -> Vec<String> {
                registry.gather().iter().map(|family| family.name().to_string()).collect()
            }

            fn join(thread: JoinHandle<()>) {
                thread.join().expect("the thread does not panic");
            }

            /// A collector registers, unregisters and gathers, while a thread registers.
            pub(super) fn inside() {
                let registry = Registry::new();
                let (inner, nested) = (registry.clone(), AtomicBool::new(false));
                let act = move || {
                    if !nested.swap(true, Ordering::Relaxed) {
                        assert!(gathered(&inner).contains(&"acting".to_string()));
                        inner.register(Box::new(counter("inside"))).expect("a new name");
                        inner.unregister(Box::new(counter("inside"))).expect("it is there");
                    }
                };
                registry.register(acting("acting", act)).expect("an empty registry");
                let writer = coming_and_going(&registry);
                assert!(gathered(&registry).contains(&"acting".to_string()));
                join(writer);
                assert_eq!(gathered(&registry), ["acting"]);
            }

            /// A collector wants the application's lock, whose holder registers.
            pub(super) fn both_orders() {
                let (registry, application) = (Registry::new(), Arc::new(Mutex::new(())));
                let wanted = Arc::clone(&application);
                let act = move || drop(wanted.lock().expect("not poisoned"));
                registry.register(acting("wants", act)).expect("an empty registry");
                let inner = registry.clone();
                let holder = spawn("holder", move || {
                    let _held = application.lock().expect("not poisoned");
                    inner.register(Box::new(counter("held"))).expect("a new name");
                });
                assert!(gathered(&registry).contains(&"wants".to_string()));
                join(holder);
                assert_eq!(gathered(&registry), ["held", "wants"]);
            }

            /// The same, and a third thread that registers and unregisters.
            pub(super) fn three() {
                let (registry, application) = (Registry::new(), Arc::new(Mutex::new(())));
                let wanted = Arc::clone(&application);
                let act = move || drop(wanted.lock().expect("not poisoned"));
                registry.register(acting("wants", act)).expect("an empty registry");
                let inner = registry.clone();
                let holder = spawn("holder", move || {
                    let _held = application.lock().expect("not poisoned");
                    inner.register(Box::new(counter("held"))).expect("a new name");
                });
                let writer = coming_and_going(&registry);
                assert!(gathered(&registry).contains(&"wants".to_string()));
                join(holder);
                join(writer);
                assert_eq!(gathered(&registry), ["held", "wants"]);
            }

            /// A new series is made in a vector that is being gathered, by a thread that registers, too.
            pub(super) fn new_series() {
                let registry = Registry::new();
                let vector = IntCounterVec::new(Opts::new("vector", "help"), &["label"]).expect("valid options");
                registry.register(Box::new(vector.clone())).expect("an empty registry");
                let inner = registry.clone();
                let updater = spawn("update", move || {
                    vector.with_label_values(&["new"]).inc();
                    inner.register(Box::new(counter("late"))).expect("a new name");
                });
                assert!(gathered(&registry).len() <= 2);
                join(updater);
                assert_eq!(gathered(&registry), ["late", "vector"]);
            }

            /// A histogram is observed while it is gathered: `gather()` waits for observers half way through.
            pub(super) fn observed() {
                let registry = Registry::new();
                let options = HistogramOpts::new("seconds", "help").buckets(vec![1.0]);
                let seconds = Histogram::with_opts(options).expect("valid options");
                registry.register(Box::new(seconds.clone())).expect("an empty registry");
                let observer = spawn("observe", move || seconds.observe(0.5));
                assert_eq!(gathered(&registry), ["seconds"]);
                join(observer);
                assert_eq!(registry.gather()[0].get_metric()[0].get_histogram().get_sample_count(), 1);
            }
        }
    };
}

bodies!(on_guard, super::guard::registry::Registry);
bodies!(on_prometheus, prometheus::Registry);

const ALL: Search = Search::Loom { preemptions: None };
const BOUNDED: Search = Search::Loom { preemptions: Some(3) };

fn explored(search: Search, body: fn()) -> Exploration {
    Explorer::new(search).limits(Limits::patient()).run(body)
}

/// Nothing is found, in no fewer executions than show that the threads meet.
fn holds(search: Search, least: u64, body: fn()) {
    let explored = explored(search, body);
    println!("{}: {}, {} executions", explored.finding.word(), explored.strength, explored.executions);
    assert!(matches!(explored.finding, Finding::None), "{:?}", explored.finding);
    let expected = match search {
        Search::Loom { preemptions: Some(preemptions) } => Strength::Bounded { preemptions },
        _ => Strength::Exhausted,
    };
    assert_eq!(explored.strength, expected);
    assert!(explored.executions >= least, "only {} executions: the threads do not meet", explored.executions);
}

fn deadlocks(body: fn()) {
    let explored = explored(BOUNDED, body);
    assert!(matches!(explored.finding, Finding::Deadlock(_)), "{:?}", explored.finding);
}

#[test]
fn a_collector_that_registers_unregisters_and_gathers_hangs_in_no_schedule() {
    holds(ALL, 1000, on_guard::inside);
}

#[test]
fn an_application_lock_in_both_orders_hangs_in_no_schedule() {
    holds(ALL, 10, on_guard::both_orders);
    holds(Search::Dfs, 10, on_guard::both_orders);
}

#[test]
fn the_same_with_a_third_thread_hangs_in_no_schedule() {
    holds(BOUNDED, 100, on_guard::three);
}

#[test]
fn a_new_series_while_its_vector_is_gathered_hangs_in_no_schedule() {
    holds(BOUNDED, 10, on_guard::new_series);
}

#[test]
fn a_histogram_observed_while_it_is_gathered_hangs_in_no_schedule() {
    holds(BOUNDED, 10, on_guard::observed);
}

#[test]
fn with_the_published_registry_the_first_three_deadlock() {
    deadlocks(on_prometheus::inside);
    deadlocks(on_prometheus::both_orders);
    deadlocks(on_prometheus::three);
}

/// They wait one way only, whichever registry it is: the controls of the models.
#[test]
fn with_the_published_registry_the_other_two_do_not() {
    holds(BOUNDED, 10, on_prometheus::new_series);
    holds(BOUNDED, 10, on_prometheus::observed);
}
