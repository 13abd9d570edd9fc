//! Executions per second of loom and of shuttle, on models from small to large: `cargo xtask bench executions`.
//!
//! Criterion's throughput is in executions. The models are those of the suite, on `prometheus` 0.14.0; each is explored whole,
//! every time.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use gatherlock_loom_tests::explore::{Limits, Search};
use gatherlock_loom_tests::models::{Model, VERSIONS};
use std::time::Duration;

const MODELS: [&str; 4] =
    ["two-gathers", "inc-during-gather[metric=histogram]", "remove-during-gather", "hot-app-lock"];

const SEARCHES: [Search; 2] = [Search::Loom { preemptions: Some(3) }, Search::Random { schedules: 1000, seed: 1 }];

fn model(name: &str) -> Option<Model> {
    VERSIONS.last().and_then(|newest| (newest.models)().into_iter().find(|model| model.name == name))
}

fn executions(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("executions");
    group.sample_size(10).warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(3));
    for model in MODELS.into_iter().filter_map(model) {
        for search in SEARCHES {
            let explored = model.check(search, Limits::patient()).exploration.executions;
            group.throughput(Throughput::Elements(explored));
            group.bench_function(format!("{}/{}", search.engine().word(), model.name), |bencher| {
                bencher.iter(|| model.check(search, Limits::patient()));
            });
        }
    }
    group.finish();
}

criterion_group!(benches, executions);
criterion_main!(benches);
