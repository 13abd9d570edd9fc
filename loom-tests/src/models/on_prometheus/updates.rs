//! Metrics are updated, created and removed while they are gathered: the report's own suspicion, and none of it hangs.

use super::{counter, join, prometheus, registering, registry_calling};
use crate::models::{Expect, Model};
use crate::shim;
use crate::shim::sync::Mutex;
use crate::shim::thread::{JoinHandle, spawn};
use prometheus::core::Collector;
use prometheus::{Counter, Gauge, Histogram, HistogramOpts, IntCounterVec, Opts, Registry};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

pub(super) fn models() -> Vec<Model> {
    let control = |name, lesson, threads, body| Model { name, lesson, threads, expect: Expect::None, body };
    vec![
        control("inc-during-gather[metric=counter]", "a float counter is a load and an exchange", 2, counter_inc),
        control("inc-during-gather[metric=gauge]", "set() while gathered", 2, gauge_set),
        control("inc-during-gather[metric=histogram]", "observe() between the two shards of a gather", 2, histogram),
        control("inc-during-gather[metric=histogram,gathers=2]", "the same, two scrapes at once", 3, histogram_twice),
        control("inc-during-gather[metric=all]", "a vector and a histogram in one registry", 2, two_collectors),
        control("new-series-during-gather", "with_label_values() of a new label set while gathered", 2, new_series),
        control("new-series-during-gather[writers=2]", "two threads, two new label sets", 3, two_new_series),
        control(
            "new-series-during-gather[register]",
            "a new label set and a new metric while gathered",
            3,
            new_and_register,
        ),
        control(
            "new-series-during-gather[registry=default]",
            "the default registry, first used by two threads",
            2,
            default,
        ),
        control("reset-during-gather", "reset() of a vector while gathered", 2, reset),
        control("remove-during-gather", "remove_label_values() while gathered and used", 3, remove),
        control("two-gathers", "two scrapes at once", 2, two_gathers),
        control("scrape-storm", "a crowd of scrapes: late, never stuck", 3, scrape_storm),
        control("register-storm", "writers queue while scrapes read: late, never stuck", 3, register_storm),
        control("lost-updates", "try_lock instead of lock: nothing waits, and an update is dropped", 2, lost_updates),
        control(
            "poisoned-lock",
            "a collector that panicked poisons its lock for life: no hang, no answer",
            1,
            poisoned,
        ),
    ]
}

fn registry_of(collector: impl Collector + 'static) -> Registry {
    let registry = Registry::new();
    registry.register(Box::new(collector)).expect("an empty registry");
    registry
}

fn vector() -> IntCounterVec {
    IntCounterVec::new(Opts::new("requests", "help"), &["path"]).expect("valid options")
}

fn a_histogram() -> Histogram {
    Histogram::with_opts(HistogramOpts::new("seconds", "help").buckets(vec![1.0])).expect("valid options")
}

fn series(vector: &IntCounterVec, path: &'static str) -> JoinHandle<()> {
    let vector = vector.clone();
    spawn(path, move || vector.with_label_values(&[path]).inc())
}

fn counter_inc() {
    let counter = Counter::new("requests", "help").expect("a valid name");
    let registry = registry_of(counter.clone());
    let updated = counter.clone();
    let update = spawn("update", move || updated.inc());
    counter.inc();
    registry.gather();
    join(update);
    assert!((counter.get() - 2.0).abs() < f64::EPSILON, "an update was lost");
}

fn gauge_set() {
    let gauge = Gauge::new("queue", "help").expect("a valid name");
    let registry = registry_of(gauge.clone());
    let update = spawn("update", move || gauge.set(2.0));
    registry.gather();
    join(update);
}

fn histogram() {
    let histogram = a_histogram();
    let registry = registry_of(histogram.clone());
    let observed = histogram.clone();
    let update = spawn("observe", move || observed.observe(0.5));
    registry.gather();
    join(update);
    assert_eq!(histogram.get_sample_count(), 1, "an observation was lost");
}

fn histogram_twice() {
    let histogram = a_histogram();
    let registry = registry_of(histogram.clone());
    let observed = histogram.clone();
    let update = spawn("observe", move || observed.observe(0.5));
    let second = registry.clone();
    let gather = spawn("gather", move || drop(second.gather()));
    registry.gather();
    join(update);
    join(gather);
    assert_eq!(histogram.get_sample_count(), 1, "an observation was lost");
}

fn two_collectors() {
    let (vector, histogram) = (vector(), a_histogram());
    let registry = registry_of(vector.clone());
    registry.register(Box::new(histogram.clone())).expect("a new name");
    let update = spawn("update", move || {
        vector.with_label_values(&["/"]).inc();
        histogram.observe(0.5);
    });
    registry.gather();
    join(update);
}

fn new_series() {
    let vector = vector();
    let registry = registry_of(vector.clone());
    let update = series(&vector, "/");
    assert!(registry.gather().len() <= 1);
    join(update);
}

fn two_new_series() {
    let vector = vector();
    let registry = registry_of(vector.clone());
    let updates = [series(&vector, "/a"), series(&vector, "/b")];
    registry.gather();
    updates.into_iter().for_each(join);
    assert_eq!(registry.gather()[0].get_metric().len(), 2, "a series was lost");
}

fn new_and_register() {
    let vector = vector();
    let registry = registry_of(vector.clone());
    let update = series(&vector, "/");
    let register = registering(&registry, "late");
    registry.gather();
    join(update);
    join(register);
}

fn default() {
    let vector = vector();
    let registered = vector.clone();
    let update = spawn("update", move || {
        prometheus::register(Box::new(registered.clone())).expect("an empty registry");
        registered.with_label_values(&["/"]).inc();
    });
    prometheus::gather();
    join(update);
    assert_eq!(prometheus::gather().len(), 1);
}

fn reset() {
    let vector = vector();
    vector.with_label_values(&["/"]).inc();
    let registry = registry_of(vector.clone());
    let reset = spawn("reset", move || vector.reset());
    registry.gather();
    join(reset);
    assert!(registry.gather().is_empty());
}

fn remove() {
    let vector = vector();
    let registry = registry_of(vector.clone());
    let update = series(&vector, "/");
    let removed = vector.clone();
    // Whether there is anything to remove depends on the schedule.
    let remove = spawn("remove", move || drop(removed.remove_label_values(&["/"])));
    registry.gather();
    join(update);
    join(remove);
}

fn two_gathers() {
    let vector = vector();
    vector.with_label_values(&["/"]).inc();
    let registry = registry_of(vector);
    let second = registry.clone();
    let gather = spawn("gather", move || assert_eq!(second.gather().len(), 1));
    assert_eq!(registry.gather().len(), 1);
    join(gather);
}

fn scrape_storm() {
    let registry = registry_of(counter("requests"));
    let crowd = ["scrape 2", "scrape 3"].map(|name| {
        let registry = registry.clone();
        spawn(name, move || assert_eq!(registry.gather().len(), 1))
    });
    assert_eq!(registry.gather().len(), 1);
    crowd.into_iter().for_each(join);
}

fn register_storm() {
    let registry = registry_of(counter("first"));
    let storm: Vec<_> = ["a", "b"].into_iter().map(|name| churn(&registry, name)).collect();
    registry.gather();
    storm.into_iter().for_each(join);
    assert_eq!(registry.gather().len(), 1);
}

/// A thread that registers a metric and takes it out again.
fn churn(registry: &Registry, name: &'static str) -> JoinHandle<()> {
    let registry = registry.clone();
    spawn(name, move || {
        registry.register(Box::new(counter(name))).expect("a new name");
        registry.unregister(Box::new(counter(name))).expect("just registered");
    })
}

fn lost_updates() {
    kept_updates();
}

/// How many of one update are kept.
fn kept_updates() -> u32 {
    let tally = Arc::new(shim::Mutex::new(0u32));
    let collected = Arc::clone(&tally);
    let registry = registry_calling(move |_| drop(collected.lock()));
    let updated = Arc::clone(&tally);
    let worker = spawn("worker", move || {
        // The mistake: there is no else.
        if let Some(mut tally) = updated.try_lock() {
            *tally += 1;
        }
    });
    registry.gather();
    join(worker);
    *tally.lock()
}

fn poisoned() {
    let cache = Arc::new(Mutex::new(0u32));
    let collected = Arc::clone(&cache);
    let registry = registry_calling(move |_| {
        let mut cache = collected.lock().expect("poisoned");
        *cache += 1;
        assert!(*cache > 1, "the first collect() fails");
    });
    for _ in 0..2 {
        assert!(catch_unwind(AssertUnwindSafe(|| registry.gather())).is_err());
    }
    assert!(cache.is_poisoned());
    assert_eq!(*cache.lock().unwrap_or_else(|poisoned| poisoned.into_inner()), 1, "the second never got in");
}

#[cfg(test)]
mod tests {
    use super::kept_updates;
    use crate::explore::{Finding, exhaustively};
    use std::collections::BTreeSet;
    use std::sync::{Arc, Mutex};

    #[test]
    fn an_update_by_try_lock_is_kept_in_some_schedules_and_lost_in_others() {
        let seen = Arc::new(Mutex::new(BTreeSet::new()));
        let kept = Arc::clone(&seen);
        let found = exhaustively(move || {
            let outcome = kept_updates();
            kept.lock().unwrap().insert(outcome);
        });
        assert!(matches!(found, Finding::None));
        assert_eq!(*seen.lock().unwrap(), BTreeSet::from([0, 1]));
    }
}
