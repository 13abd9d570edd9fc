//! What a trial costs, and how long after the hang limit its hang has a name.
//!
//! Both figures are the runner's own, taken from the report of a whole run, so that what is measured is what users get.

use criterion::{Criterion, criterion_group, criterion_main};
use gatherlock::gate::{Observer, ReproOptions, RunEvent, repro};
use gatherlock::model::{Figures, TrialReport};
use gatherlock::runner::Registry;
use std::path::PathBuf;
use std::time::Duration;

struct Silent;

impl Observer for Silent {
    fn event(&self, _: &RunEvent<'_>) {}
}

/// Runs one trial of `case` in a process of its own and returns its report.
fn trial(case: &str, bound: Duration) -> TrialReport {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let options = ReproOptions {
        catalogues: vec![PathBuf::from(env!("CARGO_BIN_EXE_gatherlock-scenarios"))],
        globs: vec![case.to_string()],
        trials: 1,
        only_trial: None,
        seed: 1,
        jobs: 1,
        bound: Some(bound),
        hang_limit: None,
        shard: None,
        figures: Figures::default(),
        out: folder.path().join("out"),
        command: Vec::new(),
        replay_as: "bench".to_string(),
        checker: None,
    };
    let (report, kept) = repro(&options, &Registry::new(), &Silent).expect("a run");
    kept.expect("a report");
    let trial = report.cases.into_iter().next().and_then(|case| case.trials.into_iter().next()).expect("one trial");
    assert_eq!(trial.void, None, "a void trial measures nothing");
    trial
}

fn trials(c: &mut Criterion) {
    if cfg!(feature = "deadlock-detection") {
        panic!("the detector slows the locks: benchmark without it");
    }
    let mut group = c.benchmark_group("trial");
    group.sample_size(10);
    group.bench_function("served, start to end", |b| {
        b.iter_custom(|n| {
            let one = |_| Duration::from_millis(trial("inc-during-gather/naive", Duration::from_secs(1)).duration_ms);
            (0..n).map(one).sum()
        });
    });
    group.bench_function("hang limit to classification", |b| {
        b.iter_custom(|n| {
            let one = |_| {
                let trial = trial("register-in-collect/naive", Duration::from_millis(250));
                Duration::from_secs_f64(trial.classified_in_ms.expect("it hangs") / 1000.0)
            };
            (0..n).map(one).sum()
        });
    });
    group.finish();
}

criterion_group!(benches, trials);
criterion_main!(benches);
