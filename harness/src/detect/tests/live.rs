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
    told(probes, explained, died, None)
}

fn told(probes: &Probes, explained: Option<&Explained>, died: bool, other: Option<&OtherProcess>) -> Diagnosed {
    let judged = probes.metrics.as_ref().map(|metrics| judge(metrics, BOUND, 3 * BOUND));
    let (target, judged) = (target(), judged.as_ref());
    live(&Sight {
        target: &target,
        probes,
        judged,
        gaps: &[],
        other,
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
        "/metrics answers as it should: status 200 after 4.0 ms, 1 metric family, 1 sample, a valid exposition"
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
    let health = Exchange { status: Some(200), total_us: 900, ..Exchange::default() };
    let beside = |died| {
        let found = seen(&Probes { health: Some(health.clone()), ..probes.clone() }, None, died);
        found.evidence.into_iter().find(|evidence| evidence.detector == "health").unwrap().says
    };
    assert!(beside(false).ends_with("the server as a whole is alive"));
    assert_eq!(beside(true), "another route of the server had answered before that: status 200 after 0.9 ms");
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

/// A scrape that hangs, of which the kernel says this.
fn hanging(accepted: Option<bool>, unread_bytes: Option<u64>) -> Probes {
    let connection = Some(ServerSide { accepted, unread_bytes, backlog: Some(1) });
    Probes { metrics: Some(open(3 * BOUND)), connection, ..Probes::default() }
}

#[test]
fn only_a_task_of_a_known_runtime_whose_request_was_read_is_suspended_at_an_await() {
    let idle = |runtime: bool| {
        let process = Process::new().thread(7, "main", false);
        if runtime { process.runtime(4, 0, Some(7)).0 } else { process.0 }
    };
    let suspended = look(&hanging(Some(true), Some(0)), Some(&idle(true)));
    assert!(suspended.covered && suspended.diagnosis.summary.contains("it is suspended at an await"));
    assert_eq!(suspended.diagnosis.confidence, Confidence::Inferred);
    for (accepted, unread, runtime, says, fix) in [
        (Some(false), None, true, "has not accepted the connection", "what accepts connections"),
        (Some(false), None, false, "has not accepted the connection", "what accepts connections"),
        (Some(true), Some(84), true, "not read the request, so that no handler runs", "what reads requests"),
        (Some(true), Some(0), false, "no async runtime is recognised in the process", "only handlers of Rust programs"),
        (None, None, false, "no async runtime is recognised in the process", "only handlers of Rust programs"),
    ] {
        let found = look(&hanging(accepted, unread), Some(&idle(runtime)));
        let diagnosis = &found.diagnosis;
        assert_eq!((diagnosis.outcome, diagnosis.confidence), (Some(Outcome::Stalled), Confidence::Suspected));
        assert!(!found.covered && !diagnosis.summary.contains("await"), "{}", diagnosis.summary);
        assert!(diagnosis.summary.contains(says), "{}", diagnosis.summary);
        assert!(diagnosis.advice.len() == 1 && diagnosis.advice[0].contains(fix), "{:?}", diagnosis.advice);
    }
    // A thread that runs a request tells more than the queue in which another one stands.
    let serving = Process::new().thread(7, "main", true).resource("io-1", ResourceKind::Io, "a socket").waits(
        7,
        "io-1",
        Mode::Event,
    );
    let found = look(&hanging(Some(false), None), Some(&serving.0));
    assert!(found.covered && found.diagnosis.summary.contains("waits for a socket"), "{}", found.diagnosis.summary);
}

#[test]
fn a_process_that_somebody_stopped_is_said_to_be_stopped_and_nothing_else() {
    let states = |of_each: &[&str]| {
        let mut process = crate::detect::tests::ab_ba().thread(3, "main", false).0;
        for (thread, state) in process.threads.iter_mut().zip(of_each) {
            thread.state = (*state).to_string();
        }
        process
    };
    for probes in [hanging(Some(false), None), hanging(Some(true), Some(0)), Probes::default()] {
        let found = look(&probes, Some(&states(&["T", "T", "T"])));
        let diagnosis = &found.diagnosis;
        assert_eq!((diagnosis.outcome, diagnosis.confidence), (Some(Outcome::Stalled), Confidence::Proven));
        assert!(diagnosis.summary.contains("every thread of the process is stopped, by SIGSTOP or by job control"));
        assert!(diagnosis.advice[0].contains("kill -CONT PID"), "{:?}", diagnosis.advice);
        // What else stands in it was not seen to stand: it stands because it is stopped.
        assert!(found.evidence.iter().any(|e| e.detector == "cycle" && !e.decisive) && diagnosis.cycle.is_empty());
        // Near miss: one thread that runs.
        let found = look(&probes, Some(&states(&["T", "T", "S"])));
        assert_eq!(found.diagnosis.outcome, Some(Outcome::Deadlocked));
    }
    let mut known = target();
    known.pid = Some(4711);
    let hang = Hang {
        explained: Some(&states(&["T", "T", "T"])),
        target: &known,
        probes: Probes::default(),
        ahead: 0,
        advice: &[],
    };
    assert!(diagnosis::diagnose(&hang).diagnosis.advice[0].contains("`kill -CONT 4711`"));
}

#[test]
fn a_process_that_does_not_serve_the_url_is_named_at_the_top() {
    let other = OtherProcess { named: 12, pid: 34, name: "svc".into() };
    let says = "the URL is served by process 34 (`svc`), not by process 12, which was not looked into; /metrics ";
    let outside = hanging(Some(true), Some(0));
    for (probes, outcome) in
        [(&outside, Outcome::Stalled), (&Probes { metrics: Some(served()), ..Probes::default() }, Outcome::Served)]
    {
        let found = told(probes, None, false, Some(&other)).diagnosis;
        assert_eq!(found.outcome, Some(outcome));
        assert!(found.summary.starts_with(says), "{}", found.summary);
        assert!(!found.summary.contains("could not be looked into"), "{}", found.summary);
        assert!(found.advice.len() == 1 && found.advice[0].contains("--pid 34"), "{:?}", found.advice);
        assert!(!look(probes, None).diagnosis.summary.contains("process 34"));
    }
}

#[test]
fn a_runtime_with_all_its_workers_stuck_is_starved_whoever_asks() {
    let stuck = |workers, stuck: &[i32], samples| {
        let mut process = Process::new().resource("io-1", ResourceKind::Io, "a socket");
        for tid in 1..=3 {
            process = process.thread(tid, "tokio-rt-worker", false).waits(tid, "io-1", Mode::Event);
        }
        let mut explained = process.runtime(workers, stuck.len() as u32, None).0;
        explained.runtime.as_mut().unwrap().stuck = stuck.to_vec();
        look(&Probes::default(), Some(&Explained { samples, ..explained }))
    };
    let found = stuck(3, &[1, 2, 3], 2);
    assert_eq!(found.diagnosis.outcome, Some(Outcome::Starved));
    let says = "svc is stuck: all 3 workers of the runtime are blocked, so that no task of it gets a thread while this \
                lasts; `tokio-rt-worker` 1 and 2 more wait for a socket";
    assert_eq!(found.diagnosis.summary, says);
    assert!(found.diagnosis.advice[0].contains("do not block a worker"), "{:?}", found.diagnosis.advice);
    // Near misses: a worker is left, they were seen once, and there is no worker.
    for near in [stuck(3, &[1, 2], 2), stuck(3, &[1, 2, 3], 1), stuck(0, &[], 2)] {
        assert_eq!(near.diagnosis.outcome, None, "{}", near.diagnosis.summary);
    }
}
