//! What happens in a run, for whoever shows progress; an observer decides nothing.

use crate::model::{CaseId, ModelReport, TrialReport, Verdict};

/// Something that happened in a run.
#[derive(Debug)]
pub enum RunEvent<'a> {
    /// The plan stands.
    Planned {
        /// Cases that will run.
        cases: usize,
        /// Trials that will run.
        trials: usize,
        /// Cases that are skipped, with a reason.
        skipped: usize,
        /// Trials side by side.
        jobs: usize,
    },
    /// A trial begins.
    Started {
        /// Its case.
        case: &'a CaseId,
    },
    /// A trial ended.
    Ended {
        /// Its case.
        case: &'a CaseId,
        /// What it showed.
        trial: &'a TrialReport,
        /// How it was graded by itself.
        verdict: Verdict,
    },
    /// A trial was void because the machine was busy; it will be run again, alone.
    SetAside {
        /// Its case.
        case: &'a CaseId,
        /// Why it was void.
        reason: &'a str,
    },
    /// The trials have ended, and the models are checked.
    Checking {
        /// How many checks there will be.
        checks: u64,
    },
    /// A model was checked.
    Checked {
        /// What was found.
        report: &'a ModelReport,
    },
    /// Something went wrong around the trials; the run goes on.
    Problem {
        /// In words that help.
        what: &'a str,
    },
}

/// Told of every event, from the threads that run the trials.
pub trait Observer: Send + Sync {
    /// Called for each event, in the order in which they happen on one thread.
    fn event(&self, event: &RunEvent<'_>);
}
