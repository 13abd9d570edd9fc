//! What an expected deadlock must look like: which threads, which locks, which functions.
//!
//! A model that is expected to deadlock and deadlocks for another reason has found something else, and says so.

use crate::counterexample::Counterexample;

/// The waits that make up the hang: of a deadlock those in the circle, otherwise all but joins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Signature(pub &'static [WaitsFor]);

/// One thread's wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WaitsFor {
    /// The thread.
    pub thread: &'static str,
    /// What it wants: `read`, `write`, `lock`, `send`, …
    pub operation: &'static str,
    /// The lock, as the counterexample labels it.
    pub lock: &'static str,
    /// Who is in the way.
    pub held_by: &'static [&'static str],
    /// Functions that must be on its stack in this order, innermost first, each by the end of its name.
    pub frames: &'static [&'static str],
}

impl Signature {
    /// Compares.
    ///
    /// # Errors
    /// The differences, one a line.
    pub fn check(&self, trace: &Counterexample) -> Result<(), String> {
        let mut wrong = Vec::new();
        let part = |thread: &str, operation: &str| {
            if trace.cycle.is_empty() { operation != "join" } else { trace.cycle.iter().any(|name| name == thread) }
        };
        for found in trace.waits.iter().filter(|found| part(&found.thread, &found.operation)) {
            if !self.0.iter().any(|wanted| wanted.thread == found.thread) {
                wrong.push(format!("unexpected: {} waits to {} {}", found.thread, found.operation, found.lock));
            }
        }
        for wanted in self.0 {
            let Some(found) = trace.waits.iter().find(|found| found.thread == wanted.thread) else {
                wrong.push(format!("{} does not wait", wanted.thread));
                continue;
            };
            if !part(&found.thread, &found.operation) {
                wrong.push(format!("{} waits, but is no part of the circle", wanted.thread));
            }
            let WaitsFor { thread, operation, lock, held_by, frames } = wanted;
            if found.operation != *operation || found.lock != *lock {
                let (is, on) = (&found.operation, &found.lock);
                wrong.push(format!("{thread} waits to {is} {on}, expected to {operation} {lock}"));
            }
            if found.waits_for.iter().collect::<std::collections::BTreeSet<_>>().len() != held_by.len()
                || !held_by.iter().all(|name| found.waits_for.iter().any(|found| found == name))
            {
                wrong.push(format!("{thread} waits for {:?}, expected {held_by:?}", found.waits_for));
            }
            let mut stack = found.stack.iter();
            for frame in *frames {
                if !stack.any(|found| found.function.ends_with(frame)) {
                    let stack: Vec<&str> = found.stack.iter().map(|frame| frame.function.as_str()).collect();
                    wrong.push(format!("{thread} is not in {frame}, or not in this order; its stack: {stack:?}"));
                    break;
                }
            }
        }
        if wrong.is_empty() { Ok(()) } else { Err(wrong.join("\n")) }
    }
}
