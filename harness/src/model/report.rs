//! The report: one JSON document from which everything else is rendered.

use super::{
    CanaryMoved, CaseId, Diagnosis, Exchange, Expectation, Figures, Fixes, Limits, ModelReport, Outcome,
    PrometheusView, Purpose, Reality, Release, Strength, Verdict, compare_fixes,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The version of the report's shape; changes within `/1` only add.
pub const REPORT_SCHEMA: &str = "gatherlock.report/1";

/// The versioned document that every run leaves.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Report {
    /// Always [`REPORT_SCHEMA`].
    pub schema: String,
    /// Who wrote it.
    pub tool: Tool,
    /// Where it ran.
    pub environment: Environment,
    /// The command line, without paths outside the working directory.
    pub command: Vec<String>,
    /// The seed from which every trial's seed is derived.
    pub seed: u64,
    /// The bound that applied unless a case says otherwise, in milliseconds.
    pub bound_ms: u64,
    /// The hang limit that applied unless a case says otherwise, in milliseconds.
    pub hang_limit_ms: u64,
    /// When the run began, RFC 3339, UTC.
    pub started: String,
    /// How long it took, in milliseconds.
    pub duration_ms: u64,
    /// The scenarios that occur in `cases`, in catalogue order.
    pub scenarios: Vec<ScenarioInfo>,
    /// The variants that occur in `cases`, in the order of the matrix columns.
    pub variants: Vec<VariantInfo>,
    /// Every selected case, run or skipped.
    pub cases: Vec<CaseReport>,
    /// Model checks, if any ran.
    #[serde(default)]
    pub models: Vec<ModelReport>,
    /// Each live scenario beside its models, if any were checked.
    #[serde(default)]
    pub reality: Vec<Reality>,
    /// Sentences that follow from the cases and the models, each with its strength.
    #[serde(default)]
    pub findings: Vec<Finding>,
    /// The variants side by side, where the rows that hang under `naive` were run with others, too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fixes: Option<Fixes>,
    /// What was measured apart from the trials, if anything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub figures: Option<Figures>,
    /// The diagnosis of a live process or endpoint, in the report of `diagnose`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub diagnosis: Option<Diagnosis>,
    /// Counts by verdict.
    pub summary: Summary,
    /// Whether the run was stopped before all trials had ended.
    #[serde(default)]
    pub interrupted: bool,
    /// What went wrong around the trials: an unwritable journal, a full disk.
    #[serde(default)]
    pub problems: Vec<String>,
    /// The exit code of the run.
    pub exit_code: u8,
}

/// The tool's name and version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Tool {
    /// `gatherlock`.
    pub name: String,
    /// Its version.
    pub version: String,
    /// The commit it was built from, if known.
    pub commit: Option<String>,
}

/// Where a report was made.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Environment {
    /// Operating system and architecture.
    pub os: String,
    /// Processors available.
    pub cpus: u32,
    /// The compiler's version.
    pub rustc: String,
    /// The kernel's release.
    pub kernel: String,
    /// Versions of `prometheus` that the cases ran on.
    pub prometheus: Vec<String>,
}

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

/// One trial.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
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

/// What a detector concluded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Evidence {
    /// The detector: `cycle`, `self_wait`, `spin`, `starvation`, `stall`, `leak`, `exposition`, …
    pub detector: String,
    /// What it says, in one sentence.
    pub says: String,
    /// What it rests on: edges or observations, each in words.
    pub because: Vec<String>,
    /// Whether it decides the outcome or only stands beside it.
    pub decisive: bool,
}

/// A point or a span in a trial.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct TimelineEntry {
    /// Whose line it stands on: `scrape 1`, `parent`, a thread's name and tid.
    pub lane: String,
    /// Microseconds since the child's start.
    pub from_us: u64,
    /// The end of a span; `None` for a point.
    pub to_us: Option<u64>,
    /// What.
    pub kind: TimelineKind,
    /// In a few words.
    pub label: String,
}

/// Kinds of timeline entries, for their colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum TimelineKind {
    /// A request in flight.
    Request,
    /// A lock held.
    Holds,
    /// A thread waiting.
    Waits,
    /// A thread on CPU.
    Runs,
    /// A point the story reached, a command, the bound, a sample.
    Mark,
}

/// A sentence that follows from several cases.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Finding {
    /// The sentence.
    pub says: String,
    /// Its strength.
    pub strength: Strength,
    /// The cases it rests on.
    pub cases: Vec<CaseId>,
    /// The models it rests on.
    #[serde(default)]
    pub models: Vec<String>,
}

/// Counts by verdict.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Summary {
    /// As expected.
    pub held: u32,
    /// Forbidden.
    pub violated: u32,
    /// No longer reproduced.
    pub vanished: u32,
    /// Nothing can be said.
    pub inconclusive: u32,
    /// Not run, with a reason.
    pub skipped: u32,
}

impl Report {
    /// Puts figures that were measured apart from the trials into the report; they replace those of their kind.
    pub fn add_figures(&mut self, figures: Figures) {
        let mut all = self.figures.take().unwrap_or_default();
        all.add(figures);
        self.fixes = compare_fixes(&self.cases, &self.variants, all.cost.as_ref());
        self.figures = Some(all).filter(|all| !all.is_empty());
    }
}

impl Summary {
    /// Counts the verdicts of `cases`.
    pub fn of(cases: &[CaseReport]) -> Summary {
        let mut summary = Summary::default();
        for case in cases {
            *match case.verdict {
                Some(Verdict::Held) => &mut summary.held,
                Some(Verdict::Violated) => &mut summary.violated,
                Some(Verdict::Vanished) => &mut summary.vanished,
                Some(Verdict::Inconclusive) => &mut summary.inconclusive,
                None => &mut summary.skipped,
            } += 1;
        }
        summary
    }
}
