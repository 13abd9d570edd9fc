//! `gatherlock gate` as a CI job meets it: what holds, what does not, and what each format says of it.

use crate::cli::{gatherlock, ok, serve, text};
use crate::target::Target;
use gatherlock::model::{Outcome, Report, Verdict};
use std::net::TcpListener;
use std::process::Output;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

fn gate(args: &[&str]) -> Output {
    gatherlock().arg("gate").args(args).output().unwrap()
}

fn json(args: &[&str]) -> (i32, Report) {
    let output = gate(&[args, &["--format", "json"]].concat());
    let report = gatherlock::render::json::parse(&text(&output.stdout))
        .unwrap_or_else(|error| panic!("{error}\n{}{}", text(&output.stdout), text(&output.stderr)));
    (output.status.code().unwrap(), report)
}

#[test]
fn an_endpoint_that_always_answers_holds() {
    let scrapes = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&scrapes);
    let url = serve(move |_| {
        counted.fetch_add(1, Ordering::SeqCst);
        ok("a 1\n")
    });
    let (code, report) = json(&["--url", &url, "--scrapes", "7", "--scrapers", "3", "--bound", "30s"]);
    let case = &report.cases[0];
    assert_eq!((code, case.verdict, case.trials.len()), (0, Some(Verdict::Held), 7));
    assert_eq!(scrapes.load(Ordering::SeqCst), 21, "every scrape was sent and answered");
    assert!(case.trials.iter().all(|trial| trial.probes.requests.len() == 3 && trial.covered));
}

#[test]
fn the_one_scrape_in_many_that_is_wrong_is_a_breach() {
    let scrapes = AtomicU32::new(0);
    let url = serve(move |_| match scrapes.fetch_add(1, Ordering::SeqCst) {
        4 => ok("a 1\na 2\n{{{\n"),
        _ => ok("a 1\n"),
    });
    let (code, report) = json(&["--url", &url, "--scrapes", "100", "--bound", "30s"]);
    let case = &report.cases[0];
    assert_eq!((code, case.verdict, case.trials.len()), (1, Some(Verdict::Violated), 5), "none after the breach");
    assert_eq!(case.trials[4].outcome, Some(Outcome::Invalid));
}

#[test]
fn a_breach_of_a_scrape_beside_the_judged_one_counts() {
    let scrapes = AtomicU32::new(0);
    // The judged scrape is the last to be sent.
    let url = serve(move |_| match scrapes.fetch_add(1, Ordering::SeqCst) {
        1 => "HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n".into(),
        _ => ok("a 1\n"),
    });
    let (code, report) = json(&["--url", &url, "--scrapes", "1", "--scrapers", "4", "--bound", "30s"]);
    assert_eq!((code, report.cases[0].trials[0].outcome), (1, Some(Outcome::Invalid)));
}

#[test]
fn a_hang_is_a_breach_with_its_cycle() {
    let (_target, hung) = Target::listening("ab-ba-std");
    let fine = serve(|_| ok("a 1\n"));
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().display().to_string();
    let (code, report) = json(&["--url", &hung, "--url", &fine, "--bound", "2s", "--scrapes", "3", "--out", &out]);
    assert_eq!(code, 1);
    let verdicts: Vec<_> = report.cases.iter().map(|case| case.verdict).collect();
    assert_eq!(verdicts, [Some(Verdict::Violated), Some(Verdict::Held)]);
    let trial = &report.cases[0].trials[0];
    assert_eq!((trial.outcome, trial.diagnosis.as_ref().unwrap().cycle.len()), (Some(Outcome::Deadlocked), 2));
    let junit = std::fs::read_to_string(folder.path().join("junit.xml")).unwrap();
    assert!(junit.contains(r#"tests="2""#) && junit.contains(r#"failures="1""#) && junit.contains("session-open"));
    for name in ["report.json", "report.html", "report.md"] {
        assert!(folder.path().join(name).is_file(), "{name}");
    }
}

#[test]
fn a_hang_without_a_name_is_a_breach_all_the_same() {
    // Nobody accepts, and the process that listens is no service.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/metrics", listener.local_addr().unwrap());
    let output = gate(&["--url", &url, "--bound", "200ms", "--format", "github"]);
    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stderr));
    assert!(text(&output.stdout).starts_with("::error title=live-endpoint/"), "{}", text(&output.stdout));
}

#[test]
fn an_honest_refusal_holds_only_where_it_is_allowed() {
    let url = serve(|_| "HTTP/1.1 503 Busy\r\nContent-Length: 12\r\n\r\ngather stuck".into());
    assert_eq!(json(&["--url", &url, "--bound", "30s"]).0, 1);
    let (code, report) = json(&["--url", &url, "--bound", "30s", "--allow-contained", "--scrapes", "3"]);
    assert_eq!((code, report.cases[0].trials.len()), (0, 3));
}

#[test]
fn targets_as_prometheus_lists_them() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("targets.json");
    let hosts: Vec<String> = (0..2).map(|_| serve(|_| ok("a 1\n"))).collect();
    let hosts: Vec<&str> = hosts.iter().map(|url| url["http://".len()..].trim_end_matches("/metrics")).collect();
    std::fs::write(&file, format!(r#"[{{"targets": ["{}", "{}"]}}]"#, hosts[0], hosts[1])).unwrap();
    let (code, report) = json(&["--targets", &file.display().to_string(), "--bound", "30s", "--scrapes", "2"]);
    assert_eq!((code, report.cases.len(), report.summary.held), (0, 2, 2));
    std::fs::write(&file, "[]").unwrap();
    assert_eq!(gate(&["--targets", &file.display().to_string()]).status.code(), Some(2), "a gate over nothing");
}

#[test]
fn a_command_is_started_judged_and_ended() {
    let port = { TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port() };
    let exe = std::env::current_exe().unwrap();
    // The shell stays, so that the service is its child, and ends with it all the same.
    let command = format!(
        "{}=contended GATHERLOCK_TEST_PORT={port} {} --exact target --ignored --nocapture --test-threads=1; true",
        crate::target::CASE,
        exe.display()
    );
    let url = format!("http://127.0.0.1:{port}/metrics");
    let (code, report) = json(&["--command", &command, "--url", &url, "--bound", "30s", "--scrapes", "3"]);
    assert_eq!((code, report.cases[0].verdict), (0, Some(Verdict::Held)));
    assert!(std::net::TcpStream::connect(("127.0.0.1", port)).is_err(), "nobody is left");
    assert!(!report.command.iter().any(|word| word.contains("contended")), "{:?}", report.command);

    let dies = gate(&["--command", "exit 3", "--url", &url]);
    assert_eq!(dies.status.code(), Some(2));
    assert!(text(&dies.stderr).contains("exit code 3"), "{}", text(&dies.stderr));
    let deaf = gate(&["--command", "sleep 60", "--url", &url, "--ready", "200ms"]);
    assert_eq!(deaf.status.code(), Some(2));
    assert!(text(&deaf.stderr).contains("accepts no connection"), "{}", text(&deaf.stderr));
}
