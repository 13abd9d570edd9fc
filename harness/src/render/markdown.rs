//! The report as Markdown for a CI step summary: never above 1 MiB, and honest about what it left out.

mod escape;
mod fixes;
mod models;
mod page;

use super::digest::sign;
use super::{digest, matrix::Matrix, terminal, text, waits};
use crate::model::{CaseReport, Diagnosis, Report};
use escape::{code, code_cell, escape_html, longest_run, prose, prose_cell};
use page::Page;
use std::fmt::Write;

/// The report as Markdown.
pub fn render(report: &Report) -> String {
    let mut page = Page::new();
    if let Some(found) = report.diagnosis.as_ref().filter(|_| report.cases.is_empty()) {
        page.add("heading", &format!("## Gatherlock: {}\n\n", prose(&waits::headline(found))));
        page.add("summary", &format!("{}\n\n{}\n\n", prose(&found.summary), code(&digest::command(&report.command))));
        page.add("diagnosis", &diagnosis("All of it", found));
        return page.finish();
    }
    let matrix = Matrix::of(report);
    head(&mut page, report);
    unheld(&mut page, &matrix);
    findings(&mut page, report);
    table(&mut page, &matrix);
    fixes::add(&mut page, report);
    hangs(&mut page, &matrix);
    models::add(&mut page, report);
    skips(&mut page, &matrix);
    diagnoses(&mut page, &matrix);
    page.finish()
}

/// One diagnosis as a folded block: what the terminal shows, fenced.
pub fn diagnosis(title: &str, diagnosis: &Diagnosis) -> String {
    let options = terminal::TerminalOptions { color: false, width: 110, unicode: true };
    let body = terminal::diagnosis(diagnosis, &options);
    let fence = "`".repeat(longest_run(&body, '`').max(2) + 1);
    let title = escape_html(&text::line(title, text::SENTENCE));
    let headline = escape_html(&waits::headline(diagnosis));
    format!("<details><summary>{title}: {headline}</summary>\n\n{fence}text\n{body}{fence}\n\n</details>\n\n")
}

fn head(page: &mut Page, report: &Report) {
    let sign = match report.exit_code {
        0 => "✓",
        1 => "✗",
        _ => "?",
    };
    let mut out = format!("## {sign} Gatherlock: {}\n\n", digest::summary_in_words(report));
    let env = &report.environment;
    let versions: Vec<String> = env.prometheus.iter().take(16).map(|version| prose(version)).collect();
    let trials: usize = report.cases.iter().map(|case| case.trials.len()).sum();
    let _ = writeln!(
        out,
        "{} in {}, bound {}, hang limit {}, seed {}; prometheus {}; {}, {}, kernel {}, {}; exit {}.\n",
        text::count(trials, "trial"),
        text::millis(report.duration_ms as f64),
        text::millis(report.bound_ms as f64),
        text::millis(report.hang_limit_ms as f64),
        report.seed,
        if versions.is_empty() { "not named".to_string() } else { text::list(&versions) },
        prose(&env.os),
        text::count(env.cpus as usize, "CPU"),
        prose(&env.kernel),
        prose(&env.rustc),
        report.exit_code
    );
    if report.interrupted {
        out.push_str("**Interrupted: not every trial ended.**\n\n");
    }
    for problem in report.problems.iter().take(50) {
        let _ = writeln!(out, "- **Problem:** {}", prose(problem));
    }
    let _ = writeln!(out, "{}\n", code(&digest::command(&report.command)));
    page.add("heading", &out);
}

fn unheld(page: &mut Page, matrix: &Matrix<'_>) {
    let unheld = digest::unheld(matrix.cases());
    if unheld.is_empty() {
        return;
    }
    page.add("heading", "### Not as expected\n\n");
    for (case, verdict) in unheld {
        let mut out = format!("- {} **{verdict}** {}\n", sign(Some(verdict)), code(&case.id.to_string()));
        if let Some(expectation) = &case.expectation {
            let mut limits = digest::expected_limits(expectation);
            limits.insert(0, digest::expected_in_words(expectation));
            let _ = writeln!(out, "  - expected: {}; because {}", limits.join(", "), prose(&expectation.because));
        }
        let _ = writeln!(out, "  - seen: {}{}", digest::seen_in_words(case), beside(case));
        if let Some(trial) = digest::telling(case) {
            let _ = writeln!(out, "  - {}", prose(&digest::reason(trial)));
            let _ = writeln!(out, "  - replay: {}", code(&trial.replay));
        }
        page.add("case that is not as expected", &out);
    }
    page.add("heading", "\n");
}

fn findings(page: &mut Page, report: &Report) {
    if report.findings.is_empty() {
        return;
    }
    page.add("heading", "### What follows\n\n");
    for finding in &report.findings {
        page.add("finding", &format!("- {} *({})*\n", prose(&finding.says), prose(&finding.strength.to_string())));
    }
    page.add("heading", "\n");
}

fn table(page: &mut Page, matrix: &Matrix<'_>) {
    let mut head = String::from("### Matrix\n\n| scenario |");
    for column in &matrix.columns {
        let _ = write!(head, " {} |", code_cell(column.id));
    }
    head.push_str("\n|---|");
    head.push_str(&"---|".repeat(matrix.columns.len()));
    head.push('\n');
    if !page.add("matrix", &head) {
        return;
    }
    for family in &matrix.families {
        let blanks = " |".repeat(matrix.columns.len());
        page.add("row of the matrix", &format!("| **{}** |{blanks}\n", prose_cell(family.name)));
        for row in &family.rows {
            let mut out = format!("| {} |", code_cell(&row.name));
            for cases in &row.cells {
                let words: Vec<String> = cases.iter().map(|case| cell(case)).collect();
                let _ = write!(out, " {} |", words.join("<br>"));
            }
            out.push('\n');
            page.add("row of the matrix", &out);
        }
    }
    page.add(
        "legend",
        "\n✓ as expected · ✗ violated · ∅ vanished: the mistake no longer shows · ? inconclusive · – skipped · \
         *~ measured, not promised* · +n/scrape: threads that each scrape takes and keeps\n\n",
    );
}

fn cell(case: &CaseReport) -> String {
    let sign = sign(case.verdict);
    if case.verdict.is_none() {
        return sign.to_string();
    }
    let words = digest::seen_in_words(case);
    let words = if digest::is_may(case) { format!("*~{words}*") } else { words };
    let figures = digest::figures(case);
    let beside = if figures.is_empty() { String::new() } else { format!("<br>{}", figures.join(", ")) };
    format!("{sign} {words}{beside}")
}

fn hangs(page: &mut Page, matrix: &Matrix<'_>) {
    let mut first = true;
    for case in matrix.cases() {
        let Some((trial, outcome)) = digest::hang(case) else { continue };
        if std::mem::take(&mut first) {
            page.add("heading", "### What hung, and why\n\n");
        }
        let line = format!("- {} {outcome}: {}\n", code(&case.id.to_string()), prose(&digest::evidence_line(trial)));
        page.add("line of evidence", &line);
    }
    page.add("heading", "\n");
}

fn skips(page: &mut Page, matrix: &Matrix<'_>) {
    let skipped: Vec<&CaseReport> = matrix.cases().filter(|case| case.verdict.is_none()).collect();
    if skipped.is_empty() {
        return;
    }
    let mut out = format!("<details><summary>{} skipped</summary>\n\n", text::count(skipped.len(), "case"));
    for case in skipped.iter().take(1_000) {
        let reason = case.skip.as_deref().unwrap_or("no reason recorded");
        let _ = writeln!(out, "- {}: {}", code(&case.id.to_string()), prose(reason));
    }
    if let Some(more) = skipped.len().checked_sub(1_000).filter(|more| *more > 0) {
        let _ = writeln!(out, "- and {more} more, in `report.json`");
    }
    out.push_str("\n</details>\n\n");
    page.add("list of skips", &out);
}

fn diagnoses(page: &mut Page, matrix: &Matrix<'_>) {
    let mut first = true;
    for case in matrix.cases() {
        for trial in &case.trials {
            let Some(found) = &trial.diagnosis else { continue };
            if std::mem::take(&mut first) {
                page.add("heading", "### Diagnoses\n\n");
            }
            page.add("diagnosis", &diagnosis(&case.id.to_string(), found));
        }
    }
}

fn beside(case: &CaseReport) -> String {
    let figures = digest::figures(case);
    if figures.is_empty() { String::new() } else { format!(" ({})", figures.join(", ")) }
}
