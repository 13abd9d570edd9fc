//! The engine on Linux x86_64: what is shared between samples, and the thread that stops a target.

mod bytes;
mod cfi;
mod dwarf;
mod elf;
mod entries;
mod explain;
mod files;
#[cfg(test)]
pub(crate) mod fuzzed;
mod holders;
#[cfg(test)]
mod hostile;
mod image;
mod images;
#[cfg(test)]
mod killed;
mod layout;
mod lines;
mod locations;
mod machine;
#[cfg(test)]
mod made;
mod memory;
mod name;
mod objects;
mod ops;
mod parking;
mod path;
mod pool;
mod proc;
mod remote;
mod rules;
mod runtime;
mod sample;
mod serving;
mod share;
mod spin;
mod stacks;
mod stop;
mod suspects;
mod symbolize;
mod syscalls;
mod tasks;
mod tokio;
mod tracer;
mod unwind;
mod versions;
mod waits;
mod walk;
#[cfg(test)]
mod walked;
mod window;

use crate::diagnose::SampleError;
use crate::diagnose::moment::Moment;
use crate::model::{Explained, Snapshot};
use explain::Explanation;
use images::Images;
use sample::History;
use stacks::Known;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

/// See [`super::Engine`].
#[derive(Default)]
pub(super) struct Live {
    images: Images,
    history: History,
    /// The stacks of the sample that was prepared last, until they have served.
    known: Mutex<Option<Known>>,
}

impl Live {
    /// A sample, and when the process ran again.
    pub(super) fn sample(&self, pid: i32, moment: Moment) -> Result<(Snapshot, Instant), SampleError> {
        tracer::sample(pid, moment, &self.images, &self.history, |_| ()).map(|(snapshot, ran, ())| (snapshot, ran))
    }

    /// The second sample at a moment, and its explanation, which begins while the last threads are let go.
    pub(super) fn explained_at(&self, first: &Snapshot, at: Instant) -> Result<(Snapshot, Explained), SampleError> {
        let explain = |second: &Snapshot| self.explanation(Some(first), second, true, &[], &[]).explained;
        let moment = Moment::At(at);
        let sampled = tracer::sample(first.pid, moment, &self.images, &self.history, explain);
        sampled.map(|(snapshot, _, explained)| (snapshot, explained))
    }

    pub(super) fn prepare(&self, first: &Snapshot) {
        let known = explain::prepare(&self.images, first);
        *self.known.lock().unwrap_or_else(PoisonError::into_inner) = Some(known);
    }

    pub(super) fn explain(
        &self,
        first: Option<&Snapshot>,
        second: &mut Snapshot,
        live: bool,
        judged: &[i32],
        apart: &[i32],
    ) -> Explained {
        let mut explanation = self.explanation(first, second, live, judged, apart);
        second.words.append(&mut explanation.read);
        explanation.explained
    }

    fn explanation(
        &self,
        first: Option<&Snapshot>,
        second: &Snapshot,
        live: bool,
        judged: &[i32],
        apart: &[i32],
    ) -> Explanation {
        let serves = |known: &mut Known| first.is_some_and(|first| known.serves(first, &second.modules));
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner).take_if(serves);
        explain::explain(&self.images, first, known.as_ref(), second, live, judged, apart)
    }
}
