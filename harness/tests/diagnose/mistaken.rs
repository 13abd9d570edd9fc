//! What is easily mistaken for a hang of another kind: a process that somebody stopped, one that has nothing to do with
//! the endpoint, and a runtime without a worker left that nobody scraped.

use crate::cli::{ANSWERS, HANGS, diagnose, judged, ok, serve};
use crate::target::Target;
use gatherlock::model::{Confidence, Diagnosis, Explained, Outcome};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};

fn json(args: &[&[&str]]) -> (i32, Diagnosis) {
    judged(&diagnose(&[&["--format", "json"], args.concat().as_slice()].concat()))
}

/// Sends the signal, and returns when the kernel says that the process is in one of these states.
fn bring(target: &Target, signal: Signal, states: &[char]) {
    kill(Pid::from_raw(target.pid()), signal).unwrap();
    let state = || {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", target.pid())).unwrap();
        stat.rsplit_once(") ").and_then(|(_, rest)| rest.chars().next()).unwrap()
    };
    while !states.contains(&state()) {
        std::thread::yield_now();
    }
}

#[test]
fn a_process_that_somebody_stopped() {
    // Of which every route answers: what was asked while it was stopped hinders nothing afterwards.
    let (target, url) = Target::listening("healthy");
    let pid = target.pid().to_string();
    bring(&target, Signal::SIGSTOP, &['T']);
    for args in [&["--url", &url, HANGS[0], HANGS[1], HANGS[2], HANGS[3]][..], &["--pid", &pid]] {
        let (code, found) = json(&[args]);
        assert_eq!((code, found.outcome), (1, Some(Outcome::Stalled)), "{args:?}: {}", found.summary);
        assert_eq!(found.confidence, Confidence::Proven);
        assert!(found.summary.contains("every thread of the process is stopped"), "{}", found.summary);
        assert!(found.advice[0].contains(&format!("kill -CONT {pid}")), "{:?}", found.advice);
    }
    // It is left as it was, and answers when it is let go on.
    bring(&target, Signal::SIGCONT, &['R', 'S', 'D']);
    let (_, found) = json(&[&["--url", &url], &ANSWERS]);
    assert_eq!(found.probes.metrics.and_then(|metrics| metrics.status), Some(200), "{}", found.summary);
    let (code, found) = json(&[&["--pid", &pid]]);
    assert_eq!((code, found.outcome), (0, None), "{}", found.summary);
}

#[test]
fn a_process_that_does_not_serve_the_url() {
    let (target, url) = Target::listening("suspended");
    let stranger = Target::start("workers-taken");
    let pid = stranger.pid().to_string();
    let (code, found) = json(&[&["--url", &url, "--pid", &pid], &HANGS]);
    assert_eq!((code, found.outcome), (1, Some(Outcome::Stalled)), "{}", found.summary);
    let says = format!("the URL is served by process {} (`", target.pid());
    assert!(found.summary.starts_with(&says), "{}", found.summary);
    assert!(found.summary.contains(&format!("not by process {pid}, which was not looked into")), "{}", found.summary);
    assert_eq!((found.samples, found.target.pid, found.confidence), (0, None, Confidence::Suspected));
    // The right one is looked into.
    let (_, found) = json(&[&["--url", &url, "--pid", &target.pid().to_string()], &HANGS]);
    assert_eq!((found.samples, found.target.pid), (2, Some(target.pid())), "{}", found.summary);

    // Nor may an answer in time hide it.
    let url = serve(|_| ok("requests_total 7\n"));
    let (code, found) = json(&[&["--url", &url, "--pid", &pid], &ANSWERS]);
    assert_eq!((code, found.outcome, found.samples), (0, Some(Outcome::Served), 0), "{}", found.summary);
    let says = format!("the URL is served by process {} (`", std::process::id());
    assert!(found.summary.starts_with(&says), "{}", found.summary);
}

#[test]
fn a_runtime_without_a_worker_left_that_nobody_scraped() {
    let target = Target::start("workers-taken");
    let taken = |explained: &Explained| explained.runtime.as_ref().is_some_and(|runtime| runtime.stuck.len() == 3);
    target.explained(taken);
    let (code, found) = json(&[&["--pid", &target.pid().to_string()]]);
    assert_eq!((code, found.outcome), (1, Some(Outcome::Starved)), "{}", found.summary);
    assert!(found.summary.contains("all 3 workers of the runtime are blocked"), "{}", found.summary);
    let stuck = found.runtime.unwrap().stuck;
    assert!(found.threads[..3].iter().all(|thread| stuck.contains(&thread.tid)), "the stuck ones come first");
    // Near misses: every worker is at work all the time, and none is stuck.
    let mut target = Target::spawn("healthy");
    let port = target.line("port ");
    let done = AtomicBool::new(false);
    let scrape = || {
        while !done.load(Ordering::SeqCst) {
            let mut stream = TcpStream::connect(format!("127.0.0.1:{port}")).unwrap();
            stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
            stream.read_to_end(&mut Vec::new()).unwrap();
        }
    };
    let looks = std::thread::scope(|scope| {
        (0..4).for_each(|_| drop(scope.spawn(scrape)));
        let looks: Vec<_> =
            (0..4).map(|_| diagnose(&["--format", "json", "--pid", &target.pid().to_string()])).collect();
        done.store(true, Ordering::SeqCst);
        looks
    });
    for (_, found) in looks.iter().map(judged) {
        assert_eq!(found.outcome, None, "{}", found.summary);
    }
    // A request hangs, and every worker waits for work.
    let target = Target::start("suspended");
    let (code, found) = json(&[&["--pid", &target.pid().to_string()]]);
    assert_eq!((code, found.outcome), (0, None), "{}", found.summary);
}
