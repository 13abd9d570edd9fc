//! What is left where the live engine cannot be: a URL is judged from outside, and everything else says what is missing.
//!
//! Built on other platforms than Linux x86_64, and there with `GATHERLOCK_PORTABLE=1`, as `cargo xtask ci` does.
#![cfg(all(not(live), feature = "cli"))]

use gatherlock::model::{Diagnosis, Outcome, Report};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

fn diagnose(args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gatherlock"));
    command.arg("diagnose").args(args).stdin(Stdio::null()).output().unwrap()
}

fn judged(output: &Output) -> (i32, Diagnosis) {
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    let report: Report = gatherlock::render::json::parse(&text).unwrap();
    (output.status.code().unwrap(), report.diagnosis.unwrap())
}

/// A server of one thread that answers with this, or, without an answer, keeps the connection open.
fn serve(answer: Option<&'static str>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/metrics", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        let mut held = Vec::new();
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let lines = BufReader::new(Read::by_ref(&mut stream)).lines().map_while(Result::ok);
            lines.take_while(|line| !line.is_empty()).for_each(drop);
            match answer {
                // Whoever asked may have gone.
                Some(answer) => drop(stream.write_all(answer.as_bytes())),
                None => held.push(stream),
            }
        }
    });
    url
}

#[test]
fn a_url_is_judged_from_outside() {
    let url =
        serve(Some("HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4\r\nContent-Length: 5\r\n\r\nup 1\n"));
    let (code, found) = judged(&diagnose(&["--url", &url, "--bound", "30s", "--format", "json"]));
    assert_eq!((code, found.outcome), (0, Some(Outcome::Served)), "{}", found.summary);

    let url = serve(Some("HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n"));
    let (code, found) = judged(&diagnose(&["--url", &url, "--bound", "30s", "--format", "json"]));
    assert_eq!((code, found.outcome), (1, Some(Outcome::Invalid)), "{}", found.summary);
}

#[test]
fn a_hang_is_seen_and_what_is_not_seen_is_said() {
    let url = serve(None);
    let limits = ["--bound", "300ms", "--hang-limit", "900ms", "--format", "json"];
    // The process of the server is this one.
    let pid = std::process::id().to_string();
    for named in [&[][..], &["--pid", &pid]] {
        let (code, found) = judged(&diagnose(&[&["--url", &url][..], &limits, named].concat()));
        assert_eq!((code, found.outcome), (1, Some(Outcome::Stalled)), "{}", found.summary);
        assert!(found.cycle.is_empty() && found.edges.is_empty());
        let says = |gap: &gatherlock::model::Gap| gap.uncovers && gap.why.contains("needs Linux on x86_64");
        // Where no process can be found behind a URL, that is what is missing.
        let nobody = |gap: &gatherlock::model::Gap| gap.uncovers && gap.what == "the process behind the URL";
        assert!(found.gaps.iter().any(|gap| says(gap) || nobody(gap)), "{:?}", found.gaps);
        assert!(!cfg!(target_os = "linux") || found.gaps.iter().any(says), "{:?}", found.gaps);
    }
}

#[test]
fn a_process_alone_cannot_be_judged_and_never_passes() {
    let output = diagnose(&["--pid", &std::process::id().to_string()]);
    let says = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{says}");
    assert!(output.stdout.is_empty());
    assert!(says.contains("needs Linux on x86_64") || says.contains("/proc"), "{says}");
}

#[test]
fn a_test_that_asks_for_a_diagnosis_of_itself_is_told() {
    let asked = std::panic::catch_unwind(|| gatherlock::within(Duration::from_secs(5), || 1));
    let says = asked.err().and_then(|panic| panic.downcast_ref::<String>().cloned()).unwrap_or_default();
    assert!(says.contains("needs Linux on x86_64"), "{says}");
}
