//! From an explained process to a diagnosis: the first rule that speaks names the hang, and the rest stands beside it.

use super::scene::{Ruling, Scene};
use super::{busy, cycle, exposition, self_wait, spin, stall, starvation, stopped};
use crate::graph::{Cycle, WaitGraph};
use crate::model::{Confidence, CycleStep, Diagnosis, Evidence, Explained, Gap, Outcome, Probes, Target, Thread};
use std::collections::BTreeSet;

/// A request that was not answered by the hang limit, and what the live engine made of the process.
#[derive(Clone, Debug)]
pub struct Hang<'a> {
    /// Two samples of the process, explained; `None` if it could not be looked into.
    pub explained: Option<&'a Explained>,
    /// What was asked.
    pub target: &'a Target,
    /// What the probes saw.
    pub probes: Probes,
    /// How many unanswered requests were sent before this one: they had their threads first.
    pub ahead: usize,
    /// What to change, if the caller knows; otherwise each outcome has its own general line.
    pub advice: &'a [String],
}

/// A hang with its name.
#[derive(Clone, Debug, PartialEq)]
pub struct Diagnosed {
    /// All of it, for people.
    pub diagnosis: Diagnosis,
    /// What the detectors concluded, the decisive one first.
    pub evidence: Vec<Evidence>,
    /// Whether the request's own wait path is explained; if not, the outcome says only what is left.
    pub covered: bool,
}

/// Said where nobody looked into the process.
pub(super) const NO_SAMPLE: &str = "no sample of it was taken";

/// What to do in that case.
pub(super) const LOOK_INTO_IT: &str =
    "let this tool look into the process while it hangs: from outside nobody can tell what it waits for";

type Rule = for<'a> fn(&Scene<'a>) -> Option<Ruling<'a>>;

/// The rules in the order in which they are tried; [`stall`] takes what they leave.
const RULES: [Rule; 6] =
    [stopped::detect, cycle::detect, self_wait::detect, spin::detect, starvation::detect, busy::detect];
/// Those that see what stands in a process, whoever waits for it.
const STANDING: [Rule; 4] = [stopped::detect, cycle::detect, self_wait::detect, spin::detect];

/// Names the hang of a request that was not answered.
pub fn diagnose(hang: &Hang<'_>) -> Diagnosed {
    let endpoint = endpoint_of(hang.target);
    let Some(explained) = hang.explained else {
        let nothing = Explained::default();
        let scene = Scene::new(&nothing, endpoint, hang.ahead);
        let ruling = stall::without_samples();
        let mut diagnosed = assemble(&scene, &ruling, hang, "hangs");
        diagnosed.diagnosis.gaps.push(Gap {
            what: "the process".to_string(),
            why: NO_SAMPLE.to_string(),
            uncovers: true,
        });
        return diagnosed;
    };
    let scene = Scene::new(explained, endpoint, hang.ahead).with_connection(hang.probes.connection.as_ref());
    let ruling = first_rule(&scene);
    let verb = match ruling.outcome {
        Outcome::Deadlocked if ruling.cycle.as_ref().is_some_and(Cycle::is_self_wait) => {
            "hangs in a deadlock with itself"
        }
        Outcome::Deadlocked => "hangs in a deadlock",
        Outcome::Livelocked => "hangs in a livelock",
        Outcome::Starved => "hangs for want of a thread",
        Outcome::Busy => "is busy",
        _ => "hangs",
    };
    assemble(&scene, &ruling, hang, verb)
}

fn first_rule<'a>(scene: &Scene<'a>) -> Ruling<'a> {
    RULES.iter().find_map(|rule| rule(scene)).unwrap_or_else(|| stall::detect(scene))
}

/// Names what a late answer waited for, as seen before it came.
pub(super) fn before_an_answer(hang: &Hang<'_>) -> Diagnosed {
    let nothing = Explained::default();
    let scene = Scene::new(hang.explained.unwrap_or(&nothing), endpoint_of(hang.target), hang.ahead);
    let ruling = first_rule(&scene);
    assemble(&scene, &ruling, hang, "answers late; while it was waited for")
}

/// Names what stays stuck inside a process whose endpoint answered. `None` if nothing does.
pub(super) fn behind_an_answer(hang: &Hang<'_>) -> Option<Diagnosed> {
    let explained = hang.explained?;
    let scene = Scene::new(explained, endpoint_of(hang.target), hang.ahead);
    let ruling = STANDING.iter().find_map(|rule| rule(&scene)).or_else(|| elsewhere(&scene)).or_else(|| {
        let blocked = scene.serving.iter().any(|thread| !scene.progresses(thread));
        blocked.then(|| stall::detect(&scene))
    })?;
    Some(assemble(&scene, &ruling, hang, "answers, but this stays stuck behind it"))
}

/// The suspected cycles of an explained process.
pub(super) fn suspects(explained: &Explained) -> Vec<Vec<CycleStep>> {
    let graph = WaitGraph::new(explained);
    graph.suspects().iter().map(|cycle| graph.report(cycle)).collect()
}

/// Names a deadlock or a livelock that stands in a process, whoever waits for it, or that it is stopped. `None` if nothing
/// of that is claimed.
pub(super) fn standing(hang: &Hang<'_>, verb: &str) -> Option<Diagnosed> {
    stands(hang, verb, |_| None)
}

/// The same for a process that nobody scraped: no answer says that a runtime with all its workers stuck does its work.
pub(super) fn standing_alone(hang: &Hang<'_>, verb: &str) -> Option<Diagnosed> {
    stands(hang, verb, starvation::standing)
}

fn stands(
    hang: &Hang<'_>,
    verb: &str,
    further: impl for<'a> Fn(&Scene<'a>) -> Option<Ruling<'a>>,
) -> Option<Diagnosed> {
    let scene = Scene::new(hang.explained?, endpoint_of(hang.target), hang.ahead);
    let ruling = STANDING.iter().find_map(|rule| rule(&scene)).or_else(|| elsewhere(&scene));
    let ruling = ruling.or_else(|| further(&scene))?;
    Some(assemble(&scene, &ruling, hang, verb))
}

/// A claimed cycle that no request waits for.
fn elsewhere<'a>(scene: &Scene<'a>) -> Option<Ruling<'a>> {
    let cycle = scene.graph.cycles().iter().chain(scene.graph.self_waits()).next()?;
    Some(Ruling {
        outcome: Outcome::Deadlocked,
        detector: if cycle.is_self_wait() { "self_wait" } else { "cycle" },
        says: scene.cycle(cycle, None),
        because: scene.edges_of(&cycle.steps),
        confidence: cycle.confidence(),
        covered: true,
        cycle: Some(cycle.clone()),
        named: Vec::new(),
        fix: Vec::new(),
    })
}

/// `/metrics` of `http://127.0.0.1:9101/metrics`, or the word for any endpoint.
pub(super) fn endpoint_of(target: &Target) -> String {
    let path = target.url.as_deref().and_then(|url| {
        let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
        rest.find('/').map(|at| &rest[at..])
    });
    match path.map(|path| path.split(['?', '#']).next().unwrap_or(path)) {
        Some(path) if path.len() > 1 => exposition::excerpt(path),
        _ => "the endpoint".to_string(),
    }
}

fn assemble(scene: &Scene<'_>, ruling: &Ruling<'_>, hang: &Hang<'_>, verb: &str) -> Diagnosed {
    let explained = scene.explained;
    let mut evidence = vec![Evidence {
        detector: ruling.detector.to_string(),
        says: ruling.says.clone(),
        because: ruling.because.clone(),
        decisive: true,
    }];
    evidence.extend(beside(scene, ruling));
    let behind = match &ruling.cycle {
        Some(cycle) => scene.graph.behind(cycle),
        None => Vec::new(),
    };
    let mut gaps = explained.gaps.clone();
    if scene.graph.is_truncated() {
        gaps.push(Gap {
            what: "further cycles and suspects".to_string(),
            why: "there are more of them than are listed".to_string(),
            uncovers: false,
        });
    }
    let diagnosis = Diagnosis {
        target: hang.target.clone(),
        outcome: Some(ruling.outcome),
        summary: format!("{} {verb}: {}", scene.endpoint, ruling.says),
        confidence: ruling.confidence,
        probes: hang.probes.clone(),
        threads: by_interest(scene, ruling, &behind),
        resources: explained.resources.clone(),
        samples: explained.samples,
        runtime: explained.runtime.clone(),
        blocked_behind: behind,
        edges: explained.edges.clone(),
        cycle: ruling.cycle.as_ref().map(|cycle| scene.graph.report(cycle)).unwrap_or_default(),
        suspects: scene.graph.suspects().iter().map(|cycle| scene.graph.report(cycle)).collect(),
        gaps,
        advice: if hang.advice.is_empty() {
            advice(ruling, hang.target, scene.explained.samples > 0)
        } else {
            hang.advice.to_vec()
        },
        evidence: Vec::new(),
    };
    Diagnosed { diagnosis, evidence, covered: ruling.covered }
}

/// Findings that do not decide: cycles that no request reaches, and what is only suspected.
fn beside(scene: &Scene<'_>, ruling: &Ruling<'_>) -> Vec<Evidence> {
    let claimed = scene.graph.cycles().iter().chain(scene.graph.self_waits());
    let others = claimed.filter(|cycle| ruling.cycle.as_ref() != Some(cycle)).map(|cycle| (cycle, ""));
    let suspects = scene.graph.suspects().iter().map(|cycle| (cycle, "suspected only: "));
    others
        .chain(suspects)
        .map(|(cycle, qualifier)| Evidence {
            detector: if cycle.is_self_wait() { "self_wait" } else { "cycle" }.to_string(),
            says: format!("{qualifier}{}", scene.cycle(cycle, None)),
            because: scene.edges_of(&cycle.steps),
            decisive: false,
        })
        .collect()
}

/// Threads of the cycle first, in its order; then those that run requests, that the rule names, that spin, wait behind the
/// cycle, or hold or wait for a lock; then the rest, each group by number.
fn by_interest(scene: &Scene<'_>, ruling: &Ruling<'_>, behind: &[i32]) -> Vec<Thread> {
    let cycle: Vec<i32> = ruling.cycle.iter().flat_map(|cycle| cycle.threads()).collect();
    let behind: BTreeSet<i32> = behind.iter().copied().collect();
    let spinning: BTreeSet<i32> = scene.explained.spins.iter().map(|spin| spin.tid).collect();
    let on_edges: BTreeSet<i32> = scene.explained.edges.iter().map(|edge| edge.thread).collect();
    let rank = |thread: &Thread| match cycle.iter().position(|tid| *tid == thread.tid) {
        Some(at) => at,
        None if thread.serves_request => cycle.len(),
        None if ruling.named.contains(&thread.tid) => cycle.len() + 1,
        None if spinning.contains(&thread.tid) => cycle.len() + 2,
        None if behind.contains(&thread.tid) => cycle.len() + 3,
        None if on_edges.contains(&thread.tid) => cycle.len() + 4,
        None => cycle.len() + 5,
    };
    let mut threads = scene.explained.threads.clone();
    threads.sort_by_key(|thread| (rank(thread), thread.tid));
    threads
}

/// What to change: what the rule says, or else what its outcome calls for. `looked`: whether the process was looked into.
fn advice(ruling: &Ruling<'_>, target: &Target, looked: bool) -> Vec<String> {
    let mut advice = match (&ruling.fix, looked) {
        (_, false) => {
            return vec![LOOK_INTO_IT.to_string()];
        }
        (fix, true) if fix.is_empty() => vec![general_advice(ruling).to_string()],
        (fix, true) => fix.clone(),
    };
    if let Some(pid) = target.pid {
        advice.iter_mut().for_each(|line| *line = line.replace("kill -CONT PID", &format!("kill -CONT {pid}")));
    }
    if ruling.confidence == Confidence::Suspected && ruling.fix.is_empty() {
        advice.push(
            "build with debug = \"line-tables-only\" and give permission to trace the process: what is only suspected may \
             then be proven"
                .to_string(),
        );
    }
    advice
}

fn general_advice(ruling: &Ruling<'_>) -> &'static str {
    match (ruling.outcome, &ruling.cycle) {
        (Outcome::Deadlocked, Some(cycle)) if cycle.is_self_wait() => {
            "do not take, inside collect() or a guard's scope, a lock that the same thread already holds: registering or \
             gathering inside collect() does"
        }
        (Outcome::Deadlocked, Some(cycle)) if is_of_one_lock(cycle) => {
            "do not lock for reading what the same thread has locked for reading already: as soon as a writer is queued \
             in between, neither gets any further; gathering inside collect() does, and so does a guard that is held around a call"
        }
        (Outcome::Deadlocked, _) => {
            "take the locks in one order everywhere: collect() runs under the registry's lock, so nothing it locks may be \
             held around register(), unregister() or gather()"
        }
        (Outcome::Livelocked, _) => {
            "do not stop a thread between the two halves of an update: no signal handler, debugger or page fault inside \
             observe()"
        }
        (Outcome::Starved, _) => {
            "gather on a thread of its own, neither on a worker nor in the runtime's blocking pool"
        }
        (Outcome::Busy, _) => "expose fewer series, or gather once for all scrapers and ahead of them",
        _ => "do no I/O and wait for no other thread inside collect(): take a snapshot beforehand and expose that",
    }
}

/// Whether all threads of a cycle wait for one and the same lock: there is no order of locks to be wrong.
fn is_of_one_lock(cycle: &Cycle<'_>) -> bool {
    cycle.steps.windows(2).all(|pair| pair[0].wait.resource == pair[1].wait.resource)
}
