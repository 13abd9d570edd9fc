//! Facts in any order and number, as a damaged journal may hold them: never a panic, and what must hold of every result.

use super::*;
use proptest::prelude::*;

fn exchange() -> impl Strategy<Value = Exchange> {
    let text = prop_oneof![Just(body(0)), Just(body(1)), Just(String::new()), Just("stuck".to_string()), ".{0,20}"];
    let status = prop_oneof![Just(200), Just(503), Just(500)];
    let time = prop_oneof![0..2 * HANG, any::<u64>()];
    let error = prop_oneof![
        Just(ExchangeError::HangLimit),
        Just(ExchangeError::Unreachable { reason: "refused".into() }),
        Just(ExchangeError::Closed { reason: "reset".into() }),
        Just(ExchangeError::Malformed { reason: "no HTTP".into() }),
    ];
    prop_oneof![
        4 => (status, text, time.clone()).prop_map(|(status, text, time)| answer(status, &text, time)),
        2 => (error, time).prop_map(|(error, time)| failed(error, time)),
        1 => Just(Exchange::default()),
    ]
}

fn event() -> impl Strategy<Value = ChildEvent> {
    let endpoint = Endpoint { name: "n".into(), metrics: URL.into(), health: Some(HEALTH.into()) };
    let command = prop::sample::select(Command::ALL.to_vec());
    prop_oneof![
        Just(ChildEvent::Ready { endpoints: vec![endpoint], canary: Some("canary_total".into()), volatile: vec![] }),
        command.prop_map(|command| ChildEvent::Done { command, problem: None }),
        any::<u64>().prop_map(|value| ChildEvent::Count { name: UPDATES_MADE.into(), value }),
        prop::option::of(0..4).prop_map(|tid| ChildEvent::Reached { point: "here".into(), tid }),
        prop::collection::vec(any::<u32>(), 0..2).prop_map(|cycles| ChildEvent::Detector { cycles }),
        Just(ChildEvent::Failed { problem: "no port".into() }),
    ]
}

fn fact() -> impl Strategy<Value = Fact> {
    let purposes = [Purpose::Before, Purpose::Judged, Purpose::During, Purpose::After, Purpose::Health];
    let purpose = prop::sample::select(purposes.to_vec());
    let exit = (prop::option::of(any::<i32>()), prop::option::of(0..20), any::<bool>());
    prop_oneof![
        3 => event().prop_map(|event| Fact::Child { event }),
        2 => prop::sample::select(Command::ALL.to_vec()).prop_map(|command| Fact::Commanded { command }),
        6 => (0_u32..8, purpose).prop_map(|(request, purpose)| Fact::Sent { request, purpose, url: URL.into() }),
        6 => (0_u32..8, exchange()).prop_map(|(request, exchange)| Fact::Ended { request, exchange }),
        2 => any::<u32>().prop_map(|sample| Fact::Sampled { sample, stopped_us: 1, threads: 1 }),
        1 => exit.prop_map(|(code, signal, by_runner)| Fact::Exited { code, signal, by_runner }),
        1 => any::<u64>().prop_map(|worst_us| Fact::Lag { worst_us }),
    ]
}

fn process() -> impl Strategy<Value = Option<Explained>> {
    prop_oneof![
        Just(None),
        Just(Some(ab_ba().0)),
        Just(Some(ab_ba().runtime(2, 2, None).but(|edge| edge.stable = false).0)),
        Just(Some(Process::new().running(1, "", true, 5).runtime(0, 0, None).0)),
        Just(Some(Process::new().waits(7, "nowhere", Mode::Event).thread(7, "w", true).0)),
    ]
}

proptest! {
    #[test]
    fn any_facts_give_a_result_that_holds_together(
        facts in prop::collection::vec((prop_oneof![0..10 * HANG, any::<u64>(), Just(u64::MAX)], fact()), 0..30),
        explained in process(),
        grow in any::<bool>(),
        release in prop::sample::select(vec![Release::Never, Release::AfterBound, Release::AtEnd]),
    ) {
        let drive = if grow { Drive::Grow { past_hang_limit: true } } else { Drive::Scrapes { extra: 1 } };
        let mut trial = Trial::empty().with(drive, release);
        trial.observations = facts.into_iter().map(|(at_us, fact)| Observation { at_us, fact }).collect();
        trial.explained = explained;
        let detected = trial.detect();

        let sent = trial.observations.iter().filter(|o| matches!(o.fact, Fact::Sent { .. })).count();
        prop_assert_eq!(detected.requests.len(), sent);
        for request in &detected.requests {
            prop_assert_eq!(!request.wrong.is_empty(), request.class == Some(Outcome::Invalid), "{:?}", request);
        }
        if let Some(diagnosis) = &detected.diagnosis {
            prop_assert_eq!(!diagnosis.cycle.is_empty(), diagnosis.outcome == Some(Outcome::Deadlocked));
        }
        if detected.outcome == Outcome::Deadlocked {
            let diagnosis = detected.diagnosis.as_ref().expect("a deadlock has a diagnosis");
            prop_assert_eq!(diagnosis.outcome, Some(Outcome::Deadlocked));
            prop_assert!(diagnosis.confidence > Confidence::Suspected);
        }
        // That a scrape is busy its own late answer can tell; every other hang takes a look into the process.
        if detected.outcome.is_hang() && detected.outcome != Outcome::Busy && trial.explained.is_none() {
            prop_assert!(!detected.covered);
        }
        if detected.outcome == Outcome::Served && detected.void.is_none() {
            let armed = |r: &&RequestReport| r.purpose.is_armed();
            prop_assert!(detected.requests.iter().filter(armed).all(|r| matches!(r.class, Some(Outcome::Served) | None)));
        }
    }
}
