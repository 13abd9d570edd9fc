//! `busy`: a thread that runs the request is on CPU and gets on with it.

use super::scene::{Ruling, Scene};
use crate::model::{Confidence, Outcome};

/// The rule.
pub(super) fn detect<'a>(scene: &Scene<'a>) -> Option<Ruling<'a>> {
    let busy: Vec<_> = scene.serving.iter().filter(|thread| scene.progresses(thread)).collect();
    let most = busy.iter().max_by_key(|thread| (thread.cpu_ms, std::cmp::Reverse(thread.tid)))?;
    let says = match busy.len() {
        1 => format!("{} runs the request, is on CPU and makes progress", scene.name(most.tid)),
        n => format!("{n} threads run requests and make progress, {} most of all", scene.name(most.tid)),
    };
    let used = |thread: &&&crate::model::Thread| {
        format!("{} used {} ms of CPU between the samples", scene.name(thread.tid), thread.cpu_ms)
    };
    Some(Ruling {
        outcome: Outcome::Busy,
        detector: "busy",
        says,
        because: busy.iter().map(used).collect(),
        confidence: Confidence::Inferred,
        covered: true,
        cycle: None,
        named: Vec::new(),
        fix: Vec::new(),
    })
}
