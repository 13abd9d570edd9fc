//! One round: a judged scrape that is looked at like any other, and others beside it.

use super::options::{GateOptions, millis};
use crate::detect::judge;
use crate::gate::live::{LookError, Looker, Told, Trail};
use crate::model::{
    Evidence, Exchange, ExchangeError, Judged, Outcome, Purpose, RequestReport, TrialProbes, TrialReport, Void,
};
use crate::probe::HttpUrl;
use std::time::Instant;

/// Scrapes once, and a few more times beside it.
pub(super) fn round(
    looker: &Looker,
    options: &GateOptions,
    url: &HttpUrl,
    interrupted: &dyn Fn() -> bool,
) -> TrialReport {
    let begun = Instant::now();
    let look = crate::gate::LookOptions { url: Some(url.clone()), ..options.look.clone() };
    let others = match begin_others(looker, options, url) {
        Ok(others) => others,
        Err(error) => return void(options, url, begun, error.to_string()),
    };
    let seen = match looker.look(&look, interrupted) {
        Ok(seen) => seen,
        Err(error) => return void(options, url, begun, error.to_string()),
    };
    let mut requests = Vec::new();
    if let Some(exchange) = seen.recording.probes.metrics.clone() {
        let outcome = seen.recording.judged.as_ref().and_then(|judged| judged.outcome);
        let class = outcome.or(seen.diagnosed.diagnosis.outcome);
        let wrong = seen.recording.judged.as_ref().map(|judged| judged.wrong.clone()).unwrap_or_default();
        requests.push(request(0, Purpose::Judged, exchange, class, wrong));
    }
    let mut beside: Vec<(u32, Judged)> = Vec::new();
    for (number, told) in (1..).zip(others) {
        let (exchange, judged) = finish(looker, options, begun, told);
        let class = judged.outcome.or(Some(Outcome::Stalled));
        requests.push(request(number, Purpose::During, exchange, class, judged.wrong.clone()));
        beside.push((number, judged));
    }
    let mut trial = TrialReport {
        outcome: outcome_of(&requests),
        probes: TrialProbes {
            requests,
            prometheus: seen.diagnosed.diagnosis.probes.prometheus,
            ..TrialProbes::default()
        },
        evidence: seen.diagnosed.evidence.clone(),
        covered: seen.diagnosed.covered,
        ..void(options, url, begun, String::new())
    };
    trial.void = None;
    let judged_served = trial.probes.requests.first().is_some_and(|first| first.class == Some(Outcome::Served));
    if judged_served {
        // A larger body than is checked is an answer in time all the same.
        trial.covered = true;
        let worst = beside.iter().find(|(_, judged)| judged.outcome != Some(Outcome::Served));
        if let Some((number, judged)) = worst {
            let says = match judged.outcome {
                Some(outcome) => format!("scrape {number} of the round was {outcome}"),
                None => format!("scrape {number} of the round was not answered by the hang limit"),
            };
            let because = judged.wrong.clone();
            trial.evidence.insert(0, Evidence { detector: "scrape".into(), says, because, decisive: true });
        }
    } else {
        trial.diagnosis = Some(seen.diagnosed.diagnosis);
        if let Some(diagnosis) = &mut trial.diagnosis {
            // The trial has its own list.
            diagnosis.evidence.clear();
        }
    }
    trial
}

fn begin_others(looker: &Looker, options: &GateOptions, url: &HttpUrl) -> Result<Vec<(Trail, Told)>, LookError> {
    let trail = options.look.trail(url);
    (1..options.scrapers.max(1)).map(|_| Ok((trail.clone(), looker.begin(&trail, &options.look)?))).collect()
}

/// The end of a scrape beside the judged one, which has its own hang limit.
fn finish(
    looker: &Looker,
    options: &GateOptions,
    begun: Instant,
    (mut trail, (mut flight, mut told)): (Trail, Told),
) -> (Exchange, Judged) {
    let end = begun + options.look.hang_limit * 2;
    let exchange = loop {
        let exchange = told.recv_timeout(end.saturating_duration_since(Instant::now())).unwrap_or_else(|_| {
            flight.give_up();
            Exchange { total_us: micros(options), error: Some(ExchangeError::HangLimit), ..Exchange::default() }
        });
        // Where that cannot even be begun, the redirect itself is what it was answered with.
        match trail.goes_on(&exchange).then(|| looker.begin(&trail, &options.look)) {
            Some(Ok(next)) => (flight, told) = next,
            _ => break exchange,
        }
    };
    let bound_us = u64::try_from(options.look.bound.as_micros()).unwrap_or(u64::MAX);
    let judged = judge(&exchange, bound_us, micros(options));
    (exchange, judged)
}

fn micros(options: &GateOptions) -> u64 {
    u64::try_from(options.look.hang_limit.as_micros()).unwrap_or(u64::MAX)
}

/// The judged scrape decides; where it was served, so must all others have been.
fn outcome_of(requests: &[RequestReport]) -> Option<Outcome> {
    let judged = requests.first()?.class?;
    if judged != Outcome::Served {
        return Some(judged);
    }
    let classes = requests.iter().filter_map(|request| request.class);
    classes.reduce(|worst, next| if worst.is_better_than(next) { next } else { worst })
}

fn request(
    number: u32,
    purpose: Purpose,
    exchange: Exchange,
    class: Option<Outcome>,
    wrong: Vec<String>,
) -> RequestReport {
    RequestReport { request: number, purpose, endpoint: String::new(), at_us: 0, exchange, class, wrong }
}

/// A trial that says nothing, for this reason.
fn void(options: &GateOptions, url: &HttpUrl, begun: Instant, reason: String) -> TrialReport {
    TrialReport {
        seed: 0,
        bound_ms: millis(options.look.bound),
        hang_limit_ms: millis(options.look.hang_limit),
        duration_ms: millis(begun.elapsed()),
        void: Some(Void::because(reason)),
        replay: format!("gatherlock diagnose --url {url} --bound {}", humantime::format_duration(options.look.bound)),
        ..TrialReport::default()
    }
}
