//! Workflow annotations: one command line for each case, model check or comparison that is not held, as GitHub's runner
//! reads them from a log.

use super::{digest, interleaving, matrix::Matrix, text};
use crate::model::{Agreement, ModelReport, Report, Verdict};
use std::fmt::Write;

/// Annotations of one kind that are written; the runner shows ten a step and drops the rest silently.
const SHOWN: usize = 9;

/// `::error …` for what is violated or has vanished and for a refuted comparison, `::warning …` for what is inconclusive and
/// for problems, `::notice …` for the summary.
pub fn render(report: &Report) -> String {
    let mut out = String::new();
    let matrix = Matrix::of(report);
    let unheld = digest::unheld(matrix.cases());
    let (warnings, errors): (Vec<_>, Vec<_>) =
        unheld.into_iter().partition(|(_, verdict)| *verdict == Verdict::Inconclusive);
    for (kind, cases) in [("error", errors), ("warning", warnings)] {
        for (case, verdict) in cases.iter().take(SHOWN) {
            let title = format!("{}: {verdict}", text::name(&case.id.to_string()));
            let mut message = format!("seen: {}", digest::seen_in_words(case));
            if let Some(expectation) = &case.expectation {
                let because = text::sentence(&expectation.because);
                let _ = write!(message, "\nexpected: {}, because {because}", digest::expected_in_words(expectation));
            }
            if let Some(trial) = digest::telling(case) {
                let replay = text::line(&trial.replay, text::STORY);
                let _ = write!(message, "\n{}\nreplay: {replay}", digest::reason(trial));
            }
            let _ = writeln!(out, "::{kind} title={}::{}", property(&title), data(&message));
        }
        if let Some(rest) = cases.len().checked_sub(SHOWN).filter(|rest| *rest > 0) {
            let _ = writeln!(out, "::{kind}::{} more; the report has all of them", text::count(rest, "case"));
        }
    }
    models(&mut out, report);
    for problem in report.problems.iter().take(SHOWN) {
        let _ = writeln!(out, "::warning title=problem::{}", data(&text::sentence(problem)));
    }
    let _ = writeln!(out, "::notice title=gatherlock::{}", data(&digest::summary_in_words(report)));
    out
}

/// A line for each model that did not hold, its checks put together, and for each comparison with it that contradicts.
fn models(out: &mut String, report: &Report) {
    let unheld = |model: &&ModelReport| model.verdict != Verdict::Held;
    let unheld: Vec<ModelReport> = report.models.iter().filter(unheld).cloned().collect();
    let (warnings, errors): (Vec<_>, Vec<_>) = interleaving::by_model(&unheld)
        .into_iter()
        .partition(|(_, checks)| interleaving::worst(checks) == Some(Verdict::Inconclusive));
    for (kind, models) in [("error", errors), ("warning", warnings)] {
        for (name, checks) in models.iter().take(SHOWN) {
            let verdict = interleaving::worst(checks).map_or("", Verdict::word);
            let title = format!("model {}: {verdict}", text::name(name));
            let lines: Vec<String> = checks.iter().take(SHOWN).map(|check| model(check)).collect();
            let _ = writeln!(out, "::{kind} title={}::{}", property(&title), data(&lines.join("\n")));
        }
        if let Some(rest) = models.len().checked_sub(SHOWN).filter(|rest| *rest > 0) {
            let _ = writeln!(out, "::{kind}::{} more; the report has all of them", text::count(rest, "model"));
        }
    }
    let refuted = report.reality.iter().filter(|row| row.agreement == Agreement::Refuted);
    for row in refuted.take(SHOWN) {
        let title = format!("model against reality: {}", text::name(&row.scenario));
        let (live, found) = (interleaving::live(row), interleaving::modelled(row));
        let message = format!("{}\nlive: {live}\nmodel: {found}", text::sentence(&row.says));
        let _ = writeln!(out, "::error title={}::{}", property(&title), data(&message));
    }
}

/// `loom on prometheus 0.14.0: expected deadlock, found none, …`, why, and how to replay it.
fn model(check: &ModelReport) -> String {
    let (engine, version) = (text::name(&check.engine), text::name(&check.crate_version));
    let (expected, found) = (text::name(&check.expectation), text::name(&check.outcome));
    let strength = interleaving::strength(check);
    let why = check.why.as_deref().map(|why| format!("\n{}", text::sentence(why))).unwrap_or_default();
    let replay = check.replay.as_deref().map(|replay| format!("\nreplay: {}", text::line(replay, text::STORY)));
    format!(
        "{engine} on prometheus {version}: expected {expected}, found {found}, {strength}{why}{}",
        replay.unwrap_or_default()
    )
}

fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}
