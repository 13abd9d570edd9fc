//! The samples of a process that one look takes, and what they show together.

use crate::diagnose::{Engine, Process, SampleError, lives};
use crate::model::{Explained, Gap, OtherProcess, Snapshot};
use std::time::Instant;

/// The samples of a process, and why there are not more.
pub(super) struct Samples<'a> {
    pub(super) engine: &'a Engine,
    pub(super) process: Option<Process>,
    pub(super) taken: Vec<Snapshot>,
    /// The last one, when it has been explained, as it was before.
    pub(super) explained: Option<Snapshot>,
    /// What was taken and explained in one go, behind those `taken`.
    pub(super) again: Option<(Snapshot, Explained)>,
    pub(super) gaps: Vec<Gap>,
    /// The process behind the URL, where it is not the one that was named.
    pub(super) other: Option<OtherProcess>,
    pub(super) error: Option<SampleError>,
}

impl Samples<'_> {
    /// Takes the first of two samples; when the process ran again.
    pub(super) fn first(&mut self) -> Instant {
        let sample = match &self.process {
            Some(process) if self.error.is_none() => self.engine.sample_first(process.pid),
            _ => return Instant::now(),
        };
        match sample {
            Ok((snapshot, ran)) => {
                self.taken.push(snapshot);
                ran
            }
            Err(error) => {
                self.error = Some(error);
                Instant::now()
            }
        }
    }

    /// Takes the second sample, whose stop comes at a given moment, and explains both.
    pub(super) fn again(&mut self, at: Instant) {
        let Some(first) = self.taken.first().filter(|_| self.error.is_none()) else { return };
        match self.engine.explained_at(first, at) {
            Ok(again) => self.again = Some(again),
            Err(error) => self.error = Some(error),
        }
    }

    /// Takes a sample.
    pub(super) fn sample(&mut self) {
        let Some(process) = &self.process else { return };
        if self.error.is_some() {
            return;
        }
        match self.engine.sample(process.pid) {
            Ok(snapshot) => self.taken.push(snapshot),
            Err(error) => self.error = Some(error),
        }
    }

    /// Reads meanwhile what the explanation will need.
    pub(super) fn prepare(&self) {
        if let Some(last) = self.taken.last() {
            self.engine.prepare(last);
        }
    }

    /// Leaves the process alone if another one serves the URL: what it shows is not the endpoint's.
    pub(super) fn is_not(&mut self, other: Option<OtherProcess>) {
        if other.is_some() {
            (self.process, self.other) = (None, other);
        }
    }

    /// Whether the process was there and is no more.
    pub(super) fn ended(&self) -> bool {
        self.process.as_ref().is_some_and(|process| !lives(process.pid))
    }

    /// The first and the last sample, explained; `None` without a sample. What is missing goes to the gaps.
    pub(super) fn explained(&mut self) -> Option<Explained> {
        let explained = match self.again.take() {
            Some((last, explained)) => {
                self.explained = Some(last);
                Some(explained)
            }
            None => self.taken.pop().map(|mut last| {
                let words = last.words.clone();
                let explained = self.engine.explain(self.taken.first(), &mut last, true);
                self.explained = Some(Snapshot { words, ..last });
                explained
            }),
        };
        if let Some(error) = self.error.take() {
            let what = "a sample of the process".to_string();
            self.gaps.push(Gap { what, why: error.to_string(), uncovers: true });
        }
        if let Some(process) = &self.process {
            if process.rust == Some(false) {
                self.gaps.push(Gap {
                    what: "the locks of the program".to_string(),
                    why: format!(
                        "`{}` shows no trace of Rust's standard library: futexes, system calls and stacks are seen, but \
                         no lock is recognised",
                        process.exe.as_deref().unwrap_or("the executable")
                    ),
                    uncovers: true,
                });
            }
            if process.deleted {
                self.gaps.push(Gap {
                    what: "debug information in files of its own".to_string(),
                    why: "the executable was deleted or replaced since the process started; what is mapped is read"
                        .to_string(),
                    uncovers: false,
                });
            }
        }
        explained
    }
}
