//! What stands beside the outcome: limits, residue, diagnosis of what stays behind an answer, timeline.

use super::*;

fn refusal() -> Exchange {
    answer(503, "gather is stuck", BOUND / 2)
}

/// Scrapes refused in time, then two samples, then this process.
fn refused(scrapes: usize, process: Process) -> Trial {
    let mut trial = Trial::armed().scrape(Purpose::Judged, refusal());
    for _ in 1..scrapes {
        trial = trial.scrape(Purpose::During, refusal());
    }
    trial.sampled(1).wait(200_000).sampled(2).explained(process.0)
}

#[test]
fn a_contained_deadlock_leaves_its_residue() {
    let detected = refused(1, ab_ba()).detect();
    assert_eq!((detected.outcome, detected.covered), (Outcome::Contained, true));
    assert_eq!(
        detected.residue,
        [
            "a deadlock stays: `tokio-rt-worker` 1 holds prometheus Registry #1 (READ) and waits for Mutex<State> (LOCK), which \
          `session-open` 2 holds while it waits for prometheus Registry #1 (WRITE)"
        ]
    );
    assert_eq!(detected.limits.threads_leaked_per_scrape, Some(1.0));
    assert_eq!(detected.limits.app_threads_stuck, Some(1));
    let diagnosis = detected.diagnosis.unwrap();
    assert_eq!(diagnosis.outcome, Some(Outcome::Deadlocked));
    assert!(
        diagnosis.summary.starts_with("/metrics answers, but this stays stuck behind it: `tokio-rt-worker` 1 holds")
    );
    assert_eq!(detected.evidence[0].says, "scrape 2 was answered after 500.0 ms: contained");
    assert!(detected.evidence[0].decisive && !detected.evidence[1].decisive);
}

#[test]
fn threads_are_leaked_per_scrape() {
    let stuck = |n: i32| {
        let mut process = Process::new().resource("gate", ResourceKind::Channel, "a gate");
        for tid in 1..=n {
            process = process.thread(tid, "blocking", true).waits(tid, "gate", Mode::Event);
        }
        process
    };
    let leaked = |scrapes, threads| refused(scrapes, stuck(threads)).detect().limits.threads_leaked_per_scrape;
    assert_eq!(leaked(4, 4), Some(1.0));
    assert_eq!(leaked(4, 1), Some(0.25));
    assert_eq!(leaked(4, 0), Some(0.0));
    let detected = refused(2, stuck(2)).detect();
    assert_eq!(detected.residue.len(), 2);
    assert_eq!(detected.residue[0], "a scrape's thread stays stuck: `blocking` 1 waits for a gate");
    assert!(detected.diagnosis.unwrap().summary.contains("`blocking` 1 waits for a gate"));
    let none = refused(2, stuck(0)).detect();
    assert!(none.residue.is_empty() && none.diagnosis.is_none());
    assert_eq!(Trial::armed().scrape(Purpose::Judged, refusal()).detect().limits.threads_leaked_per_scrape, None);
}

#[test]
fn a_spinning_thread_is_leaked_and_a_working_one_is_not() {
    let running = |unchanged: Option<bool>| {
        let mut process = Process::new().running(1, "gather", true, 190);
        process.0.spins.extend(unchanged.map(|unchanged| Spin {
            tid: 1,
            rule: "r".into(),
            resource: "word".into(),
            says: "one observation is not finished".into(),
            unchanged,
            culprit: None,
        }));
        refused(1, process).detect()
    };
    assert_eq!(running(Some(true)).limits.threads_leaked_per_scrape, Some(1.0));
    assert_eq!(
        running(Some(true)).residue,
        ["a scrape's thread spins on: `gather` 1 (one observation is not finished)"]
    );
    assert_eq!(running(Some(false)).limits.threads_leaked_per_scrape, Some(0.0));
    assert_eq!(running(None).limits.threads_leaked_per_scrape, Some(0.0));
}

#[test]
fn a_thread_whose_scrape_was_answered_later_came_back() {
    let process = Process::new()
        .thread(1, "w", true)
        .thread(2, "app", false)
        .resource("lock-1", ResourceKind::StdMutex, "Mutex<Hot>")
        .resource("gate", ResourceKind::Channel, "a gate")
        .holds(2, "lock-1", Mode::Exclusive)
        .waits(1, "lock-1", Mode::Exclusive)
        .waits(2, "gate", Mode::Event);
    let trial = Trial::armed().with(Drive::Scrapes { extra: 0 }, Release::AfterBound).send(Purpose::Judged, URL);
    let trial = trial.wait(BOUND).sampled(1).wait(200_000).sampled(2).run(Command::Release);
    let trial = trial.end(2, answer(200, &body(1), BOUND + 300_000)).run(Command::Bump);
    let detected = trial.scrape(Purpose::After, answer(200, &body(2), 10)).explained(process.0).detect();
    assert_eq!((detected.outcome, detected.limits.recovers), (Outcome::Late, Some(true)));
    assert_eq!(detected.limits.threads_leaked_per_scrape, Some(0.0), "the only scrape gave its thread back");
    assert!(detected.residue.is_empty());
    let diagnosis = detected.diagnosis.unwrap();
    assert_eq!(
        diagnosis.summary,
        "/metrics answers late; while it was waited for: the request on `w` 1 waits for Mutex<Hot> (LOCK), which `app` 2 \
         holds; `app` 2 waits for a gate"
    );
}

#[test]
fn a_scrape_that_was_answered_after_the_sample_is_not_counted() {
    let process = Process::new()
        .thread(1, "blocking", true)
        .thread(2, "blocking", true)
        .resource("lock-1", ResourceKind::StdMutex, "Mutex<Hot>")
        .waits(1, "lock-1", Mode::Exclusive)
        .waits(2, "lock-1", Mode::Exclusive);
    let trial = Trial::armed().scrape(Purpose::Judged, refusal()).send(Purpose::During, URL).sampled(1).sampled(2);
    let trial = trial.run(Command::Release).end(3, answer(200, &body(1), 1000)).explained(process.0);
    let detected = trial.detect();
    assert_eq!(detected.limits.threads_leaked_per_scrape, Some(1.0), "one thread of the one scrape that kept it");
}

#[test]
fn application_threads_are_stuck_in_or_behind_a_cycle_or_a_request() {
    let stuck = |process: Process| refused(1, process).detect().limits.app_threads_stuck;
    assert_eq!(stuck(ab_ba()), Some(1));
    let behind = ab_ba().thread(3, "registrar", false).waits(3, "lock-1", Mode::Write);
    assert_eq!(stuck(behind), Some(2));
    let moving = ab_ba().thread(3, "registrar", false).waits(3, "lock-1", Mode::Write).but(|edge| edge.stable = false);
    assert_eq!(stuck(moving), Some(1));
    let idle = Process::new()
        .thread(1, "w", true)
        .thread(5, "idle", false)
        .resource("c", ResourceKind::Channel, "a channel")
        .waits(5, "c", Mode::Event);
    assert_eq!(stuck(idle), Some(0), "a thread that waits for work is not stuck");
    let request = Process::new()
        .thread(1, "w", true)
        .thread(5, "registrar", false)
        .resource("lock-1", ResourceKind::ParkingLotRwLock, "Registry")
        .holds(1, "lock-1", Mode::Read)
        .waits(5, "lock-1", Mode::Write);
    let detected = refused(1, request).detect();
    assert_eq!(detected.limits.app_threads_stuck, Some(1));
    assert_eq!(
        detected.residue,
        [
            "a scrape's thread stays stuck: `w` 1 sleeps, and what for was not seen",
            "an application thread stays stuck: `registrar` 5 waits for Registry (WRITE)"
        ]
    );
    assert_eq!(Trial::armed().scrape(Purpose::Judged, refusal()).detect().limits.app_threads_stuck, None);
}

#[test]
fn updates_are_lost_if_they_are_not_in_the_last_exposition() {
    let lost = |made: Option<u64>, last: &str| {
        let trial = Trial::armed().scrape(Purpose::Judged, answer(200, &(body(1) + last), 10)).run(Command::Finish);
        let count = made.map(|value| ChildEvent::Count { name: UPDATES_MADE.into(), value });
        let trial = count.into_iter().fold(trial, Trial::child);
        trial.detect().limits.lost_updates
    };
    let exposed = |n: u64| format!("{UPDATES_SERIES}{{a=\"1\"}} {n}\n{UPDATES_SERIES}{{a=\"2\"}} 1\n");
    assert_eq!(lost(Some(1000), &exposed(999)), Some(0));
    assert_eq!(lost(Some(1000), &exposed(899)), Some(100));
    assert_eq!(lost(Some(1000), &exposed(2000)), Some(0), "more than was counted is not a loss");
    assert_eq!(lost(Some(1000), ""), Some(1000), "the family is gone");
    assert_eq!(lost(None, &exposed(999)), None);
    let none = Trial::ready().child(ChildEvent::Count { name: UPDATES_MADE.into(), value: 5 });
    assert_eq!(none.detect().limits.lost_updates, None, "no exposition was seen");
}

#[test]
fn recovery_is_told_by_the_after_scrapes_and_only_where_something_was_released() {
    let recovers = |release, after: &[Exchange]| {
        let trial = Trial::armed().with(Drive::Scrapes { extra: 0 }, release).scrape(Purpose::Judged, refusal());
        let trial = trial.run(Command::Release).run(Command::Bump);
        let trial = after.iter().fold(trial, |trial, exchange| trial.scrape(Purpose::After, exchange.clone()));
        trial.detect().limits.recovers
    };
    let good = answer(200, &body(2), 10);
    assert_eq!(recovers(Release::AtEnd, std::slice::from_ref(&good)), Some(true));
    assert_eq!(recovers(Release::AfterBound, &[refusal()]), Some(false));
    assert_eq!(recovers(Release::AtEnd, &[hang()]), Some(false));
    assert_eq!(recovers(Release::AtEnd, &[answer(200, &body(1), 10)]), Some(false), "its canary stands still");
    assert_eq!(recovers(Release::AtEnd, &[good.clone(), refusal()]), Some(false), "of every endpoint");
    assert_eq!(recovers(Release::AtEnd, &[]), None);
    assert_eq!(recovers(Release::Never, &[good]), None);
}

#[test]
fn health_is_counted_n_of_m() {
    let check = |trial: Trial, exchange| trial.request(Purpose::Health, HEALTH, exchange);
    let trial = Trial::armed().scrape(Purpose::Judged, hang());
    assert_eq!(trial.detect().limits.health, None);
    let trial = check(trial, answer(200, "ok", 10));
    let trial = check(trial, answer(204, "", 10));
    let trial = check(trial, answer(500, "no", 10));
    let trial = check(trial, answer(200, "ok", BOUND + 1));
    let detected = check(trial, hang()).detect();
    assert_eq!(detected.limits.health, Some(HealthCount { answered: 2, sent: 5 }));
    assert_eq!(detected.outcome, Outcome::Stalled, "health decides nothing");
    assert!(detected.requests.iter().filter(|r| r.purpose == Purpose::Health).all(|r| r.class.is_none()));
    let diagnosis = detected.diagnosis.unwrap();
    assert_eq!(diagnosis.probes.health, Some(hang()));
    assert_eq!(diagnosis.probes.prometheus.unwrap().up, 0);
}

#[test]
fn the_detectors_words_and_the_kernels_states_stand_beside() {
    let trial = refused(1, ab_ba().running(3, "busy", false, 5)).child(ChildEvent::Detector { cycles: vec![2] });
    let detected = trial.detect();
    assert_eq!(detected.parking_lot_detector, Some(vec![2]));
    let says = detected.evidence.iter().find(|evidence| evidence.detector == "parking_lot").unwrap();
    assert!(!says.decisive);
    assert_eq!(
        detected.thread_states.into_iter().collect::<Vec<_>>(),
        [("R".into(), 1), ("S futex_do_wait".into(), 2)]
    );
    let silent = refused(1, ab_ba()).child(ChildEvent::Detector { cycles: vec![] }).detect();
    assert_eq!(silent.parking_lot_detector, Some(vec![]));
    assert!(silent.evidence.iter().all(|evidence| evidence.detector != "parking_lot"), "silence is no evidence");
}

#[test]
fn the_timeline_tells_requests_points_commands_deadlines_and_locks() {
    let reached = ChildEvent::Reached { point: "lock taken".into(), tid: Some(2) };
    let trial = Trial::armed().child(reached).send(Purpose::Judged, URL);
    let sent = trial.now;
    let trial = trial.wait(BOUND).sampled(1).wait(2 * BOUND).sampled(2);
    let (second, end) = (trial.now, trial.now + 100);
    let trial = trial.end(2, hang()).explained(ab_ba().0);
    let detected = trial.exit(None, Some(9), true).detect();
    let find = |lane: &str, label: &str| {
        let found = detected.timeline.iter().find(|entry| entry.lane == lane && entry.label == label);
        let entry = found.unwrap_or_else(|| panic!("{lane}: {label} is not in {:#?}", detected.timeline));
        (entry.from_us, entry.to_us, entry.kind)
    };
    assert_eq!(find("scrape 2", "judged: deadlocked"), (sent, Some(end), TimelineKind::Request));
    assert_eq!(find("session-open 2", "lock taken").2, TimelineKind::Mark);
    assert_eq!(find("parent", "bound of scrape 2").0, sent + BOUND);
    assert_eq!(find("parent", "hang limit of scrape 2").0, sent + HANG);
    assert_eq!(find("parent", "sample 2"), (second, None, TimelineKind::Mark));
    assert_eq!(find("child", "ended by signal 9").2, TimelineKind::Mark);
    assert!(find("parent", "arm").1.is_some());
    let first = find("parent", "sample 1").0;
    assert_eq!(
        find("tokio-rt-worker 1", "holds prometheus Registry #1 (READ)"),
        (first, Some(second), TimelineKind::Holds)
    );
    assert_eq!(
        find("session-open 2", "waits for prometheus Registry #1 (WRITE)"),
        (first, Some(second), TimelineKind::Waits)
    );
    assert!(detected.timeline.windows(2).all(|pair| pair[0].from_us <= pair[1].from_us));
    let served = Trial::armed().scrape(Purpose::Judged, answer(200, &body(1), 10)).wait(5 * HANG).sampled(1).detect();
    assert!(served.timeline.iter().all(|entry| !entry.label.starts_with("bound")), "it was answered before");
}
