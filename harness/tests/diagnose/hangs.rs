//! Every hang that is no lock cycle gets its own name, never "deadlock": one sentence, the outcome, and how sure it is.

use crate::cli::{HANGS, diagnose, judged};
use crate::target::Target;
use gatherlock::detect::{Diagnosed, Sight, judge, live};
use gatherlock::model::{Confidence, Exchange, ExchangeError, Explained, Outcome, Probes, Provenance, Relation};

/// What is said of a scrape that was not answered by the hang limit, given what was seen in the process.
fn said(explained: &Explained) -> Diagnosed {
    let exchange = Exchange { total_us: 3_000_000, error: Some(ExchangeError::HangLimit), ..Exchange::default() };
    let judged = judge(&exchange, 1_000_000, 3_000_000);
    let probes = Probes { metrics: Some(exchange), ..Probes::default() };
    let target = gatherlock::model::Target {
        url: Some("http://127.0.0.1:9101/metrics".into()),
        ..gatherlock::model::Target::default()
    };
    live(&Sight {
        target: &target,
        probes: &probes,
        judged: Some(&judged),
        gaps: &[],
        other: None,
        died: false,
        explained: Some(explained),
        bound_us: 1_000_000,
        hang_limit_us: 3_000_000,
    })
}

/// Starts the case, scrapes it, and demands this name; whatever is seen on the way there, it is never called a deadlock.
fn expect(case: &str, outcome: Outcome, confidence: Confidence, story: &[&str]) -> (Target, Explained) {
    let target = Target::start(case);
    let (_, _, explained) = target.explained(|explained| {
        let found = said(explained).diagnosis;
        assert_ne!(found.outcome, Some(Outcome::Deadlocked), "{case}: {}", found.summary);
        found.outcome == Some(outcome)
            && found.confidence == confidence
            && story.iter().all(|part| found.summary.contains(part))
    });
    let found = said(&explained).diagnosis;
    let why = format!("{case}: {:?} {}\n{:#?}\n{:#?}", found.confidence, found.summary, found.evidence, found.gaps);
    assert_eq!((found.outcome, found.confidence), (Some(outcome), confidence), "{why}");
    for part in story {
        assert!(found.summary.contains(part), "`{part}` is missing: {why}");
    }
    assert!(!found.summary.contains("deadlock") && found.cycle.is_empty(), "{why}");
    (target, explained)
}

/// The names of the threads that are suspected to be the ones to end a wait, and by which rule.
fn suspects(explained: &Explained) -> Vec<(String, String)> {
    let name = |tid: i32| explained.threads.iter().find(|thread| thread.tid == tid).unwrap().name.clone();
    let holds = explained.edges.iter().filter(|edge| edge.relation == Relation::Holds);
    holds
        .filter_map(|edge| match &edge.provenance {
            Provenance::Inferred { rule } => Some((name(edge.thread), rule.clone())),
            _ => None,
        })
        .collect()
}

#[test]
fn a_sleep() {
    expect("sleep", Outcome::Stalled, Confidence::Proven, &["waits for the end of a sleep in "]);
}

#[test]
fn a_silent_peer_by_its_address() {
    expect("tcp-read", Outcome::Stalled, Confidence::Proven, &["waits for receive from TCP peer 127.0.0.1:"]);
}

#[test]
fn a_peer_that_does_not_accept_by_its_address() {
    expect("tcp-connect", Outcome::Stalled, Confidence::Proven, &["waits for poll of TCP peer 127.0.0.1:"]);
}

#[test]
fn a_channel_and_who_refers_to_it() {
    let story = ["waits for message on a channel in ", "; `actor`", "refers to it, too"];
    let (_target, explained) = expect("std-channel", Outcome::Stalled, Confidence::Inferred, &story);
    assert!(suspects(&explained).contains(&("actor".into(), "refers-to-the-same".into())));
}

#[test]
fn a_channel_of_tokio_in_a_blocking_job() {
    expect("tokio-channel", Outcome::Stalled, Confidence::Inferred, &["waits for ", " in diagnose::service::events::"]);
}

#[test]
fn a_condition_variable_and_who_refers_to_it() {
    let story = ["waits for condition variable in diagnose::service::Gate::pass", "; `opener`", "refers to it, too"];
    let (_target, explained) = expect("condvar-with-opener", Outcome::Stalled, Confidence::Inferred, &story);
    assert_eq!(suspects(&explained), [("opener".into(), "refers-to-the-same".into())]);
}

#[test]
fn a_condition_variable_that_nobody_else_knows_of() {
    let story = ["waits for condition variable in diagnose::service::Gate::pass"];
    let (_target, explained) = expect("condvar-gate", Outcome::Stalled, Confidence::Inferred, &story);
    assert_eq!(suspects(&explained), []);
}

#[test]
fn the_end_of_a_thread_that_does_not_end() {
    let story =
        ["waits for end of a thread in ", "; `part-worker`", "is that thread, and waits for condition variable"];
    let (_target, explained) = expect("join", Outcome::Stalled, Confidence::Inferred, &story);
    assert_eq!(suspects(&explained), [("part-worker".into(), "its-end-is-awaited".into())]);
}

#[test]
fn workers_that_are_all_taken() {
    let story = [
        "no thread runs the request: all 3 workers of the runtime are blocked",
        "and 2 more wait for receive from TCP peer 127.0.0.1:",
    ];
    let (_target, explained) = expect("workers-taken", Outcome::Starved, Confidence::Inferred, &story);
    let runtime = explained.runtime.unwrap();
    assert_eq!((runtime.stuck.len(), runtime.driver), (3, None), "and nobody polls for I/O");
}

#[test]
fn a_handler_that_has_not_begun_its_page_is_known_by_the_code_ahead() {
    let story =
        ["`tokio-rt-worker` ", " waits for receive from TCP peer 127.0.0.1:", " in diagnose::service::events::ask"];
    let (_target, explained) = expect("hook-before-page", Outcome::Stalled, Confidence::Proven, &story);
    assert_eq!(explained.threads.iter().filter(|thread| thread.serves_request).count(), 1);
    // Near miss: a handler behind which no page is written. Nor is it called starved although no worker is left: the one that
    // is blocked does run the request.
    let story = ["no thread that runs the request could be found"];
    let (_target, explained) = expect("hook-without-page", Outcome::Stalled, Confidence::Suspected, &story);
    let runtime = explained.runtime.unwrap();
    assert_eq!((runtime.workers, runtime.blocked), (1, 1));
    let gap = explained.gaps.iter().find(|gap| gap.what == "which thread runs the request").expect("no gap");
    assert!(gap.uncovers && gap.why.starts_with("1 worker is blocked inside a connection"), "{gap:?}");
}

#[test]
fn a_worker_that_another_route_has_taken_starves_a_request_that_nobody_has_read() {
    let (target, url) = Target::listening("route-taken");
    target.ask("/health");
    let taken = |explained: &Explained| explained.runtime.as_ref().is_some_and(|runtime| runtime.stuck.len() == 1);
    let (_, _, explained) = target.explained(taken);
    assert!(taken(&explained));
    let (code, found) = judged(&diagnose(&[&["--format", "json", "--url", &url][..], &HANGS].concat()));
    assert_eq!((code, found.outcome), (1, Some(Outcome::Starved)), "{} {:#?}", found.summary, found.gaps);
    assert!(found.summary.contains("the runtime's only worker is blocked"), "{}", found.summary);
}

#[test]
fn a_blocking_pool_that_is_full() {
    let story = ["the runtime's blocking pool is full, its 2 threads are stuck, and 1 job waits for one"];
    expect("pool-taken", Outcome::Starved, Confidence::Inferred, &story);
}

#[test]
fn a_blocking_pool_with_room_is_not_full() {
    // Near miss: a job is stuck, and nothing waits for a thread.
    let story = ["a job in the runtime's blocking pool that it may await is stuck"];
    let (_target, explained) = expect("pool-half-taken", Outcome::Stalled, Confidence::Suspected, &story);
    assert_eq!(explained.runtime.unwrap().pool.unwrap().queued, None);
}

#[test]
fn a_suspended_task() {
    expect("suspended", Outcome::Stalled, Confidence::Inferred, &["it is suspended at an await"]);
}

#[test]
fn an_encoder_that_is_merely_busy() {
    expect("busy-encoder", Outcome::Busy, Confidence::Inferred, &["runs the request, is on CPU and makes progress"]);
}

#[test]
fn a_lock_that_no_thread_will_release() {
    for case in ["leaked-guard", "guard-in-suspended-task"] {
        let story = ["which no thread's stack will release: leaked, or in a suspended task; which is not visible"];
        expect(case, Outcome::Stalled, Confidence::Suspected, &story);
    }
}

#[test]
fn a_slow_endpoint_that_answers_is_late() {
    let (_target, url) = Target::listening("late");
    // It answers when it is asked for its health, which happens only when the bound has passed.
    let args = ["--format", "json", "--url", &url, "--bound", "300ms", "--hang-limit", "600s"];
    let (code, found) = judged(&diagnose(&args));
    assert_eq!((code, found.outcome), (1, Some(Outcome::Late)), "{}", found.summary);
    assert!(found.summary.contains("answers late"), "{}", found.summary);
}

#[test]
fn a_wrong_answer_and_a_right_one() {
    for (case, code, outcome) in [("wrong", 1, Outcome::Invalid), ("sound", 0, Outcome::Served)] {
        let (_target, url) = Target::listening(case);
        let found = judged(&diagnose(&["--format", "json", "--url", &url, "--bound", "30s"]));
        assert_eq!((found.0, found.1.outcome), (code, Some(outcome)), "{case}: {}", found.1.summary);
    }
}

#[test]
fn a_hang_is_told_from_the_command_line_in_one_sentence() {
    let (_target, url) = Target::listening("sleep");
    let report = String::from_utf8(diagnose(&[&["--url", &url][..], &HANGS].concat()).stdout).unwrap();
    let mut lines = report.lines();
    assert!(lines.next().unwrap().starts_with("Stalled"), "{report}");
    assert!(lines.next().unwrap().starts_with("/metrics hangs: `tokio-rt-worker` "), "{report}");
    assert!(!report.contains("Deadlock"), "{report}");
}
