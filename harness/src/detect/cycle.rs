//! `deadlocked` by a cycle: the request's own wait path leads into a circle of threads, each of which waits for the next.

use super::scene::{Ruling, Scene};
use crate::graph::Reach;
use crate::model::Outcome;

/// The rule.
pub(super) fn detect<'a>(scene: &Scene<'a>) -> Option<Ruling<'a>> {
    reached(scene, false)
}

/// The ruling for the serving thread that is nearest to a claimed self-wait or to a claimed cycle of several threads.
pub(super) fn reached<'a>(scene: &Scene<'a>, self_wait: bool) -> Option<Ruling<'a>> {
    let reaches = scene.serving.iter().filter_map(|thread| Some((thread.tid, scene.graph.reaches(thread.tid)?)));
    let of_kind = reaches.filter(|(_, reach)| reach.cycle.is_self_wait() == self_wait);
    let (tid, reach) = of_kind.min_by_key(|(tid, reach)| (reach.path.len(), *tid))?;
    Some(ruling(scene, tid, &reach))
}

fn ruling<'a>(scene: &Scene<'a>, tid: i32, reach: &Reach<'a, '_>) -> Ruling<'a> {
    let entry = reach.path.last().map_or(tid, |step| step.blocker);
    let story = scene.cycle(reach.cycle, Some(entry));
    let says = match scene.way(&reach.path) {
        Some(way) => format!("{way}; {story}"),
        None => story,
    };
    let mut steps = reach.path.clone();
    steps.extend(&reach.cycle.steps);
    Ruling {
        outcome: Outcome::Deadlocked,
        detector: if reach.cycle.is_self_wait() { "self_wait" } else { "cycle" },
        says,
        because: scene.edges_of(&steps),
        confidence: reach.confidence(),
        covered: true,
        cycle: Some(reach.cycle.clone()),
        named: Vec::new(),
        fix: Vec::new(),
    }
}
