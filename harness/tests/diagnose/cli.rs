//! `gatherlock diagnose` as a user meets it, against services that really hang.

use crate::target::Target;
use gatherlock::model::{Confidence, Diagnosis, Outcome, Recording, Report};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Output, Stdio};

/// Bounds for services that hang for ever: short, because nothing is decided by the clock.
pub(crate) const HANGS: [&str; 4] = ["--bound", "300ms", "--hang-limit", "900ms"];
/// Bounds for services that answer: longer than any machine is busy.
pub(crate) const ANSWERS: [&str; 2] = ["--bound", "30s"];

pub(crate) fn gatherlock() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gatherlock"));
    command.stdin(Stdio::null()).env_remove("NO_COLOR").env_remove("CLICOLOR_FORCE");
    command
}

pub(crate) fn diagnose(args: &[&str]) -> Output {
    gatherlock().arg("diagnose").args(args).output().unwrap()
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// Exit code and diagnosis of a run with `--format json`.
pub(crate) fn judged(output: &Output) -> (i32, Diagnosis) {
    let report: Report = gatherlock::render::json::parse(&text(&output.stdout))
        .unwrap_or_else(|error| panic!("{error}\n{}{}", text(&output.stdout), text(&output.stderr)));
    let code = output.status.code().unwrap();
    assert_eq!(i32::from(report.exit_code), code);
    (code, report.diagnosis.unwrap())
}

fn json(args: &[&[&str]]) -> (i32, Diagnosis) {
    judged(&diagnose(&[&["--format", "json"], args.concat().as_slice()].concat()))
}

/// A server of one thread that answers each request with what `answer` says; its URL.
pub(crate) fn serve(answer: impl Fn(&str) -> String + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/metrics", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let head = head(&mut stream);
            // Whoever asked may have gone.
            let _ = stream.write_all(answer(&head).as_bytes());
        }
    });
    url
}

fn head(stream: &mut impl Read) -> String {
    let mut lines = BufReader::new(stream).lines().map_while(Result::ok);
    lines.by_ref().take_while(|line| !line.is_empty()).map(|line| line + "\n").collect()
}

pub(crate) fn ok(body: &str) -> String {
    let length = body.len();
    format!("HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4\r\nContent-Length: {length}\r\n\r\n{body}")
}

#[test]
fn a_hung_service_is_found_by_its_url_and_explained() {
    let (_target, url) = Target::listening("ab-ba-std");
    let output = diagnose(&[&["--url", &url][..], &HANGS].concat());
    let report = text(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{report}{}", text(&output.stderr));
    let order = ["Deadlock: 2 threads, 2 locks", "/metrics hangs in a deadlock", "Lock order", "\nFix", "Stacks"];
    let found: Vec<_> =
        order.iter().map(|part| report.find(part).unwrap_or_else(|| panic!("{part}:\n{report}"))).collect();
    assert!(found.is_sorted(), "{report}");
    for part in
        ["`session-open`", "Mutex<Inventory>", "prometheus Registry #1", "waits to WRITE", "[walked, count 1/1]"]
    {
        assert!(report.contains(part), "{part}:\n{report}");
    }
    assert!(!report.contains('\u{1b}'), "no colour where stdout is no terminal");
    // The runtime's frames are folded, and shown to whoever asks.
    assert!(report.contains("runtime frames"), "{report}");
    let full = text(&diagnose(&[&["--url", &url, "--full"][..], &HANGS].concat()).stdout);
    assert!(!full.contains("runtime frames") && full.contains("tokio::runtime::"), "{full}");
    assert!(full.lines().count() > report.lines().count());
}

#[test]
fn a_process_alone_is_searched_for_deadlocks() {
    let target = Target::start("ab-ba-std");
    target.explained(|explained| crate::locks::lock_edges(explained).len() >= 4);
    let (code, found) = json(&[&["--pid", &target.pid().to_string()]]);
    assert_eq!((code, found.outcome, found.cycle.len()), (1, Some(Outcome::Deadlocked), 2), "{}", found.summary);
    assert_eq!(found.confidence, Confidence::Inferred);

    // Near miss: every lock in heavy use, none stuck.
    let target = Target::start("contended");
    let (code, found) = json(&[&["--pid", &target.pid().to_string()]]);
    assert_eq!((code, found.outcome, found.cycle.len()), (0, None, 0), "{}", found.summary);
    assert!(found.summary.contains("nothing was scraped"), "{}", found.summary);
}

#[test]
fn a_healthy_endpoint_is_served_and_its_process_left_alone() {
    let url = serve(|_| ok("requests_total 7\n"));
    let (code, found) = json(&[&["--url", &url], &ANSWERS]);
    assert_eq!((code, found.outcome), (0, Some(Outcome::Served)), "{}", found.summary);
    assert_eq!((found.samples, found.target.pid), (0, None), "nothing was stopped");
    let metrics = found.probes.metrics.unwrap();
    assert!(metrics.connected_us <= metrics.sent_us && metrics.sent_us <= metrics.first_byte_us);
    assert_eq!(found.probes.prometheus.unwrap().up, 1);
}

#[test]
fn a_recording_says_the_same_when_the_process_is_gone() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("hang.json").display().to_string();
    let (target, url) = Target::listening("register-in-collect");
    let (code, live) = json(&[&["--url", &url, "--save", &file], &HANGS]);
    drop(target);
    assert_eq!((code, live.outcome), (1, Some(Outcome::Deadlocked)), "{}", live.summary);
    assert_eq!(json(&[&["--snapshot", &file]]), (1, live));

    let saved = std::fs::read_to_string(&file).unwrap();
    let recording: Recording = serde_json::from_str(&saved).unwrap();
    assert!(!saved.contains("stack_start") && recording.explained.is_some(), "no memory of the target is in it");
    let other = saved.replace("gatherlock.recording/1", "gatherlock.recording/2");
    std::fs::write(&file, other).unwrap();
    let refused = diagnose(&["--snapshot", &file]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(text(&refused.stderr).contains("gatherlock.recording/2"), "{}", text(&refused.stderr));
    std::fs::write(&file, &saved[..saved.len() / 2]).unwrap();
    assert_eq!(diagnose(&["--snapshot", &file]).status.code(), Some(2));
}

#[test]
fn every_format_and_the_files_of_a_folder() {
    let folder = tempfile::tempdir().unwrap();
    let (file, out) = (folder.path().join("hang.json"), folder.path().join("out"));
    let (file, out) = (file.display().to_string(), out.display().to_string());
    let (_target, url) = Target::listening("ab-ba-parking-lot");
    let (code, _) = json(&[&["--url", &url, "--save", &file, "--out", &out], &HANGS]);
    assert_eq!(code, 1);
    for (format, begins) in
        [("html", "<!DOCTYPE html>"), ("markdown", "## Gatherlock: Deadlock"), ("text", "Deadlock:")]
    {
        let output = diagnose(&["--snapshot", &file, "--format", format]);
        assert!(text(&output.stdout).starts_with(begins), "{format}");
        assert!(text(&output.stdout).contains("session-open"), "{format}");
    }
    for name in ["report.json", "report.html", "report.md"] {
        assert!(Path::new(&out).join(name).is_file(), "{name}");
    }
    // The report of a diagnosis renders again like any other.
    let again =
        gatherlock().args(["report", "--format", "junit"]).arg(Path::new(&out).join("report.json")).output().unwrap();
    assert_eq!(again.status.code(), Some(1), "{}", text(&again.stderr));
    assert!(std::fs::read_to_string(Path::new(&out).join("junit.xml")).unwrap().contains("<failure"));
}

#[test]
fn answers_that_are_wrong_are_named() {
    let url = serve(|_| ok("not an exposition {{{\n"));
    let (code, found) = json(&[&["--url", &url], &ANSWERS]);
    assert_eq!((code, found.outcome), (1, Some(Outcome::Invalid)), "{}", found.summary);
    assert!(found.evidence.iter().any(|e| e.because.iter().any(|b| b.contains("malformed"))), "{:?}", found.evidence);
    let url = serve(|_| "HTTP/1.1 503 Busy\r\nContent-Length: 12\r\n\r\ngather stuck".into());
    let (code, found) = json(&[&["--url", &url], &ANSWERS]);
    assert_eq!((code, found.outcome), (1, Some(Outcome::Contained)), "{}", found.summary);
    let nobody = { TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap() };
    let (code, found) = json(&[&["--url", &format!("http://{nobody}/metrics")], &HANGS]);
    assert_eq!((code, found.outcome), (1, Some(Outcome::Unreachable)), "{}", found.summary);
}

#[test]
fn how_far_a_request_came_is_told_from_outside() {
    // Nobody accepts: this very process listens, which cannot be sampled by itself, but by the command.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/metrics", listener.local_addr().unwrap());
    let (code, found) = json(&[&["--url", &url], &HANGS]);
    assert_eq!(code, 1);
    let side = found.probes.connection.unwrap();
    assert_eq!((side.accepted, side.backlog), (Some(false), Some(2)), "the scrape and the health check wait");
    assert_eq!(found.target.pid, Some(std::process::id() as i32), "{:?}", found.gaps);

    // Accepted, and never read.
    let (enough, wait) = std::sync::mpsc::channel::<()>();
    let accepted = std::thread::spawn(move || {
        // The two connections that were given up above, and those of the next look.
        let kept: Vec<TcpStream> = listener.incoming().take(4).map_while(Result::ok).collect();
        let _ = wait.recv();
        kept.len()
    });
    let (code, found) = json(&[&["--url", &url], &HANGS]);
    let side = found.probes.connection.unwrap();
    assert_eq!((code, side.accepted), (1, Some(true)));
    assert!(side.unread_bytes > Some(0), "{side:?}");
    drop(enough);
    assert_eq!(accepted.join().unwrap(), 4);
}

#[test]
fn headers_and_tokens_are_sent_and_shown_nowhere() {
    let folder = tempfile::tempdir().unwrap();
    let token = folder.path().join("token");
    std::fs::write(&token, "s3cret-token\n").unwrap();
    let url = serve(|head| {
        let (bearer, scope) =
            (head.contains("Authorization: Bearer s3cret-token\n"), head.contains("X-Scope: t0p-tenant\n"));
        if bearer && scope { ok("up_and_running 1\n") } else { "HTTP/1.1 401 No\r\nContent-Length: 0\r\n\r\n".into() }
    });
    let (token, file) = (token.display().to_string(), folder.path().join("r.json").display().to_string());
    let with = ["--url", &url, "--header", "X-Scope: t0p-tenant", "--bearer-file", &token, "--save", &file];
    let output = diagnose(&[&with[..], &ANSWERS, &["--format", "json"]].concat());
    assert_eq!(judged(&output).0, 0, "{}", text(&output.stdout));
    let all = text(&output.stdout) + &text(&output.stderr) + &std::fs::read_to_string(&file).unwrap();
    assert!(!all.contains("s3cret") && !all.contains("t0p-tenant"), "{all}");
    assert_eq!(json(&[&["--url", &url], &ANSWERS]).0, 1, "without them it is refused");
    let bad = diagnose(&["--url", &url, "--header", "X: s3cret\r\nEvil: 1"]);
    assert_eq!(bad.status.code(), Some(2));
}

#[test]
fn what_makes_no_sense_is_refused_with_two() {
    for args in [&[][..], &["--pid", "0"], &["--url", "ftp://x/"], &["--url", "http://u:p@h/"], &["--watch"]] {
        let output = diagnose(args);
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        assert!(output.stdout.is_empty() && !output.stderr.is_empty(), "{args:?}");
    }
}

#[test]
fn an_answer_after_the_bound_is_late() {
    // It answers when it is asked for its health, which happens only when the bound has passed.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/metrics", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        let mut waiting: Vec<TcpStream> = Vec::new();
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let health = head(&mut stream).starts_with("GET /health ");
            waiting.push(stream);
            if health {
                // Whoever asked may have gone.
                waiting.drain(..).for_each(|mut stream| drop(stream.write_all(ok("a 1\n").as_bytes())));
            }
        }
    });
    let (code, found) = json(&[&["--url", &url, "--bound", "200ms", "--hang-limit", "600s"]]);
    assert_eq!((code, found.outcome), (1, Some(Outcome::Late)), "{}", found.summary);
    let prometheus = found.probes.prometheus.unwrap();
    assert_eq!((prometheus.up, prometheus.scrape_duration_seconds), (0, 0.2), "Prometheus gives up at its timeout");
    assert!(found.samples > 0, "it was looked at while it was waited for");
}

#[test]
fn a_process_that_is_not_the_one_behind_the_url_is_said_to_be_that() {
    let (_target, url) = Target::listening("register-in-collect");
    let other = Target::start("contended");
    let (code, found) = json(&[&["--url", &url, "--pid", &other.pid().to_string()], &HANGS]);
    assert_eq!(code, 1);
    assert_ne!(found.outcome, Some(Outcome::Deadlocked), "{}", found.summary);
    let gap = found.gaps.iter().find(|gap| gap.why.contains("is served by process")).expect("it is said");
    assert!(gap.uncovers && gap.why.contains(&format!("not by process {}", other.pid())), "{}", gap.why);
}

#[test]
fn a_reader_that_stops_early_is_no_error() {
    let (_target, url) = Target::listening("crowd-300");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("crowd.json").display().to_string();
    assert_eq!(json(&[&["--url", &url, "--save", &file], &HANGS]).0, 1);
    let mut command = gatherlock();
    command.args(["diagnose", "--snapshot", &file, "--format", "json"]).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut reading = command.spawn().unwrap();
    // Far more than a pipe holds is to come, and nobody takes it.
    drop(reading.stdout.take());
    let output = reading.wait_with_output().unwrap();
    assert_eq!((output.status.code(), text(&output.stderr)), (Some(1), String::new()));
}
