//! What a whole trial amounts to: void, crashed, unreachable, several endpoints, several scrapes, growth.

use super::*;
use crate::detect::read_bodies;

fn reason(trial: &Trial) -> String {
    trial.detect().void.expect("the trial is void").reason
}

fn served() -> Exchange {
    answer(200, &body(1), 1000)
}

fn refused() -> Exchange {
    failed(ExchangeError::Unreachable { reason: "connection refused".into() }, 50)
}

fn closed(total_us: u64) -> Exchange {
    failed(ExchangeError::Closed { reason: "reset before the status line".into() }, total_us)
}

#[test]
fn a_set_up_that_fails_is_void_and_says_why() {
    let failed =
        Trial::empty().child(ChildEvent::Failed { problem: "port 9101 is taken".into() }).exit(Some(2), None, false);
    assert_eq!(reason(&failed), "the child cannot run the case: port 9101 is taken");
    let early = Trial::empty().exit(Some(101), None, false);
    assert_eq!(reason(&early), "the child died before it was ready: exit 101");
    assert_eq!(reason(&Trial::empty()), "the child never said that it was ready");
    let done = ChildEvent::Done { command: Command::Arm, problem: Some("the gate was not reached".into()) };
    let unarmed = Trial::ready().scrape(Purpose::Before, answer(200, &body(0), 10)).child(done);
    assert_eq!(reason(&unarmed), "the child could not carry out `arm`: the gate was not reached");
    let unarmed = Trial::ready().scrape(Purpose::Before, answer(200, &body(0), 10)).exit(None, Some(6), false);
    assert_eq!(reason(&unarmed), "the child died before the mistake was armed: signal 6");
}

#[test]
fn a_before_scrape_must_be_served() {
    for (exchange, was) in [
        (answer(200, "", 10), "invalid"),
        (answer(503, "busy", 10), "contained"),
        (answer(200, &body(0), BOUND + 1), "late"),
        (hang(), "not answered by the hang limit"),
        (refused(), "unreachable (connection refused)"),
        (closed(10), "closed (reset before the status line)"),
    ] {
        let trial =
            Trial::ready().scrape(Purpose::Before, exchange).run(Command::Arm).scrape(Purpose::Judged, served());
        assert!(reason(&trial).contains(&format!("was not served but {was}")), "{}", reason(&trial));
    }
    let none = Trial::ready().run(Command::Arm).scrape(Purpose::Judged, served());
    assert_eq!(reason(&none), "no scrape was sent before the mistake was armed");
}

#[test]
fn a_child_killed_from_outside_is_void_and_one_that_aborts_crashed() {
    for (signal, name) in [(9, "SIGKILL"), (15, "SIGTERM"), (2, "SIGINT")] {
        let trial = Trial::armed().scrape(Purpose::Judged, closed(10)).exit(None, Some(signal), false);
        assert!(reason(&trial).starts_with(&format!("the child was killed from outside by {name}")));
    }
    for (code, signal) in [(None, Some(6)), (None, Some(11)), (Some(101), None), (Some(0), None)] {
        let trial = Trial::armed().send(Purpose::Judged, URL).exit(code, signal, false).end(2, closed(200));
        let detected = trial.detect();
        assert_eq!((detected.void, detected.outcome, detected.covered), (None, Outcome::Crashed, true));
        assert_eq!(detected.requests[1].class, Some(Outcome::Crashed));
        assert!(detected.diagnosis.is_none());
        assert!(detected.evidence[0].says.starts_with("the process ended by itself: "));
    }
}

#[test]
fn an_end_that_the_runner_asked_for_is_no_crash() {
    let finished = Trial::armed().scrape(Purpose::Judged, served()).run(Command::Finish).exit(Some(0), None, false);
    assert_eq!((finished.detect().void, finished.detect().outcome), (None, Outcome::Served));
    let killed = Trial::armed().scrape(Purpose::Judged, hang()).exit(None, Some(9), true);
    assert_eq!((killed.detect().void, killed.detect().outcome), (None, Outcome::Stalled));
}

#[test]
fn a_crash_after_an_answer_is_a_crash() {
    let trial =
        Trial::armed().scrape(Purpose::Judged, served()).scrape(Purpose::During, closed(10)).exit(None, Some(6), false);
    assert_eq!(trial.detect().outcome, Outcome::Crashed);
}

#[test]
fn lag_above_a_tenth_of_the_bound_voids_with_its_numbers() {
    let lag = |worst_us| Trial::armed().scrape(Purpose::Judged, served()).fact(Fact::Lag { worst_us });
    assert_eq!(lag(BOUND / 10).detect().void, None);
    assert!(reason(&lag(BOUND / 10 + 1)).contains("woke 100.0 ms late, more than 10 % of the bound of 1000.0 ms"));
    assert!((lag(2500).detect().lag_ms - 2.5).abs() < 1e-9);
}

#[test]
fn a_trial_that_was_to_be_alone_is_void_if_others_used_more_than_half_a_cpu() {
    let others =
        |cpu_us| Trial::armed().scrape(Purpose::Judged, served()).fact(Fact::Others { cpu_us, elapsed_us: 1_000_000 });
    assert_eq!(others(500_000).detect().void, None);
    let void = others(510_000).detect().void.unwrap();
    assert!(void.machine_busy && void.reason.contains("others used 51 % of a CPU"), "{void:?}");
}

#[test]
fn bodies_that_were_read_and_let_go_of_say_the_same() {
    let moved = |canary| Trial::armed().scrape(Purpose::Judged, answer(200, &body(canary), 1000));
    for trial in [moved(1), moved(0), Trial::armed().scrape(Purpose::Judged, answer(503, "no metrics: busy", 10))] {
        let mut read = Trial { observations: trial.observations.clone(), ..Trial::armed() };
        read_bodies(&mut read.observations);
        let kept = read.observations.iter().filter(|observation| match &observation.fact {
            Fact::Ended { exchange, .. } => exchange.status == Some(200) && exchange.body.is_some(),
            _ => false,
        });
        assert_eq!(kept.count(), 0);
        let (read, whole) = (read.detect(), trial.detect());
        assert_eq!(
            (read.outcome, &read.evidence, read.canary_moved, read.prometheus),
            (whole.outcome, &whole.evidence, whole.canary_moved, whole.prometheus)
        );
    }
}

#[test]
fn an_answer_past_the_hang_limit_tells_of_progress_where_the_samples_explain_nothing() {
    let waits = Process::new().thread(1, "tokio-rt-worker", true);
    let late = |released: bool| {
        let trial = Trial::armed().sampled(1).send(Purpose::Judged, URL).wait(HANG).sampled(2);
        let trial = if released { trial.run(Command::Release) } else { trial };
        trial.wait(1000).end(2, answer(200, &body(1), HANG + 1000)).explained(waits.0.clone()).detect()
    };
    let unaided = late(false);
    assert_eq!((unaided.outcome, unaided.covered), (Outcome::Busy, true));
    let released = late(true);
    assert_eq!((released.outcome, released.covered), (Outcome::Stalled, false), "it came because the cause was let go");
}

#[test]
fn a_trial_without_a_judged_scrape_or_its_end_is_void() {
    assert_eq!(reason(&Trial::armed()), "no judged scrape was sent");
    let open = Trial::armed().send(Purpose::Judged, URL).wait(BOUND);
    assert_eq!(reason(&open), "the trial ended before the judged scrape did");
}

#[test]
fn nothing_that_accepts_is_unreachable() {
    let detected = Trial::armed().scrape(Purpose::Judged, refused()).detect();
    assert_eq!((detected.void, detected.outcome), (None, Outcome::Unreachable));
    assert_eq!(detected.evidence[0].says, "nothing accepts the connection");
}

#[test]
fn served_needs_every_other_scrape_served_and_the_judged_one_decides_otherwise() {
    let during = |judged: Exchange, other: Exchange| {
        Trial::armed().scrape(Purpose::Judged, judged).scrape(Purpose::During, other).detect().outcome
    };
    assert_eq!(during(served(), served()), Outcome::Served);
    assert_eq!(during(served(), answer(200, &body(1), BOUND + 1)), Outcome::Late);
    assert_eq!(during(served(), answer(500, "no", 10)), Outcome::Invalid);
    assert_eq!(during(served(), hang()), Outcome::Stalled);
    assert_eq!(during(answer(503, "stuck", 10), hang()), Outcome::Contained);
    assert_eq!(during(answer(200, &body(1), BOUND + 1), served()), Outcome::Late);
    let after = Trial::armed().scrape(Purpose::Judged, served()).scrape(Purpose::After, hang());
    assert_eq!(after.detect().outcome, Outcome::Served, "the after phase has its own figure");
}

#[test]
fn of_several_endpoints_the_worst_judged_scrape_decides() {
    let url = |node: u32| format!("http://127.0.0.1:910{node}/metrics");
    let endpoints =
        (1..=3).map(|node| Endpoint { name: format!("node{node}"), metrics: url(node), health: None }).collect();
    let mut trial =
        Trial::empty().child(ChildEvent::Ready { endpoints, canary: Some("canary_total".into()), volatile: vec![] });
    for node in 1..=3 {
        trial = trial.request(Purpose::Before, &url(node), answer(200, &body(0), 10));
    }
    let trial = trial
        .run(Command::Bump)
        .run(Command::Arm)
        .request(Purpose::Judged, &url(1), served())
        .request(Purpose::Judged, &url(2), answer(503, "stuck", 10))
        .request(Purpose::Judged, &url(3), answer(200, &body(1), BOUND + 1));
    let detected = trial.detect();
    assert_eq!((detected.void, detected.outcome), (None, Outcome::Late));
    assert_eq!(detected.requests[5].endpoint, "node3");
    let classes: Vec<_> = detected.requests.iter().skip(3).map(|request| request.class.unwrap()).collect();
    assert_eq!(classes, [Outcome::Served, Outcome::Contained, Outcome::Late]);
    assert_eq!(detected.prometheus.unwrap().up, 0, "of the scrape that decides");
}

#[test]
fn growth_judges_the_scrape_that_broke_the_bound_or_the_hang_limit() {
    let grown = |past_hang_limit, last: Exchange| {
        let trial = Trial::armed().with(Drive::Grow { past_hang_limit }, Release::Never);
        let trial = trial
            .scrape(Purpose::During, served())
            .run(Command::Grow)
            .scrape(Purpose::During, answer(200, &body(1), BOUND / 2))
            .run(Command::Grow)
            .scrape(Purpose::During, answer(200, &body(1), BOUND + 5));
        let trial = if past_hang_limit { trial.run(Command::Grow).scrape(Purpose::During, last) } else { trial };
        trial.explained(Process::new().running(1, "w", true, 900).0).detect()
    };
    let late = grown(false, served());
    assert_eq!(late.outcome, Outcome::Late);
    assert_eq!(late.requests[3].purpose, Purpose::Judged);
    assert_eq!(grown(true, hang()).outcome, Outcome::Busy);
    let unbroken = Trial::armed().with(Drive::Grow { past_hang_limit: false }, Release::Never);
    assert_eq!(unbroken.scrape(Purpose::During, served()).detect().outcome, Outcome::Served);
    let labelled = Trial::armed().with(Drive::Grow { past_hang_limit: false }, Release::Never);
    let labelled = labelled.scrape(Purpose::During, hang()).scrape(Purpose::Judged, answer(200, &body(1), BOUND + 1));
    assert_eq!(labelled.detect().outcome, Outcome::Late, "a record that says which is judged is believed");
}

#[test]
fn what_ends_after_the_hang_limit_was_not_answered_by_it() {
    assert_eq!(Trial::armed().scrape(Purpose::Judged, answer(200, &body(1), HANG)).detect().outcome, Outcome::Late);
    assert_eq!(Trial::armed().scrape(Purpose::Judged, closed(HANG + 1)).detect().outcome, Outcome::Stalled);

    let late_answer = || answer(200, &body(1), HANG + 1);
    let open = || Trial::armed().send(Purpose::Judged, URL).wait(BOUND).sampled(1);
    let seen = open().wait(2 * BOUND).sampled(2).end(2, late_answer()).explained(ab_ba().0);
    assert_eq!(seen.detect().outcome, Outcome::Deadlocked, "the samples tell why, whoever ended it");
    let released = open().wait(2 * BOUND).run(Command::Release).end(2, late_answer());
    assert_eq!(released.detect().outcome, Outcome::Stalled, "it was let go");

    let by_itself = Trial::armed().scrape(Purpose::Judged, late_answer()).sampled(1).sampled(2).run(Command::Release);
    let detected = by_itself.explained(Process::new().thread(7, "idle", false).0).detect();
    assert_eq!((detected.outcome, detected.covered), (Outcome::Busy, true));
    assert!(detected.evidence[0].says.ends_with("past the hang limit and with nothing released: it made progress"));
    assert!(detected.diagnosis.is_none(), "the samples were taken after it");
}

#[test]
fn what_breaks_off_because_the_child_was_ended_says_nothing() {
    let trial = Trial::armed().scrape(Purpose::Judged, served()).send(Purpose::During, URL).run(Command::Finish);
    let detected = trial.exit(None, Some(9), true).end(3, closed(500)).detect();
    assert_eq!((detected.outcome, detected.requests[2].class), (Outcome::Served, None));
}

#[test]
fn without_a_sample_a_hang_has_no_name() {
    let detected = Trial::armed().scrape(Purpose::Judged, hang()).detect();
    assert_eq!((detected.void, detected.outcome, detected.covered), (None, Outcome::Stalled, false));
    assert_eq!(detected.diagnosis.unwrap().gaps.len(), 1);
}
