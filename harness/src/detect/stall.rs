//! `stalled`: what is left when no other rule speaks. The request waits for something that is no lock cycle, or no thread
//! runs it at all; and this rule says whether that was seen or only not seen otherwise.

use super::scene::{Ruling, Scene, UNHELD};
use crate::model::{Confidence, Edge, Event, Outcome, Provenance, Relation, ResourceKind};
use std::collections::BTreeSet;

/// Where one request's wait path ends.
struct End {
    /// The request's thread.
    thread: i32,
    /// The thread at the end of the path.
    last: i32,
    /// How many locks lie between the request and the end.
    steps: usize,
    /// "`a` 1 waits for …".
    says: String,
    /// What was not seen, if it was not followed to its end.
    gap: Option<String>,
    because: Vec<String>,
    confidence: Confidence,
}

/// The rule. It always speaks; `covered` is `false` where the request's wait path is not explained to its end, because
/// what was not seen may be a cycle.
pub(super) fn detect<'a>(scene: &Scene<'a>) -> Ruling<'a> {
    let mut ends: Vec<End> = scene.serving.iter().map(|thread| follow(scene, thread.tid)).collect();
    let followed: BTreeSet<i32> = ends.iter().filter(|end| end.gap.is_none()).map(|end| end.last).collect();
    for end in ends.iter_mut().filter(|end| end.gap.is_some() && came_late(scene, end.thread, &followed)) {
        end.gap = None;
    }
    // Those who wait behind another request's thread tell less than that one does.
    ends.sort_by_key(|end| end.steps);
    let mut because: Vec<String> = ends.iter().flat_map(|end| end.because.clone()).collect();
    let mut gaps: Vec<String> = ends.iter().filter_map(|end| end.gap.clone()).collect();
    let uncovering = scene.explained.gaps.iter().filter(|gap| gap.uncovers);
    gaps.extend(uncovering.map(|gap| format!("not seen: {} ({})", gap.what, gap.why)));
    if ends.is_empty()
        && let Some(runtime) = scene.explained.runtime.as_ref().filter(|runtime| runtime.blocked > 0)
    {
        let blocked = runtime.blocked;
        gaps.push(format!(
            "{blocked} workers of the runtime are blocked, and one of them may run the request unrecognised"
        ));
    }
    // Somebody's blocking job may be what the request's task awaits.
    let jobs = scene.explained.runtime.as_ref().and_then(|runtime| runtime.pool.as_ref()).map(|pool| &pool.stuck);
    let jobs = jobs.filter(|stuck| ends.is_empty() && !stuck.is_empty());
    if let Some(stuck) = jobs {
        gaps.push(format!("{} threads of the blocking pool are stuck, and the request may await one", stuck.len()));
        because.extend(stuck.iter().take(8).filter_map(|tid| Some(scene.edge(scene.wait_of(*tid)?))));
    }
    let nowhere = ends.is_empty().then(|| not_begun(scene)).flatten();
    if let Some((_, gap)) = &nowhere {
        gaps.push(gap.clone());
    }
    let says = match (ends.first(), &nowhere) {
        (Some(end), _) => end.says.clone(),
        (None, Some((says, _))) => says.clone(),
        (None, None) if gaps.len() == 1 && jobs.is_some() => {
            "no thread was seen to run the request; a job in the runtime's blocking pool that it may await is stuck"
                .to_string()
        }
        (None, None) if gaps.is_empty() => {
            "no thread runs the request and none is blocked on its behalf: it is suspended at an \
                                    await"
                .to_string()
        }
        (None, None) => "no thread that runs the request could be found".to_string(),
    };
    let fix = if ends.is_empty() { fix(scene, gaps.is_empty()) } else { Vec::new() };
    let covered = gaps.is_empty();
    because.extend(gaps);
    if ends.is_empty() {
        because.push(format!("none of {} threads runs the request", scene.explained.threads.len()));
    }
    Ruling {
        outcome: Outcome::Stalled,
        detector: "stall",
        says,
        because,
        confidence: match covered {
            true => ends.iter().map(|end| end.confidence).min().unwrap_or(Confidence::Inferred),
            false => Confidence::Suspected,
        },
        covered,
        cycle: None,
        named: Vec::new(),
        fix,
    }
}

/// Where no thread runs the request: what is known to have kept a handler from it, or why a task that is suspended is no
/// explanation; and what was not seen. A task needs an async runtime, and a handler a request that was read.
fn not_begun(scene: &Scene<'_>) -> Option<(String, String)> {
    let (says, gap) = match (scene.accepted, scene.unread, &scene.explained.runtime) {
        (Some(false), ..) => (
            "the server has not accepted the connection: it waits in the listener's queue, and no handler runs before \
             somebody accepts it",
            "which thread or task should accept it, and why it does not, was not seen",
        ),
        (_, true, _) => (
            "the server has accepted the connection and not read the request, so that no handler runs yet",
            "which thread or task should read it, and why it does not, was not seen",
        ),
        (.., None) => (
            "no thread is seen in a handler that is known here, and no async runtime is recognised in the process: what \
             the request waits for is not known",
            "without a runtime that is known here, it cannot be told what a thread does for a request",
        ),
        _ => return None,
    };
    Some((says.to_string(), gap.to_string()))
}

/// What to do where no thread runs the request.
fn fix(scene: &Scene<'_>, suspended: bool) -> Vec<String> {
    let line = if scene.accepted == Some(false) {
        "look at what accepts connections on this listener: its thread or task has ended, is blocked, or was never started"
    } else if scene.unread {
        "look at what reads requests once they are accepted: a limit on connections, or a thread that is busy with another"
    } else if scene.explained.runtime.is_none() {
        "look at the stacks below for the thread that should answer; only handlers of Rust programs are recognised"
    } else if suspended {
        "put a deadline around what the handler awaits, be it a channel, an async lock or another service"
    } else {
        return Vec::new();
    };
    vec![line.to_string()]
}

/// What is said when nothing was sampled.
pub(super) fn without_samples<'a>() -> Ruling<'a> {
    Ruling {
        outcome: Outcome::Stalled,
        detector: "stall",
        says: "it did not answer, and the process could not be looked into".to_string(),
        because: vec!["there is no sample of the process".to_string()],
        confidence: Confidence::Suspected,
        covered: false,
        cycle: None,
        named: Vec::new(),
        fix: Vec::new(),
    }
}

/// Follows the wait path of a request's thread from lock to holder until it ends at something that is no lock.
fn follow(scene: &Scene<'_>, tid: i32) -> End {
    let ends = |at: i32| scene.graph.steps_from(at).all(|step| !step.is_claimable());
    let path = scene.graph.path(tid, ends).unwrap_or_default();
    let last = path.last().map_or(tid, |step| step.blocker);
    let mut because = scene.edges_of(&path);
    let name = scene.name(last);
    let (says, gap) = match scene.wait_of(last) {
        None => without_wait(scene, last),
        Some(edge) => {
            because.push(scene.edge(edge));
            let wants = scene.wanted(edge);
            match scene.kind_of(edge) {
                kind if kind.is_lock() => {
                    let who = if scene.is_unheld(edge) { UNHELD } else { "and who holds that is not established" };
                    (format!("{name} waits for {wants}, {who}"), Some(holder_gap(scene, last, &edge.resource)))
                }
                ResourceKind::Unknown => (
                    match scene.event_of(edge) {
                        // Every lock known here was looked for, and this is none of them.
                        Some(Event::Futex) => format!(
                            "{name} waits on a futex that is no lock known here: a channel, a condition variable or the \
                             like{}",
                            suspects(scene, edge)
                        ),
                        _ => format!("{name} waits for something that was not recognised"),
                    },
                    Some(format!("what {name} waits for could not be identified")),
                ),
                _ if !edge.stable => (
                    format!("{name} waits for {wants}"),
                    Some(format!("{name} was not seen waiting for {wants} in both samples")),
                ),
                ResourceKind::SpinWord => {
                    (format!("{name} spins on {wants}"), Some(format!("the spin of {name} is not confirmed")))
                }
                _ => (format!("{name} waits for {wants}{}", suspects(scene, edge)), None),
            }
        }
    };
    let says = match scene.way(&path) {
        Some(way) => format!("{way}; {says}"),
        None => says,
    };
    let read = |edge: &Edge| matches!(edge.provenance, Provenance::Read | Provenance::Traced);
    let own = if scene.wait_of(last).is_some_and(read) { Confidence::Proven } else { Confidence::Inferred };
    End {
        thread: tid,
        last,
        steps: path.len(),
        says,
        gap,
        because,
        confidence: path.iter().map(|step| step.confidence).fold(own, Confidence::min),
    }
}

/// Whether a request's thread began to wait only after the first sample, for the same as other requests whose paths were
/// `followed` to their end: behind one of those ends, or at the same place in the code for the same kind of thing. Whatever
/// it did before, the request hangs in what is known.
fn came_late(scene: &Scene<'_>, tid: i32, followed: &BTreeSet<i32>) -> bool {
    let reaches = |blocker| scene.graph.path(blocker, |at| followed.contains(&at)).is_some();
    if scene.graph.steps_from(tid).any(|step| step.late && reaches(step.blocker)) {
        return true;
    }
    let Some(own) = scene.wait_of(tid).filter(|edge| !edge.stable && !scene.kind_of(edge).is_lock()) else {
        return false;
    };
    let alike = |edge: &Edge| scene.kind_of(edge) == scene.kind_of(own) && edge.site == own.site;
    own.site.is_some() && followed.iter().filter_map(|&at| scene.wait_of(at)).any(alike)
}

/// Threads that have to do with what is waited for, and may be the ones to end the wait; those that wait themselves first.
fn suspects(scene: &Scene<'_>, wait: &Edge) -> String {
    let refers =
        |edge: &&Edge| edge.relation == Relation::Holds && edge.resource == wait.resource && edge.thread != wait.thread;
    let mut others: Vec<&Edge> = scene.explained.edges.iter().filter(refers).collect();
    // Who waits for a lock is the likeliest, and who drives a runtime the least.
    let rank = |edge: &&Edge| match scene.wait_of(edge.thread) {
        Some(wait) if scene.kind_of(wait).is_lock() => 0,
        Some(wait) if scene.event_of(wait).is_some_and(Event::is_runtime) => 2,
        _ => 1,
    };
    others.sort_by_key(|edge| (rank(edge), edge.thread));
    if others.is_empty() {
        return behind_it(scene, wait);
    }
    let says = others.iter().take(2).map(|edge| {
        let name = scene.name(edge.thread);
        let does = match &edge.provenance {
            Provenance::Inferred { rule } if rule == "runs-the-initialisation" => "runs it",
            Provenance::Inferred { rule } if rule == "its-end-is-awaited" => "is that thread",
            _ => "refers to it, too",
        };
        match scene.wait_of(edge.thread) {
            Some(wait) => format!("; {name} {does}, and waits for {}", scene.wanted(wait)),
            None => format!("; {name} {does}"),
        }
    });
    let more = others.len().saturating_sub(2);
    says.collect::<String>() + &if more > 0 { format!("; {more} more threads do") } else { String::new() }
}

/// Where nobody is seen to have to do with it: who waits, in the end, for what this thread holds may be the one.
fn behind_it(scene: &Scene<'_>, wait: &Edge) -> String {
    let steps = scene.graph.suspects().iter().flat_map(|cycle| &cycle.steps);
    let mut supposed = steps.filter(|step| step.block.is_none() && step.wait == wait).map(|step| step.blocker);
    let first = supposed.next().and_then(|tid| scene.wait_of(tid));
    first.map_or_else(String::new, |other| {
        let (name, wanted, held) = (scene.name(other.thread), scene.wanted(other), scene.name(wait.thread));
        format!("; {name} may be the one to end that, and waits for {wanted} behind {held}")
    })
}

fn without_wait(scene: &Scene<'_>, tid: i32) -> (String, Option<String>) {
    let name = scene.name(tid);
    match scene.thread(tid) {
        Some(thread) if scene.progresses(thread) => (format!("{name} is on CPU"), None),
        Some(thread) if thread.state == "R" => (
            format!("{name} is runnable"),
            Some(format!("{name} used no CPU between the samples, and why is not known")),
        ),
        Some(thread) => {
            let asleep = thread.wchan.as_deref().or(thread.syscall.as_deref()).unwrap_or("an unknown place");
            let gap = format!("what {name} waits for in {asleep} could not be identified");
            (format!("{name} sleeps in {asleep}"), Some(gap))
        }
        None => (format!("{name} holds it"), Some(format!("{name} is not among the sampled threads"))),
    }
}

/// Why the path does not go on behind a lock.
fn holder_gap(scene: &Scene<'_>, waiter: i32, resource: &str) -> String {
    let name = scene.resource_name(resource);
    if let Some(step) = scene.graph.steps_from(waiter).next() {
        let blocker = scene.name(step.blocker);
        return format!(
            "that {blocker} holds {name} is a suspicion: an edge was guessed, moved, or the count disagrees"
        );
    }
    match scene.resource(resource).and_then(|resource| resource.holders) {
        Some(holders) if holders.word > holders.found => format!(
            "the word of {name} counts {} holders and {} were found: a leaked guard, a guard in a suspended task, or an \
             analysis that failed",
            holders.word, holders.found
        ),
        _ => format!("no holder of {name} was found"),
    }
}
