//! `livelocked`: the request spins, or waits for a thread that spins, on a word that did not change between the samples.

use super::scene::{Ruling, Scene};
use crate::model::{Confidence, Outcome, Provenance, Relation};

/// The rule. A spin that no request waits for is not the outcome.
pub(super) fn detect<'a>(scene: &Scene<'a>) -> Option<Ruling<'a>> {
    let spins = scene.explained.spins.iter().filter(|spin| spin.unchanged);
    let reached = spins.filter_map(|spin| {
        let paths = scene.serving.iter().filter_map(|thread| scene.graph.path(thread.tid, |at| at == spin.tid));
        Some((spin, paths.min_by_key(Vec::len)?))
    });
    let (spin, path) = reached.min_by_key(|(spin, path)| (path.len(), spin.tid))?;

    let story = format!("{} spins on a word that does not change ({})", scene.name(spin.tid), spin.says);
    let mut says = match scene.way(&path) {
        Some(way) => format!("{way}; {story}"),
        None => story,
    };
    if let Some(culprit) = spin.culprit {
        says.push_str(&format!("; {} is inside the code that should change it", scene.name(culprit)));
    }
    let mut because = vec![format!("rule {}: {}", spin.rule, spin.says)];
    if let Some(thread) = scene.thread(spin.tid) {
        because.push(format!("{} used {} ms of CPU between the samples", scene.name(spin.tid), thread.cpu_ms));
    }
    because.extend(scene.edges_of(&path));
    // The words are read from memory; what makes them the words to watch is a rule about frames, unless an edge was read.
    let read = scene.explained.edges.iter().any(|edge| {
        edge.thread == spin.tid
            && edge.resource == spin.resource
            && edge.relation == Relation::Waits
            && matches!(edge.provenance, Provenance::Read | Provenance::Traced)
    });
    let own = if read { Confidence::Proven } else { Confidence::Inferred };
    Some(Ruling {
        outcome: Outcome::Livelocked,
        detector: "spin",
        says,
        because,
        confidence: path.iter().map(|step| step.confidence).fold(own, Confidence::min),
        covered: true,
        cycle: None,
        named: Vec::new(),
        fix: Vec::new(),
    })
}
