//! What a report says of a case: its row, its column, its trials.

use super::{
    CanaryMoved, CaseId, Diagnosis, Evidence, Exchange, Expectation, Limits, Outcome, PrometheusView, Purpose, Release,
    Strength, TimelineEntry, Verdict,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A scenario as reports tell it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ScenarioInfo {
    /// Its id.
    pub id: String,
    /// The heading it stands under.
    pub family: String,
    /// One line: the mechanism.
    pub title: String,
    /// The lesson.
    pub story: String,
    /// Where it happened for real.
    pub origin: Vec<String>,
    /// What to change.
    pub advice: Vec<String>,
}

/// A variant as reports tell it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct VariantInfo {
    /// Its id.
    pub id: String,
    /// One line: what it does.
    pub title: String,
    /// The incident's proposed fix that it renders, if any.
    pub fix: Option<String>,
}

/// One case, run or skipped.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct CaseReport {
    /// Its id.
    pub id: CaseId,
    /// The scenario's id.
    pub scenario: String,
    /// The variant's id.
    pub variant: String,
    /// The heading.
    pub family: String,
    /// The scenario's one-line story.
    pub story: String,
    /// Why it was not run.
    pub skip: Option<String>,
    /// Its parameters.
    pub params: BTreeMap<String, String>,
    /// What was expected; `null` for a skipped case.
    pub expectation: Option<Expectation>,
    /// The verdict; `null` for a skipped case.
    pub verdict: Option<Verdict>,
    /// How strong it is.
    pub strength: Option<Strength>,
    /// Its trials.
    pub trials: Vec<TrialReport>,
}

/// One trial. The default is one that says nothing: no outcome, no evidence.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct TrialReport {
    /// Its seed.
    pub seed: u64,
    /// Its bound, in milliseconds.
    pub bound_ms: u64,
    /// Its hang limit, in milliseconds.
    pub hang_limit_ms: u64,
    /// Its outcome; `null` if it is void.
    pub outcome: Option<Outcome>,
    /// From the start of the child to its end, in milliseconds.
    pub duration_ms: u64,
    /// What the probes saw.
    pub probes: TrialProbes,
    /// Why it says nothing.
    pub void: Option<Void>,
    /// Earlier runs of this trial that were void because the machine was too busy, and why, in order. They had no outcome;
    /// each was run again alone, with twice the bound.
    #[serde(default)]
    pub void_before: Vec<String>,
    /// What stays stuck inside although the endpoint answered.
    pub residue: Vec<String>,
    /// The figures.
    pub limits: Limits,
    /// Whether the canary moved in the judged scrape.
    pub canary_moved: CanaryMoved,
    /// What the detectors concluded.
    pub evidence: Vec<Evidence>,
    /// Whether the evidence explains the judged request's own wait path; if not, the case is inconclusive.
    pub covered: bool,
    /// The full diagnosis, kept for the first trial of each (case, outcome).
    pub diagnosis: Option<Diagnosis>,
    /// Who did, held and waited when.
    pub timeline: Vec<TimelineEntry>,
    /// Milliseconds from the hang limit passing to the classification, where there was a hang.
    pub classified_in_ms: Option<f64>,
    /// When the cause was released.
    pub release: Option<Release>,
    /// The command line that replays it.
    pub replay: String,
}

/// Why a trial says nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Void {
    /// In words that help.
    pub reason: String,
    /// Whether only the machine is to blame: the parent itself woke too late to judge anything.
    #[serde(default)]
    pub machine_busy: bool,
}

impl Void {
    /// Void for a reason that lies in the set-up.
    pub fn because(reason: impl Into<String>) -> Void {
        Void { reason: reason.into(), machine_busy: false }
    }
}

/// What the probes of a trial saw.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct TrialProbes {
    /// Every scrape and health check, in the order they were sent.
    pub requests: Vec<RequestReport>,
    /// What Prometheus would have recorded of the judged scrape.
    pub prometheus: Option<PrometheusView>,
    /// Kernel states of the threads at the last sample, e.g. `{"S futex_do_wait": 4, "R": 1}`.
    pub thread_states: BTreeMap<String, u32>,
    /// What `parking_lot`'s detector said when asked: threads in each cycle. `None`: it was not asked.
    pub parking_lot_detector: Option<Vec<u32>>,
    /// The parent's own worst wake-up lag, in milliseconds.
    pub lag_ms: f64,
}

/// One request of a trial.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RequestReport {
    /// Its number.
    pub request: u32,
    /// What for.
    pub purpose: Purpose,
    /// The endpoint's name, if there are several.
    pub endpoint: String,
    /// Microseconds since the child's start when it was sent.
    pub at_us: u64,
    /// How it went.
    pub exchange: Exchange,
    /// Its class, for scrapes.
    pub class: Option<Outcome>,
    /// Why it is `invalid`, if it is.
    pub wrong: Vec<String>,
}
