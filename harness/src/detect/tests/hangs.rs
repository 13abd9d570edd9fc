//! Scrapes that were not answered: which rule names the hang, and the near misses that it must not name so.

use super::*;

pub(super) fn hung(process: Process) -> Detected {
    let trial = Trial::armed().send(Purpose::Judged, URL).wait(BOUND).sampled(1).wait(2 * BOUND).sampled(2);
    let detected = trial.end(2, hang()).explained(process.0).detect();
    assert_eq!(detected.void, None);
    assert!(detected.diagnosis.is_some());
    detected
}

pub(super) fn summary(detected: &Detected) -> &str {
    &detected.diagnosis.as_ref().unwrap().summary
}

/// The gatherer 1 reads the registry twice, a writer 2 is queued in between.
fn recursive_read() -> Process {
    Process::new()
        .thread(1, "tokio-rt-worker", true)
        .thread(2, "registrar", false)
        .resource("lock-1", ResourceKind::ParkingLotRwLock, "prometheus Registry #1")
        .holds(1, "lock-1", Mode::Read)
        .waits(1, "lock-1", Mode::Read)
        .waits(2, "lock-1", Mode::Write)
        .queued(2, "lock-1")
}

/// A collector registers: read, then write, one thread.
fn register_in_collect() -> Process {
    Process::new()
        .thread(1, "tokio-rt-worker", true)
        .resource("lock-1", ResourceKind::ParkingLotRwLock, "prometheus Registry #1")
        .holds(1, "lock-1", Mode::Read)
        .waits(1, "lock-1", Mode::Write)
}

/// A request's thread 1 waits for one resource that no thread holds.
pub(super) fn waits_for(kind: ResourceKind, name: &str) -> Process {
    let mode = if kind.is_lock() { Mode::Exclusive } else { Mode::Event };
    Process::new().thread(1, "tokio-rt-worker", true).resource("r", kind, name).waits(1, "r", mode)
}

fn spin(tid: i32, unchanged: bool) -> Spin {
    Spin {
        tid,
        rule: "prometheus-histogram-proto".into(),
        resource: "word".into(),
        says: "Histogram `lat`: 2589 observations started, 2588 finished".into(),
        unchanged,
        culprit: None,
    }
}

fn spinning(unchanged: bool) -> Process {
    let mut process = Process::new()
        .running(1, "tokio-rt-worker", true, 1900)
        .resource("word", ResourceKind::SpinWord, "histogram `lat`")
        .waits(1, "word", Mode::Event);
    process.0.spins.push(spin(1, unchanged));
    process
}

#[test]
fn a_cycle_on_the_requests_own_path_is_a_deadlock() {
    let detected = hung(ab_ba());
    assert_eq!((detected.outcome, detected.covered), (Outcome::Deadlocked, true));
    assert_eq!(
        summary(&detected),
        "/metrics hangs in a deadlock: `tokio-rt-worker` 1 holds prometheus Registry #1 (READ) and waits for Mutex<State> \
         (LOCK), which `session-open` 2 holds while it waits for prometheus Registry #1 (WRITE)"
    );
    let diagnosis = detected.diagnosis.unwrap();
    assert_eq!((diagnosis.outcome, diagnosis.confidence), (Some(Outcome::Deadlocked), Confidence::Inferred));
    assert_eq!(diagnosis.cycle.len(), 2);
    assert_eq!(diagnosis.cycle[0].held_by, ThreadRef { tid: 2, name: "session-open".into() });
    assert!(diagnosis.suspects.is_empty());
    assert_eq!(diagnosis.advice, ["do not"]);
    assert_eq!((detected.evidence[0].detector.as_str(), detected.evidence[0].decisive), ("cycle", true));
    assert_eq!(detected.evidence[0].because.len(), 4, "{:#?}", detected.evidence[0].because);
}

#[test]
fn a_queued_writer_closes_a_cycle() {
    let detected = hung(recursive_read());
    assert_eq!((detected.outcome, detected.covered), (Outcome::Deadlocked, true));
    assert_eq!(
        summary(&detected),
        "/metrics hangs in a deadlock: `tokio-rt-worker` 1 holds prometheus Registry #1 (READ) and waits for it again \
         (READ), behind `registrar` 2 in its queue, which waits for prometheus Registry #1 (WRITE)"
    );
    let mut without_writer = recursive_read();
    without_writer.0.edges.truncate(2);
    assert_eq!(hung(without_writer).outcome, Outcome::Stalled, "readers do not exclude each other");
}

#[test]
fn a_thread_that_waits_for_itself_is_a_deadlock() {
    let detected = hung(register_in_collect());
    assert_eq!((detected.outcome, detected.covered), (Outcome::Deadlocked, true));
    assert_eq!(
        summary(&detected),
        "/metrics hangs in a deadlock with itself: `tokio-rt-worker` 1 holds prometheus Registry #1 (READ) and waits for \
         it again (WRITE): it waits for itself"
    );
    assert_eq!(detected.evidence[0].detector, "self_wait");
}

#[test]
fn a_request_behind_a_cycle_is_deadlocked_and_says_by_which_way() {
    let behind = |name| {
        let mut process = ab_ba();
        process.0.threads[0].serves_request = false;
        process.thread(9, name, true).waits(9, "lock-2", Mode::Exclusive)
    };
    let detected = hung(behind("scraper"));
    assert_eq!(detected.outcome, Outcome::Deadlocked);
    assert!(
        summary(&detected).starts_with(
            "/metrics hangs in a deadlock: the request on `scraper` 9 waits for Mutex<State> (LOCK), which `session-open` 2 \
             holds; `session-open` 2 holds Mutex<State> (LOCK) and waits for prometheus Registry #1 (WRITE)"
        ),
        "{}",
        summary(&detected)
    );
    let diagnosis = detected.diagnosis.unwrap();
    assert_eq!(diagnosis.blocked_behind, [9]);
    let order: Vec<i32> = diagnosis.threads.iter().map(|thread| thread.tid).collect();
    assert_eq!(order, [1, 2, 9]);
}

#[test]
fn a_cycle_elsewhere_is_a_finding_and_not_the_outcome() {
    let mut process = ab_ba();
    process.0.threads[0].serves_request = false;
    let process = process
        .thread(9, "scraper", true)
        .resource("sock", ResourceKind::Io, "a socket to 10.0.0.1:80")
        .waits(9, "sock", Mode::Event);
    let detected = hung(process);
    assert_eq!((detected.outcome, detected.covered), (Outcome::Stalled, true));
    assert_eq!(summary(&detected), "/metrics hangs: `scraper` 9 waits for a socket to 10.0.0.1:80");
    let cycle = detected.evidence.iter().find(|evidence| evidence.detector == "cycle").unwrap();
    assert!(!cycle.decisive);
    assert!(detected.diagnosis.unwrap().cycle.is_empty());
}

/// Each of these makes one edge of the cycle less than a fact: it is a suspect then, and the trial is not covered.
#[test]
fn one_doubtful_edge_makes_a_suspect() {
    type Doubt = (&'static str, usize, fn(&mut Edge));
    let doubts: [Doubt; 6] = [
        ("a hold that moved", 0, |edge| edge.stable = false),
        ("a wait that moved", 1, |edge| edge.stable = false),
        ("a count that disagrees", 2, |edge| edge.count_agrees = Some(false)),
        ("a walk without a count", 2, |edge| edge.count_agrees = None),
        ("a guess", 0, |edge| edge.provenance = Provenance::Inferred { rule: "frame table".into() }),
        ("a read hold that the count contradicts", 0, |edge| {
            (edge.provenance, edge.count_agrees) = (Provenance::Read, Some(false));
        }),
    ];
    for (what, at, doubt) in doubts {
        let mut process = ab_ba();
        doubt(&mut process.0.edges[at]);
        let detected = hung(process);
        assert_eq!((detected.outcome, detected.covered), (Outcome::Stalled, false), "{what}");
        let diagnosis = detected.diagnosis.unwrap();
        assert!(diagnosis.cycle.is_empty(), "{what}");
        assert_eq!(diagnosis.suspects.len(), 1, "{what}");
        assert_eq!(diagnosis.confidence, Confidence::Suspected, "{what}");
        assert!(!diagnosis.summary.contains("deadlock"), "{what}: {}", diagnosis.summary);
        let suspect = detected.evidence.iter().find(|evidence| evidence.detector == "cycle").unwrap();
        assert!(!suspect.decisive && suspect.says.starts_with("suspected only: "), "{what}");
    }
    let mut once = ab_ba();
    once.0.samples = 1;
    assert_eq!(hung(once).outcome, Outcome::Stalled, "one sample shows nothing that stays");
}

#[test]
fn traced_and_read_edges_prove() {
    let mut process = ab_ba();
    for edge in &mut process.0.edges {
        edge.provenance = Provenance::Traced;
    }
    assert_eq!(hung(process).diagnosis.unwrap().confidence, Confidence::Proven);
}

#[test]
fn a_doubtful_way_to_a_claimed_cycle_is_no_deadlock_either() {
    let mut process = ab_ba();
    process.0.threads[0].serves_request = false;
    let process =
        process.thread(9, "scraper", true).waits(9, "lock-2", Mode::Exclusive).but(|edge| edge.stable = false);
    let detected = hung(process);
    assert_eq!((detected.outcome, detected.covered), (Outcome::Stalled, false));
}

#[test]
fn a_spin_on_a_word_that_stands_still_is_a_livelock() {
    let detected = hung(spinning(true));
    assert_eq!((detected.outcome, detected.covered), (Outcome::Livelocked, true));
    assert_eq!(
        summary(&detected),
        "/metrics hangs in a livelock: `tokio-rt-worker` 1 spins on a word that does not change (Histogram `lat`: 2589 \
         observations started, 2588 finished)"
    );
    assert_eq!(detected.diagnosis.unwrap().confidence, Confidence::Proven);
}

#[test]
fn a_spin_whose_word_moves_is_busy() {
    let detected = hung(spinning(false));
    assert_eq!((detected.outcome, detected.covered), (Outcome::Busy, true));
    assert!(summary(&detected).starts_with("/metrics is busy: `tokio-rt-worker` 1 runs the request"));
}

#[test]
fn a_spin_that_no_request_waits_for_is_not_the_outcome() {
    let mut process = waits_for(ResourceKind::Io, "a socket").running(2, "other", false, 1900);
    process.0.spins.push(spin(2, true));
    assert_eq!(hung(process).outcome, Outcome::Stalled);
}

#[test]
fn a_request_behind_a_spinner_is_livelocked_and_the_culprit_named() {
    let mut process = Process::new()
        .thread(9, "scraper", true)
        .running(1, "gatherer", false, 1900)
        .thread(3, "observer", false)
        .resource("lock-1", ResourceKind::StdMutex, "collect_lock of `lat`")
        .holds(1, "lock-1", Mode::Exclusive)
        .waits(9, "lock-1", Mode::Exclusive);
    process.0.spins.push(Spin { culprit: Some(3), ..spin(1, true) });
    let detected = hung(process);
    assert_eq!(detected.outcome, Outcome::Livelocked);
    assert!(summary(&detected).contains("the request on `scraper` 9 waits for collect_lock of `lat` (LOCK), which"));
    assert!(summary(&detected).ends_with("`observer` 3 is inside the code that should change it"));
    assert_eq!(detected.diagnosis.unwrap().confidence, Confidence::Inferred);
}

#[test]
fn a_deadlock_goes_before_a_spin_elsewhere_on_the_request_threads() {
    let mut process = ab_ba().running(5, "second-scrape", true, 900);
    process.0.spins.push(spin(5, true));
    assert_eq!(hung(process).outcome, Outcome::Deadlocked);
}

#[test]
fn a_request_on_cpu_with_progress_is_busy() {
    let detected = hung(Process::new().running(1, "tokio-rt-worker", true, 1800));
    assert_eq!((detected.outcome, detected.covered), (Outcome::Busy, true));
    let idle = hung(Process::new().running(1, "tokio-rt-worker", true, 0));
    assert_eq!((idle.outcome, idle.covered), (Outcome::Stalled, false), "runnable is not running");
    let other = hung(Process::new().running(7, "other", false, 1800));
    assert_eq!(other.outcome, Outcome::Stalled, "somebody else's work is not the request's progress");
}

#[test]
fn waits_for_what_is_no_lock_are_stalled() {
    for (kind, name) in
        [(ResourceKind::Io, "a socket"), (ResourceKind::Channel, "a channel"), (ResourceKind::Sleep, "a timer")]
    {
        let detected = hung(waits_for(kind, name));
        assert_eq!((detected.outcome, detected.covered), (Outcome::Stalled, true), "{name}");
        assert_eq!(summary(&detected), format!("/metrics hangs: `tokio-rt-worker` 1 waits for {name}"));
        assert_eq!(detected.diagnosis.unwrap().confidence, Confidence::Proven, "{name}");
    }
}

#[test]
fn a_request_behind_a_lock_whose_holder_does_io_is_stalled_and_covered() {
    let process = Process::new()
        .thread(1, "w", true)
        .thread(2, "cache-refresh", false)
        .resource("lock-1", ResourceKind::StdMutex, "Mutex<Cache>")
        .resource("sock", ResourceKind::Io, "a socket")
        .holds(2, "lock-1", Mode::Exclusive)
        .waits(1, "lock-1", Mode::Exclusive)
        .waits(2, "sock", Mode::Event);
    let detected = hung(process);
    assert_eq!((detected.outcome, detected.covered), (Outcome::Stalled, true));
    assert_eq!(
        summary(&detected),
        "/metrics hangs: the request on `w` 1 waits for Mutex<Cache> (LOCK), which `cache-refresh` 2 holds; \
         `cache-refresh` 2 waits for a socket"
    );
    assert_eq!(detected.diagnosis.unwrap().confidence, Confidence::Inferred);
}

#[test]
fn the_request_that_waits_for_no_other_request_tells_why() {
    let process = Process::new()
        .thread(1, "second", true)
        .thread(2, "first", true)
        .resource("lock-1", ResourceKind::StdMutex, "Mutex<Cache>")
        .resource("sock", ResourceKind::Io, "a socket")
        .holds(2, "lock-1", Mode::Exclusive)
        .waits(1, "lock-1", Mode::Exclusive)
        .waits(2, "sock", Mode::Event);
    assert_eq!(summary(&hung(process)), "/metrics hangs: `first` 2 waits for a socket");
}

#[test]
fn a_request_that_came_between_the_samples_waits_for_the_same() {
    // As in `actor-cycle` on a busy machine: 1 asks the actor under the read lock, 2 queues to write, 3 comes late to read.
    let late = |stable: bool| {
        Process::new()
            .thread(1, "first", true)
            .thread(2, "actor", false)
            .thread(3, "late", true)
            .resource("lock-1", ResourceKind::ParkingLotRwLock, "prometheus Registry #1")
            .resource("chan", ResourceKind::Channel, "a channel")
            .holds(1, "lock-1", Mode::Read)
            .waits(2, "lock-1", Mode::Write)
            .waits(3, "lock-1", Mode::Read)
            .but(|edge| edge.stable = false)
            .waits(1, "chan", Mode::Event)
            .but(|edge| edge.stable = stable)
            .queued(2, "lock-1")
    };
    let detected = hung(late(true));
    assert_eq!((detected.outcome, detected.covered), (Outcome::Stalled, true));
    assert_eq!(
        summary(&detected),
        "/metrics hangs: `first` 1 waits for a channel; `actor` 2 may be the one to end that, and waits for prometheus \
         Registry #1 (WRITE) behind `first` 1"
    );
    let detected = hung(late(false));
    assert_eq!((detected.outcome, detected.covered), (Outcome::Stalled, false), "nobody's path stood in both samples");
}

#[test]
fn a_request_that_came_between_the_samples_waits_at_the_same_place() {
    let two = |site: &str| {
        Process::new()
            .thread(1, "first", true)
            .thread(2, "late", true)
            .resource("io-1", ResourceKind::Io, "a socket")
            .resource("io-2", ResourceKind::Io, "another socket")
            .waits(1, "io-1", Mode::Event)
            .but(|edge| edge.site = Some("Peer::lag".into()))
            .waits(2, "io-2", Mode::Event)
            .but(|edge| {
                edge.stable = false;
                edge.site = Some(site.into());
            })
    };
    assert!(hung(two("Peer::lag")).covered);
    assert!(!hung(two("elsewhere")).covered, "what it does there may be progress");
}

#[test]
fn no_thread_at_all_is_a_suspended_task() {
    let idle = || Process::new().thread(7, "tokio-rt-worker", false);
    let detected = hung(idle().runtime(4, 0, Some(7)));
    assert_eq!((detected.outcome, detected.covered), (Outcome::Stalled, true));
    assert!(summary(&detected).contains("suspended at an await"));
    let unknown = hung(idle());
    assert_eq!((unknown.outcome, unknown.covered), (Outcome::Stalled, false), "there may be no task at all");
    assert!(!summary(&unknown).contains("await"), "{}", summary(&unknown));
}

#[test]
fn what_was_not_seen_leaves_the_case_open() {
    for (event, says) in [(None, "not recognised"), (Some(Event::Futex), "no lock known here: a channel")] {
        let mut process = waits_for(ResourceKind::Unknown, "a futex");
        process.0.resources[0].event = event;
        let open = hung(process);
        assert!(
            !open.covered && open.outcome == Outcome::Stalled && summary(&open).contains(says),
            "{}",
            summary(&open)
        );
    }
    let nowhere = hung(Process::new().thread(1, "w", true));
    assert_eq!((nowhere.outcome, nowhere.covered), (Outcome::Stalled, false), "asleep, and no edge says why");
    let lock = hung(waits_for(ResourceKind::StdMutex, "Mutex<State>"));
    assert_eq!((lock.outcome, lock.covered), (Outcome::Stalled, false), "a lock without a holder");

    let moving = hung(waits_for(ResourceKind::Channel, "a channel").but(|edge| edge.stable = false));
    assert_eq!((moving.outcome, moving.covered), (Outcome::Stalled, false), "it moved between the samples");

    let with_gap = |uncovers| {
        let mut process = waits_for(ResourceKind::Io, "a socket");
        process.0.gaps.push(Gap { what: "thread 8".into(), why: "it ended".into(), uncovers });
        hung(process)
    };
    assert!(!with_gap(true).covered);
    assert!(with_gap(false).covered);
}

#[test]
fn an_actor_that_registers_is_a_suspect_and_never_a_cycle() {
    let process = Process::new()
        .thread(1, "tokio-rt-worker", true)
        .thread(2, "actor", false)
        .thread(3, "bystander", false)
        .resource("lock-1", ResourceKind::ParkingLotRwLock, "prometheus Registry #1")
        .resource("chan", ResourceKind::Channel, "a channel")
        .holds(1, "lock-1", Mode::Read)
        .waits(1, "chan", Mode::Event)
        .waits(2, "lock-1", Mode::Write);
    let mut nameless = Process(process.0.clone());
    nameless.0.resources[1].kind = ResourceKind::Unknown;
    let unknown = hung(Process(nameless.0.clone()));
    assert!(!summary(&unknown).contains("may be the one"), "what it waits for may be anything: {}", summary(&unknown));
    nameless.0.resources[1].event = Some(Event::Futex);
    let unnamed = hung(nameless);
    let behind = "; `actor` 2 may be the one to end that, and waits for prometheus Registry #1 (WRITE) behind \
                  `tokio-rt-worker` 1";
    assert!(summary(&unnamed).ends_with(behind), "{}", summary(&unnamed));
    assert_eq!((unnamed.outcome, unnamed.covered), (Outcome::Stalled, false));
    assert!(unnamed.diagnosis.unwrap().cycle.is_empty());

    let detected = hung(process);
    assert_eq!((detected.outcome, detected.covered), (Outcome::Stalled, true));
    assert!(summary(&detected).ends_with(behind), "{}", summary(&detected));
    let diagnosis = detected.diagnosis.unwrap();
    assert!(diagnosis.cycle.is_empty());
    let suspect: Vec<(i32, i32)> =
        diagnosis.suspects[0].iter().map(|step| (step.thread.tid, step.held_by.tid)).collect();
    assert_eq!(suspect, [(1, 2), (2, 1)]);
    assert_eq!(diagnosis.suspects.len(), 1);
    assert!(
        detected.evidence[1].says.contains(
            "`tokio-rt-worker` 1 holds prometheus Registry #1 (READ) and waits for a channel, \
         which `actor` 2 may be the one to give, while it waits for prometheus Registry #1 (WRITE)"
        ),
        "{}",
        detected.evidence[1].says
    );
}

#[test]
fn a_request_that_is_still_open_at_the_second_sample_hangs() {
    let trial = Trial::armed().send(Purpose::Judged, URL).wait(BOUND).sampled(1).wait(2 * BOUND).sampled(2);
    let detected = trial.explained(ab_ba().0).detect();
    assert_eq!((detected.void, detected.outcome), (None, Outcome::Deadlocked));
    let judged = &detected.requests[1];
    assert_eq!((judged.class, &judged.exchange.error), (Some(Outcome::Deadlocked), &Some(ExchangeError::HangLimit)));
}
