//! What one scrape of an endpoint is worth that nobody prepared: no child, no canary, nothing scraped before.

use super::answer;
use super::prometheus;
use super::record::Record;
use super::trial::{self, Class};
use crate::model::{Content, Drive, Exchange, Fact, Judged, Observation, Purpose};
use std::borrow::Cow;

/// Judges one ended exchange by the rules of a trial's judged scrape.
pub fn judge(exchange: &Exchange, bound_us: u64, hang_limit_us: u64) -> Judged {
    let sent = Fact::Sent { request: 0, purpose: Purpose::Judged, url: String::new() };
    let ended = Fact::Ended { request: 0, exchange: exchange.clone() };
    let observations =
        [Observation { at_us: 0, fact: sent }, Observation { at_us: exchange.total_us.max(1), fact: ended }];
    let record = Record::read(&observations, Drive::Scrapes { extra: 0 }, bound_us);
    let mut content = answer::content(exchange, None);
    // What the format forbids, and whoever scrapes does not mind, is no wrong answer.
    let warnings: Vec<String> = content.tolerated.clone().into_iter().collect();
    content.wrong.retain(|wrong| !warnings.contains(wrong));
    let contents = [Cow::Owned(content)];
    let class = trial::classes(&record, &contents, bound_us, hang_limit_us).into_iter().next();
    let [content] = &contents;
    let (outcome, wrong) = match class {
        Some(Class::Is(answer)) => (Some(answer.class), answer.wrong),
        _ => (None, Vec::new()),
    };
    Judged {
        outcome,
        wrong,
        unchecked: content.unchecked.clone(),
        content: size(content),
        warnings,
        prometheus: prometheus::view(Some(exchange), content, bound_us),
    }
}

fn size(content: &Content) -> Option<(usize, u64)> {
    content.families.as_ref().map(|families| (families.len(), content.samples))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{ExchangeError, Outcome};

    const BOUND: u64 = 1_000_000;

    fn answer(status: u16, total_us: u64, body: &str) -> Exchange {
        Exchange {
            status: Some(status),
            total_us,
            content_type: Some("text/plain; version=0.0.4".into()),
            bytes: body.len() as u64,
            body: Some(body.into()),
            ..Exchange::default()
        }
    }

    fn outcome(exchange: &Exchange) -> Option<Outcome> {
        judge(exchange, BOUND, 3 * BOUND).outcome
    }

    #[test]
    fn each_answer_has_its_class() {
        let good = "a_total 1\nb 2\n";
        let served = judge(&answer(200, 7, good), BOUND, 3 * BOUND);
        assert_eq!((served.outcome, served.content), (Some(Outcome::Served), Some((2, 2))));
        assert_eq!(view(&served), Some((1, 2)));
        assert_eq!(outcome(&answer(200, BOUND, good)), Some(Outcome::Served));
        assert_eq!(outcome(&answer(200, BOUND + 1, good)), Some(Outcome::Late));
        // Longer than the hang limit, and nobody released it: it made progress.
        assert_eq!(outcome(&answer(200, 4 * BOUND, good)), Some(Outcome::Busy));
        assert_eq!(outcome(&answer(503, 7, "gather() is stuck")), Some(Outcome::Contained));
        for (status, body) in [(503, ""), (500, good), (404, good), (200, ""), (200, "# nothing\n"), (200, "a b c d\n")]
        {
            let judged = judge(&answer(status, 7, body), BOUND, 3 * BOUND);
            assert_eq!(judged.outcome, Some(Outcome::Invalid), "{status} {body:?}");
            assert!(!judged.wrong.is_empty(), "{status} {body:?}");
        }
    }

    fn view(judged: &Judged) -> Option<(u8, u64)> {
        judged.prometheus.map(|view| (view.up, view.scrape_samples_scraped))
    }

    #[test]
    fn what_prometheus_takes_is_at_most_warned_of() {
        for (body, samples) in [
            ("a 1\nb 2", 2),
            ("# HELP a x\n# HELP a y\na 1\n", 1),
            ("a 1\nb 1\na{c=\"d\"} 1\n", 3),
            ("a{b=\"1\"c=\"2\"} 1\n", 1),
        ] {
            let judged = judge(&answer(200, 7, body), BOUND, 3 * BOUND);
            assert_eq!((judged.outcome, view(&judged)), (Some(Outcome::Served), Some((1, samples))), "{body:?}");
            assert_eq!((judged.wrong.len(), judged.warnings.len()), (0, 1), "{body:?}");
        }
        // One of two samples is lost, and nothing comes of an empty body: wrong, though the target is up.
        for (body, seen) in [("a 1\na 2\n", (1, 2)), ("", (1, 0)), ("a 1\nb one\n", (0, 1)), ("a 1 -5\n", (0, 0))] {
            let judged = judge(&answer(200, 7, body), BOUND, 3 * BOUND);
            assert_eq!((judged.outcome, view(&judged)), (Some(Outcome::Invalid), Some(seen)), "{body:?}");
        }
    }

    #[test]
    fn what_was_not_checked_is_not_recorded_as_anything() {
        let large = Exchange { bytes: 5 << 20, body: None, ..answer(200, 7, "") };
        let protobuf =
            Exchange { content_type: Some("application/vnd.google.protobuf".into()), ..answer(200, 7, "\u{1}") };
        let gzip = Exchange {
            headers: vec![("content-encoding".into(), "gzip".into())],
            bytes: 9,
            body: None,
            ..answer(200, 7, "")
        };
        for exchange in [large, protobuf, gzip] {
            let judged = judge(&exchange, BOUND, 3 * BOUND);
            assert_eq!((judged.outcome, view(&judged)), (Some(Outcome::Served), None), "{exchange:?}");
            assert!(judged.unchecked.is_some());
            assert_eq!(view(&judge(&Exchange { total_us: BOUND + 1, ..exchange }, BOUND, 3 * BOUND)), Some((0, 0)));
        }
        let binary = judge(&Exchange { bytes: 9, body: None, ..answer(200, 7, "") }, BOUND, 3 * BOUND);
        assert_eq!((binary.outcome, view(&binary)), (Some(Outcome::Invalid), None));
    }

    #[test]
    fn a_redirect_that_nobody_followed_says_nothing() {
        let to =
            |status, location: Option<&str>| Exchange { location: location.map(Into::into), ..answer(status, 7, "") };
        let seen = |exchange| view(&judge(&exchange, BOUND, 3 * BOUND));
        assert_eq!(seen(to(302, Some("ftp://h/"))), None);
        assert_eq!(seen(to(302, None)), Some((0, 0)));
        assert_eq!(seen(to(300, Some("/m"))), Some((0, 0)));
        let redirects = vec![String::new(); 9];
        assert_eq!(seen(Exchange { redirects, ..to(302, Some("/m")) }), Some((0, 0)));
    }

    #[test]
    fn html_is_called_that() {
        let judged = judge(&answer(200, 7, "<!doctype html><p>Sign in"), BOUND, 3 * BOUND);
        assert_eq!(judged.wrong, ["the body is no exposition: it looks like HTML"]);
        assert_eq!(view(&judged), Some((0, 0)));
    }

    #[test]
    fn what_was_not_answered_is_left_to_the_process() {
        let open = Exchange { total_us: 3 * BOUND, error: Some(ExchangeError::HangLimit), ..Exchange::default() };
        let judged = judge(&open, BOUND, 3 * BOUND);
        assert_eq!((judged.outcome, view(&judged)), (None, Some((0, 0))));
        assert_eq!(judged.prometheus.unwrap().scrape_duration_seconds, 1.0);
        let refused = ExchangeError::Unreachable { reason: "connection refused".into() };
        assert_eq!(
            outcome(&Exchange { total_us: 9, error: Some(refused), ..Exchange::default() }),
            Some(Outcome::Unreachable)
        );
    }
}
