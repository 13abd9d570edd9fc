//! What a scrape costs although it was answered: threads it took and did not give back, application threads stuck behind
//! it, updates that got lost; and whether the endpoint recovers.

use super::canary;
use super::record::Record;
use super::scene::Scene;
use super::trial::Class;
use crate::model::{Content, HealthCount, Limits, Outcome, Purpose, Release, RequestReport, Thread};
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

/// The measured limits of a trial.
pub(super) fn limits(
    record: &Record<'_>,
    classes: &[Class],
    contents: &[Cow<'_, Content>],
    scene: Option<&Scene<'_>>,
    requests: &[RequestReport],
    release: Release,
    bound_us: u64,
) -> Limits {
    Limits {
        threads_leaked_per_scrape: scene.and_then(|scene| leaked_per_scrape(record, classes, scene)),
        app_threads_stuck: scene.map(|scene| stuck_app_threads(scene).len() as u32),
        lost_updates: canary::lost_updates(record, contents),
        recovers: recovers(requests, release),
        health: health(requests, bound_us),
    }
}

/// Threads that run a request and get nowhere.
pub(super) fn stuck_request_threads<'a>(scene: &Scene<'a>) -> Vec<&'a Thread> {
    scene.serving.iter().copied().filter(|thread| thread.state != "R" || scene.spins(thread.tid)).collect()
}

/// Application threads that are in a claimed cycle, wait for one, or wait for what a request's thread holds.
pub(super) fn stuck_app_threads(scene: &Scene<'_>) -> BTreeSet<i32> {
    let serving: BTreeSet<i32> = scene.serving.iter().map(|thread| thread.tid).collect();
    let cycles = scene.graph.cycles().iter().chain(scene.graph.self_waits());
    let mut roots: BTreeSet<i32> = cycles.flat_map(|cycle| cycle.threads()).collect();
    let in_cycles = roots.clone();
    roots.extend(&serving);
    let mut stuck = scene.graph.waiting_on(&roots);
    stuck.extend(in_cycles);
    stuck.difference(&serving).copied().collect()
}

/// Stuck request threads in the last sample, divided by the scrapes that had them until then. A scrape that was open then
/// and answered later gave its thread back: neither is counted.
fn leaked_per_scrape(record: &Record<'_>, classes: &[Class], scene: &Scene<'_>) -> Option<f64> {
    let until = record.explained_at().map_or(u64::MAX, |(_, at_us)| at_us);
    let armed = record.requests.iter().zip(classes).filter(|(r, _)| r.purpose.is_armed() && r.sent_us <= until);
    let sent = armed.clone().count();
    let came_back = armed
        .filter(|(request, class)| {
            matches!(class, Class::Is(_))
                && request.end.is_some_and(|(ended_us, _)| ended_us > until)
                && request.is_answered()
        })
        .count();
    let stuck = stuck_request_threads(scene).len().saturating_sub(came_back);
    let kept = sent.saturating_sub(came_back);
    (sent > 0).then(|| stuck as f64 / kept.max(1) as f64)
}

/// Whether the last scrape of each endpoint after the cause was let go was served: those before it may still have met
/// what was on its way back.
fn recovers(requests: &[RequestReport], release: Release) -> Option<bool> {
    if release == Release::Never {
        return None;
    }
    let after = requests.iter().filter(|request| request.purpose == Purpose::After && request.class.is_some());
    let last: BTreeMap<&str, Option<Outcome>> =
        after.map(|request| (request.endpoint.as_str(), request.class)).collect();
    (!last.is_empty()).then(|| last.values().all(|class| *class == Some(Outcome::Served)))
}

fn health(requests: &[RequestReport], bound_us: u64) -> Option<HealthCount> {
    let checks: Vec<_> = requests.iter().filter(|request| request.purpose == Purpose::Health).collect();
    let answered = checks.iter().filter(|check| {
        let exchange = &check.exchange;
        exchange.error.is_none()
            && exchange.total_us <= bound_us
            && exchange.status.is_some_and(|status| (200..300).contains(&status))
    });
    (!checks.is_empty()).then(|| HealthCount { answered: answered.count() as u32, sent: checks.len() as u32 })
}

/// One sentence for each cycle and each thread that stays stuck.
pub(super) fn residue(scene: &Scene<'_>) -> Vec<String> {
    let cycles = scene.graph.cycles().iter().chain(scene.graph.self_waits());
    let mut told: BTreeSet<i32> = BTreeSet::new();
    let mut says = Vec::new();
    for cycle in cycles {
        says.push(format!("a deadlock stays: {}", scene.cycle(cycle, None)));
        told.extend(cycle.threads());
    }
    let requests = stuck_request_threads(scene).into_iter().map(|thread| (thread.tid, "a scrape's thread"));
    let app = stuck_app_threads(scene).into_iter().map(|tid| (tid, "an application thread"));
    for (tid, what) in requests.chain(app) {
        if !told.insert(tid) {
            continue;
        }
        let name = scene.name(tid);
        let spin = scene.explained.spins.iter().find(|spin| spin.tid == tid && spin.unchanged);
        says.push(match (spin, scene.wait_of(tid)) {
            (Some(spin), _) => format!("{what} spins on: {name} ({})", spin.says),
            (None, Some(edge)) => format!("{what} stays stuck: {name} waits for {}", scene.wanted(edge)),
            (None, None) => format!("{what} stays stuck: {name} sleeps, and what for was not seen"),
        });
    }
    says
}
