//! How long it takes to render a report of 1 000 cases; the target for the page is 100 ms.

use criterion::{Criterion, criterion_group, criterion_main};
use gatherlock::render::terminal::TerminalOptions;
use gatherlock::render::{html, json, junit, markdown, terminal};
use std::hint::black_box;

#[path = "../tests/render_fixture/mod.rs"]
mod render_fixture;

fn render(c: &mut Criterion) {
    let report = render_fixture::many(1_000);
    let mut group = c.benchmark_group("render of 1000 cases");
    group.sample_size(20);
    group.bench_function("html", |b| b.iter(|| html::render(black_box(&report))));
    group.bench_function("terminal", |b| b.iter(|| terminal::render(black_box(&report), &TerminalOptions::default())));
    group.bench_function("markdown", |b| b.iter(|| markdown::render(black_box(&report))));
    group.bench_function("junit", |b| b.iter(|| junit::render(black_box(&report))));
    group.bench_function("json", |b| b.iter(|| json::render(black_box(&report))));
    group.finish();
}

criterion_group!(benches, render);
criterion_main!(benches);
