//! The thread that stops a process, and what is done beside it.

use super::images::Images;
use super::sample::{self, Copied, History};
use super::share::{WORTH_A_THREAD, step_aside};
use crate::diagnose::SampleError;
use crate::diagnose::moment::Moment;
use crate::model::Snapshot;
use std::panic::resume_unwind;
use std::thread::{Builder, ScopedJoinHandle};
use std::time::Instant;

/// A sample, when the process ran again, and what is made of the sample: behind the first of two when the process runs
/// again, otherwise while its threads are being let go, if they are many.
pub(super) fn sample<V: Send>(
    pid: i32,
    moment: Moment,
    images: &Images,
    history: &History,
    make: impl FnOnce(&Snapshot) -> V + Send,
) -> Result<(Snapshot, Instant, V), SampleError> {
    if i64::from(pid) == i64::from(std::process::id()) {
        return Err(SampleError::OwnProcess { pid });
    }
    if pid <= 0 {
        return Err(SampleError::NoSuchProcess { pid });
    }
    let failed = |reason: &str| SampleError::Io { pid, what: "the threads".into(), reason: reason.into() };
    let complete = |copied: Copied| {
        let snapshot = copied.complete(moment, history);
        let made = make(&snapshot);
        (snapshot, made)
    };
    std::thread::scope(|scope| {
        // A thread of its own: whatever happens in it, its end detaches and resumes the target.
        let tracer = Builder::new().name("gatherlock-stop".into()).spawn_scoped(scope, move || {
            let (stopped, copied) = sample::copy(pid, moment, images, history)?;
            let since = stopped.since;
            let rest = if moment == Moment::First || copied.threads() < WORTH_A_THREAD {
                drop(stopped);
                Rest::Copied(Box::new(copied), complete)
            } else {
                let explainer = Builder::new().name("gatherlock-look".into());
                let beside =
                    explainer.spawn_scoped(scope, move || complete(copied)).map_err(|e| failed(&e.to_string()))?;
                step_aside();
                drop(stopped);
                Rest::Begun(beside)
            };
            Ok((since, Instant::now(), rest))
        });
        let joined = tracer.map_err(|e| failed(&e.to_string()))?.join();
        let (since, ran, rest) =
            joined.unwrap_or_else(|_| Err(failed("the sampling thread panicked; the process runs on")))?;
        let (mut snapshot, made) = match rest {
            Rest::Copied(copied, complete) => complete(*copied),
            Rest::Begun(beside) => beside.join().unwrap_or_else(|panic| resume_unwind(panic)),
        };
        snapshot.stopped_us = u64::try_from((ran - since).as_micros()).unwrap_or(u64::MAX);
        Ok((snapshot, ran, made))
    })
}

/// What is left to do when the process runs again.
enum Rest<'scope, C, T> {
    Copied(Box<Copied>, C),
    /// Another thread does it already.
    Begun(ScopedJoinHandle<'scope, T>),
}
