//! Checker executables that are absent, hang, crash, or speak something else.

use super::PATIENCE;
use gatherlock::model::{CHECKER_PROTOCOL, Checker, ModelReport, ModelStrength, Verdict};
use gatherlock::runner::Registry;
use gatherlock::runner::checker::{CheckerError, check, list};
use std::time::Duration;
use tempfile::TempDir;

/// The fixture under the name `name`, which prints `out`.
fn fixture(name: &str, out: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink(std::env::current_exe().unwrap(), folder.path().join(name)).unwrap();
    std::fs::write(folder.path().join(format!("{name}.out")), out).unwrap();
    folder
}

fn ask(name: &str, out: &str, timeout: Duration) -> Result<Checker, CheckerError> {
    let (folder, registry) = (fixture(name, out), Registry::new());
    let answer = list(&folder.path().join(name), timeout, &registry);
    assert!(registry.pids().is_empty());
    answer
}

fn problem(name: &str, out: &str) -> String {
    ask(name, out, PATIENCE).unwrap_err().problem.to_string()
}

/// Lets it check; what it reported until it ended, and how it ended.
fn checked(name: &str, out: &str) -> (Vec<String>, Result<(), String>) {
    let (folder, registry) = (fixture(name, out), Registry::new());
    let mut names = Vec::new();
    let words = ["some-model".to_string()];
    let ended = check(&folder.path().join(name), &words, &registry, |report| names.push(report.name));
    assert!(registry.pids().is_empty());
    (names, ended.map_err(|error| error.problem.to_string()))
}

fn a_list() -> Checker {
    Checker {
        protocol: CHECKER_PROTOCOL.into(),
        name: "ours".into(),
        version: "1".into(),
        crate_versions: vec!["0.14.0".into()],
        ..Checker::default()
    }
}

fn line(name: &str) -> String {
    let strength = ModelStrength { kind: "exhausted".into(), preemptions: None, executions: 24, seconds: 0.1 };
    let report = ModelReport {
        name: name.into(),
        lesson: String::new(),
        threads: 2,
        engine: "loom".into(),
        crate_version: "0.14.0".into(),
        expectation: "none".into(),
        outcome: "none".into(),
        verdict: Verdict::Held,
        why: None,
        memory: "sc loads".into(),
        strength,
        counterexample: None,
        replay: None,
    };
    serde_json::to_string(&report).unwrap() + "\n"
}

#[test]
fn a_list_is_read() {
    let line = serde_json::to_string(&a_list()).unwrap() + "\n";
    assert_eq!(ask("print", &line, PATIENCE).unwrap(), a_list());
}

#[test]
fn one_that_is_not_there_or_not_executable_is_named() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("plain"), "#!/bin/sh\n").unwrap();
    for (name, words) in [("missing", "No such file"), ("plain", "Permission denied")] {
        let exe = folder.path().join(name);
        let listed = list(&exe, PATIENCE, &Registry::new()).unwrap_err().to_string();
        let checked = check(&exe, &[], &Registry::new(), |_| {}).unwrap_err().to_string();
        for error in [listed, checked] {
            assert!(error.contains(name) && error.contains(words) && error.contains("does not start"), "{error}");
        }
    }
}

#[test]
fn one_that_hangs_is_ended() {
    let error = ask("hang", "", Duration::from_millis(100)).unwrap_err();
    assert_eq!(error.problem.to_string(), "`--list` did not end within 100 ms");
}

#[test]
fn one_that_fails_is_quoted() {
    assert_eq!(problem("fail", ""), "it ended badly, exit code 7; its last words: \"no catalogue today\"");
}

#[test]
fn one_that_speaks_another_protocol_is_refused() {
    let other = problem("print", "{\"protocol\":\"gatherlock.checker/9\\u001b[31m\",\"anything\":[]}\n");
    assert_eq!(
        other,
        "it speaks `gatherlock.checker/9[31m`, this runner speaks `gatherlock.checker/1`; build both from the same version"
    );
    assert!(problem("print", "{}\n").starts_with("it speaks `nothing`"));
    let catalogue = problem("print", "{\"protocol\":\"gatherlock.catalogue/1\"}\n");
    assert!(catalogue.starts_with("it speaks `gatherlock.catalogue/1`"), "{catalogue}");
}

#[test]
fn one_that_prints_something_else_is_told_where() {
    let usage = problem("print", "usage: serve [--port N]\n");
    assert!(usage.starts_with("it printed something else than was asked for") && usage.contains("usage"), "{usage}");
    assert_eq!(problem("print", ""), "`--list --format jsonl` printed 0 lines instead of one");
    assert_eq!(problem("print", "{}\n{}\n"), "`--list --format jsonl` printed 2 lines instead of one");
    let half = problem("print", "{\"protocol\":");
    assert!(half.contains("cut off after 12 bytes"), "{half}");
    let incomplete = problem("print", "{\"protocol\":\"gatherlock.checker/1\"}\n");
    assert!(incomplete.contains("missing field"), "{incomplete}");
    let flood = problem("flood", "");
    assert!(flood.contains("cut off after 20971520 bytes"), "{flood}");
}

#[test]
fn reports_are_taken_whatever_the_exit_code() {
    for name in ["check-exit-0", "check-exit-1"] {
        let (names, ended) = checked(name, &(line("a") + &line("b")));
        assert_eq!((names, ended), (vec!["a".into(), "b".into()], Ok(())), "{name}");
    }
}

#[test]
fn what_was_reported_before_a_crash_stands_and_the_crash_is_told() {
    let (names, ended) = checked("check-abort", &(line("a") + &line("b")));
    assert_eq!(names, ["a", "b"]);
    let says = ended.unwrap_err();
    assert_eq!(says, "it ended badly, killed by SIGABRT; its last words: \"fatal runtime error: a panic in a drop\"");
}

#[test]
fn a_line_that_is_no_report_ends_the_checks() {
    let (names, ended) = checked("check-stay", &(line("a") + "all models held!\n"));
    assert_eq!(names, ["a"]);
    assert!(ended.unwrap_err().contains("all models held!"));
}

#[test]
fn a_checker_that_stays_is_ended_by_an_interrupt() {
    let (folder, registry) = (fixture("check-stay", &line("a")), Registry::new());
    let (ends, mut taken) = (registry.clone(), 0);
    let ended = check(&folder.path().join("check-stay"), &[], &registry, |_| {
        taken += 1;
        assert_eq!(ends.kill_all(), 1);
    });
    assert!(ended.is_ok(), "an interrupt is the run's affair: {ended:?}");
    assert_eq!(taken, 1);
    assert!(registry.pids().is_empty());
}
