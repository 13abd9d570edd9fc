//! From what catalogues offer and what was asked for to an ordered list of trials; the same input gives the same list.
//!
//! **Seeds.** See [`trial_seed`].
//!
//! **Shards.** The selected cases are dealt out in turn, those that run alone, those that run side by side and those
//! that are skipped each for themselves. All trials of a case are in one shard, so each shard grades whole cases.
//!
//! **Order.** Trials that run side by side first, then those that run alone; within each, the first trial of every case
//! comes before the second of any, and cases that are expected to take long before others; else they stand as in their
//! catalogue.

use super::catalogue::{CatalogueProblem, check};
use super::seed::trial_seed;
use super::select::{SelectError, Selector};
use super::shard::Shard;
use crate::model::{Case, CaseId, Catalogue, Company, Expected, Release, Scenario};
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// The bound where neither the user nor the scenario gives one.
pub const DEFAULT_BOUND: Duration = Duration::from_secs(1);
/// The hang limit is this many bounds where the user gives none.
pub const HANG_LIMIT_BOUNDS: u64 = 3;

/// What was asked for.
#[derive(Clone, Debug, PartialEq)]
pub struct PlanOptions {
    /// Names and patterns of cases, see [`plan`]; empty: all.
    pub globs: Vec<String>,
    /// Trials of each case; at least 1.
    pub trials: u32,
    /// Only the trial with this index, to replay it.
    pub only_trial: Option<u32>,
    /// The run's seed.
    pub seed: u64,
    /// Which part of the run this is; `None`: all of it.
    pub shard: Option<Shard>,
    /// Overrides every case's bound.
    pub bound: Option<Duration>,
    /// Overrides every case's hang limit.
    pub hang_limit: Option<Duration>,
}

impl PlanOptions {
    /// One trial of every case, with the run's seed.
    pub fn new(seed: u64) -> PlanOptions {
        PlanOptions { globs: Vec::new(), trials: 1, only_trial: None, seed, shard: None, bound: None, hang_limit: None }
    }
}

/// The trials of a run, in the order in which to start them.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// Side by side first, then alone.
    pub trials: Vec<PlannedTrial>,
    /// Selected cases that are not run, with the reason in `skip`, in catalogue order.
    pub skipped: Vec<Case>,
}

/// One trial to run.
#[derive(Clone, Debug, PartialEq)]
pub struct PlannedTrial {
    /// Which of the catalogues offers the case, by its position.
    pub catalogue: usize,
    /// The case.
    pub case: Arc<Case>,
    /// Its scenario.
    pub scenario: Arc<Scenario>,
    /// Which trial of the case, from 0.
    pub index: u32,
    /// Its seed.
    pub seed: u64,
    /// Its bound, in milliseconds.
    pub bound_ms: u64,
    /// Its hang limit, in milliseconds; not less than the bound.
    pub hang_limit_ms: u64,
}

impl PlannedTrial {
    /// Whether it runs while no other does.
    pub fn runs_alone(&self) -> bool {
        self.scenario.company == Company::Alone
    }

    /// About how long it takes if it shows what is expected, in milliseconds: what hangs takes until the hang limit, and
    /// what then does not recover takes as long again.
    fn expected_ms(&self) -> u64 {
        let Some(expectation) = &self.case.expectation else { return 0 };
        let hangs = match &expectation.outcome {
            Expected::Must(outcome) => outcome.is_hang(),
            Expected::May(outcomes) => outcomes.iter().any(|outcome| outcome.is_hang()),
        };
        let asked_again = self.scenario.release != Release::Never;
        let recovers = expectation.limits.recovers != Some(false);
        match (hangs, asked_again) {
            (false, false) => 0,
            (false, true) if recovers => self.bound_ms,
            (false, true) => self.bound_ms.saturating_add(self.hang_limit_ms),
            (true, true) if !recovers => self.hang_limit_ms.saturating_mul(2),
            (true, _) => self.hang_limit_ms,
        }
    }
}

/// Why there is no plan.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// A catalogue that speaks another protocol or contradicts itself.
    #[error("the catalogue `{name}` cannot be used: {problem}")]
    Catalogue {
        /// Its name.
        name: String,
        /// What is wrong.
        problem: CatalogueProblem,
    },
    /// Two catalogues offer a case of the same name.
    #[error("the catalogues `{first}` and `{second}` both offer `{case}`; leave one of them out")]
    Ambiguous {
        /// The case.
        case: CaseId,
        /// Who offers it.
        first: String,
        /// Who else does.
        second: String,
    },
    /// A word that selects nothing.
    #[error(transparent)]
    Select(#[from] SelectError),
    /// Nothing to run.
    #[error("no case is selected: {why}")]
    Nothing {
        /// Why that is so.
        why: String,
    },
    /// Figures that contradict each other.
    #[error("{0}")]
    Figures(String),
}

/// Makes the plan.
///
/// A word of [`PlanOptions::globs`] with a `/` selects by whole case id, one without by scenario or row; `*` and `?`
/// are the only special characters. Every word must select something, or the plan is refused: a slip must not turn a
/// run green.
///
/// # Errors
/// See [`PlanError`].
pub fn plan(catalogues: &[Catalogue], options: &PlanOptions) -> Result<Plan, PlanError> {
    check_all(catalogues)?;
    if options.trials == 0 {
        return Err(PlanError::Figures("0 trials would prove nothing; ask for 1 or more".into()));
    }
    let selected = select(catalogues, &options.globs)?;
    let picked = selected.len();
    let selected = deal(selected, options.shard);
    let (skipped, run): (Vec<_>, Vec<_>) = selected.into_iter().partition(|chosen| chosen.case.skip.is_some());
    if run.is_empty() {
        return Err(PlanError::Nothing { why: why_nothing(picked, &skipped, options.shard) });
    }
    let mut trials = Vec::new();
    let indices = match options.only_trial {
        Some(index) => index..index.saturating_add(1),
        None => 0..options.trials,
    };
    for index in indices {
        for chosen in &run {
            trials.push(chosen.trial(index, options)?);
        }
    }
    // Those that take long begin first, so that the end of the run does not wait for them. Stable: else the order stays.
    trials.sort_by_key(|trial| (trial.runs_alone(), trial.index, Reverse(trial.expected_ms())));
    Ok(Plan { trials, skipped: skipped.into_iter().map(|chosen| Case::clone(&chosen.case)).collect() })
}

/// A selected case with its scenario.
struct Chosen {
    catalogue: usize,
    case: Arc<Case>,
    scenario: Arc<Scenario>,
}

impl Chosen {
    fn trial(&self, index: u32, options: &PlanOptions) -> Result<PlannedTrial, PlanError> {
        let own = self.scenario.bound_ms.unwrap_or(DEFAULT_BOUND.as_millis() as u64);
        let bound_ms = options.bound.map_or(own, |bound| bound.as_millis() as u64);
        if bound_ms == 0 {
            return Err(PlanError::Figures(format!("the bound of `{}` is 0 ms; the least is 1 ms", self.case.id)));
        }
        let limit = bound_ms.saturating_mul(HANG_LIMIT_BOUNDS);
        let hang_limit_ms = options.hang_limit.map_or(limit, |limit| limit.as_millis() as u64);
        if hang_limit_ms < bound_ms {
            let id = &self.case.id;
            return Err(PlanError::Figures(format!(
                "the hang limit ({hang_limit_ms} ms) is below the bound of `{id}` ({bound_ms} ms): nothing could be late"
            )));
        }
        Ok(PlannedTrial {
            catalogue: self.catalogue,
            case: Arc::clone(&self.case),
            scenario: Arc::clone(&self.scenario),
            index,
            seed: trial_seed(options.seed, &self.case.id, index),
            bound_ms,
            hang_limit_ms,
        })
    }
}

fn check_all(catalogues: &[Catalogue]) -> Result<(), PlanError> {
    let mut owners: BTreeMap<&CaseId, &str> = BTreeMap::new();
    for catalogue in catalogues {
        let name = &catalogue.name;
        check(catalogue).map_err(|problem| PlanError::Catalogue { name: name.clone(), problem })?;
        for case in &catalogue.cases {
            if let Some(first) = owners.insert(&case.id, name) {
                let (first, second) = (first.to_string(), name.clone());
                return Err(PlanError::Ambiguous { case: case.id.clone(), first, second });
            }
        }
    }
    Ok(())
}

fn select(catalogues: &[Catalogue], words: &[String]) -> Result<Vec<Chosen>, PlanError> {
    let selectors = words.iter().map(|word| Selector::new(word)).collect::<Result<Vec<Selector>, SelectError>>()?;
    let mut hit = vec![false; selectors.len()];
    let mut selected = Vec::new();
    for (position, catalogue) in catalogues.iter().enumerate() {
        let scenarios: BTreeMap<&str, Arc<Scenario>> =
            catalogue.scenarios.iter().map(|scenario| (scenario.id.as_str(), Arc::new(scenario.clone()))).collect();
        for case in &catalogue.cases {
            let mut wanted = selectors.is_empty();
            for (selector, hit) in selectors.iter().zip(&mut hit) {
                let matches = selector.matches(&case.id);
                *hit |= matches;
                wanted |= matches;
            }
            if wanted && let Some(scenario) = scenarios.get(case.id.scenario.as_str()) {
                let (case, scenario) = (Arc::new(case.clone()), Arc::clone(scenario));
                selected.push(Chosen { catalogue: position, case, scenario });
            }
        }
    }
    match selectors.iter().zip(hit).find(|(_, hit)| !hit) {
        Some((selector, _)) => Err(selector.unmatched(catalogues).into()),
        None => Ok(selected),
    }
}

/// The part of the cases that falls to a shard.
fn deal(mut selected: Vec<Chosen>, shard: Option<Shard>) -> Vec<Chosen> {
    let Some(shard) = shard else { return selected };
    let mut dealt = [0; 3];
    selected.retain(|chosen| {
        let pile = match (&chosen.case.skip, chosen.scenario.company == Company::Alone) {
            (Some(_), _) => 0,
            (None, false) => 1,
            (None, true) => 2,
        };
        dealt[pile] += 1;
        shard.takes(dealt[pile] - 1)
    });
    selected
}

fn why_nothing(picked: usize, skipped: &[Chosen], shard: Option<Shard>) -> String {
    match (shard, skipped) {
        (None, []) => "the catalogue offers none".into(),
        (None, [first, rest @ ..]) => {
            let reason = first.case.skip.as_deref().unwrap_or_default();
            let more = if rest.is_empty() { String::new() } else { format!(" (and {} more)", rest.len()) };
            format!("all that match are skipped: `{}`: {reason}{more}", first.case.id)
        }
        (Some(shard), _) => {
            format!("nothing of the {picked} cases that match falls to shard {shard}; use fewer shards")
        }
    }
}

#[cfg(test)]
mod tests;
