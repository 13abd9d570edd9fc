//! What a model checker offers, and how it is asked.
//!
//! The protocol, version 1. A checker is any executable that understands
//!
//! * `--list --format jsonl`: print one [`Checker`] on stdout, in one line, exit 0;
//! * `[NAME…] --format jsonl`: check the named models (all if none is named) and print one
//!   [`ModelReport`](super::ModelReport) a line on stdout, each as soon as it is there. The exit code is not looked at: the
//!   verdicts are in the lines. What it prints on stderr is for people.

use serde::{Deserialize, Serialize};

/// The version of the protocol between a runner and a checker; a runner refuses any other major version.
pub const CHECKER_PROTOCOL: &str = "gatherlock.checker/1";

/// All that a checker offers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checker {
    /// Always [`CHECKER_PROTOCOL`].
    pub protocol: String,
    /// The checker's package name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// `prometheus` versions that are modelled.
    pub crate_versions: Vec<String>,
    /// The models.
    pub models: Vec<ModelInfo>,
    /// How many reports checking all of them makes.
    pub checks: u64,
    /// Scenarios that no model can express, and why: time, I/O, a frozen thread.
    #[serde(default)]
    pub outside: Vec<Outside>,
    /// Scenarios that are modelled and have no live trial on purpose, and why.
    #[serde(default)]
    pub alone: Vec<Outside>,
    /// Variants whose outcome says nothing about the models, and why: they use another library.
    #[serde(default)]
    pub other_variants: Vec<Outside>,
    /// Sentences that the models bear out together, for the top of the report.
    #[serde(default)]
    pub claims: Vec<ModelClaim>,
}

/// A model that can be checked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelInfo {
    /// Its name.
    pub name: String,
    /// One line: what it teaches.
    pub lesson: String,
    /// How many threads it has, its body included.
    pub threads: u32,
    /// What must be found: `deadlock`, `blocked` or `none`.
    pub expectation: String,
}

/// A scenario or a variant that is on one side only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outside {
    /// Its id.
    pub id: String,
    /// Why.
    pub why: String,
}

/// A sentence that several models bear out together; a report states it only if every one of them held.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelClaim {
    /// The models it rests on, by name or by scenario.
    pub models: Vec<String>,
    /// What to say if all of them held.
    pub held: String,
    /// What to say if one of them was checked and did not hold.
    pub broken: String,
}

impl Checker {
    /// Why no model can express the scenario, if the checker says so.
    pub fn outside(&self, scenario: &str) -> Option<&str> {
        self.outside.iter().find(|outside| outside.id == scenario).map(|outside| outside.why.as_str())
    }

    /// Why a modelled scenario has no live trial, if the checker says so.
    pub fn alone(&self, scenario: &str) -> Option<&str> {
        self.alone.iter().find(|alone| alone.id == scenario).map(|alone| alone.why.as_str())
    }

    /// The models of a scenario.
    pub fn models_of<'a>(&'a self, scenario: &'a str) -> impl Iterator<Item = &'a ModelInfo> {
        self.models.iter().filter(move |model| super::model_scenario(&model.name) == scenario)
    }
}
