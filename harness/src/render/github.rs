//! Workflow annotations: one command line for each case that is not held, as GitHub's runner reads them from a log.

use super::{digest, matrix::Matrix, text};
use crate::model::{Report, Verdict};
use std::fmt::Write;

/// Annotations of one kind that are written; the runner shows ten a step and drops the rest silently.
const SHOWN: usize = 9;

/// `::error …` for violated and vanished cases, `::warning …` for inconclusive ones and problems, `::notice …` for the
/// summary.
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
    for problem in report.problems.iter().take(SHOWN) {
        let _ = writeln!(out, "::warning title=problem::{}", data(&text::sentence(problem)));
    }
    let _ = writeln!(out, "::notice title=gatherlock::{}", data(&digest::summary_in_words(report)));
    out
}

fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}
