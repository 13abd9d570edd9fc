//! The report on a terminal: the matrix, a line of evidence for each hang, findings, and how to replay what went wrong.

mod diagnosis;
mod fixes;
mod matrix;
mod models;
mod options;
mod pen;

use super::{digest, matrix::Matrix, text};
use crate::model::{Diagnosis, Report};
use pen::{Pen, Style, style};

pub use models::{checker, counterexample, interleaving, models};
pub use options::TerminalOptions;

/// A report of `diagnose` with all stacks, and in them the runtime's frames, too.
pub fn unfolded(report: &Report, options: &TerminalOptions) -> String {
    let Some(found) = report.diagnosis.as_ref().filter(|_| report.cases.is_empty()) else {
        return render(report, options);
    };
    let mut pen = Pen::new(options);
    pen.full = true;
    diagnosis::draw(&mut pen, found);
    problems(&mut pen, report);
    pen.finish()
}

/// The whole report. Ends with the summary, and after it, if anything is not held, with the command that replays it.
pub fn render(report: &Report, options: &TerminalOptions) -> String {
    let mut pen = Pen::new(options);
    if let Some(found) = report.diagnosis.as_ref().filter(|_| report.cases.is_empty()) {
        diagnosis::draw(&mut pen, found);
        problems(&mut pen, report);
        return pen.finish();
    }
    let matrix = Matrix::of(report);
    matrix::draw(&mut pen, &matrix);
    hangs(&mut pen, &matrix);
    fixes::section(&mut pen, report);
    models::section(&mut pen, report);
    findings(&mut pen, report);
    unheld(&mut pen, &matrix);
    problems(&mut pen, report);
    summary(&mut pen, report, &matrix);
    pen.finish()
}

/// One diagnosis, in the manner of a thread dump: the cycle first, then the lock order, what is blocked behind it, the
/// fix, and the stacks with the runtime's frames folded.
pub fn diagnosis(diagnosis: &Diagnosis, options: &TerminalOptions) -> String {
    let mut pen = Pen::new(options);
    diagnosis::draw(&mut pen, diagnosis);
    pen.finish()
}

fn hangs(pen: &mut Pen, matrix: &Matrix<'_>) {
    let any = matrix.cases().any(|case| digest::hang(case).is_some());
    if !any {
        return;
    }
    pen.heading("What hung, and why");
    for row in matrix.rows() {
        let hung: Vec<_> = row.cells.iter().flatten().filter_map(|case| Some((case, digest::hang(case)?))).collect();
        if hung.is_empty() {
            continue;
        }
        pen.put(Style::Bold, &row.name);
        pen.end();
        for (case, (trial, outcome)) in hung {
            let label = format!("  {:<16} {outcome:<11} ", text::name(&case.variant));
            pen.put(Style::Plain, &label);
            let mut indent = text::width(&pen.plain(&label));
            if pen.width < indent + 60 {
                pen.end();
                pen.put(Style::Plain, "    ");
                indent = 4;
            }
            pen.flow(Style::Dim, &digest::evidence_line(trial), indent, 4);
        }
    }
}

fn findings(pen: &mut Pen, report: &Report) {
    if report.findings.is_empty() {
        return;
    }
    pen.heading("What follows");
    for finding in &report.findings {
        let mark = pen.bullet();
        pen.put(Style::Plain, &mark);
        let strength = text::name(&finding.strength.to_string());
        pen.flow(Style::Plain, &format!("{} [{strength}]", text::sentence(&finding.says)), text::width(&mark), 12);
    }
}

fn unheld(pen: &mut Pen, matrix: &Matrix<'_>) {
    let unheld = digest::unheld(matrix.cases());
    if unheld.is_empty() {
        return;
    }
    pen.heading("What is not as expected");
    for (case, verdict) in unheld {
        let sign = pen.sign(Some(verdict));
        pen.put(style(verdict), &format!("{sign} {:<13}", verdict.word()));
        pen.put(Style::Bold, &text::name(&case.id.to_string()));
        pen.end();
        if let Some(expectation) = &case.expectation {
            let mut says = digest::expected_in_words(expectation);
            for limit in digest::expected_limits(expectation) {
                says.push_str(", ");
                says.push_str(&limit);
            }
            pen.field("expected", &format!("{says}; because {}", text::sentence(&expectation.because)));
        }
        let figures = digest::figures(case);
        let beside = if figures.is_empty() { String::new() } else { format!(" ({})", figures.join(", ")) };
        pen.field("seen", &format!("{}{beside}", digest::seen_in_words(case)));
        if let Some(trial) = digest::telling(case) {
            pen.field("reason", &digest::reason(trial));
            pen.command("replay", &text::line(&trial.replay, text::STORY));
        }
    }
}

fn problems(pen: &mut Pen, report: &Report) {
    if report.problems.is_empty() {
        return;
    }
    pen.heading("Problems around the trials");
    for problem in &report.problems {
        let mark = pen.bullet();
        pen.put(Style::Plain, &mark);
        pen.flow(Style::Yellow, &text::sentence(problem), text::width(&mark), 8);
    }
}

fn summary(pen: &mut Pen, report: &Report, matrix: &Matrix<'_>) {
    pen.end();
    let trials: usize = report.cases.iter().map(|case| case.trials.len()).sum();
    let counts = &report.summary;
    let style = match report.exit_code {
        0 => Style::Green,
        1 => Style::Red,
        _ => Style::Yellow,
    };
    pen.put(style, &digest::summary_in_words(report));
    pen.put(
        Style::Dim,
        &format!(
            "  {} of {} in {}, seed {}, exit {}",
            text::count(trials, "trial"),
            text::count(report.cases.len() - counts.skipped.min(report.cases.len() as u32) as usize, "case"),
            text::millis(report.duration_ms as f64),
            report.seed,
            report.exit_code
        ),
    );
    pen.end();
    if report.interrupted {
        pen.put(Style::Yellow, "interrupted: not every trial ended");
        pen.end();
    }
    let worst = digest::unheld(matrix.cases());
    if let Some(trial) = worst.first().and_then(|(case, _)| digest::telling(case)) {
        pen.command_line("replay", &text::line(&trial.replay, text::STORY));
    }
}
