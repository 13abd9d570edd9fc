//! A check as the report's type, which stands beside the live cases of the same mechanism.

use crate::explore::{MEMORY, Search, Strength};
use crate::models::{Checked, Model};
use gatherlock::model::{ModelReport, ModelStrength};

/// The report of one check of `model` on `prometheus` `version`.
///
/// `strength.kind` is `exhausted`, `bounded`, `sampled` or `limit`, and `witness` for what one execution shows: a hang
/// needs no others, and the search ends there.
pub fn report(version: &str, model: &Model, checked: &Checked) -> ModelReport {
    let exploration = &checked.exploration;
    let trace = exploration.finding.counterexample();
    let kind = match exploration.strength {
        Strength::Exhausted => "exhausted",
        Strength::Bounded { .. } => "bounded",
        Strength::Sampled { .. } => "sampled",
        Strength::Witness => "witness",
        Strength::Limit { .. } => "limit",
    };
    let preemptions = match exploration.search {
        Search::Loom { preemptions } => preemptions.map(u32::from),
        Search::Dfs | Search::Random { .. } | Search::Pct { .. } => None,
    };
    ModelReport {
        name: model.name.to_owned(),
        engine: exploration.search.engine().word().to_owned(),
        crate_version: version.to_owned(),
        expectation: model.expect.word().to_owned(),
        outcome: exploration.finding.word().to_owned(),
        verdict: checked.verdict,
        memory: MEMORY.to_owned(),
        strength: ModelStrength {
            kind: kind.to_owned(),
            preemptions,
            executions: exploration.executions,
            seconds: exploration.time.as_secs_f64(),
        },
        counterexample: trace.map(|trace| serde_json::to_value(trace).expect("a trace has string keys only")),
        replay: trace.map(|trace| trace.replay.clone()),
    }
}
