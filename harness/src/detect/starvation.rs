//! `starved`: every worker of the runtime is blocked, or its blocking pool is full, so that the request, or the task that
//! holds what it waits for, has no thread to run on.

use super::scene::{Ruling, Scene, UNHELD};
use crate::model::{Confidence, Edge, Outcome, RuntimeState};
use std::collections::BTreeMap;

/// The rule. It speaks only where a runtime was recognised: that no thread shows the request may have other reasons.
pub(super) fn detect<'a>(scene: &Scene<'a>) -> Option<Ruling<'a>> {
    let runtime = scene.explained.runtime.as_ref()?;
    let all_blocked = runtime.workers > 0 && runtime.blocked >= runtime.workers;
    // The requests sent before the judged one had their threads first. Where its thread may only not have been seen, it
    // counts as having one.
    let unseen = scene.explained.gaps.iter().any(|gap| gap.uncovers);
    let has_thread = scene.serving.len() > scene.ahead || (unseen && !scene.unread);
    // With a worker left, a blocked one that was not recognised may be the request's own.
    let all_recognised = runtime.blocked as usize <= scene.serving.len();
    let says = if !has_thread && all_blocked {
        format!("no thread runs the request: {} blocked", workers(runtime))
    } else if !has_thread && runtime.driver.is_none() && runtime.blocked > 0 && all_recognised {
        format!(
            "no thread runs the request: the worker that polled the I/O driver is blocked, {} of {} workers are, and \
             nobody else polls it",
            runtime.blocked, runtime.workers
        )
    } else if !has_thread && let Some((pool, queued)) = runtime.full_pool() {
        let jobs = if queued == 1 { "1 job waits".to_string() } else { format!("{queued} jobs wait") };
        format!(
            "no thread runs the request: the runtime's blocking pool is full, {}, and {jobs} for one",
            if pool.threads == 1 {
                "its thread is stuck".into()
            } else {
                format!("its {} threads are stuck", pool.threads)
            }
        )
    } else if all_blocked && let Some(lock) = held_by_a_task(scene) {
        format!("{} blocked, and a task that holds {lock} would have no thread to run on", workers(runtime))
    } else {
        return None;
    };
    let stuck = runtime.full_pool().filter(|_| !all_blocked).map_or(&runtime.stuck, |(pool, _)| &pool.stuck);
    let says = [Some(says), stuck_in(scene, stuck)].into_iter().flatten().collect::<Vec<_>>().join("; ");
    let driver = match runtime.driver {
        Some(tid) => format!("the I/O driver is polled by {}", scene.name(tid)),
        None => "nobody polls the I/O driver".to_string(),
    };
    let mut because = vec![format!("{} of {} workers are blocked", runtime.blocked, runtime.workers), driver];
    because.extend(stuck.iter().filter_map(|tid| Some(scene.edge(scene.wait_of(*tid)?))));
    let others = scene.serving.iter().filter(|thread| !stuck.contains(&thread.tid));
    because.extend(others.filter_map(|thread| Some(scene.edge(scene.wait_of(thread.tid)?))));
    Some(Ruling {
        outcome: Outcome::Starved,
        detector: "starvation",
        says,
        because,
        confidence: Confidence::Inferred,
        covered: true,
        cycle: None,
        named: stuck.clone(),
        fix: fix(scene, stuck, runtime.full_pool().is_none() || all_blocked),
    })
}

/// Every worker of the runtime was stuck where it stood, in both samples: whoever asks for something, nothing runs it.
pub(super) fn standing<'a>(scene: &Scene<'a>) -> Option<Ruling<'a>> {
    let runtime = scene.explained.runtime.as_ref()?;
    if scene.explained.samples < 2 || runtime.workers == 0 || runtime.stuck.len() < runtime.workers as usize {
        return None;
    }
    let says = format!("{} blocked, so that no task of it gets a thread while this lasts", workers(runtime));
    Some(Ruling {
        outcome: Outcome::Starved,
        detector: "starvation",
        says: [Some(says), stuck_in(scene, &runtime.stuck)].into_iter().flatten().collect::<Vec<_>>().join("; "),
        because: runtime.stuck.iter().filter_map(|tid| Some(scene.edge(scene.wait_of(*tid)?))).collect(),
        confidence: Confidence::Inferred,
        covered: true,
        cycle: None,
        named: runtime.stuck.clone(),
        fix: fix(scene, &runtime.stuck, true),
    })
}

/// What to do. A thread of its own for gather() helps only where it is gather() that takes the threads.
fn fix(scene: &Scene<'_>, stuck: &[i32], workers_stuck: bool) -> Vec<String> {
    let unheld = stuck.iter().any(|tid| scene.wait_of(*tid).is_some_and(|wait| scene.is_unheld(wait)));
    let by_requests = scene.serving.iter().any(|thread| stuck.contains(&thread.tid));
    if !workers_stuck || stuck.is_empty() || (by_requests && !unheld) {
        return Vec::new();
    }
    let lock = "end the scope of a lock's guard before an await: a suspended task keeps what it holds";
    let block = "do not block a worker of the runtime: use the runtime's own I/O and locks, or spawn_blocking with a \
                 deadline inside the call";
    let listener = "serve /metrics and /health from a listener with threads of its own (gatherlock_guard::Listener), so \
                    that they answer when no worker does";
    let lines = [unheld.then_some(lock), (!by_requests).then_some(block), Some(listener)];
    lines.into_iter().flatten().map(ToString::to_string).collect()
}

fn workers(runtime: &RuntimeState) -> String {
    match runtime.workers {
        1 => "the runtime's only worker is".to_string(),
        n => format!("all {n} workers of the runtime are"),
    }
}

/// What blocked threads are stuck in, by the place where they wait: "3 wait in app::ask (…) for …".
fn stuck_in(scene: &Scene<'_>, tids: &[i32]) -> Option<String> {
    let mut places: BTreeMap<&str, Vec<&Edge>> = BTreeMap::new();
    for edge in tids.iter().filter_map(|tid| scene.wait_of(*tid)) {
        places.entry(edge.site.as_deref().unwrap_or_default()).or_default().push(edge);
    }
    let mut places: Vec<_> = places.into_values().collect();
    places.sort_by_key(|edges| std::cmp::Reverse(edges.len()));
    let says = places.iter().take(3).map(|edges| {
        let first = edges[0];
        let (name, wanted, end) = (scene.name(first.thread), scene.wanted(first), behind(scene, first));
        match edges.len() {
            1 => format!("{name} waits for {wanted}{end}"),
            n => format!("{name} and {} more wait for {wanted}{end}", n - 1),
        }
    });
    let says = says.collect::<Vec<_>>().join("; ");
    let more = places.iter().skip(3).map(Vec::len).sum::<usize>();
    match (says.is_empty(), more) {
        (true, _) => None,
        (false, 0) => Some(says),
        (false, n) => Some(format!("{says}; and {n} elsewhere")),
    }
}

/// What is said of a wait at whose end there is a lock that no thread's stack will release.
fn behind(scene: &Scene<'_>, wait: &Edge) -> String {
    let ends = |at: i32| scene.graph.steps_from(at).all(|step| !step.is_claimable());
    let last = scene.graph.path(wait.thread, ends).unwrap_or_default().last().map(|step| step.blocker);
    match last.and_then(|tid| scene.wait_of(tid)) {
        None if scene.is_unheld(wait) => format!(", {UNHELD}"),
        Some(other) if scene.is_unheld(other) => {
            format!(
                ", in the end behind {}, which waits for {}, {UNHELD}",
                scene.name(other.thread),
                scene.wanted(other)
            )
        }
        _ => String::new(),
    }
}

/// A lock that every request's thread waits for, whose word counts more holders than there are on any stack: the rest
/// lives in a suspended task.
fn held_by_a_task(scene: &Scene<'_>) -> Option<String> {
    let mut locks = scene.serving.iter().map(|thread| {
        let wait = scene.wait_of(thread.tid)?;
        let resource = scene.resource(&wait.resource)?;
        let unseen = resource.holders.is_some_and(|holders| holders.word > holders.found);
        (resource.kind.is_lock() && unseen && wait.stable).then(|| scene.resource_name(&resource.id))
    });
    let first = locks.next()??;
    locks.all(|lock| lock.is_some()).then_some(first)
}
