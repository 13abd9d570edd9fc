//! The checker as a program: what it prints where, and its exit codes.

use gatherlock::model::{CHECKER_PROTOCOL, Checker, Counterexample, ModelReport, Verdict};
use std::process::{Command, Output};

fn run(words: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_loom-tests"));
    command.args(words).env("GATHERLOCK_INVOKED_AS", "cargo xtask").env_remove("NO_COLOR").env_remove("CLICOLOR_FORCE");
    command.output().expect("the checker starts")
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).expect("UTF-8")
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).expect("UTF-8")
}

#[test]
fn one_model_is_checked_under_both_engines_and_versions() {
    let output = run(&["gather-in-collect", "--format", "json"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let reports: Vec<ModelReport> = serde_json::from_str(&stdout(&output)).expect("one array and nothing else");
    let of = |report: &ModelReport| (report.engine.clone(), report.crate_version.clone(), report.verdict);
    let held = |engine: &str, version: &str| (engine.to_owned(), version.to_owned(), Verdict::Held);
    let all = [held("loom", "0.13.4"), held("loom", "0.14.0"), held("shuttle", "0.13.4"), held("shuttle", "0.14.0")];
    assert_eq!(reports.iter().map(of).collect::<Vec<_>>(), all);
}

/// What is printed as `replay` is a command line whose words replay to the same trace, whatever engine found it.
#[test]
fn every_replay_line_replays_to_the_same_trace() {
    let output = run(&["actor-cycle", "register-under-app-lock[lock=std]", "three-party-cycle", "--format", "jsonl"]);
    let reports: Vec<ModelReport> =
        stdout(&output).lines().map(|line| serde_json::from_str(line).expect("a report a line")).collect();
    assert_eq!(reports.len(), 12);
    for report in reports {
        let trace = report.counterexample.as_ref().expect("each of them hangs");
        let line = report.replay.as_deref().expect("and can be replayed");
        let words: Vec<&str> = line.split(' ').map(|word| word.trim_matches('\'')).collect();
        let words = words.strip_prefix(&["cargo", "xtask", "model"]).unwrap_or_else(|| panic!("{line}"));
        let output = run(&[words, &["--format", "json"]].concat());
        assert_eq!(output.status.code(), Some(0), "{line}: {}", stderr(&output));
        let again: Counterexample = serde_json::from_str(&stdout(&output)).expect("a counterexample");
        assert_eq!(again, *trace, "{line}");
    }
}

#[test]
fn a_replay_is_told_for_people() {
    let output = run(&["gather-in-collect", "--replay", "loom:3:7"]);
    let text = stdout(&output);
    for part in
        ["Each waits for the next: main → register → main", "Who holds", "Who waits", "Every step", "   9. main"]
    {
        assert!(text.contains(part), "{part} is missing in:\n{text}");
    }
    assert!(text.contains("prometheus-0.14.0/src/registry.rs:276"), "{text}");
    assert!(!text.contains('\u{1b}'), "no colour where stdout is no terminal");
}

#[test]
fn a_replay_string_that_does_not_fit_is_refused() {
    for (words, says) in [
        (["two-gathers", "--replay", "loom:3:1"], "does not hang"),
        (["gather-in-collect", "--replay", "loom:3"], "no execution number"),
        (["inc-during-gather", "--replay", "loom:3:1"], "give its full name"),
    ] {
        let output = run(&words);
        assert_eq!(output.status.code(), Some(2), "{words:?}");
        assert!(stderr(&output).contains(says), "{words:?}: {}", stderr(&output));
        assert_eq!(stdout(&output), "", "{words:?}");
    }
}

#[test]
fn what_means_nothing_is_exit_code_2_with_a_hint() {
    let output = run(&["register-in-colect"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("did you mean `register-in-collect`"), "{}", stderr(&output));
    let output = run(&["--frobnicate"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("unknown option --frobnicate"), "{}", stderr(&output));
}

#[test]
fn the_list_is_a_document_of_the_protocol() {
    let output = run(&["--list", "--format", "json"]);
    let checker: Checker = serde_json::from_str(&stdout(&output)).expect("a checker");
    assert_eq!(checker.protocol, CHECKER_PROTOCOL);
    assert_eq!(checker.checks, checker.models.len() as u64 * 4);
    assert!(checker.outside("slow-collect").is_some());
    assert!(stdout(&run(&["--list"])).contains("Outside the model"));
}
