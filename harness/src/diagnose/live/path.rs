//! One path of a walk, and what a walk finds.

use super::machine::Machine;
use crate::model::{Mode, ResourceKind};

/// The lock in question.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lock {
    pub(super) address: u64,
    pub(super) kind: ResourceKind,
}

/// A release of a lock that was held when the walk began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Release {
    pub(super) mode: Mode,
    /// Where.
    pub(super) pc: u64,
}

/// What lies ahead of a frame, as far as one lock is concerned.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Outlook {
    /// Releases of what the frame holds: those of the path with the most.
    pub(super) held: Vec<Release>,
    /// Whether some path releases what is being acquired deeper in the stack.
    pub(super) consumes: bool,
    /// Whether some path takes the lock before anything else.
    pub(super) locks_first: bool,
    /// Of a walk that climbs: how many frames above the first the lock that is being acquired is given back.
    pub(super) released: Option<usize>,
}

/// The last thing a path did to the lock.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Last {
    Nothing,
    /// Where, and how deep in the calls that were followed; whether that function has returned since.
    Locked {
        pc: u64,
        depth: isize,
        left: bool,
    },
    Unlocked,
}

#[derive(Clone)]
pub(super) struct Path {
    pub(super) pc: u64,
    pub(super) machine: Machine,
    /// Where followed calls return to.
    pub(super) returns: Vec<u64>,
    /// The function being walked: a path that falls out of it followed a call that never returns.
    pub(super) bounds: (u64, u64),
    /// Modes acquired and not yet released on this path.
    pub(super) open: Vec<Mode>,
    pub(super) held: Vec<Release>,
    /// How many of `open` were being acquired when the walk began.
    pub(super) pending: usize,
    pub(super) last: Last,
    /// How many frames were climbed.
    pub(super) level: usize,
}

impl Path {
    /// How deep in calls it is: below zero in the callers of the frame in which it began.
    pub(super) fn depth(&self) -> isize {
        self.returns.len() as isize - self.level as isize
    }
}
