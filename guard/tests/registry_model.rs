//! `guard::Registry`, compiled over loom's locks: collectors that use the registry they are in, and an application lock
//! taken in both orders. No schedule deadlocks; the same models over a registry that holds its lock while it collects
//! do, which shows that the models can fail.
//!
//! The collectors here are the application's; the locks inside `prometheus`' own metrics are not loom's and are never
//! held while anything of the registry runs.

#![allow(clippy::duplicate_mod, reason = "the same source over different locks is the point")]

#[path = "model/registry.rs"]
mod models;
#[path = "model/runs.rs"]
mod runs;

use runs::{Bound, expect_deadlock, holds};

/// The library's own source over loom's locks.
#[allow(dead_code, unreachable_pub)]
#[path = "."]
mod real {
    pub(crate) mod sync {
        pub(crate) use loom::sync::{Mutex, MutexGuard};
    }
    #[path = "../src/entry.rs"]
    mod entry;
    #[path = "../src/gather.rs"]
    pub(crate) mod gather;
    #[path = "../src/labels.rs"]
    mod labels;
    #[path = "../src/memory.rs"]
    mod memory;
    #[path = "../src/order.rs"]
    mod order;
    #[path = "../src/panic.rs"]
    mod panic;
    #[path = "../src/registry.rs"]
    pub(crate) mod registry;
    #[path = "../src/text.rs"]
    mod text;
}

/// What `prometheus::Registry` does, as far as it matters here: its lock is held while it collects.
mod holding {
    use loom::sync::Mutex;
    use prometheus::Result;
    use prometheus::core::Collector;
    use prometheus::proto::MetricFamily;
    use std::sync::Arc;

    #[derive(Clone)]
    pub(crate) struct Registry(Arc<Mutex<Vec<Box<dyn Collector>>>>);

    impl Registry {
        pub(crate) fn new() -> Registry {
            Registry(Arc::new(Mutex::new(Vec::new())))
        }
        pub(crate) fn register(&self, collector: Box<dyn Collector>) -> Result<()> {
            self.0.lock().unwrap().push(collector);
            Ok(())
        }
        pub(crate) fn unregister(&self, collector: Box<dyn Collector>) -> Result<()> {
            let name = collector.desc()[0].fq_name.clone();
            self.0.lock().unwrap().retain(|known| known.desc()[0].fq_name != name);
            Ok(())
        }
        pub(crate) fn gather(&self) -> Vec<MetricFamily> {
            self.0.lock().unwrap().iter().flat_map(|collector| collector.collect()).collect()
        }
    }
}

models::models!(real_models, super::real::registry::Registry);
models::models!(holding_models, super::holding::Registry);

#[test]
fn a_collector_that_registers_unregisters_and_gathers_deadlocks_in_no_schedule() {
    holds("inside", Bound::None, 10, real_models::inside);
}

#[test]
fn an_application_lock_in_both_orders_deadlocks_in_no_schedule() {
    holds("both_orders", Bound::None, 10, real_models::both_orders);
}

#[test]
fn an_application_lock_in_both_orders_beside_a_third_that_registers_deadlocks_in_no_schedule() {
    holds("three", Bound::None, 100, real_models::three);
}

#[test]
fn a_registry_that_holds_its_lock_fails_when_a_collector_uses_it() {
    expect_deadlock("a_registry_that_holds_its_lock_fails_when_a_collector_uses_it", holding_models::inside);
}

#[test]
fn a_registry_that_holds_its_lock_fails_with_an_application_lock_in_both_orders() {
    let test = "a_registry_that_holds_its_lock_fails_with_an_application_lock_in_both_orders";
    expect_deadlock(test, holding_models::both_orders);
}
