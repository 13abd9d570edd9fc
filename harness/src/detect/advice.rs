//! What to do about an answer, by its class.

use crate::model::{Exchange, ExchangeError, Judged, Outcome};

/// One line, or none where all is well.
pub(super) fn advice(outcome: Outcome, judged: &Judged, metrics: &Exchange) -> Vec<String> {
    let line = match outcome {
        Outcome::Served => return Vec::new(),
        Outcome::Contained => {
            "look at what the endpoint says is stuck, stale or missing; with --pid it can be diagnosed"
        }
        Outcome::Late | Outcome::Busy => {
            "expose fewer series, gather once for all scrapers, and do no I/O inside collect(); or raise scrape_timeout \
             and --bound"
        }
        Outcome::Unreachable => "check that the service runs and listens on this address and port",
        Outcome::Crashed => "the process ended during the scrape: look at its log",
        _ => return wrong(judged, metrics),
    };
    vec![line.to_string()]
}

/// What to do about a wrong answer, and what becomes of it at Prometheus, where that is known.
fn wrong(judged: &Judged, metrics: &Exchange) -> Vec<String> {
    let malformed =
        |what: &str| matches!(&metrics.error, Some(ExchangeError::Malformed { reason }) if reason.contains(what));
    let (plain, wants_tls) = (malformed("speaks plain HTTP"), malformed("the port wants https://"));
    let first = match metrics.status {
        _ if wants_tls => "give the URL with https:// instead of http://",
        _ if plain => "give the URL with http:// instead of https://, or another port",
        Some(401 | 403) => "the endpoint wants to know who asks: give --bearer-file FILE or --header 'Name: value'",
        Some(404) => "check the path: nothing is served at this one",
        Some(300..=399) if judged.prometheus.is_none() => "give the URL that it leads to",
        Some(200) if judged.wrong.iter().any(|wrong| wrong.contains("HTML")) => {
            "check port and path: this is a page for people, not the metrics"
        }
        _ => "fix what is wrong with the answer",
    };
    let becomes = match judged.prometheus.map(|view| (view.up, view.scrape_samples_scraped)) {
        Some((0, _)) => Some("Prometheus drops the whole scrape and records up 0"),
        Some((_, 0)) => Some("Prometheus records up 1 without a sample: an alert on `up` does not see it"),
        Some(_) => Some("Prometheus records up 1 all the same: an alert on `up` does not see it"),
        None => None,
    };
    vec![becomes.map_or(first.to_string(), |becomes| format!("{first}. {becomes}"))]
}
