//! Recognises tokio's threads: workers, those that are stuck, and the one that polls for I/O.

use super::memory::Memory;
use super::pool;
use super::rules::Pattern;
use super::stacks::Stack;
use super::syscalls;
use super::tokio::{hints, is_parked, is_pool_code, shows};
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
/// What a worker contains, where names are missing; its thread was started by the blocking pool.
const WORKER_FILES: [&str; 2] =
    ["/src/runtime/scheduler/multi_thread/worker.rs", "/src/runtime/scheduler/current_thread/mod.rs"];
/// Servers: what runs a request in an executable without names contains code of one of them.
const SERVERS: [&str; 10] =
    ["hyper-", "axum-", "actix-http-", "actix-web-", "warp-", "h2-", "tonic-", "rocket-", "poem-", "salvo_core-"];
const DRIVER: &[Pattern] = &[
    Pattern { path: "tokio::runtime::io::driver::Driver::turn", file: "src/runtime/io/driver.rs", name: "turn" },
    Pattern { path: "tokio::runtime::driver::", file: "src/runtime/driver.rs", name: "" },
];

/// In an executable without names: whether a thread of the runtime is at work on what may be a request. A worker polls a
/// request inside a connection, so that code of a server stands around it, if the executable has a server that is known;
/// of jobs on the blocking pool, and without such a server, it cannot be told, and a request is the first guess.
pub(super) fn may_serve(stack: &Stack<'_>, has_server: bool) -> bool {
    if !stack.is_nameless() || is_parked(stack) {
        return false;
    }
    let polls = stack.raw.syscall.is_some_and(|(number, _)| syscalls::is_epoll(number));
    let shows = |what: &dyn Fn(&super::stacks::Named) -> bool| stack.frames.iter().any(what);
    let is_worker = shows(&|frame| hints(frame, &WORKER_FILES));
    let serves = shows(&|frame| frame.hinted().any(is_server));
    let at_work = is_worker || shows(&is_pool_code) || stack.raw.name.starts_with("tokio-r");
    !polls && at_work && (serves || !is_worker || !has_server)
}

fn is_server(file: &str) -> bool {
    SERVERS.iter().any(|server| file.starts_with(server))
}

/// Whether the executable contains a server that is known here.
pub(super) fn has_server(layout: &super::layout::Layout) -> bool {
    let exe = layout.modules().iter().find(|module| module.exe);
    exe.is_some_and(|exe| SERVERS.iter().any(|server| !exe.image.versions(server.trim_end_matches('-')).is_empty()))
}

/// The state of the runtime, if there is one. `stuck` tells of a thread whether it has not moved between the samples.
pub(super) fn state(
    stacks: &[Stack<'_>],
    waits: &[Wait],
    memory: &Memory<'_>,
    stuck: impl Fn(usize) -> bool,
) -> Option<RuntimeState> {
    let workers: Vec<usize> = (0..stacks.len()).filter(|n| is_worker(&stacks[*n])).collect();
    if workers.is_empty() {
        return None;
    }
    let polling = |stack: &Stack<'_>| stack.raw.syscall.is_some_and(|(number, _)| syscalls::is_epoll(number));
    let blocked = workers.iter().copied().filter(|worker| {
        let stack = &stacks[*worker];
        let waiting = waits.iter().any(|wait| wait.thread == *worker);
        let idle = is_parked(stack) || (stack.is_nameless() && polling(stack));
        !idle && stuck(*worker) && (waiting || stack.raw.syscall.is_none())
    });
    let blocked: Vec<i32> = blocked.map(|worker| stacks[worker].raw.tid).collect();
    let polls = |stack: &&Stack<'_>| polling(stack) && is_tokio(stack);
    let driver = stacks.iter().find(polls).or_else(|| stacks.iter().find(|stack| shows(stack, DRIVER)));
    Some(RuntimeState {
        workers: u32::try_from(workers.len()).unwrap_or(u32::MAX),
        blocked: u32::try_from(blocked.len()).unwrap_or(u32::MAX),
        driver: driver.map(|stack| stack.raw.tid),
        stuck: blocked,
        pool: pool::state(stacks, &workers, memory, stuck),
    })
}

/// Without line tables, the loop of a runtime on one thread is inlined into `Runtime::block_on`: it is known by the task that
/// it polls in there, or in the `LocalSet` that is driven there.
fn polls_task(stack: &Stack<'_>) -> bool {
    let shows = |path: &str| stack.logical().any(|frame| frame.function.contains(path));
    shows("tokio::runtime::task::raw::poll") && stack.logical().any(|frame| drives_tasks(&frame.function))
}

fn drives_tasks(function: &str) -> bool {
    // As the older mangling tells it, and as v0 does.
    const DRIVES: [&str; 4] = [
        "tokio::runtime::runtime::Runtime::block_on",
        "<tokio::runtime::runtime::Runtime>::block_on",
        "tokio::task::local::LocalSet::run_until",
        "<tokio::task::local::LocalSet>::run_until",
    ];
    DRIVES.iter().any(|path| function.contains(path))
}

/// By its frames; where names are missing, by what its functions contain, or else by the name that tokio gives its threads.
fn is_worker(stack: &Stack<'_>) -> bool {
    if shows(stack, WORKER) || polls_task(stack) {
        return true;
    }
    let known = stack.frames.iter().any(|frame| frame.hinted().any(|hint| hint.starts_with("tokio-")));
    stack.is_nameless()
        && if known {
            stack.frames.iter().any(|frame| hints(frame, &WORKER_FILES))
        } else {
            stack.raw.name.starts_with("tokio-r")
        }
}

fn is_tokio(stack: &Stack<'_>) -> bool {
    is_worker(stack) || shows(stack, DRIVER)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_runtime_on_one_thread_in_both_manglings() {
        for (function, drives) in [
            ("tokio::runtime::runtime::Runtime::block_on", true),
            ("<tokio::runtime::runtime::Runtime>::block_on::<app::serve::{closure#0}>", true),
            ("<tokio::task::local::LocalSet>::run_until::<app::serve>::{closure#0}", true),
            ("<tokio::runtime::runtime::Runtime>::spawn::<app::serve>", false),
            ("app::Runtime::block_on", false),
        ] {
            assert_eq!(drives_tasks(function), drives, "{function}");
        }
    }
}
