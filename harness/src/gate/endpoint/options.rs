//! What `gate` is asked to do.

use super::targets::Target;
use crate::gate::live::LookOptions;
use std::time::Duration;

/// What `gate` is asked to do.
#[derive(Clone, Debug)]
pub struct GateOptions {
    /// The endpoints; at least one.
    pub targets: Vec<Target>,
    /// How each is asked; its `url` is not looked at.
    pub look: LookOptions,
    /// Rounds for each endpoint, unless `duration` is given.
    pub rounds: u32,
    /// How long each endpoint is scraped, instead of a number of rounds.
    pub duration: Option<Duration>,
    /// Scrapes side by side in a round.
    pub scrapers: u32,
    /// Whether an honest refusal in time, or a body marked stale, holds as well.
    pub allow_contained: bool,
    /// The command line, for the report.
    pub command: Vec<String>,
}

/// Whole milliseconds.
pub(super) fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
