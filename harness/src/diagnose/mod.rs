//! The live engine: stops a process for a moment, copies what matters, lets it go, and works out who waits for whom.
//!
//! [`Engine::sample`] takes a [`Snapshot`]; two of them, some time apart, go into [`Engine::explain`], whose
//! [`Explained`] holds threads, resources and edges, each edge with how it is known. Nothing is judged here.
//!
//! Four things carry it. parking_lot's global table of parked threads tells who waits on which lock and in which mode.
//! The walk through the machine code ahead of a frame tells who will release a lock, which no `std` or `parking_lot` lock
//! records. The count in the lock word tells whether all holders were found. And a histogram that a collector spins on is
//! recognised in memory. Everything read from a target is untrusted: bounded, checked, and never worth a panic.

mod access;
mod error;
#[cfg(live)]
mod live;
mod moment;
mod shorten;

#[cfg(not(live))]
#[path = "unsupported.rs"]
mod live;

pub use access::{Process, examine, lives};
pub use error::{Refusal, SampleError};
#[cfg(all(test, live))]
pub(crate) use live::fuzzed;
pub use shorten::shorten;

use crate::model::{Explained, Snapshot};
use moment::Moment;
use std::time::Instant;

/// Looks into live processes. Shared freely between threads; parsed executables and symbols are kept, so that the second
/// sample of the same executable costs milliseconds.
#[derive(Default)]
pub struct Engine {
    live: live::Live,
}

impl Engine {
    /// An engine that knows no executable yet.
    pub fn new() -> Engine {
        Engine::default()
    }

    /// Stops every thread of `pid`, copies registers, stacks and lock words, and resumes it, whatever happens.
    ///
    /// The stop takes a fraction of a millisecond for a handful of threads. What could not be read is a gap in the
    /// snapshot, not an error. While this runs, no other thread of the calling process may wait for `pid` itself with
    /// `waitpid`: it could see the stop.
    ///
    /// # Errors
    /// See [`SampleError`]: the process is gone, traced by a debugger, not ours to trace, or not x86_64.
    pub fn sample(&self, pid: i32) -> Result<Snapshot, SampleError> {
        self.live.sample(pid, Moment::Now).map(|(snapshot, _)| snapshot)
    }

    /// The same for the first of two samples, with the moment from which on the process ran again. What no comparison needs
    /// (names of threads, and where the kernel had put them to sleep) is read behind that, in the time between the samples.
    ///
    /// # Errors
    /// As for [`Engine::sample`].
    pub fn sample_first(&self, pid: i32) -> Result<(Snapshot, Instant), SampleError> {
        self.live.sample(pid, Moment::First)
    }

    /// The second sample of the process of the first, and what [`Engine::explain`] says of both: its threads are stopped at
    /// `at`, or as soon as can be if that has passed. What is read about them before that is read in time, and the
    /// explanation begins while they are let go. The words that it reads of the process do not go into the sample.
    ///
    /// # Errors
    /// As for [`Engine::sample`].
    pub fn explained_at(&self, first: &Snapshot, at: Instant) -> Result<(Snapshot, Explained), SampleError> {
        self.live.explained_at(first, at)
    }

    /// Reads what the explanation of a later sample of the same process will need of its files: unwinding tables, symbols
    /// and lines of where its threads stand in this one, and the code ahead of them. It is for the time between two samples, when there is nothing else
    /// to do; without it the explanation takes longer and says the same.
    pub fn prepare(&self, first: &Snapshot) {
        self.live.prepare(first);
    }

    /// Works out who waits for what, and who holds it, in the second of two samples of one process.
    ///
    /// An edge is `stable` if its thread slept in the same call, at the same place, and did not run between the samples;
    /// without a first sample none is. With `live` the process behind the snapshot may be read, and every word read goes
    /// into `second.words`, so that a later explanation of the same snapshot needs no process.
    pub fn explain(&self, first: Option<&Snapshot>, second: &mut Snapshot, live: bool) -> Explained {
        self.explain_for(first, second, live, &[], &[])
    }

    /// The same, for a caller that knows which threads run what is judged: `judged` count as serving the request, whatever
    /// their stacks show, and those `apart` never do.
    pub fn explain_for(
        &self,
        first: Option<&Snapshot>,
        second: &mut Snapshot,
        live: bool,
        judged: &[i32],
        apart: &[i32],
    ) -> Explained {
        self.live.explain(first, second, live, judged, apart)
    }
}
