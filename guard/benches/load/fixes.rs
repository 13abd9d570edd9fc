//! The handlers that the incident's fix 1 proposes, over the same metrics: the naive one inside a timer, on the blocking pool,
//! on the blocking pool with a timer and a permit, and behind a collector that takes its lock with `try_lock`.

use super::subject::{Done, Series, Subject, naive};
use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{CounterVec, Encoder, Registry, TextEncoder};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::runtime::Runtime;
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

/// Never met here.
const DEADLINE: Duration = Duration::from_secs(60);

/// The naive handler first, then the fixes.
pub(super) fn fixes(series: usize) -> Vec<Subject> {
    let inline = served(series, "timeout, inline", "timeout-inline", |runtime, registry| {
        runtime.block_on(async { timeout(DEADLINE, async { body(registry) }).await.expect("in time") })
    });
    let offload = served(series, "`spawn_blocking`", "offload", |runtime, registry| {
        let registry = registry.clone();
        runtime.block_on(async { spawn_blocking(move || body(&registry)).await.expect("no panic") })
    });
    let permits = Arc::new(Semaphore::new(4));
    let timeout_offload = served(series, "`spawn_blocking`, timeout", "timeout-offload", move |runtime, registry| {
        let (registry, permits) = (registry.clone(), Arc::clone(&permits));
        runtime.block_on(async move {
            let permit = permits.try_acquire_owned().expect("one scrape at a time");
            let gathered = spawn_blocking(move || {
                let _permit = permit;
                body(&registry)
            });
            timeout(DEADLINE, gathered).await.expect("in time").expect("no panic")
        })
    });
    vec![naive(series, 1), inline, offload, timeout_offload, try_lock(series)]
}

fn body(registry: &Registry) -> usize {
    let mut body = Vec::new();
    TextEncoder::new().encode(&registry.gather(), &mut body).expect("an expressible registry");
    body.len()
}

fn served(
    series: usize,
    name: &'static str,
    variant: &'static str,
    scrape: impl Fn(&Runtime, &Registry) -> usize + Sync + 'static,
) -> Subject {
    let (registry, all) = (Registry::new(), Series::new(series, 1));
    registry.register(Box::new(all.vectors[0].clone())).expect("a new name");
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_time().build().expect("threads");
    Subject {
        name,
        variant: Some(variant),
        scrape: Box::new(move || Done::of(scrape(&runtime, &registry))),
        update: all.update(),
        register: None,
    }
}

/// Says nothing where its lock is taken.
struct TryLock {
    inner: CounterVec,
    lock: Mutex<()>,
}

impl Collector for TryLock {
    fn desc(&self) -> Vec<&Desc> {
        self.inner.desc()
    }
    fn collect(&self) -> Vec<MetricFamily> {
        self.lock.try_lock().map_or(Vec::new(), |_held| self.inner.collect())
    }
}

fn try_lock(series: usize) -> Subject {
    let (registry, all) = (Registry::new(), Series::new(series, 1));
    registry.register(Box::new(TryLock { inner: all.vectors[0].clone(), lock: Mutex::new(()) })).expect("a new name");
    Subject {
        name: "`try_lock`",
        variant: Some("try-lock"),
        scrape: Box::new(move || Done::of(body(&registry))),
        update: all.update(),
        register: None,
    }
}
