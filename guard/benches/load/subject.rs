//! The ways to serve the same metrics: one counter vector with three labels.

use gatherlock_guard::{Endpoint, Registry, Request};
use metrics::{Key, Label, Level, Metadata, Recorder};
use metrics_exporter_prometheus::PrometheusBuilder;
use prometheus::core::Collector;
use prometheus::{CounterVec, Encoder, IntCounter, Opts, TextEncoder};
use prometheus_client::encoding::text;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, RwLock};

pub(super) const NAME: &str = "requests_total";
const HELP: &str = "Requests by method, path and status.";
const METADATA: Metadata<'static> = Metadata::new("load", Level::INFO, None);

/// A way to serve them, and what can be done to them meanwhile.
pub(super) struct Subject {
    pub(super) name: &'static str,
    /// The catalogue's name for it.
    pub(super) variant: Option<&'static str>,
    /// Returns the size of the body.
    pub(super) scrape: Box<dyn Fn() -> usize + Sync>,
    /// Adds to the series with this number, which is looked up by its labels.
    pub(super) update: Box<dyn Fn(usize) + Sync>,
    /// Registers a metric and takes it away again; `None` where nothing can be taken away.
    pub(super) register: Option<Box<dyn Fn() + Sync>>,
}

/// All of them with `series` series each; the naive handler first.
pub(super) fn subjects(series: usize) -> Vec<Subject> {
    vec![
        naive(series),
        collect(series),
        registry(series),
        endpoint(series),
        in_groups(series),
        official(series),
        exporter(series),
        atomics(series),
    ]
}

fn path(number: usize) -> String {
    format!("/api/v1/resource/{number:05}")
}

/// Paths are made before the run, so that an update is a lookup and an addition.
pub(super) fn paths(series: usize) -> Arc<[String]> {
    (0..series).map(path).collect()
}

pub(super) fn vector(name: &str, paths: &[String]) -> CounterVec {
    let vector = CounterVec::new(Opts::new(name, HELP), &["method", "path", "status"]).expect("valid names");
    for (number, path) in paths.iter().enumerate() {
        vector.with_label_values(&["GET", path, "200"]).inc_by(number as f64 + 0.5);
    }
    vector
}

pub(super) fn update(vector: CounterVec, paths: Arc<[String]>) -> Box<dyn Fn(usize) + Sync> {
    Box::new(move |number| vector.with_label_values(&["GET", &paths[number], "200"]).inc())
}

fn counter() -> IntCounter {
    IntCounter::new("session_requests_total", "Requests of a session.").expect("a valid name")
}

/// What the incident's handler does.
pub(super) fn naive(series: usize) -> Subject {
    let (registry, paths) = (prometheus::Registry::new(), paths(series));
    let vector = vector(NAME, &paths);
    registry.register(Box::new(vector.clone())).expect("a new name");
    let (scraped, counter) = (registry.clone(), counter());
    Subject {
        name: "naive",
        variant: Some("naive"),
        scrape: Box::new(move || {
            let mut body = Vec::new();
            TextEncoder::new().encode(&scraped.gather(), &mut body).expect("an expressible registry");
            body.len()
        }),
        update: update(vector, paths),
        register: Some(Box::new(move || {
            registry.register(Box::new(counter.clone())).expect("a new name");
            registry.unregister(Box::new(counter.clone())).expect("it is there");
        })),
    }
}

/// The vector's own `collect()` and nothing else, dropped where it is: less no handler over this library can do.
fn collect(series: usize) -> Subject {
    let paths = paths(series);
    let vector = vector(NAME, &paths);
    let collected = vector.clone();
    Subject {
        name: "`collect()` alone",
        variant: None,
        // Each series would be more than a byte.
        scrape: Box::new(move || collected.collect().iter().map(|family| family.get_metric().len()).sum::<usize>() * 2),
        update: update(vector, paths),
        register: None,
    }
}

fn guarded(series: usize) -> (Registry, CounterVec, Arc<[String]>) {
    let (registry, paths) = (Registry::new(), paths(series));
    let vector = vector(NAME, &paths);
    registry.register(Box::new(vector.clone())).expect("a new name");
    (registry, vector, paths)
}

fn registering(registry: Registry) -> Option<Box<dyn Fn() + Sync>> {
    let counter = counter();
    Some(Box::new(move || {
        registry.register(Box::new(counter.clone())).expect("a new name");
        registry.unregister(Box::new(counter.clone())).expect("it is there");
    }))
}

/// The guard's registry in the naive handler's place.
fn registry(series: usize) -> Subject {
    let (registry, vector, paths) = guarded(series);
    let scraped = registry.clone();
    Subject {
        name: "`Registry`",
        variant: None,
        scrape: Box::new(move || {
            let mut body = Vec::new();
            assert!(scraped.encode(&mut body).is_empty());
            body.len()
        }),
        update: update(vector, paths),
        register: registering(registry),
    }
}

fn answer(endpoint: &Endpoint) -> usize {
    let answer = endpoint.answer(&Request::get());
    assert_eq!(answer.status, 200);
    answer.body.iter().map(|piece| piece.len()).sum()
}

/// The guard's registry behind the guard's endpoint.
pub(super) fn endpoint(series: usize) -> Subject {
    let (registry, vector, paths) = guarded(series);
    let endpoint = Endpoint::new(registry.clone()).expect("threads");
    Subject {
        name: "`Endpoint`",
        variant: Some("guarded"),
        scrape: Box::new(move || answer(&endpoint)),
        update: update(vector, paths),
        register: registering(registry),
    }
}

/// The same series in two groups, which are collected side by side.
fn in_groups(series: usize) -> Subject {
    let paths = paths(series);
    let (one, two) = (Registry::new(), Registry::new());
    let half = series / 2;
    let vectors = [vector(NAME, &paths[..half]), vector("other_requests_total", &paths[half..])];
    one.register(Box::new(vectors[0].clone())).expect("a new name");
    two.register(Box::new(vectors[1].clone())).expect("a new name");
    let endpoint = Endpoint::builder().group("one", one.clone()).group("two", two).build().expect("threads");
    Subject {
        name: "`Endpoint`, two groups",
        variant: None,
        scrape: Box::new(move || answer(&endpoint)),
        update: Box::new(move |number| {
            vectors[usize::from(number >= half)].with_label_values(&["GET", &paths[number], "200"]).inc()
        }),
        register: registering(one),
    }
}

/// `prometheus-client`. It cannot unregister, so there a new label set of a family comes and goes.
fn official(series: usize) -> Subject {
    type Labels = [(&'static str, String); 3];
    let labels = |path: &str| -> Labels { [("method", "GET".into()), ("path", path.into()), ("status", "200".into())] };
    let (registry, paths) = (Arc::new(RwLock::new(prometheus_client::registry::Registry::default())), paths(series));
    let family = Family::<Labels, Counter<f64, AtomicU64>>::default();
    for (number, path) in paths.iter().enumerate() {
        family.get_or_create(&labels(path)).inc_by(number as f64 + 0.5);
    }
    registry.write().expect("not poisoned").register("requests", HELP, family.clone());
    let updated = family.clone();
    Subject {
        name: "prometheus-client",
        variant: Some("official"),
        scrape: Box::new(move || {
            let mut body = String::new();
            text::encode(&mut body, &registry.read().expect("not poisoned")).expect("an expressible registry");
            body.len()
        }),
        update: Box::new(move |number| {
            updated.get_or_create(&labels(&paths[number])).inc();
        }),
        register: Some(Box::new(move || {
            let labels = labels("/session");
            drop(family.get_or_create(&labels));
            family.remove(&labels);
        })),
    }
}

/// `metrics` with its exporter. Nothing can be taken away again.
fn exporter(series: usize) -> Subject {
    let recorder = PrometheusBuilder::new().build_recorder();
    let key = |path: &str| {
        let labels = [("method", "GET"), ("path", path), ("status", "200")];
        Key::from_parts(NAME, labels.map(|(name, value)| Label::new(name, value.to_string())).to_vec())
    };
    let paths = paths(series);
    for (number, path) in paths.iter().enumerate() {
        recorder.register_counter(&key(path), &METADATA).increment(number as u64);
    }
    let handle = recorder.handle();
    Subject {
        name: "metrics, exporter",
        variant: Some("exporter"),
        scrape: Box::new(move || handle.render().len()),
        update: Box::new(move |number| recorder.register_counter(&key(&paths[number]), &METADATA).increment(1)),
        register: None,
    }
}

/// Atomics and text by hand, labels written once. An update needs no lookup.
fn atomics(series: usize) -> Subject {
    let lines: Arc<[(String, AtomicU64)]> = paths(series)
        .iter()
        .map(|path| (format!("{NAME}{{method=\"GET\",path=\"{path}\",status=\"200\"}} "), AtomicU64::new(0)))
        .collect();
    let updated = Arc::clone(&lines);
    Subject {
        name: "atomics",
        variant: Some("atomics"),
        scrape: Box::new(move || {
            let mut body = format!("# HELP {NAME} {HELP}\n# TYPE {NAME} counter\n");
            for (labels, value) in &*lines {
                body.push_str(labels);
                // Writing to a String cannot fail.
                let _infallible = writeln!(body, "{}", value.load(Ordering::Relaxed));
            }
            body.len()
        }),
        update: Box::new(move |number| {
            updated[number].1.fetch_add(1, Ordering::Relaxed);
        }),
        register: None,
    }
}
