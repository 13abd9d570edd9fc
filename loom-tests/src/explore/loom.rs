//! A run of loom.

use super::pass::{Pass, Progress, Wanted};
use super::search::{Body, Limits};
use crate::shim::Engine;
use loom::model::Builder;
use std::sync::Arc;

/// loom's own ceiling, the body included.
const THREADS: usize = 5;

pub(super) fn run(body: &Body, preemptions: Option<u8>, limits: Limits, wanted: Wanted, collect: bool) -> Pass {
    let progress = Progress::new(limits, wanted, collect);
    let mut builder = Builder::new();
    // Everything that loom would take from the environment is set: a run must not depend on a variable, and loom's own
    // limits end a search as if it were complete.
    builder.max_threads = THREADS;
    builder.max_branches = limits.steps;
    builder.max_permutations = None;
    builder.max_duration = None;
    builder.preemption_bound = preemptions.map(usize::from);
    builder.checkpoint_file = None;
    builder.checkpoint_interval = usize::MAX;
    builder.location = false;
    builder.log = false;
    let (inside, body) = (Arc::clone(&progress), Arc::clone(body));
    progress.run(Engine::Loom, || builder.check(move || inside.execute_or_stop(&body)))
}
