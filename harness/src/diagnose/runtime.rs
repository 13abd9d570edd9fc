//! Recognises tokio's threads: workers, those that are stuck, and the one that polls for I/O.

use super::rules::{self, Pattern};
use super::stacks::Stack;
use super::syscalls;
use super::waits::Wait;
use crate::model::RuntimeState;

const WORKER: &[Pattern] = &[
    Pattern {
        path: "tokio::runtime::scheduler::multi_thread::worker::",
        file: "src/runtime/scheduler/multi_thread/worker.rs",
        name: "",
    },
    Pattern {
        path: "tokio::runtime::scheduler::current_thread::",
        file: "src/runtime/scheduler/current_thread/",
        name: "",
    },
];
const PARKED: &[Pattern] = &[
    Pattern {
        path: "tokio::runtime::scheduler::multi_thread::park::",
        file: "src/runtime/scheduler/multi_thread/park.rs",
        name: "",
    },
    Pattern { path: "worker::Context::park", file: "src/runtime/scheduler/multi_thread/worker.rs", name: "park" },
    Pattern {
        path: "current_thread::Context::park",
        file: "src/runtime/scheduler/current_thread/mod.rs",
        name: "park",
    },
    Pattern { path: "tokio::runtime::driver::Driver::park", file: "src/runtime/driver.rs", name: "park" },
];
const DRIVER: &[Pattern] = &[
    Pattern { path: "tokio::runtime::io::driver::Driver::turn", file: "src/runtime/io/driver.rs", name: "turn" },
    Pattern { path: "tokio::runtime::driver::", file: "src/runtime/driver.rs", name: "" },
];

fn shows(stack: &Stack<'_>, patterns: &[Pattern]) -> bool {
    stack.logical().any(|frame| {
        rules::any(patterns, frame) && (frame.function.contains("tokio::") || rules::crate_of(frame) == "tokio")
    })
}

/// The state of the runtime, if there is one. `stuck` tells of a thread whether it has not moved between the samples.
pub(super) fn state(stacks: &[Stack<'_>], waits: &[Wait], stuck: impl Fn(usize) -> bool) -> Option<RuntimeState> {
    let workers: Vec<usize> = (0..stacks.len()).filter(|n| is_worker(&stacks[*n])).collect();
    if workers.is_empty() {
        return None;
    }
    let blocked = workers.iter().filter(|worker| {
        let waiting = waits.iter().any(|wait| wait.thread == **worker);
        !shows(&stacks[**worker], PARKED) && stuck(**worker) && (waiting || stacks[**worker].raw.syscall.is_none())
    });
    let polls =
        |stack: &&Stack<'_>| stack.raw.syscall.is_some_and(|(number, _)| syscalls::is_epoll(number)) && is_tokio(stack);
    let driver = stacks.iter().find(polls).or_else(|| stacks.iter().find(|stack| shows(stack, DRIVER)));
    Some(RuntimeState {
        workers: u32::try_from(workers.len()).unwrap_or(u32::MAX),
        blocked: u32::try_from(blocked.count()).unwrap_or(u32::MAX),
        driver: driver.map(|stack| stack.raw.tid),
    })
}

/// By its frames, or, where names are missing, by the name that tokio gives its threads.
fn is_worker(stack: &Stack<'_>) -> bool {
    let nameless = stack.frames.iter().filter(|f| !f.system).all(|f| f.physical().function.is_empty());
    shows(stack, WORKER) || (nameless && stack.raw.name.starts_with("tokio-r"))
}

fn is_tokio(stack: &Stack<'_>) -> bool {
    is_worker(stack) || shows(stack, DRIVER)
}
