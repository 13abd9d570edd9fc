//! Every case as a child process, driven by hand: it comes up, its page is a valid exposition in which the canary moves,
//! it does as it is told, and it never outlives its parent.

mod trial;

use gatherlock::detect::exposition::{self, Dialect, parse_content_type};
use gatherlock::model::{Catalogue, ChildEvent, Command, Exchange};
use gatherlock::probe::scrape::{ScrapeRequest, scrape};
use std::net::TcpListener;
use trial::{PATIENCE, Trial};

fn catalogue() -> Catalogue {
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_gatherlock-scenarios"))
        .args(["list", "--format", "json"])
        .output()
        .unwrap();
    assert!(output.status.success());
    serde_json::from_slice(&output.stdout).unwrap()
}

fn get(url: &str) -> Exchange {
    let exchange = scrape(&ScrapeRequest::new(url.parse().unwrap(), PATIENCE)).unwrap();
    assert_eq!(exchange.error, None, "{url}");
    assert_eq!(exchange.status, Some(200), "{url}");
    exchange
}

/// The canary's value on a page that must be a valid exposition.
fn canary(url: &str, series: &str) -> f64 {
    let exchange = get(url);
    let dialect = parse_content_type(exchange.content_type.as_deref()).unwrap().dialect.unwrap_or(Dialect::Text);
    let body = exchange.body.unwrap();
    let page = exposition::parse(&body, dialect).unwrap_or_else(|fault| panic!("{fault}\n{body}"));
    page.value(series, &[]).unwrap_or_else(|| panic!("no {series} in\n{body}"))
}

/// The incident's ports are fixed, so whatever uses them stands in one test.
#[test]
fn every_case_comes_up_and_does_as_it_is_told() {
    for case in catalogue().cases.iter().filter(|case| case.skip.is_none()) {
        let mut trial = Trial::start(&case.id.to_string());
        let (endpoints, series) = trial.ready();
        let before: Vec<f64> = endpoints.iter().map(|endpoint| canary(&endpoint.metrics, &series)).collect();
        trial.command(Command::Bump);
        for (endpoint, before) in endpoints.iter().zip(before) {
            let moved = canary(&endpoint.metrics, &series) - before;
            let expected = if case.id.scenario == "frozen-canary" { moved == 0.0 } else { moved >= 1.0 };
            assert!(expected, "{}: the canary moved by {moved}", case.id);
            get(endpoint.health.as_deref().expect("every case has a health check"));
        }
        trial.command(Command::Finish);
        assert_eq!(trial.exit_code(), Some(0), "{}", case.id);
    }
    let taken = TcpListener::bind("127.0.0.1:9102");
    let mut trial = Trial::start("incident/naive");
    let problem = trial.event(|event| match event {
        ChildEvent::Failed { problem } => Some(problem),
        ChildEvent::Ready { .. } => panic!("it listens on a port that is taken: {taken:?}"),
        _ => None,
    });
    assert!(problem.contains("127.0.0.1:9102"), "{problem}");
    assert_eq!(trial.exit_code(), Some(2));
}

/// A cluster that fails must not say anything else first, and a case that is none must say so.
#[test]
fn what_cannot_run_says_why() {
    for (case, word) in [("no-such-scenario/naive", "no case"), ("register-in-collect/atomics", "skipped")] {
        let mut trial = Trial::start(case);
        let problem = trial.event(|event| match event {
            ChildEvent::Failed { problem } => Some(problem),
            other => panic!("{other:?}"),
        });
        assert!(problem.contains(word), "{problem}");
        assert_eq!(trial.exit_code(), Some(2));
    }
}

/// The order of a story is forced: armed and scraped, the scrape hangs, and the child still ends when its stdin does.
#[test]
fn a_deadlocked_child_ends_with_its_parent() {
    let mut trial = Trial::start("register-under-app-lock[lock=std]/naive");
    let (endpoints, _) = trial.ready();
    trial.command(Command::Arm);
    let url = endpoints[0].metrics.parse().unwrap();
    let hung = std::thread::spawn(move || scrape(&ScrapeRequest::new(url, PATIENCE)).unwrap());
    trial.event(|event| match event {
        ChildEvent::Reached { point, .. } if point == "session table taken" => Some(()),
        _ => None,
    });
    drop(trial.child.stdin.take());
    assert_eq!(trial.exit_code(), Some(0));
    assert!(hung.join().unwrap().error.is_some(), "the connection must have ended without an answer");
}

/// The controls, forced as they are, twenty times each: every scrape is answered and the canary is in it.
#[test]
fn updates_against_a_gather_that_is_held_inside_do_not_hang() {
    for scenario in ["inc-during-gather", "new-series-during-gather"] {
        for variant in ["naive", "official"] {
            for _ in 0..20 {
                let mut trial = Trial::start(&format!("{scenario}/{variant}"));
                let (endpoints, series) = trial.ready();
                trial.command(Command::Bump);
                trial.command(Command::Arm);
                assert_eq!(canary(&endpoints[0].metrics, &series), 1.0);
                trial.command(Command::Release);
                trial.command(Command::Finish);
                assert_eq!(trial.exit_code(), Some(0));
            }
        }
    }
}
