//! The report: one JSON document from which everything else is rendered.

use super::{
    CaseId, CaseReport, Diagnosis, Figures, Fixes, ModelReport, Reality, ScenarioInfo, Strength, VariantInfo, Verdict,
    compare_fixes,
};
use serde::{Deserialize, Serialize};

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
