//! The ways to serve the same metrics: counters with three labels, in one vector or spread over several.

use super::writers;
use gatherlock_guard::{Endpoint, Registry, Request};
use metrics::{Key, Label, Level, Metadata, Recorder};
use metrics_exporter_prometheus::PrometheusBuilder;
use prometheus::core::Collector;
use prometheus::proto::MetricFamily;
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
    pub(super) scrape: Box<dyn Fn() -> Done + Sync>,
    /// Adds to the series with this number, which is looked up by its labels.
    pub(super) update: Box<dyn Fn(usize) + Sync>,
    /// Registers the metric of the writer with this number and takes it away again; `None` where nothing can be taken away.
    pub(super) register: Option<Box<dyn Fn(usize) + Sync>>,
}

/// What is there when a scrape has its answer.
pub(super) struct Done {
    /// The size of the body.
    pub(super) bytes: usize,
    /// What may be dropped after the answer.
    #[expect(dead_code, reason = "only its drop is of interest")]
    pub(super) left: Vec<Vec<MetricFamily>>,
}

impl Done {
    pub(super) fn of(bytes: usize) -> Done {
        Done { bytes, left: Vec::new() }
    }
}

/// All of them with `series` series each in one vector; the naive handler first.
pub(super) fn subjects(series: usize) -> Vec<Subject> {
    let mut all = of_prometheus(series, 1);
    all.extend([official(series), exporter(series), atomics(series)]);
    all
}

/// Those over `prometheus`, the series spread over so many vectors.
pub(super) fn of_prometheus(series: usize, vectors: usize) -> Vec<Subject> {
    vec![
        naive(series, vectors),
        collect(series, vectors),
        registry(series, vectors),
        endpoint(series, vectors),
        in_groups(series, vectors),
    ]
}

fn path(number: usize) -> String {
    format!("/api/v1/resource/{number:05}")
}

/// Counters with three labels, all in one vector or in several.
#[derive(Clone)]
pub(super) struct Series {
    pub(super) vectors: Arc<[CounterVec]>,
    /// Made before the run, so that an update is a lookup and an addition.
    paths: Arc<[String]>,
}

impl Series {
    pub(super) fn new(series: usize, vectors: usize) -> Series {
        let paths: Arc<[String]> = (0..series).map(path).collect();
        let vector = |at: usize| {
            let name = if vectors == 1 { NAME.to_string() } else { format!("requests_{at:02}_total") };
            CounterVec::new(Opts::new(name, HELP), &["method", "path", "status"]).expect("valid names")
        };
        let all = Series { vectors: (0..vectors).map(vector).collect(), paths };
        for number in 0..series {
            all.counter(number).inc_by(number as f64 + 0.5);
        }
        all
    }

    fn counter(&self, number: usize) -> prometheus::Counter {
        self.vectors[number % self.vectors.len()].with_label_values(&["GET", &self.paths[number], "200"])
    }

    pub(super) fn update(&self) -> Box<dyn Fn(usize) + Sync> {
        let all = self.clone();
        Box::new(move |number| all.counter(number).inc())
    }
}

/// A metric for each writer, to register and take away again.
fn counters() -> Vec<IntCounter> {
    let name = |writer| format!("session_{writer}_requests_total");
    (0..writers())
        .map(|writer| IntCounter::new(name(writer), "Requests of a session.").expect("a valid name"))
        .collect()
}

/// What the incident's handler does.
pub(super) fn naive(series: usize, vectors: usize) -> Subject {
    let (registry, all) = (prometheus::Registry::new(), Series::new(series, vectors));
    all.vectors.iter().for_each(|vector| registry.register(Box::new(vector.clone())).expect("a new name"));
    let (scraped, counters) = (registry.clone(), counters());
    Subject {
        name: "naive",
        variant: Some("naive"),
        scrape: Box::new(move || {
            let mut body = Vec::new();
            TextEncoder::new().encode(&scraped.gather(), &mut body).expect("an expressible registry");
            Done::of(body.len())
        }),
        update: all.update(),
        register: Some(Box::new(move |writer| {
            registry.register(Box::new(counters[writer].clone())).expect("a new name");
            registry.unregister(Box::new(counters[writer].clone())).expect("it is there");
        })),
    }
}

/// The vectors' own `collect()` and nothing else; what it returned is dropped when the answer has been given. No handler over
/// this library that collects in sequence can answer sooner.
fn collect(series: usize, vectors: usize) -> Subject {
    let all = Series::new(series, vectors);
    let collected = Arc::clone(&all.vectors);
    Subject {
        name: "`collect()` alone",
        variant: None,
        scrape: Box::new(move || {
            let left: Vec<_> = collected.iter().map(Collector::collect).collect();
            // Each series would be more than a byte.
            Done { bytes: left.iter().flatten().map(|family| family.get_metric().len()).sum::<usize>() * 2, left }
        }),
        update: all.update(),
        register: None,
    }
}

fn registering(registry: Registry) -> Option<Box<dyn Fn(usize) + Sync>> {
    let counters = counters();
    Some(Box::new(move |writer| {
        registry.register(Box::new(counters[writer].clone())).expect("a new name");
        registry.unregister(Box::new(counters[writer].clone())).expect("it is there");
    }))
}

fn guarded(vectors: &[CounterVec]) -> Registry {
    let registry = Registry::new();
    vectors.iter().for_each(|vector| registry.register(Box::new(vector.clone())).expect("a new name"));
    registry
}

/// The guard's registry in the naive handler's place.
fn registry(series: usize, vectors: usize) -> Subject {
    let all = Series::new(series, vectors);
    let registry = guarded(&all.vectors);
    let scraped = registry.clone();
    Subject {
        name: "`Registry`",
        variant: None,
        scrape: Box::new(move || {
            let mut body = Vec::new();
            assert!(scraped.encode(&mut body).is_empty());
            Done::of(body.len())
        }),
        update: all.update(),
        register: registering(registry),
    }
}

fn answer(endpoint: &Endpoint) -> Done {
    let answer = endpoint.answer(&Request::get());
    assert_eq!(answer.status, 200);
    Done::of(answer.body.iter().map(|piece| piece.len()).sum())
}

/// The guard's registry behind the guard's endpoint.
fn endpoint(series: usize, vectors: usize) -> Subject {
    let all = Series::new(series, vectors);
    let registry = guarded(&all.vectors);
    let endpoint = Endpoint::new(registry.clone()).expect("threads");
    Subject {
        name: "`Endpoint`",
        variant: Some("guarded"),
        scrape: Box::new(move || answer(&endpoint)),
        update: all.update(),
        register: registering(registry),
    }
}

/// The same series in two groups, which are collected side by side. One vector cannot be in two groups, so it becomes two.
fn in_groups(series: usize, vectors: usize) -> Subject {
    let all = Series::new(series, vectors.max(2));
    let (one, two) = all.vectors.split_at(all.vectors.len() / 2);
    let (one, two) = (guarded(one), guarded(two));
    let endpoint = Endpoint::builder().group("one", one.clone()).group("two", two).build().expect("threads");
    Subject {
        name: "`Endpoint`, two groups",
        variant: None,
        scrape: Box::new(move || answer(&endpoint)),
        update: all.update(),
        register: registering(one),
    }
}

/// `prometheus-client`. It cannot unregister, so there a new label set of a family comes and goes.
fn official(series: usize) -> Subject {
    type Labels = [(&'static str, String); 3];
    let labels = |path: &str| -> Labels { [("method", "GET".into()), ("path", path.into()), ("status", "200".into())] };
    let registry = Arc::new(RwLock::new(prometheus_client::registry::Registry::default()));
    let paths: Vec<String> = (0..series).map(path).collect();
    let family = Family::<Labels, Counter<f64, AtomicU64>>::default();
    for (number, path) in paths.iter().enumerate() {
        family.get_or_create(&labels(path)).inc_by(number as f64 + 0.5);
    }
    registry.write().expect("not poisoned").register("requests", HELP, family.clone());
    let updated = family.clone();
    let sessions: Vec<String> = (0..writers()).map(|writer| format!("/session/{writer}")).collect();
    Subject {
        name: "prometheus-client",
        variant: Some("official"),
        scrape: Box::new(move || {
            let mut body = String::new();
            text::encode(&mut body, &registry.read().expect("not poisoned")).expect("an expressible registry");
            Done::of(body.len())
        }),
        update: Box::new(move |number| {
            updated.get_or_create(&labels(&paths[number])).inc();
        }),
        register: Some(Box::new(move |writer| {
            let labels = labels(&sessions[writer]);
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
    let paths: Vec<String> = (0..series).map(path).collect();
    for (number, path) in paths.iter().enumerate() {
        recorder.register_counter(&key(path), &METADATA).increment(number as u64);
    }
    let handle = recorder.handle();
    Subject {
        name: "metrics, exporter",
        variant: Some("exporter"),
        scrape: Box::new(move || Done::of(handle.render().len())),
        update: Box::new(move |number| recorder.register_counter(&key(&paths[number]), &METADATA).increment(1)),
        register: None,
    }
}

/// Atomics and text by hand, labels written once. An update needs no lookup.
fn atomics(series: usize) -> Subject {
    let lines: Arc<[(String, AtomicU64)]> = (0..series)
        .map(path)
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
            Done::of(body.len())
        }),
        update: Box::new(move |number| {
            updated[number].1.fetch_add(1, Ordering::Relaxed);
        }),
        register: None,
    }
}
