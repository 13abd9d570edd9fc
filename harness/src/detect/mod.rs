//! From what was seen to what it means: pure functions, one rule a file, and this table of them.
//!
//! Each scrape is classed by the first row that fits; the trial's outcome is its judged scrape's.
//!
//! | scrape | outcome | rule |
//! |---|---|---|
//! | not answered by the hang limit | `unreachable`, `crashed` | `trial`: the exchange and the child's exit |
//! | | `stalled` | `stopped`: somebody stopped every thread of the process |
//! | | `deadlocked` | `cycle`, `self_wait`: a request's own wait path reaches a claimed one |
//! | | `livelocked` | `spin`: a named spin rule, its words unchanged |
//! | | `starved` | `starvation`: no worker of the runtime is left |
//! | | `busy` | `busy`: a request's thread is on CPU and makes progress |
//! | | `stalled` | `stall`: what is left, and whether it is explained |
//! | answered | `late` | `answer`: after the bound |
//! | | `contained` | `answer`: 503 with a reason, or 200 with [`STALE_HEADER`] or [`MISSING_HEADER`] |
//! | | `invalid` | `answer`, [`exposition`], `canary`: status, type, body, families, canary |
//! | | `served` | none of these |
//!
//! Beside the outcome stand the figures of `leak`, the canary, what Prometheus would have recorded, and the timeline. No
//! function here performs I/O, reads a clock or prints.
//!
//! What a child contributes by name: the counter series named in `ChildEvent::Ready` is the canary; a
//! `ChildEvent::Count` named [`UPDATES_MADE`] counts the updates it made, and the family [`UPDATES_SERIES`] exposes them.

mod advice;
mod answer;
mod busy;
mod canary;
mod cycle;
mod diagnosis;
pub mod exposition;
mod judge;
mod leak;
mod live;
mod prometheus;
mod record;
mod scene;
mod self_wait;
mod spin;
mod stall;
mod starvation;
mod stopped;
#[cfg(test)]
mod tests;
mod timeline;
mod trial;

pub use answer::{BODY_LIMIT, MISSING_HEADER, STALE_HEADER, read_bodies};
pub use canary::{UPDATES_MADE, UPDATES_SERIES};
pub use diagnosis::{Diagnosed, Hang, diagnose};
pub use judge::judge;
pub use live::{Sight, live};
pub(crate) use prometheus::{MOST_REDIRECTS, REDIRECTS};

use crate::model::{
    CanaryMoved, Case, Content, Diagnosis, Drive, Evidence, Exchange, Explained, Limits, Observation, Outcome, Probes,
    PrometheusView, Purpose, Release, RequestReport, Target, TimelineEntry, Void,
};
use record::{Record, Request};
use scene::Scene;
use std::borrow::Cow;
use std::collections::BTreeMap;
use trial::Class;

/// All that is known about one trial.
#[derive(Clone, Copy, Debug)]
pub struct TrialFacts<'a> {
    /// The case it is a trial of.
    pub case: &'a Case,
    /// What the parent did to it.
    pub drive: Drive,
    /// When the parent let the cause go.
    pub release: Release,
    /// Microseconds within which a scrape must be answered.
    pub bound_us: u64,
    /// Microseconds after which the parent gave up on a scrape.
    pub hang_limit_us: u64,
    /// What was seen, with the bodies of the exchanges. May end at the hang limit: requests that are still open then
    /// count as hanging if a second sample was taken while they were.
    pub observations: &'a [Observation],
    /// Two samples of the process, explained; `None` if none were taken.
    pub explained: Option<&'a Explained>,
    /// What was looked at, for the diagnosis.
    pub target: &'a Target,
    /// What to change, for the diagnosis.
    pub advice: &'a [String],
}

/// What a trial's facts amount to.
#[derive(Clone, Debug, PartialEq)]
pub struct Detected {
    /// The outcome; says nothing if `void` is given.
    pub outcome: Outcome,
    /// Why the trial says nothing.
    pub void: Option<Void>,
    /// Whether the evidence explains the outcome; if not, the case is inconclusive.
    pub covered: bool,
    /// Every scrape and health check, in the order they were sent.
    pub requests: Vec<RequestReport>,
    /// What the detectors concluded, the decisive one first.
    pub evidence: Vec<Evidence>,
    /// What stays stuck inside although the endpoint answered, a sentence each.
    pub residue: Vec<String>,
    /// The figures.
    pub limits: Limits,
    /// Whether the canary moved in the judged scrape; with several, `No` if it stood still in one.
    pub canary_moved: CanaryMoved,
    /// What Prometheus would have recorded of the judged scrape; `None` if there was none, or its body was not kept.
    pub prometheus: Option<PrometheusView>,
    /// For a hang, and for an answer behind which something stays stuck.
    pub diagnosis: Option<Diagnosis>,
    /// Who did, held and waited when.
    pub timeline: Vec<TimelineEntry>,
    /// Kernel states of the threads at the last sample, e.g. `S futex_do_wait`, or with the system call where the kernel
    /// does not tell the function.
    pub thread_states: BTreeMap<String, u32>,
    /// What `parking_lot`'s detector said when asked.
    pub parking_lot_detector: Option<Vec<u32>>,
    /// The parent's own worst wake-up lag, in milliseconds.
    pub lag_ms: f64,
}

/// Turns a trial's facts into its outcome and all that stands beside it.
pub fn detect(facts: &TrialFacts<'_>) -> Detected {
    let record = Record::read(facts.observations, facts.drive, facts.bound_us);
    let contents: Vec<Cow<'_, Content>> =
        record.requests.iter().map(|request| content(request, record.canary)).collect();
    let mut classes = trial::classes(&record, &contents, facts.bound_us, facts.hang_limit_us);
    let armed = |request: &Request<'_>| request.purpose.is_armed();
    let hung = record.requests.iter().zip(&classes).any(|(r, class)| armed(r) && *class == Class::Hang);

    // Whoever hangs, hangs in the same process; the judged request stands for all.
    let hanging = Hang {
        explained: facts.explained,
        target: facts.target,
        probes: Probes::default(),
        ahead: ahead(&record, &classes),
        advice: facts.advice,
    };
    let mut diagnosed = hung.then(|| diagnose(&hanging));
    if diagnosed.as_ref().is_some_and(|diagnosed| !diagnosed.covered) {
        trial::an_answer_tells_more_than_unexplained_samples(&record, &mut classes);
    }
    let name = diagnosed.as_ref().and_then(|diagnosed| diagnosed.diagnosis.outcome).unwrap_or(Outcome::Stalled);
    let named: Vec<Option<Outcome>> = classes.iter().map(|class| trial::named(class, name)).collect();
    let decided = trial::outcome(&record, &named);
    let died = record.died();
    let outcome = match (died, decided) {
        (Some(_), _) => Outcome::Crashed,
        (None, Some((outcome, _))) => outcome,
        (None, None) => Outcome::Stalled,
    };
    let judged = decided.map(|(_, index)| index);
    // It was answered past the hang limit and by itself: the answer is the evidence, whatever a later sample shows.
    let overran = judged.is_some_and(|index| outcome == Outcome::Busy && classes[index] != Class::Hang);
    let hangs = outcome.is_hang() && !overran;
    let answered = !hangs && died.is_none();
    let scene = facts.explained.map(|explained| Scene::new(explained, String::new(), 0));
    // Where the cause was released in between, the samples tell of the time before the answer.
    let ended_us = judged.and_then(|index| record.requests[index].end).map_or(u64::MAX, |(at_us, _)| at_us);
    let stays = record.explained_at().is_some_and(|(_, at_us)| at_us > ended_us);
    if answered {
        diagnosed = match outcome {
            Outcome::Late if !stays && facts.explained.is_some() => Some(diagnosis::before_an_answer(&hanging)),
            _ if stays => diagnosis::behind_an_answer(&hanging),
            _ => None,
        };
    }

    let requests: Vec<RequestReport> = (record.requests.iter().zip(&classes).zip(&named))
        .map(|((request, class), named)| trial::report(request, class, *named, record.last_us))
        .collect();
    let prometheus =
        judged.and_then(|index| prometheus::view(record.requests[index].exchange(), &contents[index], facts.bound_us));
    if let Some(diagnosed) = &mut diagnosed {
        diagnosed.diagnosis.probes = Probes {
            metrics: judged.map(|index| requests[index].exchange.clone()),
            health: requests.iter().rfind(|r| r.purpose == Purpose::Health).map(|r| r.exchange.clone()),
            prometheus,
            connection: None,
        };
    }
    let unchecked = judged.and_then(|index| contents[index].unchecked.clone()).filter(|_| outcome == Outcome::Served);
    let covered = match &diagnosed {
        Some(diagnosed) if hangs => diagnosed.covered,
        None if hangs => false,
        _ => unchecked.is_none(),
    };
    Detected {
        outcome,
        void: trial::void(&record, &named, facts.bound_us),
        covered,
        evidence: evidence(&record, (outcome, hangs), &requests, diagnosed.as_ref(), judged, unchecked),
        residue: scene.as_ref().filter(|_| answered && stays).map(leak::residue).unwrap_or_default(),
        limits: leak::limits(&record, &classes, &contents, scene.as_ref(), &requests, facts.release, facts.bound_us),
        canary_moved: canary_moved(&record, &classes),
        prometheus,
        diagnosis: diagnosed.map(|diagnosed| diagnosed.diagnosis),
        timeline: timeline::timeline(&record, &named, scene.as_ref(), facts.bound_us, facts.hang_limit_us),
        thread_states: thread_states(facts.explained),
        parking_lot_detector: record.detector.clone(),
        lag_ms: record.worst_lag_us as f64 / 1000.0,
        requests,
    }
}

/// What a request's answer says: as it was read before, or else read now.
fn content<'a>(request: &Request<'a>, canary: Option<&str>) -> Cow<'a, Content> {
    match request.exchange() {
        Some(Exchange { content: Some(content), .. }) => Cow::Borrowed(content),
        Some(exchange) => Cow::Owned(answer::content(exchange, canary)),
        None => Cow::Owned(Content::default()),
    }
}

/// How many hanging scrapes were sent before the first judged one that hangs.
fn ahead(record: &Record<'_>, classes: &[Class]) -> usize {
    let hanging: Vec<&Request<'_>> = record
        .requests
        .iter()
        .zip(classes)
        .filter(|(request, class)| request.purpose != Purpose::Before && **class == Class::Hang)
        .map(|(request, _)| request)
        .collect();
    hanging.iter().position(|request| request.purpose == Purpose::Judged).unwrap_or(0)
}

fn canary_moved(record: &Record<'_>, classes: &[Class]) -> CanaryMoved {
    let judged = record.requests.iter().zip(classes).filter(|(request, _)| request.purpose == Purpose::Judged);
    let canaries = judged.filter_map(|(_, class)| match class {
        Class::Is(answer) => Some(answer.canary),
        _ => None,
    });
    canaries.fold(CanaryMoved::NotChecked, |all, one| match (all, one) {
        (CanaryMoved::No, _) | (_, CanaryMoved::No) => CanaryMoved::No,
        (CanaryMoved::Yes, _) | (_, CanaryMoved::Yes) => CanaryMoved::Yes,
        _ => CanaryMoved::NotChecked,
    })
}

fn thread_states(explained: Option<&Explained>) -> BTreeMap<String, u32> {
    let mut states = BTreeMap::new();
    for thread in explained.iter().flat_map(|explained| &explained.threads) {
        let wchan = thread.wchan.as_deref().filter(|wchan| !wchan.is_empty() && *wchan != "0");
        let state = match wchan.or(thread.syscall.as_deref()) {
            Some(place) => format!("{} {place}", thread.state),
            None => thread.state.clone(),
        };
        *states.entry(state).or_insert(0) += 1;
    }
    states
}

fn evidence(
    record: &Record<'_>,
    (outcome, hangs): (Outcome, bool),
    requests: &[RequestReport],
    diagnosed: Option<&Diagnosed>,
    judged: Option<usize>,
    unchecked: Option<String>,
) -> Vec<Evidence> {
    let mut evidence = Vec::new();
    let mut decides = |detector: &str, says: String, because: Vec<String>| {
        evidence.push(Evidence { detector: detector.to_string(), says, because, decisive: true });
    };
    let request = judged.map(|index| &requests[index]);
    match (outcome, request) {
        (Outcome::Crashed, _) => {
            let says = record.died().map(|exit| format!("the process ended by itself: {}", trial::how(exit)));
            decides("crash", says.unwrap_or_else(|| "the process ended".to_string()), Vec::new());
        }
        (Outcome::Unreachable, _) => decides("scrape", "nothing accepts the connection".to_string(), Vec::new()),
        (Outcome::Invalid, Some(request)) => {
            decides("exposition", format!("scrape {} was answered wrongly", request.request), request.wrong.clone());
        }
        (Outcome::Busy, Some(request)) if request.exchange.status.is_some() && !hangs => {
            let ms = request.exchange.total_us as f64 / 1000.0;
            let says = format!(
                "scrape {} was answered after {ms:.1} ms, past the hang limit and with nothing released: it made progress",
                request.request
            );
            decides("busy", says, Vec::new());
        }
        (Outcome::Late | Outcome::Contained, Some(request)) => {
            let status = request.exchange.status.map(|status| format!("status {status}"));
            let ms = request.exchange.total_us as f64 / 1000.0;
            let says = format!("scrape {} was answered after {ms:.1} ms: {outcome}", request.request);
            decides("scrape", says, status.into_iter().collect());
        }
        _ => {}
    }
    for found in diagnosed.iter().flat_map(|diagnosed| &diagnosed.evidence) {
        evidence.push(Evidence { decisive: found.decisive && hangs, ..found.clone() });
    }
    let mut beside = |detector: &str, says: String| {
        evidence.push(Evidence { detector: detector.to_string(), says, because: Vec::new(), decisive: false });
    };
    if let Some(unchecked) = unchecked {
        beside("exposition", unchecked);
    }
    match record.detector.as_deref() {
        // Its silence is no evidence.
        None | Some([]) => {}
        Some(cycles) => {
            let sizes = cycles.iter().map(u32::to_string).collect::<Vec<_>>().join(", ");
            beside(
                "parking_lot",
                format!("parking_lot's own detector reports {} cycle(s), threads: {sizes}", cycles.len()),
            );
        }
    }
    evidence
}
