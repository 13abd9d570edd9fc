//! Model against reality: whether what was seen live and what the models show can both be true.
//!
//! | seen live | what the models of the same mechanism must show |
//! |---|---|
//! | `deadlocked` | one of them deadlocks |
//! | `stalled` | one of them is blocked: nobody can go on, and no circle of locks says why |
//! | answered, each time | none of them is blocked (a deadlock may need a schedule that a live trial did not meet) |
//!
//! The other way round: where no schedule of any model deadlocks, no live trial may.
//!
//! A row is compared with the models on the version that it ran on: `[prometheus=0.13.4]` with those on 0.13.4, a row
//! without that parameter with those on the version that the catalogue names first.

use super::{CaseReport, Checker, ModelReport, Outcome};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How the two sides stand to each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Agreement {
    /// Both can be true.
    Held,
    /// They contradict each other: a model or a trial is wrong.
    Refuted,
    /// No model can express the scenario.
    Outside,
    /// Modelled, and no live scenario is meant to exist; the checker says why.
    Alone,
    /// One of the two sides is missing in this run.
    Open,
}

impl Agreement {
    /// The word used in reports.
    pub fn word(self) -> &'static str {
        match self {
            Agreement::Held => "held",
            Agreement::Refuted => "refuted",
            Agreement::Outside => "outside the model",
            Agreement::Alone => "modelled only",
            Agreement::Open => "open",
        }
    }
}

/// One scenario (with its parameters) beside its models.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Reality {
    /// `scenario` or `scenario[param=value]`.
    pub scenario: String,
    /// How they stand to each other.
    pub agreement: Agreement,
    /// Live outcomes on handlers that use the modelled library, and in how many trials each was seen. Trials whose
    /// evidence does not cover them are not counted.
    pub live: BTreeMap<String, u32>,
    /// The models of the same mechanism, and what was found in each: `deadlock`, `blocked`, `none`; several words if
    /// versions or engines differ.
    pub models: BTreeMap<String, String>,
    /// In a sentence.
    pub says: String,
}

/// The parameter of a case that says which version of `prometheus` it runs on.
const VERSION: &str = "prometheus";

/// Compares the cases of a run with the checks of the same run. `default` is the version of `prometheus` that a case without
/// that parameter runs on; without one it is compared with the models on all versions.
pub fn compare(cases: &[CaseReport], models: &[ModelReport], checker: &Checker, default: Option<&str>) -> Vec<Reality> {
    let mut rows: Vec<(String, Vec<&CaseReport>)> = Vec::new();
    for case in cases.iter().filter(|case| case.skip.is_none()) {
        let name = case.id.row();
        match rows.iter_mut().find(|(row, _)| *row == name) {
            Some((_, cases)) => cases.push(case),
            None => rows.push((name, vec![case])),
        }
    }
    let mut all: Vec<Reality> = rows.iter().map(|(name, cases)| row(name, cases, models, checker, default)).collect();
    let live = |scenario: &str| cases.iter().any(|case| case.scenario == scenario);
    let mut alone: Vec<&str> = Vec::new();
    for model in models.iter().filter(|model| !live(model.scenario())) {
        if !alone.contains(&model.scenario()) {
            alone.push(model.scenario());
        }
    }
    all.extend(alone.into_iter().map(|scenario| {
        let of: Vec<&ModelReport> = models.iter().filter(|model| model.scenario() == scenario).collect();
        let (agreement, says) = match checker.alone(scenario) {
            Some(why) => (Agreement::Alone, why),
            None => (Agreement::Open, "no live trial of it in this run"),
        };
        let (live, models) = (BTreeMap::new(), found(&of));
        Reality { scenario: scenario.to_string(), agreement, live, models, says: says.to_string() }
    }));
    all
}

fn row(name: &str, cases: &[&CaseReport], models: &[ModelReport], checker: &Checker, default: Option<&str>) -> Reality {
    let scenario = cases.first().map_or(name, |case| case.scenario.as_str());
    let params = cases.first().map(|case| &case.params);
    let version = params.and_then(|params| params.get(VERSION)).map(String::as_str).or(default);
    let of = about(&without_version(name), scenario, version, models);
    let other = |case: &CaseReport| checker.other_variants.iter().any(|variant| variant.id == case.variant);
    let mut seen: BTreeMap<Outcome, u32> = BTreeMap::new();
    for trial in cases.iter().filter(|case| !other(case)).flat_map(|case| &case.trials) {
        if let (Some(outcome), true) = (trial.outcome, trial.covered) {
            *seen.entry(outcome).or_default() += 1;
        }
    }
    let (agreement, says) = match checker.outside(scenario) {
        Some(why) => (Agreement::Outside, why.to_string()),
        None => {
            let words: Vec<&str> = of.iter().map(|model| model.outcome.as_str()).collect();
            agree(&seen, &words)
        }
    };
    let live = seen.iter().map(|(outcome, trials)| (outcome.word().to_string(), *trials)).collect();
    Reality { scenario: name.to_string(), agreement, live, models: found(&of), says }
}

/// A row's name without the parameter that says the version: models have the same name on every version.
fn without_version(name: &str) -> String {
    let Some((scenario, params)) = name.strip_suffix(']').and_then(|name| name.split_once('[')) else {
        return name.to_string();
    };
    let is_version = |param: &&str| param.split_once('=').is_some_and(|(key, _)| key == VERSION);
    let rest: Vec<&str> = params.split(',').filter(|param| !is_version(param)).collect();
    if rest.is_empty() { scenario.to_string() } else { format!("{scenario}[{}]", rest.join(",")) }
}

/// The models of a row on its version: those with exactly its name, or else all of the scenario.
fn about<'a>(name: &str, scenario: &str, version: Option<&str>, models: &'a [ModelReport]) -> Vec<&'a ModelReport> {
    let on = |model: &&ModelReport| version.is_none_or(|version| model.crate_version == version);
    let exact: Vec<&ModelReport> = models.iter().filter(on).filter(|model| model.name == name).collect();
    if !exact.is_empty() {
        return exact;
    }
    models.iter().filter(on).filter(|model| model.scenario() == scenario).collect()
}

fn found(models: &[&ModelReport]) -> BTreeMap<String, String> {
    let mut found: BTreeMap<String, String> = BTreeMap::new();
    for model in models {
        let words = found.entry(model.name.clone()).or_default();
        if !words.split(", ").any(|word| word == model.outcome) {
            let comma = if words.is_empty() { "" } else { ", " };
            *words = format!("{words}{comma}{}", model.outcome);
        }
    }
    found
}

/// Whether the outcomes seen live and the words found by the models of the same mechanism can both be true, and why.
pub fn agree(seen: &BTreeMap<Outcome, u32>, found: &[&str]) -> (Agreement, String) {
    let open = |says: &str| (Agreement::Open, says.to_string());
    if found.is_empty() {
        return open(
            "no model of it, on this version, was checked in this run, and it is not listed as outside the model",
        );
    }
    if seen.is_empty() {
        return open("no live trial of it in this run counts");
    }
    let any = |word: &str| found.contains(&word);
    let decided = found.iter().all(|word| ["deadlock", "blocked", "none"].contains(word));
    let saw = |outcome| seen.contains_key(&outcome);
    let answered = seen.keys().all(|outcome| matches!(outcome, Outcome::Served | Outcome::Late | Outcome::Invalid));
    let (deadlocks, blocks) = (any("deadlock"), any("blocked"));
    let held = |says: &str| (Agreement::Held, says.to_string());
    let refuted = |says: &str| match decided {
        true => (Agreement::Refuted, says.to_string()),
        false => (Agreement::Open, format!("{says}; but a check was inconclusive")),
    };
    if saw(Outcome::Deadlocked) && !deadlocks {
        return refuted("deadlocked live, and no model of it deadlocks");
    }
    if saw(Outcome::Stalled) && !blocks {
        return refuted("stalled live, and no model of it is blocked");
    }
    if found.iter().all(|word| *word == "blocked") && answered {
        return refuted("every model of it is blocked, and every live trial was answered");
    }
    if !decided {
        return open("a check was inconclusive");
    }
    match (deadlocks, blocks) {
        (true, _) if saw(Outcome::Deadlocked) => held("deadlocked live, and the model deadlocks"),
        (true, _) if answered => held("the model deadlocks, under a schedule that no live trial met"),
        (true, _) => held("the model deadlocks; live the handler kept that from the answer"),
        (false, true) if saw(Outcome::Stalled) => held("stalled live, and the model is blocked"),
        (false, true) => held("the model is blocked; live the handler kept that from the answer"),
        (false, false) => held("no schedule of the model hangs, and no live trial deadlocked or stalled"),
    }
}
