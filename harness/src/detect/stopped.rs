//! `stalled`, because somebody stopped the process: the kernel says so of every thread, and until it is let go on nothing
//! in it can answer. Whatever else two samples of it show stands still for that reason.

use super::scene::{Ruling, Scene};
use crate::model::{Confidence, Outcome, Thread};

/// The rule. It comes before those that conclude something from what did not change.
pub(super) fn detect<'a>(scene: &Scene<'a>) -> Option<Ruling<'a>> {
    let threads = &scene.explained.threads;
    if threads.is_empty() || !threads.iter().all(is_stopped) {
        return None;
    }
    let says = "every thread of the process is stopped, by SIGSTOP or by job control: nothing in it runs until it is let \
                go on";
    Some(Ruling {
        outcome: Outcome::Stalled,
        detector: "stopped",
        says: says.to_string(),
        because: vec![format!("the kernel says `T`, stopped, of {}", count(threads.len()))],
        confidence: Confidence::Proven,
        covered: true,
        cycle: None,
        named: Vec::new(),
        fix: vec![
            "let it go on: `kill -CONT PID`, or `fg` in the shell that started it".to_string(),
            "if it hangs then, look again: of a process that is stopped nothing else can be told".to_string(),
        ],
    })
}

fn is_stopped(thread: &Thread) -> bool {
    thread.state == "T"
}

fn count(threads: usize) -> String {
    if threads == 1 { "its only thread".to_string() } else { format!("all {threads} threads") }
}
