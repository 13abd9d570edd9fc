//! How a trial ends before its end.

/// Why a trial stopped before its end.
#[derive(Debug)]
pub(crate) enum Halt {
    /// It says nothing, for this reason.
    Void(String),
    /// The child said that it failed, or ended: the observations tell.
    Told,
}
