//! What threads of tokio stand in: by the names of functions, and, where names are missing, by the files whose code they hold.

use super::rules::{self, Pattern};
use super::stacks::{Named, Stack};

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
/// What a thread that waits for work stands in, where names are missing.
const IDLE_FILES: [&str; 7] = [
    "/src/runtime/scheduler/multi_thread/park.rs",
    "/src/runtime/scheduler/multi_thread/worker.rs",
    "/src/runtime/scheduler/current_thread/mod.rs",
    "/src/runtime/blocking/pool.rs",
    "/src/runtime/park.rs",
    "/src/runtime/driver.rs",
    "/src/runtime/io/driver.rs",
];
const POOL_FILE: &str = "/src/runtime/blocking/pool.rs";

/// Whether a frame of the stack is code of tokio that a pattern describes.
pub(super) fn shows(stack: &Stack<'_>, patterns: &[Pattern]) -> bool {
    stack.logical().any(|frame| {
        (rules::crate_of(frame) == "tokio" || frame.function.contains("tokio::")) && rules::any(patterns, frame)
    })
}

/// Whether a function without a name contains code of one of these files of tokio.
pub(super) fn hints(frame: &Named, files: &[&str]) -> bool {
    frame.hinted().any(|hint| hint.starts_with("tokio-") && files.iter().any(|file| hint.ends_with(file)))
}

/// Whether a function without a name contains code of the blocking pool.
pub(super) fn is_pool_code(frame: &Named) -> bool {
    hints(frame, &[POOL_FILE])
}

/// Whether the thread waits for work: by its frames, or, without names, because the innermost function of which anything is
/// known is the runtime's own loop.
pub(super) fn is_parked(stack: &Stack<'_>) -> bool {
    shows(stack, PARKED)
        || (stack.raw.syscall.is_some()
            && stack.innermost_hint().is_some_and(|frame| hints(frame, &IDLE_FILES) || is_mio(frame)))
}

fn is_mio(frame: &Named) -> bool {
    frame.hinted().any(|hint| hint.starts_with("mio-"))
}
