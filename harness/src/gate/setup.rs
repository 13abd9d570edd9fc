//! What a trial is given.

use crate::diagnose::Engine;
use crate::model::CaseId;
use crate::probe::scrape::Scraper;
use crate::runner::plan::PlannedTrial;
use crate::runner::{LagMeter, Registry};
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

/// What a trial needs.
pub(crate) struct TrialSetup<'a> {
    /// The catalogue executable.
    pub(crate) exe: &'a Path,
    /// The case, its scenario, seed, bound and hang limit.
    pub(crate) planned: &'a PlannedTrial,
    /// Where the child's journal goes.
    pub(crate) folder: &'a Path,
    /// The live engine, shared by all trials.
    pub(crate) engine: &'a Engine,
    /// Drives the requests of all trials.
    pub(crate) scraper: &'a Scraper,
    /// Measures how late the parent itself wakes.
    pub(crate) lag: &'a LagMeter,
    /// Asks whether this trial is to ask the child's own detector; see [`Witness`].
    pub(crate) witness: &'a Witness,
    /// All children of the run.
    pub(crate) registry: &'a Registry,
    /// The command line that runs this trial again.
    pub(crate) replay: String,
}

/// Which rows of the matrix have had `parking_lot`'s detector asked. It symbolises the stacks it reports inside the child,
/// which costs more CPU than all the rest of a trial, and says the same of every variant that hangs in the same way.
#[derive(Debug, Default)]
pub(crate) struct Witness {
    asked: Mutex<BTreeSet<String>>,
}

impl Witness {
    /// Whether this is the first trial of its row to ask.
    pub(super) fn is_due(&self, case: &CaseId) -> bool {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).insert(case.row())
    }
}
