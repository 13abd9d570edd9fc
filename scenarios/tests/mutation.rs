//! The gate tests itself by mutation: take the bug out of a scenario and it must say `Vanished`; break a fix and it must
//! say `Violated`. The mutant is the real catalogue with one case played in another's place, so that everything between
//! the child and the verdict is what a real run uses.

use gatherlock::gate::{Observer, ReproOptions, RunEvent, repro};
use gatherlock::model::{Report, Verdict};
use gatherlock::runner::Registry;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

struct Silent;

impl Observer for Silent {
    fn event(&self, _: &RunEvent<'_>) {}
}

/// A catalogue that lists what the real one lists and plays `instead` where `case` is asked for.
fn mutant(folder: &Path, case: &str, instead: &str) -> PathBuf {
    let real = env!("CARGO_BIN_EXE_gatherlock-scenarios");
    let path = folder.join("mutant");
    let script = format!(
        "#!/bin/sh\nif [ \"$1\" = child ] && [ \"$2\" = '{case}' ]; then shift 2; set -- child '{instead}' \"$@\"; fi\n\
         exec '{real}' \"$@\"\n"
    );
    std::fs::write(&path, script).unwrap();
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
    path
}

fn run(case: &str, instead: &str) -> Report {
    let folder = tempfile::tempdir().unwrap();
    let options = ReproOptions {
        catalogues: vec![mutant(folder.path(), case, instead)],
        globs: vec![case.to_string()],
        trials: 1,
        only_trial: None,
        seed: 1,
        jobs: 1,
        // Tests run beside each other on few processors: generous, so that the parent's own lag does not void a trial.
        bound: Some(Duration::from_secs(3)),
        hang_limit: Some(Duration::from_secs(4)),
        shard: None,
        figures: gatherlock::model::Figures::default(),
        out: folder.path().join("out"),
        command: Vec::new(),
        replay_as: "test".to_string(),
        checker: None,
    };
    repro(&options, &Registry::new(), &Silent).unwrap().0
}

fn verdict(report: &Report) -> (Option<Verdict>, u8) {
    assert_eq!(report.cases.len(), 1);
    (report.cases[0].verdict, report.exit_code)
}

#[test]
fn unchanged_it_holds() {
    let case = "register-in-collect/naive";
    assert_eq!(verdict(&run(case, case)), (Some(Verdict::Held), 0));
}

#[test]
fn a_reproducer_that_stops_reproducing_has_vanished() {
    let report = run("register-in-collect/naive", "inc-during-gather/naive");
    assert_eq!(verdict(&report), (Some(Verdict::Vanished), 1));
}

#[test]
fn a_fix_that_stops_fixing_is_violated() {
    let report = run("register-in-collect/timeout-offload", "register-in-collect/offload");
    assert_eq!(verdict(&report), (Some(Verdict::Violated), 1));
}

#[test]
fn a_cure_that_only_contains_is_violated() {
    let report = run("register-in-collect/guarded", "register-in-collect[prometheus=0.13.4]/guarded");
    assert_eq!(verdict(&report), (Some(Verdict::Violated), 1));
}

#[test]
fn a_control_that_hangs_is_violated() {
    let report = run("inc-during-gather/naive", "register-in-collect/naive");
    assert_eq!(verdict(&report), (Some(Verdict::Violated), 1));
}
