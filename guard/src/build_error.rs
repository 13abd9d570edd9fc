//! Why there is no endpoint.

use std::io;

/// Why an endpoint cannot be built.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// There is nothing to serve.
    #[error("the endpoint has no group: add one with `group(name, source)`")]
    NoGroup,
    /// Group names stand in headers, labels and thread names.
    #[error("group name {0:?} is not made of 1 to 64 letters, digits, `_` and `-`")]
    Name(String),
    /// Two groups have this name.
    #[error("two groups are named {0:?}")]
    Twice(String),
    /// The bound is zero.
    #[error("the bound is zero: give the time within which the scraper wants its answer")]
    Bound,
    /// A thread cannot be started.
    #[error("cannot start thread {name:?}: {error}")]
    Thread {
        /// What the thread would have been called.
        name: String,
        /// What the system said.
        error: io::Error,
    },
}
