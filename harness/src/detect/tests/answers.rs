//! Scrapes that were answered: late, contained, invalid, served; the canary; what Prometheus would have seen.

use super::*;

fn judged(exchange: Exchange) -> Detected {
    let detected = Trial::armed().scrape(Purpose::Judged, exchange).detect();
    assert_eq!(detected.void, None);
    assert_eq!(detected.requests[1].class, Some(detected.outcome));
    detected
}

fn with_header(mut exchange: Exchange, name: &str, value: &str) -> Exchange {
    exchange.headers.push((name.to_string(), value.to_string()));
    exchange
}

fn typed(content_type: Option<&str>) -> Exchange {
    Exchange { content_type: content_type.map(str::to_string), ..answer(200, &body(1), 10) }
}

#[test]
fn served_within_the_bound_and_not_a_microsecond_after() {
    let detected = judged(answer(200, &body(1), BOUND));
    assert_eq!((detected.outcome, detected.covered), (Outcome::Served, true));
    assert!(detected.diagnosis.is_none() && detected.evidence.is_empty() && detected.residue.is_empty());
    assert_eq!(judged(answer(200, &body(1), BOUND + 1)).outcome, Outcome::Late);
    assert_eq!(judged(answer(500, "", BOUND + 1)).outcome, Outcome::Late, "late goes before invalid");
    assert_eq!(judged(answer(503, "stuck", BOUND + 1)).outcome, Outcome::Late, "late goes before contained");
}

#[test]
fn honest_refusals_and_marked_bodies_are_contained() {
    let stale = |body: &str| with_header(answer(200, body, 10), STALE_HEADER, "12s");
    let missing = |body: &str| with_header(answer(200, body, 10), MISSING_HEADER, "app_sessions");
    assert_eq!(judged(answer(503, "gather is stuck in session_collector", 10)).outcome, Outcome::Contained);
    assert_eq!(judged(stale(&body(0))).outcome, Outcome::Contained, "its canary may stand still");
    assert_eq!(judged(missing("up_seconds 1\n")).outcome, Outcome::Contained, "families may be missing");
    assert_eq!(judged(with_header(answer(200, &body(0), 10), "X-Gatherlock-Stale", "1")).outcome, Outcome::Contained);

    assert_eq!(judged(answer(503, "", 10)).outcome, Outcome::Invalid);
    assert_eq!(judged(answer(503, " \n", 10)).outcome, Outcome::Invalid);
    assert_eq!(judged(stale("")).outcome, Outcome::Invalid, "an empty body is no body marked stale");
    assert_eq!(judged(missing("not an exposition")).outcome, Outcome::Invalid);
    assert_eq!(judged(with_header(answer(200, &body(0), 10), STALE_HEADER, "")).outcome, Outcome::Invalid);
    assert_eq!(judged(with_header(answer(500, "x", 10), STALE_HEADER, "1")).outcome, Outcome::Invalid);
}

#[test]
fn each_way_to_be_invalid_is_said() {
    let text = |text: &str| answer(200, text, 10);
    let binary = Exchange { body: None, bytes: 12, ..answer(200, "", 10) };
    let no_body = Exchange { body: None, bytes: 0, ..answer(200, "", 10) };
    let closed = failed(ExchangeError::Closed { reason: "nothing had arrived".into() }, 10);
    let garbage = failed(ExchangeError::Malformed { reason: "no status line".into() }, 10);
    let cases: Vec<(Exchange, &str)> = vec![
        (answer(500, "boom", 10), "status 500"),
        (answer(404, "", 10), "status 404"),
        (answer(204, "", 10), "status 204"),
        (answer(503, "", 10), "status 503 without a reason in the body"),
        (text(""), "the body is empty"),
        (no_body, "the body is empty"),
        (binary, "the body of 12 bytes is not UTF-8 text"),
        (text("# nothing\n"), "the body holds no sample"),
        (text("canary_total{ 1\n"), "malformed exposition: line 1, column 15: expected"),
        (typed(None), "no Content-Type: Prometheus 3 fails such a scrape"),
        (typed(Some("")), "no Content-Type: Prometheus 3 fails such a scrape"),
        (typed(Some("text/plain; charset")), "cannot be parsed: a parameter is no `name=value`"),
        (typed(Some("application/octet-stream")), "is none that Prometheus 3 reads"),
        (text("canary_total 1\n"), "the family `up_seconds` was exposed before and is missing"),
        (text("up_seconds 1\n"), "the canary `canary_total` is missing"),
        (text(&body(0)), "the canary `canary_total` did not move: 0 before, 0 now, bumped 1 in between"),
        (closed, "the connection was closed without a whole answer: nothing had arrived"),
        (garbage, "the answer is no HTTP: no status line"),
    ];
    for (exchange, wrong) in cases {
        let detected = judged(exchange);
        assert_eq!((detected.outcome, detected.covered), (Outcome::Invalid, true), "{wrong}");
        let said = &detected.requests[1].wrong;
        assert!(said.iter().any(|said| said.contains(wrong)), "{wrong:?} is not in {said:?}");
        assert_eq!(detected.evidence[0].because, *said);
    }
}

#[test]
fn the_incidents_empty_answer_says_all_that_is_wrong_with_it() {
    let exchange = Exchange { content_type: Some("application/octet-stream".into()), ..answer(200, "", 10) };
    let detected = judged(exchange);
    assert_eq!(detected.outcome, Outcome::Invalid);
    assert_eq!(detected.requests[1].wrong.len(), 2, "{:?}", detected.requests[1].wrong);
}

#[test]
fn volatile_families_may_go() {
    let ready = |volatile: Vec<String>| {
        let endpoint = Endpoint { name: String::new(), metrics: URL.into(), health: None };
        Trial::empty()
            .child(ChildEvent::Ready { endpoints: vec![endpoint], canary: None, volatile })
            .scrape(Purpose::Before, answer(200, "a 1\nb 1\n", 10))
            .run(Command::Arm)
            .scrape(Purpose::Judged, answer(200, "b 1\nc 1\n", 10))
            .detect()
    };
    assert_eq!(ready(vec![]).outcome, Outcome::Invalid);
    assert_eq!(ready(vec!["a".into()]).outcome, Outcome::Served);
    assert_eq!(ready(vec!["a".into()]).canary_moved, CanaryMoved::NotChecked, "there is none");
}

#[test]
fn many_missing_families_are_counted_and_some_named() {
    let many: String = (0..9).map(|n| format!("family_{n} 1\n")).collect();
    let trial = Trial::ready().scrape(Purpose::Before, answer(200, &(body(0) + &many), 10)).run(Command::Arm);
    let detected = trial.scrape(Purpose::Judged, answer(200, &body(0), 10)).detect();
    let wrong = &detected.requests[1].wrong[0];
    assert!(wrong.starts_with("9 families were exposed before and are missing: `family_0`,"), "{wrong}");
    assert!(wrong.ends_with("and 4 more"), "{wrong}");
}

#[test]
fn the_canary_answers_for_every_bump_since_the_last_scrape() {
    let trial = |now: u64| {
        let trial = Trial::armed().run(Command::Bump).run(Command::Bump);
        trial.scrape(Purpose::Judged, answer(200, &body(now), 10)).detect()
    };
    assert_eq!((trial(3).outcome, trial(3).canary_moved), (Outcome::Served, CanaryMoved::Yes));
    assert_eq!((trial(2).outcome, trial(2).canary_moved), (Outcome::Invalid, CanaryMoved::No));
    assert_eq!(trial(9).canary_moved, CanaryMoved::Yes, "the application may count along");

    let frozen = Trial::armed().scrape(Purpose::Judged, answer(200, &body(1), 10)).run(Command::Bump);
    let frozen = frozen.scrape(Purpose::During, answer(200, &body(1), 10)).detect();
    assert_eq!((frozen.outcome, frozen.canary_moved), (Outcome::Invalid, CanaryMoved::Yes), "the second one is wrong");
}

#[test]
fn a_bump_that_overlaps_a_scrape_is_in_neither() {
    let trial = Trial::armed().send(Purpose::Judged, URL).run(Command::Bump).end(2, answer(200, &body(1), 300));
    assert_eq!(trial.detect().outcome, Outcome::Served, "it was bumped while the scrape was under way");
    let trial = trial.scrape(Purpose::During, answer(200, &body(1), 10));
    assert_eq!(trial.detect().outcome, Outcome::Served, "and may have been counted in the first");
    let undone = Trial::armed().fact(Fact::Commanded { command: Command::Bump });
    assert_eq!(undone.scrape(Purpose::Judged, answer(200, &body(1), 10)).detect().outcome, Outcome::Served);
}

#[test]
fn a_canary_with_labels_and_one_that_was_not_exposed_at_zero() {
    let series = |canary: &str, before: &str, now: &str| {
        let endpoint = Endpoint { name: String::new(), metrics: URL.into(), health: None };
        Trial::empty()
            .child(ChildEvent::Ready { endpoints: vec![endpoint], canary: Some(canary.into()), volatile: vec![] })
            .scrape(Purpose::Before, answer(200, before, 10))
            .run(Command::Bump)
            .run(Command::Arm)
            .scrape(Purpose::Judged, answer(200, now, 10))
            .detect()
            .canary_moved
    };
    let labelled = "c{node=\"a\"}";
    assert_eq!(
        series(labelled, "c{node=\"a\"} 1\nc{node=\"b\"} 1\n", "c{node=\"a\"} 1\nc{node=\"b\"} 2\n"),
        CanaryMoved::No
    );
    assert_eq!(series(labelled, "c{node=\"a\"} 1\n", "c{node=\"a\",x=\"y\"} 2\n"), CanaryMoved::Yes);
    assert_eq!(series("c", "up 1\n", "up 1\nc 1\n"), CanaryMoved::Yes);
    assert_eq!(series("no {name", "up 1\n", "up 1\n"), CanaryMoved::No);
}

#[test]
fn open_metrics_bodies_are_read_as_such() {
    let open_metrics = |text: &str| Exchange {
        content_type: Some("application/openmetrics-text; version=1.0.0; charset=utf-8".into()),
        ..answer(200, text, 10)
    };
    let exposition = |canary: u64, end: &str| {
        format!("# TYPE canary counter\ncanary_total {canary}\n# TYPE up_seconds gauge\nup_seconds 1\n{end}")
    };
    let trial = |now: &str| {
        let before = Trial::ready().scrape(Purpose::Before, open_metrics(&exposition(0, "# EOF\n")));
        before.run(Command::Bump).run(Command::Arm).scrape(Purpose::Judged, open_metrics(now)).detect()
    };
    assert_eq!(trial(&exposition(1, "# EOF\n")).outcome, Outcome::Served);
    assert_eq!(trial(&exposition(1, "")).outcome, Outcome::Invalid, "cut off");
    let empty = trial("# EOF\n");
    assert_eq!(empty.outcome, Outcome::Invalid);
    assert!(empty.requests[1].wrong.contains(&"the body holds no sample".to_string()));
}

#[test]
fn a_body_too_large_to_keep_is_served_but_not_covered() {
    let large = Exchange { body: None, bytes: BODY_LIMIT + 1, ..answer(200, "", 10) };
    let detected = judged(large);
    assert_eq!((detected.outcome, detected.covered), (Outcome::Served, false));
    assert_eq!((detected.canary_moved, detected.prometheus), (CanaryMoved::NotChecked, None));
    assert!(detected.evidence[0].says.contains("too large to be kept and checked"));
}

#[test]
fn what_prometheus_would_have_recorded() {
    let view = |exchange| judged(exchange).prometheus.unwrap();
    let seen =
        |up, seconds, samples| PrometheusView { up, scrape_duration_seconds: seconds, scrape_samples_scraped: samples };
    assert_eq!(view(answer(200, &body(1), 500_000)), seen(1, 0.5, 2));
    assert_eq!(view(answer(200, &body(0), 500_000)), seen(1, 0.5, 2), "a canary means nothing to Prometheus");
    assert_eq!(view(answer(200, &body(1), BOUND + 7)), seen(0, 1.0, 0), "it gives up at the timeout");
    assert_eq!(view(hang()), seen(0, 1.0, 0));
    assert_eq!(view(answer(503, "stuck", 1000)), seen(0, 0.001, 0));
    assert_eq!(view(answer(200, "{", 1000)), seen(0, 0.001, 0));
    assert_eq!(view(typed(None)).up, 0);
    assert_eq!(view(answer(200, "# nothing\n", 1000)), seen(1, 0.001, 0), "an empty target is up");
}
