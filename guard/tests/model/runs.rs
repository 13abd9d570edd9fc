//! Running a model: to the end, and counted; or in a process of its own when it is meant to fail.

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// How far a model is explored: every schedule with at most this many preemptions, or every schedule there is.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Bound {
    /// Loom's measure: switches away from a thread that could have gone on.
    Preemptions(usize),
    /// Without any limit.
    None,
}

/// `GATHERLOCK_MODEL_PREEMPTIONS` (a number, or `none`) replaces the bounds of the tests, for long runs.
fn asked_for() -> Option<Bound> {
    let text = std::env::var("GATHERLOCK_MODEL_PREEMPTIONS").ok()?;
    if text == "none" {
        return Some(Bound::None);
    }
    Some(Bound::Preemptions(text.parse().expect("GATHERLOCK_MODEL_PREEMPTIONS is a number or `none`")))
}

/// Runs a model in every schedule within `bound`, without a limit on time or executions (at which loom would return as
/// if all were well), and says how many there were.
pub(crate) fn explore(bound: Bound, model: fn()) -> usize {
    let executions = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&executions);
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = match bound {
        Bound::Preemptions(most) => Some(most),
        Bound::None => None,
    };
    builder.max_duration = None;
    builder.max_permutations = None;
    builder.max_branches = 10_000;
    builder.check(move || {
        counter.fetch_add(1, Ordering::Relaxed);
        model();
    });
    executions.load(Ordering::Relaxed)
}

/// Explores a model that must hold. Fewer than `least` executions mean that the model has lost its interleavings.
pub(crate) fn holds(name: &str, bound: Bound, least: usize, model: fn()) {
    let bound = asked_for().unwrap_or(bound);
    let executions = explore(bound, model);
    println!("{name}: exhausted within {bound:?}, {executions} executions");
    assert!(executions >= least, "{name} ran only {executions} executions, expected at least {least}");
}

/// Explores a model that must deadlock, in a child process: a deadlocking model may abort the process it runs in.
/// `test` is the full name of the calling test.
pub(crate) fn expect_deadlock(test: &str, model: fn()) {
    const INSIDE: &str = "GATHERLOCK_GUARD_MODEL_INSIDE";
    if std::env::var_os(INSIDE).is_some() {
        explore(Bound::Preemptions(2), model);
        return;
    }
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.args([test, "--exact", "--nocapture", "--test-threads=1"]).env(INSIDE, "1");
    let output = child.output().unwrap();
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(!output.status.success(), "the model held, although it must not:\n{text}");
    assert!(text.contains("deadlock; threads ="), "the model failed for another reason:\n{text}");
}
