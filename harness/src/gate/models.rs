//! What the model checks of a run are, and what they add to its report.

use crate::model::{Agreement, Checker, Finding, ModelClaim, ModelReport, Reality, Strength, Verdict, model_scenario};

/// The words that select the models of a run, and how many checks they make: all of them, unless cases were selected; then
/// those of the selected scenarios.
pub(super) fn selection<'a>(
    checker: &Checker,
    globs: &[String],
    scenarios: impl Iterator<Item = &'a str>,
) -> (Vec<String>, u64) {
    if globs.is_empty() {
        return (Vec::new(), checker.checks);
    }
    let mut names: Vec<String> = Vec::new();
    for scenario in scenarios.filter(|scenario| checker.models_of(scenario).next().is_some()) {
        if !names.iter().any(|name| name == scenario) {
            names.push(scenario.to_string());
        }
    }
    let models: usize = names.iter().map(|name| checker.models_of(name).count()).sum();
    let each = checker.checks / (checker.models.len() as u64).max(1);
    (names, models as u64 * each)
}

/// Puts the checks in the checker's order, and keeps one counterexample for each model, and that of every check that did not
/// hold: the others differ in line numbers, and can be replayed.
pub(super) fn arrange(models: &[ModelReport], checker: &Checker) -> Vec<ModelReport> {
    let rank = |model: &ModelReport| checker.models.iter().position(|known| known.name == model.name);
    let mut models = models.to_vec();
    models.sort_by(|a, b| {
        let key = |model: &ModelReport| (rank(model).unwrap_or(usize::MAX), model.engine.clone());
        key(a).cmp(&key(b)).then_with(|| a.crate_version.cmp(&b.crate_version))
    });
    let steps = |model: &ModelReport| model.counterexample.as_ref().map(|trace| trace.steps.len());
    for at in 0..models.len() {
        let (name, verdict) = (models[at].name.clone(), models[at].verdict);
        let same = models.iter().enumerate().rev().filter(|(_, other)| other.name == name && steps(other).is_some());
        let telling = same.min_by_key(|(_, other)| steps(other)).map(|(at, _)| at);
        if verdict == Verdict::Held && telling != Some(at) {
            models[at].counterexample = None;
        }
    }
    models
}

/// What models and comparisons add to the verdicts that decide the exit code.
pub(super) fn verdicts(models: &[ModelReport], planned: u64, reality: &[Reality]) -> Vec<Verdict> {
    let refuted = reality.iter().filter(|row| row.agreement == Agreement::Refuted).map(|_| Verdict::Violated);
    let missing = ((models.len() as u64) < planned).then_some(Verdict::Inconclusive);
    models.iter().map(|model| model.verdict).chain(refuted).chain(missing).collect()
}

/// States every claim whose models were all checked.
pub(super) fn findings(claims: &[ModelClaim], models: &[ModelReport]) -> Vec<Finding> {
    claims.iter().filter_map(|claim| finding(claim, models)).collect()
}

fn finding(claim: &ModelClaim, models: &[ModelReport]) -> Option<Finding> {
    let means = |word: &str, model: &ModelReport| model.name == word || model_scenario(&model.name) == word;
    if !claim.models.iter().all(|word| models.iter().any(|model| means(word, model))) {
        return None;
    }
    let of: Vec<&ModelReport> =
        models.iter().filter(|model| claim.models.iter().any(|word| means(word, model))).collect();
    let not: Vec<String> = of
        .iter()
        .filter(|model| model.verdict != Verdict::Held)
        .map(|model| format!("{} under {} on {}: {}", model.name, model.engine, model.crate_version, model.verdict))
        .collect();
    let says = if not.is_empty() { claim.held.clone() } else { format!("{} ({})", claim.broken, not.join(", ")) };
    Some(Finding { says, strength: strength(&of), cases: Vec::new(), models: claim.models.clone() })
}

/// The strength of the weakest exhaustive search among them; where nothing was searched to its end, how many schedules.
fn strength(models: &[&ModelReport]) -> Strength {
    let searched: Vec<&&ModelReport> =
        models.iter().filter(|model| ["exhausted", "bounded"].contains(&model.strength.kind.as_str())).collect();
    let Some(first) = searched.first() else {
        return Strength::Schedules { n: models.iter().map(|model| model.strength.executions).sum() };
    };
    let bound = searched.iter().filter_map(|model| model.strength.preemptions).min();
    let bound = bound.map_or("every schedule".to_string(), |n| format!("up to {n} preemptions"));
    let threads = searched.iter().map(|model| model.threads).max().unwrap_or(0);
    Strength::Exhausted { bounds: format!("{bound}, at most {threads} threads, memory model: {}", first.memory) }
}
