//! What a scrape costs: `prometheus`' own gather and encoder beside `guard::Registry` and `guard::Endpoint`, alone and
//! with 32 scrapers at once.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use gatherlock_guard::{Endpoint, Registry, Request};
use prometheus::{CounterVec, Encoder, HistogramOpts, HistogramVec, Opts, TextEncoder};
use std::hint::black_box;
use std::time::{Duration, Instant};

const SCRAPERS: usize = 32;

/// The same metrics in both registries: counters with three labels, and one histogram for every ten of them, so that
/// about half of the lines are buckets.
struct Both {
    real: prometheus::Registry,
    ours: Registry,
}

fn registries(series: usize) -> Both {
    let (real, ours) = (prometheus::Registry::new(), Registry::new());
    let each = series / 10;
    for family in 0..5 {
        let options = Opts::new(format!("requests_{family}_total"), "Requests by method, path and status.");
        let vec = CounterVec::new(options, &["method", "path", "status"]).expect("valid names");
        for n in 0..each {
            let path = format!("/api/v1/resource/{:05}", n * 7919 % each.max(1));
            vec.with_label_values(&["GET", &path, "200"]).inc_by(n as f64 + 0.5);
        }
        real.register(Box::new(vec.clone())).expect("a new name");
        ours.register(Box::new(vec)).expect("a new name");
    }
    let options = HistogramOpts::new("latency_seconds", "Latency.").buckets(vec![0.01, 0.1, 1.0]);
    let vec = HistogramVec::new(options, &["path"]).expect("valid names");
    // Six lines each: three buckets, +Inf, the sum and the count.
    for n in 0..series / 12 {
        vec.with_label_values(&[&format!("/api/v1/resource/{n:05}")]).observe(n as f64 / 1000.0);
    }
    real.register(Box::new(vec.clone())).expect("a new name");
    ours.register(Box::new(vec)).expect("a new name");
    Both { real, ours }
}

/// What the incident's handler does.
fn naive(registry: &prometheus::Registry) -> Vec<u8> {
    let mut body = Vec::new();
    TextEncoder::new().encode(&registry.gather(), &mut body).expect("an expressible registry");
    body
}

fn one_scrape(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("scrape");
    for series in [1_000, 10_000, 100_000] {
        let both = registries(series);
        let endpoint = Endpoint::new(both.ours.clone()).expect("threads");
        group.throughput(Throughput::Elements(series as u64));
        group.bench_with_input(BenchmarkId::new("naive", series), &both.real, |bencher, registry| {
            bencher.iter(|| black_box(naive(registry)));
        });
        group.bench_with_input(BenchmarkId::new("registry", series), &both.ours, |bencher, registry| {
            let mut body = Vec::new();
            bencher.iter(|| {
                body.clear();
                black_box(registry.encode(&mut body));
            });
        });
        group.bench_with_input(BenchmarkId::new("endpoint", series), &endpoint, |bencher, endpoint| {
            bencher.iter(|| black_box(endpoint.answer(&Request::get())));
        });
    }
    group.finish();
}

/// The time for `scrapes` scrapes, made by 32 threads as fast as they can.
fn all_at_once(scrapes: u64, scrape: impl Fn() + Sync) -> Duration {
    let left = std::sync::atomic::AtomicU64::new(scrapes);
    let begun = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..SCRAPERS {
            scope.spawn(|| {
                let take = |left: u64| left.checked_sub(1);
                let order = std::sync::atomic::Ordering::Relaxed;
                while left.fetch_update(order, order, take).is_ok() {
                    scrape();
                }
            });
        }
    });
    begun.elapsed()
}

fn many_scrapers(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("32-scrapers");
    for series in [1_000, 10_000] {
        let both = registries(series);
        let endpoint = Endpoint::new(both.ours.clone()).expect("threads");
        group.throughput(Throughput::Elements(1));
        group.bench_function(BenchmarkId::new("naive", series), |bencher| {
            bencher.iter_custom(|scrapes| all_at_once(scrapes, || drop(black_box(naive(&both.real)))));
        });
        group.bench_function(BenchmarkId::new("endpoint", series), |bencher| {
            bencher.iter_custom(|scrapes| all_at_once(scrapes, || drop(black_box(endpoint.answer(&Request::get())))));
        });
    }
    group.finish();
}

criterion_group!(benches, one_scrape, many_scrapers);
criterion_main!(benches);
