//! Threads of a model.

use crate::context;
use crate::engine::{self, Engine};
use crate::event::{Action, Mode};
use std::any::Any;
use std::panic::{AssertUnwindSafe, Location, catch_unwind, resume_unwind};
pub use std::thread::LocalKey;
use std::time::Duration;

/// The result of a thread: an error holds what it panicked with.
pub type Result<T> = std::result::Result<T, Box<dyn Any + Send>>;

enum Handle<T> {
    Loom(loom::thread::JoinHandle<Result<T>>),
    Shuttle(shuttle::thread::JoinHandle<Result<T>>),
}

/// A thread to wait for.
pub struct JoinHandle<T> {
    thread: usize,
    end: usize,
    handle: Handle<T>,
}

/// Starts a thread of the model. The name is how traces and signatures call it; a second thread of that name gets a number.
///
/// # Panics
/// Outside a model, and under loom if more than four threads are started.
pub fn spawn<T: Send + 'static>(name: &str, body: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
    let (thread, end) = context::new_thread(name);
    let body = move || {
        context::begin_thread(thread);
        let result = catch_unwind(AssertUnwindSafe(body));
        match result {
            // The engine unwinds this thread because the execution has failed: that is not the thread's own panic.
            Err(panic) if context::is_torn_down() => resume_unwind(panic),
            Err(_) => context::end_unwinding(),
            Ok(_) => {}
        }
        context::finish(thread);
        result
    };
    let handle = context::switching(|| match engine::current() {
        Engine::Loom => Handle::Loom(loom::thread::spawn(body)),
        Engine::Shuttle => Handle::Shuttle(shuttle::thread::spawn(body)),
    });
    JoinHandle { thread, end, handle }
}

impl<T> JoinHandle<T> {
    /// Waits for the thread to end.
    ///
    /// # Errors
    /// What it panicked with.
    #[track_caller]
    pub fn join(self) -> Result<T> {
        let at = Location::caller();
        context::record(Action::Requested, Mode::Join, self.end, at);
        if !context::is_finished(self.thread) {
            context::record(Action::Blocked, Mode::Join, self.end, at);
            context::block(self.end, Mode::Join, at);
        }
        let joined = context::switching(|| match self.handle {
            Handle::Loom(handle) => handle.join(),
            Handle::Shuttle(handle) => handle.join(),
        });
        context::record(Action::Done, Mode::Join, self.end, at);
        joined.and_then(|result| result)
    }
}

impl<T> std::fmt::Debug for JoinHandle<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("JoinHandle { .. }")
    }
}

/// Lets another thread run.
pub fn yield_now() {
    context::yield_now();
}

/// `std::thread::sleep`, which no model has.
///
/// # Panics
/// Always: time is outside the model.
pub fn sleep(_: Duration) {
    panic!("time is outside the model: a thread sleeps");
}

/// `std::thread::Builder`, for the one background thread of `prometheus` (its coarse clock), which no model has.
#[derive(Debug, Default)]
pub struct Builder(());

impl Builder {
    /// A builder.
    pub fn new() -> Self {
        Builder(())
    }

    /// Ignores the name.
    pub fn name(self, _: String) -> Self {
        self
    }

    /// Never returns.
    ///
    /// # Errors
    /// None: it panics.
    ///
    /// # Panics
    /// Always: the thread is a clock, and time is outside the model.
    pub fn spawn<T>(self, _: impl FnOnce() -> T) -> std::io::Result<std::thread::JoinHandle<T>> {
        panic!("time is outside the model: a clock thread is started");
    }
}
