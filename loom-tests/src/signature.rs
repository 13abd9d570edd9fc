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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::counterexample::{Frame, Progress, Waits};

    fn wait(thread: &str, operation: &str, lock: &str, waits_for: &[&str], frames: &[&str]) -> Waits {
        let frame = |name: &&str| Frame { function: name.to_string(), at: "src/lib.rs:1".into() };
        Waits {
            thread: thread.into(),
            operation: operation.into(),
            lock: lock.into(),
            is_lock: true,
            progress: Progress::Waits,
            at: "src/lib.rs:1".into(),
            waits_for: waits_for.iter().map(ToString::to_string).collect(),
            step: 1,
            stack: frames.iter().map(frame).collect(),
        }
    }

    fn trace(waits: Vec<Waits>, cycle: &[&str]) -> Counterexample {
        Counterexample {
            threads: Vec::new(),
            steps: Vec::new(),
            holds: Vec::new(),
            waits,
            cycle: cycle.iter().map(ToString::to_string).collect(),
            replay: String::new(),
        }
    }

    const TWO: Signature = Signature(
        const {
            &[
                WaitsFor { thread: "main", operation: "lock", lock: "A", held_by: &["worker"], frames: &["b", "c"] },
                WaitsFor { thread: "worker", operation: "write", lock: "B", held_by: &["main"], frames: &[] },
            ]
        },
    );

    fn two() -> Vec<Waits> {
        vec![
            wait("main", "lock", "A", &["worker"], &["x::a", "x::b", "x::c"]),
            wait("worker", "write", "B", &["main"], &[]),
        ]
    }

    fn wrong(change: impl FnOnce(&mut Vec<Waits>)) -> String {
        let mut waits = two();
        change(&mut waits);
        TWO.check(&trace(waits, &["main", "worker"])).expect_err("it differs")
    }

    #[test]
    fn the_expected_deadlock_passes_with_a_bystander_outside_of_the_circle() {
        let mut waits = two();
        waits.push(wait("bystander", "read", "B", &["worker"], &[]));
        assert_eq!(TWO.check(&trace(waits, &["main", "worker"])), Ok(()));
    }

    #[test]
    fn every_difference_is_told() {
        assert_eq!(wrong(|waits| waits[0].lock = "C".into()), "main waits to lock C, expected to lock A");
        assert_eq!(wrong(|waits| waits[1].operation = "read".into()), "worker waits to read B, expected to write B");
        assert_eq!(wrong(|waits| drop(waits.pop())), "worker does not wait");
        assert_eq!(wrong(|waits| waits[1].waits_for.clear()), "worker waits for [], expected [\"main\"]");
        let both = wrong(|waits| waits[1].waits_for.push("third".into()));
        assert_eq!(both, "worker waits for [\"main\", \"third\"], expected [\"main\"]");
        let order = wrong(|waits| waits[0].stack.reverse());
        assert!(order.starts_with("main is not in c, or not in this order"), "{order}");
        let stack = wrong(|waits| waits[0].stack.truncate(1));
        assert!(stack.starts_with("main is not in b"), "{stack}");
    }

    #[test]
    fn another_circle_is_another_deadlock() {
        let mut waits = two();
        waits.push(wait("third", "read", "B", &["worker"], &[]));
        let wider = TWO.check(&trace(waits, &["main", "worker", "third"])).expect_err("a third thread is in it");
        assert_eq!(wider, "unexpected: third waits to read B");
        let other = TWO.check(&trace(two(), &["worker"])).expect_err("main is not in it");
        assert_eq!(other, "main waits, but is no part of the circle");
    }

    /// Of a hang without a circle every wait counts but those for a thread's end.
    #[test]
    fn without_a_circle_every_wait_counts() {
        let mut waits = two();
        waits.push(wait("joiner", "join", "thread", &["worker"], &[]));
        assert_eq!(TWO.check(&trace(waits.clone(), &[])), Ok(()));
        waits.push(wait("third", "recv", "channel", &[], &[]));
        let more = TWO.check(&trace(waits, &[])).expect_err("one wait more");
        assert_eq!(more, "unexpected: third waits to recv channel");
    }
}
