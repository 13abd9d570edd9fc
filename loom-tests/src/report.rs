//! A check as the report's type, which stands beside the live cases of the same mechanism.

use crate::explore::{MEMORY, Search, Strength};
use crate::models::{Checked, Model, VERSIONS};
use gatherlock::model::{ModelReport, ModelStrength};

/// The report of one check of `model` on `prometheus` `version`.
///
/// `strength.kind` is `exhausted`, `bounded`, `sampled` or `limit`, and `witness` for what one execution shows: a hang
/// needs no others, and the search ends there.
///
/// `tool` is how one calls this checker, for the command line that replays a counterexample.
pub fn report(version: &str, model: &Model, checked: &Checked, tool: &str) -> ModelReport {
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
        lesson: model.lesson.to_owned(),
        threads: u32::try_from(model.threads).unwrap_or(u32::MAX),
        engine: exploration.search.engine().word().to_owned(),
        crate_version: version.to_owned(),
        expectation: model.expect.word().to_owned(),
        outcome: exploration.finding.word().to_owned(),
        verdict: checked.verdict,
        why: checked.why.clone(),
        memory: MEMORY.to_owned(),
        strength: ModelStrength {
            kind: kind.to_owned(),
            preemptions,
            executions: exploration.executions,
            seconds: exploration.time.as_secs_f64(),
        },
        counterexample: trace.cloned(),
        replay: trace.map(|trace| replay_command(tool, version, model.name, &trace.replay)),
    }
}

/// The command line that replays one execution of a model. A name with brackets is quoted: they mean something to a shell.
fn replay_command(tool: &str, version: &str, name: &str, replay: &str) -> String {
    let name = if name.contains('[') { format!("'{name}'") } else { name.to_owned() };
    let newest = VERSIONS.last().is_some_and(|newest| newest.number == version);
    let version = if newest { String::new() } else { format!(" --prometheus {version}") };
    format!("{tool} {name}{version} --replay '{replay}'")
}
