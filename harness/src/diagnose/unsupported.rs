//! The engine where it cannot look into processes: it says so.

use super::SampleError;
use super::moment::Moment;
use crate::model::{Explained, Gap, Snapshot};
use std::time::Instant;

/// See [`super::Engine`].
#[derive(Default)]
pub(super) struct Live;

impl Live {
    pub(super) fn sample(&self, _pid: i32, _moment: Moment) -> Result<(Snapshot, Instant), SampleError> {
        Err(SampleError::Unsupported { os: std::env::consts::OS, arch: std::env::consts::ARCH })
    }

    pub(super) fn explained_at(&self, first: &Snapshot, at: Instant) -> Result<(Snapshot, Explained), SampleError> {
        self.sample(first.pid, Moment::At(at)).map(|(snapshot, _)| (snapshot, Explained::default()))
    }

    pub(super) fn prepare(&self, _first: &Snapshot) {}

    pub(super) fn explain(
        &self,
        _first: Option<&Snapshot>,
        second: &mut Snapshot,
        _live: bool,
        _judged: &[i32],
        _apart: &[i32],
    ) -> Explained {
        let why = format!("this build is for {} on {}", std::env::consts::OS, std::env::consts::ARCH);
        let mut gaps = second.gaps.clone();
        gaps.push(Gap { what: "stacks, waits and holders of locks".into(), why, uncovers: true });
        Explained { samples: 1, gaps, ..Explained::default() }
    }
}
