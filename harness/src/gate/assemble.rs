//! From a run's header and its trials to the report: a pure function, so that a killed run's journal makes the same one.

use super::findings::{counted, findings};
use super::models;
use crate::model::{
    Case, CaseId, CaseReport, Checker, Claim, Environment, Expectation, Figures, Graded, ModelReport, REPORT_SCHEMA,
    Report, Scenario, ScenarioInfo, Strength, Summary, Tool, TrialReport, Variant, VariantInfo, Verdict, compare,
    exit_code, grade,
};
use serde::{Deserialize, Serialize};

/// What is known before the first trial; the first line of a run's journal.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunHeader {
    /// Who runs.
    pub tool: Tool,
    /// Where.
    pub environment: Environment,
    /// The command line.
    pub command: Vec<String>,
    /// The run's seed.
    pub seed: u64,
    /// The default bound, in milliseconds.
    pub bound_ms: u64,
    /// The default hang limit, in milliseconds.
    pub hang_limit_ms: u64,
    /// RFC 3339, UTC.
    pub started: String,
    /// The scenarios of the selected cases.
    pub scenarios: Vec<Scenario>,
    /// The variants of the selected cases.
    pub variants: Vec<Variant>,
    /// The selected cases.
    pub cases: Vec<CaseRecord>,
    /// The catalogue's claims.
    pub claims: Vec<Claim>,
    /// What the checker offers, if models are checked in this run.
    #[serde(default)]
    pub checker: Option<Checker>,
    /// How many checks are planned.
    #[serde(default)]
    pub checks: u64,
    /// What was measured apart from the trials.
    #[serde(default)]
    pub figures: Figures,
}

/// A selected case and how many trials it is to have.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CaseRecord {
    /// The case.
    pub case: Case,
    /// Trials planned for it in this run.
    pub planned: u32,
}

/// One trial, as the journal keeps it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TrialRecord {
    /// Its case.
    pub case: CaseId,
    /// Its number within the case, from 0.
    pub index: u32,
    /// What it showed.
    pub trial: TrialReport,
}

/// How a run ended, or stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RunEnd {
    /// Milliseconds since it began.
    pub duration_ms: u64,
    /// Whether it was stopped before its end.
    pub interrupted: bool,
    /// What went wrong around the trials.
    pub problems: Vec<String>,
}

/// What grading makes of a trial.
pub(crate) fn graded(trial: &TrialReport) -> Graded {
    match trial.outcome {
        None => Graded::Void,
        Some(_) if !trial.covered => Graded::Uncovered,
        Some(outcome) => Graded::Seen { outcome, limits: trial.limits.clone() },
    }
}

/// Builds the report. Trials may come in any order; a case whose trials are not all there is at best inconclusive.
pub fn assemble(header: &RunHeader, trials: &[TrialRecord], checked: &[ModelReport], end: &RunEnd) -> Report {
    let cases: Vec<CaseReport> = header.cases.iter().map(|record| case_report(header, record, trials)).collect();
    let none = Checker::default();
    let checker = header.checker.as_ref().unwrap_or(&none);
    let models = models::arrange(checked, checker);
    let default = header.environment.prometheus.first().map(String::as_str);
    let reality = if header.checker.is_some() { compare(&cases, &models, checker, default) } else { Vec::new() };
    let verdicts = cases.iter().filter_map(|case| case.verdict);
    let verdicts = verdicts.chain(models::verdicts(&models, header.checks, &reality));
    let exit_code = if end.interrupted { 2 } else { exit_code(verdicts) };
    let mut report = Report {
        schema: REPORT_SCHEMA.to_string(),
        tool: header.tool.clone(),
        environment: header.environment.clone(),
        command: header.command.clone(),
        seed: header.seed,
        bound_ms: header.bound_ms,
        hang_limit_ms: header.hang_limit_ms,
        started: header.started.clone(),
        duration_ms: end.duration_ms,
        scenarios: header.scenarios.iter().map(scenario_info).collect(),
        variants: header.variants.iter().map(variant_info).collect(),
        summary: Summary::of(&cases),
        findings: [models::findings(&checker.claims, &models), findings(&header.claims, &cases)].concat(),
        cases,
        fixes: None,
        figures: None,
        diagnosis: None,
        models,
        reality,
        interrupted: end.interrupted,
        problems: end.problems.clone(),
        exit_code,
    };
    report.add_figures(header.figures.clone());
    report
}

fn case_report(header: &RunHeader, record: &CaseRecord, trials: &[TrialRecord]) -> CaseReport {
    let id = &record.case.id;
    let mut mine: Vec<&TrialRecord> = trials.iter().filter(|trial| trial.case == *id).collect();
    mine.sort_by_key(|trial| trial.index);
    let trials: Vec<TrialReport> = mine.into_iter().map(|record| record.trial.clone()).collect();
    let scenario = header.scenarios.iter().find(|scenario| scenario.id == id.scenario);
    let expectation = record.case.expectation.clone().filter(|_| record.case.skip.is_none());
    CaseReport {
        id: id.clone(),
        scenario: id.scenario.clone(),
        variant: id.variant.clone(),
        family: scenario.map(|scenario| scenario.family.clone()).unwrap_or_default(),
        story: scenario.map(|scenario| scenario.title.clone()).unwrap_or_default(),
        skip: record.case.skip.clone(),
        params: id.params.clone(),
        verdict: expectation.as_ref().map(|expectation| verdict(expectation, &trials, record.planned)),
        strength: expectation.as_ref().map(|_| Strength::Trials { n: counted(&trials) }),
        expectation,
        trials,
    }
}

/// The verdict on a case of which `planned` trials should be there: each that is missing counts as void.
fn verdict(expectation: &Expectation, trials: &[TrialReport], planned: u32) -> Verdict {
    let missing = (planned as usize).saturating_sub(trials.len());
    let graded: Vec<Graded> = trials.iter().map(graded).chain(std::iter::repeat_n(Graded::Void, missing)).collect();
    grade(expectation, &graded)
}

fn scenario_info(scenario: &Scenario) -> ScenarioInfo {
    ScenarioInfo {
        id: scenario.id.clone(),
        family: scenario.family.clone(),
        title: scenario.title.clone(),
        story: scenario.story.clone(),
        origin: scenario.origin.clone(),
        advice: scenario.advice.clone(),
    }
}

fn variant_info(variant: &Variant) -> VariantInfo {
    VariantInfo { id: variant.id.clone(), title: variant.title.clone(), fix: variant.fix.clone() }
}
