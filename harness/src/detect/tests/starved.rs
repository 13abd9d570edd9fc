//! Hangs for want of a thread, and whose lock it is that nobody's stack holds.

use super::hangs::{hung, summary, waits_for};
use super::*;

#[test]
fn no_thread_and_no_worker_left_is_starved() {
    let app = || Process::new().thread(7, "tokio-rt-worker", false);
    let starved = hung(app().runtime(4, 4, None));
    assert_eq!((starved.outcome, starved.covered), (Outcome::Starved, true));
    assert!(summary(&starved).contains("all 4 workers of the runtime are blocked"));
    assert_eq!(hung(app().runtime(1, 1, Some(7))).outcome, Outcome::Starved);
    assert_eq!(hung(app().runtime(4, 3, Some(7))).outcome, Outcome::Stalled, "a worker is left");
    assert_eq!(
        hung(app().runtime(4, 1, None)).outcome,
        Outcome::Stalled,
        "the blocked worker may be the request's own"
    );
    assert_eq!(hung(app().runtime(4, 0, None)).outcome, Outcome::Stalled, "nobody is blocked");
    assert_eq!(hung(app()).outcome, Outcome::Stalled, "no runtime was recognised, so nothing is known of one");
    assert!(hung(app().runtime(4, 0, Some(7))).covered);
    assert!(!hung(app().runtime(4, 3, Some(7))).covered, "a blocked worker may run the request");
    let mut unseen = app().runtime(4, 4, None);
    unseen.0.gaps.push(Gap { what: "the stack of thread 7".into(), why: "no unwind table".into(), uncovers: true });
    let unseen = hung(unseen);
    assert_eq!((unseen.outcome, unseen.covered), (Outcome::Stalled, false), "its thread may only not have been seen");
}

#[test]
fn a_request_with_a_thread_of_its_own_is_not_starved_by_being_the_last_worker() {
    let process = waits_for(ResourceKind::Io, "a socket").runtime(1, 1, None);
    assert_eq!(hung(process).outcome, Outcome::Stalled);
}

#[test]
fn a_judged_request_behind_as_many_stuck_ones_as_there_are_workers_is_starved() {
    let process = || waits_for(ResourceKind::Io, "a socket").runtime(1, 1, None);
    let trial = Trial::armed().send(Purpose::During, URL).send(Purpose::Judged, URL).wait(HANG).sampled(2);
    assert_eq!(trial.explained(process().0).detect().outcome, Outcome::Starved);

    // With workers left, it takes that nobody polls the driver and that each blocked worker is accounted for.
    let of_four = |blocked, driver| {
        let trial = Trial::armed().send(Purpose::During, URL).send(Purpose::Judged, URL).wait(HANG).sampled(2);
        let process = waits_for(ResourceKind::Io, "a socket").runtime(4, blocked, driver);
        trial.explained(process.0).detect().outcome
    };
    assert_eq!(of_four(1, None), Outcome::Starved);
    assert_eq!(of_four(1, Some(7)), Outcome::Stalled);
    assert_eq!(of_four(2, None), Outcome::Stalled);
}

#[test]
fn a_lock_held_by_a_task_that_has_no_worker_is_starved() {
    let mut process = waits_for(ResourceKind::StdMutex, "Mutex<State>").runtime(1, 1, None);
    process.0.resources[0].holders = Some(Holders { word: 1, found: 0 });
    let detected = hung(process);
    assert_eq!(detected.outcome, Outcome::Starved);
    assert!(summary(&detected).ends_with("a task that holds Mutex<State> would have no thread to run on"));

    let mut process = waits_for(ResourceKind::StdMutex, "Mutex<State>").runtime(2, 1, None);
    process.0.resources[0].holders = Some(Holders { word: 1, found: 0 });
    let detected = hung(process);
    assert_eq!((detected.outcome, detected.covered), (Outcome::Stalled, false), "a worker could run that task");
}

/// What is said of a lock that no stack holds.
const UNHELD: &str = "which no thread's stack will release: leaked, or in a suspended task; which is not visible";

#[test]
fn a_starved_runtime_says_that_its_worker_waits_for_a_lock_of_nobody() {
    // As in `guard-across-await`: the only worker waits for a lock that a suspended task holds, and nobody accepts.
    let starved = |holders| {
        let mut process = Process::new()
            .thread(1, "tokio-rt-worker", false)
            .resource("lock-1", ResourceKind::StdMutex, "Mutex<Zones>")
            .waits(1, "lock-1", Mode::Exclusive)
            .runtime(1, 1, None);
        process.0.runtime.as_mut().unwrap().stuck = vec![1];
        process.0.resources[0].holders = Some(holders);
        hung(process)
    };
    let detected = starved(Holders { word: 1, found: 0 });
    assert_eq!((detected.outcome, detected.covered), (Outcome::Starved, true));
    assert_eq!(
        summary(&detected),
        format!(
            "/metrics hangs for want of a thread: no thread runs the request: the runtime's only worker is blocked; \
             `tokio-rt-worker` 1 waits for Mutex<Zones> (LOCK), {UNHELD}"
        )
    );
    for near in [Holders { word: 1, found: 1 }, Holders { word: 0, found: 0 }] {
        let detected = starved(near);
        assert!(!summary(&detected).contains("suspended task"), "{}", summary(&detected));
    }
}

/// A hang with the general advice.
fn advised(process: &Explained) -> crate::detect::Diagnosed {
    let target = Target { url: Some(URL.into()), pid: Some(4700), inner_pid: None, exe: None };
    let hang = crate::detect::Hang {
        explained: Some(process),
        target: &target,
        probes: Probes::default(),
        ahead: 0,
        advice: &[],
    };
    crate::detect::diagnose(&hang)
}

#[test]
fn the_fix_for_stuck_workers_is_not_a_thread_for_gather() {
    let starved = |serving: bool, found: u32| {
        let mut process = Process::new()
            .thread(1, "main", false)
            .thread(2, "tokio-rt-worker", serving)
            .resource("io-1", ResourceKind::Io, "a pipe")
            .resource("lock-1", ResourceKind::StdMutex, "Mutex<Zones>")
            .waits(1, "io-1", Mode::Event)
            .waits(2, "lock-1", Mode::Exclusive)
            .runtime(1, 1, None);
        process.0.runtime.as_mut().unwrap().stuck = vec![2];
        process.0.resources[1].holders = Some(Holders { word: 1, found });
        advised(&process.0).diagnosis
    };
    let found = starved(false, 1);
    assert_eq!((found.outcome, found.threads[0].tid), (Some(Outcome::Starved), 2), "the stuck worker comes first");
    assert_eq!(found.advice.len(), 2);
    assert!(found.advice[0].starts_with("do not block a worker") && found.advice[1].contains("guard::Listener"));
    assert!(found.advice.iter().all(|line| !line.contains("gather on a thread")));
    let found = starved(false, 0);
    assert!(found.advice[0].starts_with("end the scope of a lock's guard before an await"), "{:?}", found.advice);
    let found = starved(true, 0);
    assert_eq!(found.outcome, Some(Outcome::Starved));
    assert!(found.advice[0].starts_with("end the scope") && found.advice.len() == 2, "{:?}", found.advice);
}

#[test]
fn one_lock_taken_twice_has_no_order_that_could_be_wrong() {
    // Worker 1 reads and wants to read again, behind writer 2, who waits for the first read to end.
    let process = Process::new()
        .thread(1, "tokio-rt-worker", true)
        .thread(2, "writer", false)
        .resource("lock-1", ResourceKind::ParkingLotRwLock, "prometheus Registry #1")
        .holds(1, "lock-1", Mode::Read)
        .waits(1, "lock-1", Mode::Read)
        .waits(2, "lock-1", Mode::Write)
        .queued(2, "lock-1");
    let found = advised(&process.0).diagnosis;
    assert_eq!((found.outcome, found.cycle.len()), (Some(Outcome::Deadlocked), 2), "{}", found.summary);
    assert!(found.advice[0].contains("gathering inside collect()"), "{:?}", found.advice);
    assert!(!found.advice[0].contains("one order"), "{:?}", found.advice);
    // Near miss: two locks.
    assert!(advised(&ab_ba().0).diagnosis.advice[0].starts_with("take the locks in one order everywhere"));
}

#[test]
fn a_starved_runtime_says_so_of_a_lock_at_the_end_of_the_way_too() {
    let starved = |found| {
        let mut process = Process::new()
            .thread(1, "tokio-rt-worker", false)
            .thread(2, "refresh", false)
            .resource("lock-1", ResourceKind::StdMutex, "Mutex<Zones>")
            .resource("lock-2", ResourceKind::StdMutex, "Mutex<Cache>")
            .waits(1, "lock-1", Mode::Exclusive)
            .holds(2, "lock-1", Mode::Exclusive)
            .waits(2, "lock-2", Mode::Exclusive)
            .runtime(1, 1, None);
        process.0.runtime.as_mut().unwrap().stuck = vec![1];
        process.0.resources[1].holders = Some(Holders { word: 1, found });
        hung(process)
    };
    let detected = starved(0);
    let end = format!(
        "waits for Mutex<Zones> (LOCK), in the end behind `refresh` 2, which waits for Mutex<Cache> (LOCK), {UNHELD}"
    );
    assert!(detected.outcome == Outcome::Starved && summary(&detected).ends_with(&end), "{}", summary(&detected));
    assert!(summary(&starved(1)).ends_with("waits for Mutex<Zones> (LOCK)"), "{}", summary(&starved(1)));
}

#[test]
fn who_may_end_a_wait_is_ranked_by_what_it_waits_for_and_not_by_its_words() {
    // Two threads refer to the channel; the one that only drives a runtime comes last, whatever its wait is called.
    let suspects = |event| {
        let guess = |edge: &mut Edge| edge.provenance = Provenance::Inferred { rule: "refers-to-the-same".into() };
        let process = Process::new()
            .thread(1, "w", true)
            .thread(2, "main", false)
            .thread(3, "actor", false)
            .resource("c", ResourceKind::Channel, "message on a channel")
            .event(Event::Message)
            .resource("d", ResourceKind::Channel, "a future in block_on, it says")
            .event(event)
            .resource("e", ResourceKind::Channel, "message on another channel")
            .event(Event::Message)
            .waits(1, "c", Mode::Event)
            .waits(2, "d", Mode::Event)
            .waits(3, "e", Mode::Event)
            .holds(2, "c", Mode::Event)
            .but(guess)
            .holds(3, "c", Mode::Event)
            .but(guess);
        let says = summary(&hung(process)).to_owned();
        (says.find("`main` 2").unwrap(), says.find("`actor` 3").unwrap())
    };
    for event in [Event::Future, Event::RuntimeWork, Event::PoolWork] {
        let (main, actor) = suspects(event);
        assert!(actor < main, "{event:?}");
    }
    let (main, actor) = suspects(Event::Condvar);
    assert!(main < actor, "the words of its name do not count");
}
