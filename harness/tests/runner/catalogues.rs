//! Catalogue executables that do not list what they offer.

use super::PATIENCE;
use gatherlock::model::{CATALOGUE_PROTOCOL, Catalogue};
use gatherlock::runner::Registry;
use gatherlock::runner::catalogue::{CatalogueError, read};
use std::time::Duration;

/// Asks the fixture called `name`, which prints `out` if it prints anything.
fn ask(name: &str, out: &str, timeout: Duration) -> Result<Catalogue, CatalogueError> {
    let folder = tempfile::tempdir().unwrap();
    let exe = folder.path().join(name);
    std::os::unix::fs::symlink(std::env::current_exe().unwrap(), &exe).unwrap();
    std::fs::write(folder.path().join(format!("{name}.out")), out).unwrap();
    let registry = Registry::new();
    let answer = read(&exe, timeout, &registry);
    assert!(registry.pids().is_empty());
    answer
}

fn problem(name: &str, out: &str) -> String {
    ask(name, out, PATIENCE).unwrap_err().problem.to_string()
}

#[test]
fn a_catalogue_is_read() {
    let catalogue = Catalogue {
        protocol: CATALOGUE_PROTOCOL.into(),
        name: "ours".into(),
        version: "1".into(),
        prometheus: vec!["0.14.0".into()],
        scenarios: vec![],
        variants: vec![],
        claims: Vec::new(),
        cases: vec![],
    };
    assert_eq!(ask("print", &serde_json::to_string(&catalogue).unwrap(), PATIENCE).unwrap(), catalogue);
}

#[test]
fn one_that_hangs_is_ended() {
    let error = ask("hang", "", Duration::from_millis(100)).unwrap_err();
    assert_eq!(error.problem.to_string(), "`list --format json` did not end within 100 ms");
}

#[test]
fn one_that_fails_is_quoted() {
    assert_eq!(
        problem("fail", ""),
        "`list --format json` ended with exit code 7; its last words: \"no catalogue today\""
    );
}

#[test]
fn one_that_prints_without_end_is_cut_off() {
    assert_eq!(problem("flood", ""), "`list --format json` printed 20971520 bytes, the most is 16777216");
}

#[test]
fn one_that_prints_something_else_is_told_where() {
    assert_eq!(
        problem("print", "usage: serve [--port N]\n"),
        "`list --format json` printed something else than one JSON catalogue: expected value at line 1 column 1 of stdout"
    );
    let truncated = problem("print", "{\n  \"protocol\": \"gatherlock.catalogue/1\",\n  \"name\": ");
    assert!(truncated.ends_with("EOF while parsing a value at line 3 column 10 of stdout"), "{truncated}");
    let empty = problem("print", "");
    assert!(empty.contains("EOF while parsing a value"), "{empty}");
    let wrong = problem("print", r#"{"protocol":"gatherlock.catalogue/1","name":"x","version":"1","scenarios":0}"#);
    assert!(wrong.contains("invalid type: integer `0`, expected a sequence at line 1 column 75 of stdout"), "{wrong}");
    let other = problem("print", r#"{"protocol":"gatherlock.catalogue/9","anything":[]}"#);
    assert!(other.starts_with("it speaks `gatherlock.catalogue/9`, this runner speaks"), "{other}");
}

#[test]
fn one_that_is_not_there_or_not_executable_is_named() {
    let folder = tempfile::tempdir().unwrap();
    for (name, words) in [("missing", "No such file"), ("plain", "Permission denied")] {
        let exe = folder.path().join(name);
        if name == "plain" {
            std::fs::write(&exe, "#!/bin/sh\n").unwrap();
        }
        let error = read(&exe, PATIENCE, &Registry::new()).unwrap_err().to_string();
        assert!(error.contains(name) && error.contains(words), "{error}");
    }
}
