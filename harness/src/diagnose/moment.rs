//! Which sample is taken, and when.

use std::time::Instant;

/// See the module's documentation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Moment {
    /// The first of two, now.
    First,
    /// One now.
    Now,
    /// One whose threads are stopped at this moment.
    At(Instant),
}
