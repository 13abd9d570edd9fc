//! `gatherlock diagnose --watch`: it waits for the first breach, keeps it, and leaves when it is told to.

use crate::cli::{diagnose, gatherlock, ok, serve, text};
use crate::target::Target;
use gatherlock::model::{Outcome, Recording};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::process::Stdio;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, mpsc};

#[test]
fn the_first_breach_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("breach");
    let scrapes = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&scrapes);
    let url = serve(move |_| match counted.fetch_add(1, Ordering::SeqCst) {
        0..3 => ok("a 1\n"),
        _ => "HTTP/1.1 500 Broken\r\nContent-Length: 0\r\n\r\n".into(),
    });
    let args = ["--watch", "--interval", "1ms", "--bound", "30s", "--url", &url, "--out"];
    let output = diagnose(&[&args[..], &[&out.display().to_string()]].concat());
    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stderr));
    assert_eq!(scrapes.load(Ordering::SeqCst), 4, "none after the breach");
    assert!(text(&output.stderr).contains("breach at scrape 4"), "{}", text(&output.stderr));
    assert!(text(&output.stdout).contains("status 500"), "{}", text(&output.stdout));
    for name in ["recording.json", "report.json", "report.html", "report.md"] {
        assert!(out.join(name).is_file(), "{name}");
    }
}

#[test]
fn a_hang_is_kept_with_its_cycle() {
    let folder = tempfile::tempdir().unwrap();
    let (_target, url) = Target::listening("register-in-collect");
    let out = folder.path().display().to_string();
    let output = diagnose(&[
        "--watch",
        "--interval",
        "1ms",
        "--bound",
        "300ms",
        "--url",
        &url,
        "--out",
        &out,
        "--format",
        "json",
    ]);
    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stderr));
    let kept = std::fs::read_to_string(folder.path().join("recording.json")).unwrap();
    let kept: Recording = serde_json::from_str(&kept).unwrap();
    assert_eq!(kept.judged.unwrap().outcome, None, "not answered by the hang limit");
    let again = diagnose(&["--snapshot", &format!("{out}/recording.json"), "--format", "json"]);
    assert_eq!(crate::cli::judged(&again).1.outcome, Some(Outcome::Deadlocked));
}

#[test]
fn a_bounded_watch_without_a_breach_is_green() {
    let url = serve(|_| ok("a 1\n"));
    let output = diagnose(&["--watch", "--interval", "1ms", "--count", "5", "--bound", "30s", "--url", &url]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert!(text(&output.stderr).contains("5 scrapes without a breach"), "{}", text(&output.stderr));
}

#[test]
fn an_interrupt_ends_it_cleanly() {
    let folder = tempfile::tempdir().unwrap();
    let (tell, told) = mpsc::channel();
    let url = serve(move |_| {
        let _ = tell.send(());
        ok("a 1\n")
    });
    let mut command = gatherlock();
    command.args(["diagnose", "--watch", "--interval", "1h", "--bound", "30s", "--url", &url]);
    let watching = command.current_dir(&folder).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    told.recv().unwrap();
    kill(Pid::from_raw(watching.id() as i32), Signal::SIGINT).unwrap();
    let output = watching.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("interrupted"), "{}", text(&output.stderr));
    assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 0, "no file is left");
}
