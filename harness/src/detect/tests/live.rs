//! Tests of the judgement of a live endpoint: what is said of an answer, a hang seen from outside, and a process alone.

use super::*;
use crate::detect::judge;
use crate::detect::tests::Process;
use crate::model::{Holders, Mode, Provenance, Relation, Resource, ResourceKind, Thread, WaitsFor};

const BOUND: u64 = 1_000_000;

fn target() -> Target {
    Target { url: Some("http://127.0.0.1:9/metrics".into()), pid: None, inner_pid: None, exe: Some("svc".into()) }
}

fn look(probes: &Probes, explained: Option<&Explained>) -> Diagnosed {
    seen(probes, explained, false)
}

fn seen(probes: &Probes, explained: Option<&Explained>, died: bool) -> Diagnosed {
    let judged = probes.metrics.as_ref().map(|metrics| judge(metrics, BOUND, 3 * BOUND));
    let (target, judged) = (target(), judged.as_ref());
    live(&Sight {
        target: &target,
        probes,
        judged,
        gaps: &[],
        died,
        explained,
        bound_us: BOUND,
        hang_limit_us: 3 * BOUND,
    })
}

fn open(total_us: u64) -> Exchange {
    Exchange { total_us, error: Some(ExchangeError::HangLimit), ..Exchange::default() }
}

fn served() -> Exchange {
    Exchange {
        status: Some(200),
        total_us: 4_000,
        content_type: Some("text/plain; version=0.0.4".into()),
        bytes: 4,
        body: Some("a 1\n".into()),
        ..Exchange::default()
    }
}

/// A thread that waited for a `std` mutex in both samples, `stable` or not, and the lock's holders.
fn waiter(holders: Holders, stable: bool) -> Explained {
    let lock = Resource {
        id: "lock-1".into(),
        kind: ResourceKind::StdMutex,
        name: "Mutex<Inventory>".into(),
        address: Some(64),
        holders: Some(holders),
        event: None,
    };
    let waits = crate::model::Edge {
        thread: 1,
        resource: "lock-1".into(),
        relation: Relation::Waits,
        mode: Mode::Exclusive,
        provenance: Provenance::Read,
        count_agrees: None,
        stable,
        site: None,
        note: None,
    };
    let waits_for = Some(WaitsFor { resource: "lock-1".into(), mode: Mode::Exclusive });
    let thread = Thread { tid: 1, name: "a".into(), state: "S".into(), waits_for, ..Thread::default() };
    Explained { threads: vec![thread], resources: vec![lock], edges: vec![waits], samples: 2, ..Explained::default() }
}

#[test]
fn a_hang_seen_from_outside_says_how_far_the_request_came() {
    for (accepted, unread_bytes, says) in [
        (Some(false), None, "does not accept the connection"),
        (Some(true), Some(84), "has not read the request"),
        (Some(true), Some(0), "has read the request and does not answer"),
        (None, None, "it did not answer"),
    ] {
        let connection = Some(ServerSide { accepted, unread_bytes, backlog: Some(2) });
        let probes = Probes { metrics: Some(open(3 * BOUND)), connection, ..Probes::default() };
        let found = look(&probes, None);
        assert_eq!(found.diagnosis.outcome, Some(Outcome::Stalled));
        assert_eq!(found.diagnosis.confidence, Confidence::Suspected);
        assert!(!found.covered, "a hang that was only seen from outside is not explained");
        assert!(found.diagnosis.summary.contains(says), "{}", found.diagnosis.summary);
        assert!(
            found.diagnosis.advice.iter().all(|line| line.contains("look into the process")),
            "nothing else is known"
        );
        assert_eq!(found.diagnosis.advice.len(), 1);
        assert_eq!(found.diagnosis.probes.prometheus.unwrap().up, 0);
    }
}

#[test]
fn a_worker_that_may_run_the_request_is_told_from_a_starved_request_by_the_kernel() {
    let blocked = |unseen: bool| {
        let mut process = Process::new().thread(7, "tokio-rt-worker", false).runtime(4, 4, None).0;
        let gap = Gap { what: "which thread runs the request".into(), why: "inlined".into(), uncovers: true };
        process.gaps.extend(unseen.then_some(gap));
        process
    };
    for (accepted, unread_bytes, unseen, outcome) in [
        (Some(false), None, true, Outcome::Starved),
        (Some(true), Some(84), true, Outcome::Starved),
        (Some(true), Some(0), true, Outcome::Stalled),
        (Some(true), None, true, Outcome::Stalled),
        (None, None, true, Outcome::Stalled),
        // Every worker is known to be at work on something else.
        (Some(true), Some(0), false, Outcome::Starved),
    ] {
        let connection = Some(ServerSide { accepted, unread_bytes, backlog: Some(1) });
        let probes = Probes { metrics: Some(open(3 * BOUND)), connection, ..Probes::default() };
        let found = look(&probes, Some(&blocked(unseen)));
        assert_eq!(found.diagnosis.outcome, Some(outcome), "{accepted:?} {unread_bytes:?} {unseen}");
        assert_eq!(found.covered, outcome == Outcome::Starved);
    }
}

#[test]
fn a_full_queue_is_a_hang_and_a_refusal_is_not() {
    let reason = "neither accepted nor refused".to_string();
    let timeout = Exchange {
        total_us: 3 * BOUND,
        error: Some(ExchangeError::Unreachable { reason: reason.clone() }),
        ..Exchange::default()
    };
    let full = Some(ServerSide { accepted: Some(false), unread_bytes: None, backlog: Some(129) });
    let probes = Probes { metrics: Some(timeout.clone()), connection: full, ..Probes::default() };
    assert_eq!(look(&probes, None).diagnosis.outcome, Some(Outcome::Stalled));
    // Nothing local listens there: a host that is down, or a firewall.
    let probes = Probes { connection: None, ..probes };
    assert_eq!(look(&probes, None).diagnosis.outcome, Some(Outcome::Unreachable));
    let refused = Exchange { total_us: 90, ..timeout };
    let probes = Probes { metrics: Some(refused), connection: full, ..Probes::default() };
    assert_eq!(look(&probes, None).diagnosis.outcome, Some(Outcome::Unreachable));
}

#[test]
fn another_route_that_answers_stands_beside_a_hang() {
    let health = Exchange { status: Some(404), total_us: 900, ..Exchange::default() };
    let probes = Probes { metrics: Some(open(3 * BOUND)), health: Some(health), ..Probes::default() };
    let found = look(&probes, None);
    assert!(found.diagnosis.evidence.iter().any(|e| e.detector == "health" && e.says.contains("404")));
    let probes = Probes { health: Some(open(BOUND)), ..probes };
    assert!(look(&probes, None).diagnosis.evidence.iter().any(|e| e.says.contains("did not answer either")));
}

#[test]
fn an_answer_is_named_and_a_momentary_wait_behind_it_is_no_finding() {
    let probes = Probes { metrics: Some(served()), ..Probes::default() };
    let busy_lock = waiter(Holders { word: 1, found: 0 }, true);
    let found = look(&probes, Some(&busy_lock));
    assert_eq!(found.diagnosis.outcome, Some(Outcome::Served));
    assert_eq!(
        found.diagnosis.summary,
        "/metrics answers as it should: status 200 after 4.0 ms, 1 metric families, 1 samples, a valid exposition"
    );
    let late = Exchange { total_us: 2 * BOUND, ..served() };
    let probes = Probes { metrics: Some(late), ..Probes::default() };
    let found = look(&probes, Some(&busy_lock));
    assert_eq!(found.diagnosis.outcome, Some(Outcome::Late), "whatever was seen while it was waited for");
    assert_eq!(look(&probes, None).diagnosis.outcome, Some(Outcome::Late));
}

#[test]
fn a_process_that_ends_during_the_scrape_has_crashed() {
    let closed = ExchangeError::Closed { reason: "no byte of an answer had arrived".into() };
    let probes = Probes {
        metrics: Some(Exchange { total_us: 9, error: Some(closed), ..Exchange::default() }),
        ..Probes::default()
    };
    assert_eq!(seen(&probes, None, true).diagnosis.outcome, Some(Outcome::Crashed));
    assert_eq!(seen(&probes, None, false).diagnosis.outcome, Some(Outcome::Invalid));
    let probes = Probes { metrics: Some(served()), ..Probes::default() };
    assert_eq!(seen(&probes, None, true).diagnosis.outcome, Some(Outcome::Served), "it had answered by then");
}

#[test]
fn a_process_alone_is_judged_for_what_stands_in_it() {
    let healthy = look(&Probes::default(), Some(&Explained { samples: 2, ..Explained::default() }));
    assert_eq!((healthy.diagnosis.outcome, healthy.covered), (None, true));
    let leaked = look(&Probes::default(), Some(&waiter(Holders { word: 1, found: 0 }, true)));
    assert_eq!(leaked.diagnosis.outcome, None);
    assert!(!leaked.covered, "a lock that nobody releases is not nothing");
    assert!(leaked.diagnosis.evidence[0].says.contains("Mutex<Inventory>"));
    // Near misses: it moved between the samples, or its holder is there.
    assert!(look(&Probes::default(), Some(&waiter(Holders { word: 1, found: 0 }, false))).covered);
    assert!(look(&Probes::default(), Some(&waiter(Holders { word: 1, found: 1 }, true))).covered);
    let unseen = look(&Probes::default(), None);
    assert!(!unseen.covered && unseen.diagnosis.gaps[0].uncovers);
}
