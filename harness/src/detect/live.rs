//! From one look at a live endpoint or process to its diagnosis: a hang gets its name, an answer its class, and what
//! stays stuck behind an answer, or in a process that nobody scraped, is said all the same.

use super::advice::advice;
use super::diagnosis::{self, Diagnosed, Hang, endpoint_of};
use super::{exposition, stall};
use crate::model::{
    Confidence, Diagnosis, Evidence, Exchange, ExchangeError, Explained, Gap, Judged, OtherProcess, Outcome, Probes,
    Relation, ServerSide, Target,
};

/// One look at an endpoint, a process, or both.
#[derive(Clone, Debug)]
pub struct Sight<'a> {
    /// What was looked at.
    pub target: &'a Target,
    /// What the probes saw; `metrics` is the judged scrape, and `None` if none was sent.
    pub probes: &'a Probes,
    /// What that scrape is worth, from [`judge`](super::judge()).
    pub judged: Option<&'a Judged>,
    /// What could not be seen around that, and why.
    pub gaps: &'a [Gap],
    /// The process that serves the endpoint, where the caller named another one; that one then tells nothing of it.
    pub other: Option<&'a OtherProcess>,
    /// Whether the process ended while it was looked at.
    pub died: bool,
    /// Two samples of the process, explained; `None` if it was not looked into.
    pub explained: Option<&'a Explained>,
    /// The bound, in microseconds.
    pub bound_us: u64,
    /// The hang limit, in microseconds.
    pub hang_limit_us: u64,
}

/// Names what was seen.
pub fn live(sight: &Sight<'_>) -> Diagnosed {
    let (Some(metrics), Some(judged)) = (&sight.probes.metrics, sight.judged) else { return process_alone(sight) };
    let probes = Probes { prometheus: judged.prometheus, ..sight.probes.clone() };
    let hang = Hang { explained: sight.explained, target: sight.target, probes: probes.clone(), ahead: 0, advice: &[] };
    // Nothing refused it: the listener is there, and its queue is full.
    let never_accepted = judged.outcome == Some(Outcome::Unreachable)
        && probes.connection.is_some()
        && metrics.total_us >= sight.hang_limit_us;
    let unanswered = metrics.error.is_some();
    let mut diagnosed = match judged.outcome {
        _ if sight.died && unanswered => answered(sight, &hang, Outcome::Crashed, judged, metrics),
        None => hung(&hang),
        Some(Outcome::Unreachable) if never_accepted => hung(&hang),
        Some(outcome) => answered(sight, &hang, outcome, judged, metrics),
    };
    if let Some(connection) = &probes.connection {
        diagnosed.evidence.push(beside("connection", server_side(connection)));
    }
    if let Some(health) = probes.health.as_ref().filter(|_| judged.outcome != Some(Outcome::Served)) {
        let crashed = diagnosed.diagnosis.outcome == Some(Outcome::Crashed);
        diagnosed.evidence.push(beside("health", differential(health, crashed)));
    }
    if let Some(unchecked) = &judged.unchecked {
        diagnosed.evidence.push(beside("exposition", unchecked.clone()));
    }
    for warning in &judged.warnings {
        diagnosed
            .evidence
            .push(beside("exposition", format!("a warning: {warning}. The format forbids it; Prometheus takes it")));
    }
    if let Some(last) = metrics.redirects.last() {
        let origin = |url: &str| url.split('/').take(3).collect::<Vec<_>>().join("/");
        let away = sight
            .target
            .url
            .as_deref()
            .is_some_and(|first| metrics.redirects.iter().any(|to| origin(to) != origin(first)));
        let kept = if away { ". A header that was asked for is not sent to another server" } else { "" };
        diagnosed
            .evidence
            .push(beside("scrape", format!("it was redirected to {last}, and asked there, as Prometheus does{kept}")));
    }
    if let Some(other) = sight.other {
        of_another(&mut diagnosed, other);
    }
    carry(diagnosed, sight.gaps)
}

/// Says at the top that the process which was named is not the one behind the endpoint.
fn of_another(diagnosed: &mut Diagnosed, other: &OtherProcess) {
    let OtherProcess { named, pid, name } = other;
    let name = exposition::excerpt(name);
    let found = &mut diagnosed.diagnosis;
    let says =
        format!("the URL is served by process {pid} (`{name}`), not by process {named}, which was not looked into");
    found.summary = format!("{says}; {}", found.summary.replace("could not be looked into", "was not looked into"));
    found.advice.retain(|line| line != diagnosis::LOOK_INTO_IT);
    found.advice.insert(
        0,
        format!(
            "leave --pid away, or give --pid {pid}; if process {pid} only forwards to process {named}, give the URL of \
             that one"
        ),
    );
}

/// The evidence and what was not seen go into the diagnosis, which stands alone here.
fn carry(mut diagnosed: Diagnosed, gaps: &[Gap]) -> Diagnosed {
    diagnosed.diagnosis.evidence = diagnosed.evidence.clone();
    if !gaps.is_empty() {
        // They say why, which is more than that there is none.
        diagnosed.diagnosis.gaps.retain(|gap| gap.why != diagnosis::NO_SAMPLE);
        diagnosed.diagnosis.gaps.extend_from_slice(gaps);
    }
    diagnosed
}

fn beside(detector: &str, says: String) -> Evidence {
    Evidence { detector: detector.to_string(), says, because: Vec::new(), decisive: false }
}

fn hung(hang: &Hang<'_>) -> Diagnosed {
    let mut diagnosed = diagnosis::diagnose(hang);
    if hang.explained.is_some() {
        return diagnosed;
    }
    // From outside, the kernel's view of the connection is all there is.
    let ruling = stall::without_samples();
    let says = match hang.probes.connection.as_ref() {
        Some(ServerSide { accepted: Some(false), .. }) => {
            "the server does not accept the connection: no thread serves its listener"
        }
        Some(ServerSide { accepted: Some(true), unread_bytes: Some(1..), .. }) => {
            "the server accepted the connection and has not read the request: no thread serves it"
        }
        Some(ServerSide { accepted: Some(true), unread_bytes: Some(0), .. }) => {
            "the server has read the request and does not answer it"
        }
        _ => return diagnosed,
    };
    let says = format!("{says}; {}", ruling.says.trim_start_matches("it did not answer, and "));
    let found = &mut diagnosed.diagnosis;
    found.summary = format!("{} hangs: {says}", endpoint_of(hang.target));
    if let Some(first) = diagnosed.evidence.first_mut() {
        first.says = says;
    }
    diagnosed
}

/// An answer, and what stands behind it.
fn answered(sight: &Sight<'_>, hang: &Hang<'_>, outcome: Outcome, judged: &Judged, metrics: &Exchange) -> Diagnosed {
    let behind = match outcome {
        // Where it is refused or late, whatever its threads wait for is the reason.
        Outcome::Contained => diagnosis::behind_an_answer(hang),
        Outcome::Late if hang.explained.is_some() => Some(diagnosis::before_an_answer(hang)),
        _ => diagnosis::standing(hang, "answers, but this stays stuck in the process"),
    };
    if let Some(mut behind) = behind {
        // The class of the answer is sure; of what was seen behind it only a standing deadlock or livelock is.
        let stands = matches!(behind.diagnosis.outcome, Some(Outcome::Deadlocked | Outcome::Livelocked));
        if !stands {
            behind.diagnosis.outcome = Some(outcome);
        }
        let says = answer(outcome, judged, metrics, sight.bound_us);
        behind.evidence.insert(0, Evidence { decisive: !stands, ..beside("scrape", says) });
        return behind;
    }
    let says = answer(outcome, judged, metrics, sight.bound_us);
    let verb = match outcome {
        Outcome::Served if judged.unchecked.is_some() => "answers in time; what it says was not checked",
        Outcome::Served if !judged.warnings.is_empty() => "answers, with a fault that Prometheus lets pass",
        Outcome::Served => "answers as it should",
        Outcome::Contained => "answers in time, but not with current metrics",
        Outcome::Late => "answers too late",
        Outcome::Busy => "answers far too late",
        Outcome::Unreachable => "cannot be reached",
        Outcome::Crashed => "was not answered",
        _ => "answers wrongly",
    };
    let summary = format!("{} {verb}: {says}", endpoint_of(sight.target));
    let evidence =
        Evidence { detector: "scrape".into(), says: says.clone(), because: judged.wrong.clone(), decisive: true };
    let (mut found, confidence) = (plain(sight, hang.probes.clone()), Confidence::Proven);
    found.outcome = Some(outcome);
    found.summary = summary;
    found.confidence = confidence;
    found.advice = advice(outcome, judged, metrics);
    Diagnosed { diagnosis: found, evidence: vec![evidence], covered: judged.unchecked.is_none() }
}

/// "200 after 1.43 s, the bound is 1.00 s".
fn answer(outcome: Outcome, judged: &Judged, metrics: &Exchange, bound_us: u64) -> String {
    let status = metrics.status.map_or("no status".to_string(), |status| format!("status {status}"));
    let after = seconds(metrics.total_us);
    match outcome {
        Outcome::Served => match judged.content {
            Some((families, samples)) => {
                let families = count(families as u64, "metric family", "metric families");
                let samples = count(samples, "sample", "samples");
                format!("{status} after {after}, {families}, {samples}, a valid exposition")
            }
            None => format!("{status} after {after}"),
        },
        Outcome::Contained if metrics.status == Some(503) => {
            format!("{status} with a reason after {after}: an honest refusal")
        }
        Outcome::Contained => format!("{status} after {after}, marked as stale or partial"),
        Outcome::Late | Outcome::Busy => format!("{status} after {after}, and the bound is {}", seconds(bound_us)),
        Outcome::Crashed => "the process ended during the scrape".to_string(),
        Outcome::Unreachable => match &metrics.error {
            Some(ExchangeError::Unreachable { reason }) => reason.clone(),
            _ => "nothing accepts the connection".to_string(),
        },
        _ => judged.wrong.first().cloned().unwrap_or(status),
    }
}

fn count(n: u64, one: &str, several: &str) -> String {
    format!("{n} {}", if n == 1 { one } else { several })
}

fn seconds(us: u64) -> String {
    if us < 1_000_000 { format!("{:.1} ms", us as f64 / 1e3) } else { format!("{:.2} s", us as f64 / 1e6) }
}

/// A process that nobody scraped: only what is stuck whoever waits for it.
fn process_alone(sight: &Sight<'_>) -> Diagnosed {
    let hang =
        Hang { explained: sight.explained, target: sight.target, probes: sight.probes.clone(), ahead: 0, advice: &[] };
    if let Some(mut found) = diagnosis::standing_alone(&hang, "is stuck") {
        let process = sight.target.exe.as_deref().unwrap_or("the process");
        let says = found.evidence.first().map_or(String::new(), |evidence| evidence.says.clone());
        found.diagnosis.summary = format!("{process} is stuck: {says}");
        return carry(found, sight.gaps);
    }
    let mut found = plain(sight, sight.probes.clone());
    let Some(explained) = sight.explained else {
        found.summary = "the process could not be looked into".to_string();
        found.gaps.push(Gap { what: "the process".to_string(), why: diagnosis::NO_SAMPLE.to_string(), uncovers: true });
        return carry(Diagnosed { diagnosis: found, evidence: Vec::new(), covered: false }, sight.gaps);
    };
    let blind = explained.gaps.iter().chain(sight.gaps).any(|gap| gap.uncovers);
    found.threads = explained.threads.clone();
    found.confidence = if blind { Confidence::Suspected } else { Confidence::Inferred };
    found.summary = format!(
        "no deadlock and no livelock among the {} threads; nothing was scraped, so this says nothing about an endpoint",
        explained.threads.len()
    );
    let mut evidence = Vec::new();
    for lock in unheld(explained) {
        evidence.push(beside("leak", lock));
    }
    let covered = !blind && found.suspects.is_empty() && evidence.is_empty();
    carry(Diagnosed { diagnosis: found, evidence, covered }, sight.gaps)
}

/// Locks that threads waited for in both samples and whose holders are on no stack.
fn unheld(explained: &Explained) -> Vec<String> {
    let waited = |id: &str| {
        explained.edges.iter().any(|edge| edge.resource == id && edge.stable && edge.relation == Relation::Waits)
    };
    let locks = explained.resources.iter().filter(|resource| resource.kind.is_lock() && waited(&resource.id));
    locks
        .filter_map(|lock| {
            let holders = lock.holders.filter(|holders| holders.word > holders.found)?;
            Some(format!(
                "threads waited for {} in both samples, and {} of its {} holders are on no stack: a leaked guard, a guard \
                 in a suspended task, or an analysis that failed",
                lock.name,
                holders.word - holders.found,
                holders.word
            ))
        })
        .collect()
}

/// A diagnosis with nothing in it but what was looked at; threads are left to those that are stuck.
fn plain(sight: &Sight<'_>, probes: Probes) -> Diagnosis {
    let nothing = Explained::default();
    let explained = sight.explained.unwrap_or(&nothing);
    Diagnosis {
        target: sight.target.clone(),
        outcome: None,
        summary: String::new(),
        confidence: Confidence::Suspected,
        probes,
        threads: Vec::new(),
        resources: explained.resources.clone(),
        samples: explained.samples,
        runtime: explained.runtime.clone(),
        blocked_behind: Vec::new(),
        edges: explained.edges.clone(),
        cycle: Vec::new(),
        suspects: diagnosis::suspects(explained),
        gaps: explained.gaps.clone(),
        advice: Vec::new(),
        evidence: Vec::new(),
    }
}

/// What the kernel says of the server's side, in words.
fn server_side(connection: &ServerSide) -> String {
    let queue = connection.backlog.map_or(String::new(), |n| format!("; connections in its listener's queue: {n}"));
    let says = match (connection.accepted, connection.unread_bytes) {
        (Some(false), _) => "the server has not accepted the connection".to_string(),
        (Some(true), Some(0)) => "the server accepted the connection and has read the whole request".to_string(),
        (Some(true), Some(n)) => format!("the server accepted the connection and left {n} bytes of it unread"),
        (Some(true), None) => "the server accepted the connection".to_string(),
        (None, _) => "the server's side of the connection was not seen".to_string(),
    };
    format!("{says}{queue}")
}

/// Whether another route of the same server answers.
fn differential(health: &Exchange, crashed: bool) -> String {
    match (&health.error, health.status) {
        (None, Some(status)) if crashed => format!(
            "another route of the server had answered before that: status {status} after {}",
            seconds(health.total_us)
        ),
        (None, Some(status)) => format!(
            "another route of the server answered meanwhile: status {status} after {}; the server as a whole is alive",
            seconds(health.total_us)
        ),
        (Some(ExchangeError::HangLimit), _) => {
            format!("another route of the server did not answer either, within {}", seconds(health.total_us))
        }
        _ => "another route of the server was not answered properly either".to_string(),
    }
}

#[cfg(test)]
#[path = "tests/live.rs"]
mod tests;
