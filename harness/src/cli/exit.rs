//! What the tool's exit codes mean, beside those of a verdict.

/// Exit code for "could not judge": usage, environment, invalid trials, no case selected.
pub(super) const COULD_NOT_JUDGE: u8 = 2;
