//! Model checks on a terminal: a table of model, engine and version, and the counterexample of each that hangs.

use super::options::TerminalOptions;
use super::pen::{Pen, Style, style};
use crate::model::{Agreement, Checker, Counterexample, LockFrame, ModelReport, Report, Verdict, exit_code};
use crate::render::interleaving::{self, Picture};
use crate::render::text;

/// Counterexamples that are shown below a table.
const SHOWN: usize = 4;
/// Rows of a table, steps of a counterexample.
const ROWS: usize = 2_000;
/// Frames of a stack.
const FRAMES: usize = 40;

/// The checks as a table; below it what did not hold and, for a few models, the counterexamples.
pub fn models(models: &[ModelReport], options: &TerminalOptions) -> String {
    let mut pen = Pen::new(options);
    let groups = interleaving::by_model(models);
    for (name, checks) in groups.iter().take(ROWS) {
        pen.put(Style::Bold, &text::name(name));
        if let Some(first) = checks.first() {
            pen.put(Style::Dim, &format!("  {}", text::sentence(&first.lesson)));
        }
        pen.end();
        for line in interleaving::lines(checks) {
            row(&mut pen, &line);
        }
    }
    unheld(&mut pen, models);
    let hangs: Vec<&ModelReport> = groups.iter().filter_map(|(_, checks)| interleaving::telling(checks)).collect();
    if groups.len() <= SHOWN {
        for check in &hangs {
            let Some(trace) = &check.counterexample else { continue };
            pen.heading(&format!("{} on prometheus {}", text::name(&check.name), text::name(&check.crate_version)));
            summary(&mut pen, trace);
            replay(&mut pen, check);
        }
    } else if !hangs.is_empty() {
        pen.heading("Counterexamples");
        hangs.iter().take(ROWS).for_each(|check| replay(&mut pen, check));
    }
    pen.end();
    let verdicts = models.iter().map(|model| model.verdict);
    let (code, seconds) = (exit_code(verdicts), models.iter().map(|model| model.strength.seconds).sum::<f64>());
    let color = match code {
        0 => Style::Green,
        1 => Style::Red,
        _ => Style::Yellow,
    };
    pen.put(color, &interleaving::tally(models));
    let memory: Vec<String> = models.iter().map(|model| text::name(&model.memory)).collect();
    let memory = memory.first().map_or(String::new(), |memory| format!(", memory model: {memory}"));
    pen.put(Style::Dim, &format!("  {}{memory}, exit {code}", text::millis(seconds * 1_000.0)));
    pen.end();
    pen.finish()
}

fn row(pen: &mut Pen, line: &interleaving::Line<'_>) {
    let check = line.first;
    let sign = pen.sign(Some(check.verdict));
    pen.put(style(check.verdict), &format!("  {sign} "));
    pen.cell(Style::Plain, &text::name(&check.outcome), 13);
    pen.cell(Style::Plain, &text::name(&check.engine), 9);
    pen.cell(Style::Plain, &line.versions.join(", "), 16);
    pen.cell(Style::Plain, &interleaving::strength(check), 33);
    let executions = text::count(usize::try_from(check.strength.executions).unwrap_or(usize::MAX), "execution");
    pen.cell(Style::Dim, &executions, 19);
    pen.put(Style::Dim, &text::millis(line.seconds * 1_000.0));
    pen.end();
}

fn replay(pen: &mut Pen, check: &ModelReport) {
    if let Some(replay) = &check.replay {
        pen.command("replay", &text::line(replay, text::STORY));
    }
}

fn unheld(pen: &mut Pen, models: &[ModelReport]) {
    let unheld: Vec<&ModelReport> = models.iter().filter(|model| model.verdict != Verdict::Held).collect();
    if unheld.is_empty() {
        return;
    }
    pen.heading("What is not as expected");
    for check in unheld.into_iter().take(ROWS) {
        let sign = pen.sign(Some(check.verdict));
        pen.put(style(check.verdict), &format!("{sign} {:<13}", check.verdict.word()));
        pen.put(Style::Bold, &text::name(&check.name));
        pen.put(Style::Plain, &format!(" on {} under {}", text::name(&check.crate_version), text::name(&check.engine)));
        pen.end();
        let (expected, found) = (text::name(&check.expectation), text::name(&check.outcome));
        pen.field("expected", &format!("{expected}; found {found}, {}", interleaving::strength(check)));
        for why in check.why.iter().flat_map(|why| why.lines()).take(20) {
            pen.field("because", &text::sentence(why));
        }
        replay(pen, check);
    }
}

/// A counterexample whole: how it can happen, who holds and waits with stacks, every step, and the replay string.
pub fn counterexample(trace: &Counterexample, options: &TerminalOptions) -> String {
    let mut pen = Pen::new(options);
    summary(&mut pen, trace);
    pen.heading("Who holds");
    for held in trace.holds.iter().take(ROWS) {
        let says = format!(
            "{} holds {} ({}), taken in step {} at {}",
            text::name(&held.thread),
            text::name(&held.lock),
            text::name(&held.operation),
            held.step,
            text::name(&held.at)
        );
        pen.put(Style::Plain, "  ");
        pen.flow(Style::Plain, &says, 4, 4);
        stack(&mut pen, &held.stack);
    }
    pen.heading("Who waits");
    for wait in trace.waits.iter().take(ROWS) {
        let whom: Vec<String> = wait.waits_for.iter().take(16).map(|name| text::name(name)).collect();
        let whom = if whom.is_empty() { String::new() } else { format!(", for {}", text::list(&whom)) };
        let says = format!(
            "{} waits to {} {} since step {} at {}{whom}",
            text::name(&wait.thread),
            text::name(&wait.operation),
            text::name(&wait.lock),
            wait.step,
            text::name(&wait.at)
        );
        pen.put(Style::Plain, "  ");
        pen.flow(Style::Plain, &says, 4, 4);
        stack(&mut pen, &wait.stack);
    }
    pen.heading("Every step");
    let width = trace.threads.iter().map(|name| text::width(&text::name(name))).max().unwrap_or(0);
    for step in trace.steps.iter().take(ROWS) {
        pen.put(Style::Dim, &format!("{:>4}. ", step.number));
        pen.cell(Style::Plain, &text::name(&step.thread), width + 2);
        pen.cell(Style::Plain, &text::name(&step.operation), 8);
        pen.cell(Style::Plain, step.progress.word(), 19);
        pen.put(Style::Cyan, &text::name(&step.lock));
        pen.put(Style::Dim, &format!("  {}", text::name(&step.at)));
        pen.end();
    }
    if let Some(more) = trace.steps.len().checked_sub(ROWS).filter(|more| *more > 0) {
        pen.put(Style::Dim, &format!("      and {more} more"));
        pen.end();
    }
    pen.finish()
}

fn stack(pen: &mut Pen, frames: &[LockFrame]) {
    for frame in frames.iter().take(FRAMES) {
        pen.put(Style::Plain, &format!("      {}", text::name(&frame.function)));
        pen.put(Style::Dim, &format!("  {}", text::name(&frame.at)));
        pen.end();
    }
}

/// The circle in a line, the picture, and a sentence for each thread that waits.
fn summary(pen: &mut Pen, trace: &Counterexample) {
    pen.put(Style::Red, &interleaving::headline(trace));
    pen.end();
    for sentence in interleaving::sentences(trace) {
        let mark = pen.bullet();
        pen.put(Style::Plain, &mark);
        pen.flow(Style::Plain, &sentence, 2, 6);
    }
    pen.end();
    draw(pen, &interleaving::picture(trace));
}

/// The picture: columns side by side if they fit, one below the other if not.
fn draw(pen: &mut Pen, picture: &Picture) {
    let cell = |row: &interleaving::PictureRow| format!("{}. {}", row.step, row.text);
    let width_of = |column: usize| {
        let cells = picture.rows.iter().filter(|row| row.column == column).map(|row| text::width(&cell(row)));
        cells.chain([text::width(&picture.threads[column])]).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..picture.threads.len()).map(width_of).collect();
    if widths.iter().map(|width| width + 3).sum::<usize>() > pen.width + 3 {
        for row in &picture.rows {
            pen.put(Style::Bold, &format!("  {}: ", picture.threads[row.column]));
            pen.flow(Style::Plain, &cell(row), 4, 4);
        }
        return;
    }
    for (column, thread) in picture.threads.iter().enumerate() {
        pen.cell(Style::Bold, thread, widths[column] + 3);
    }
    pen.end();
    pen.rule(widths.iter().sum::<usize>() + 3 * widths.len().saturating_sub(1));
    pen.end();
    for row in &picture.rows {
        let before: usize = widths[..row.column].iter().map(|width| width + 3).sum();
        pen.cell(Style::Plain, "", before);
        pen.put(if row.waits { Style::Yellow } else { Style::Plain }, &cell(row));
        pen.end();
    }
}

/// A counterexample in short: the circle in a line, a sentence for each thread that waits, and the picture.
pub fn interleaving(trace: &Counterexample, options: &TerminalOptions) -> String {
    let mut pen = Pen::new(options);
    summary(&mut pen, trace);
    pen.finish()
}

/// What can be checked, by scenario, and what no model can express.
pub fn checker(checker: &Checker, options: &TerminalOptions) -> String {
    let mut pen = Pen::new(options);
    for model in &checker.models {
        pen.cell(Style::Bold, &text::name(&model.name), 55);
        pen.cell(Style::Plain, &text::name(&model.expectation), 10);
        pen.flow(Style::Dim, &text::sentence(&model.lesson), 65, 4);
    }
    for (heading, listed) in [("Outside the model", &checker.outside), ("Modelled only", &checker.alone)] {
        pen.heading(heading);
        for entry in listed {
            pen.cell(Style::Bold, &text::name(&entry.id), 55);
            pen.flow(Style::Dim, &text::sentence(&entry.why), 55, 4);
        }
    }
    pen.finish()
}

/// The models in a report: a line each, and how they compare with what was seen live.
pub(super) fn section(pen: &mut Pen, report: &Report) {
    if report.models.is_empty() {
        return;
    }
    pen.heading("Models");
    for (name, checks) in interleaving::by_model(&report.models).into_iter().take(ROWS) {
        let verdict = interleaving::worst(&checks);
        let sign = pen.sign(verdict);
        pen.put(verdict.map_or(Style::Plain, style), &format!("{sign} "));
        pen.cell(Style::Plain, &text::name(name), 55);
        pen.cell(Style::Plain, &interleaving::found(&checks), 12);
        let mut strengths: Vec<String> = Vec::new();
        for check in &checks {
            let words = format!("{}: {}", text::name(&check.engine), interleaving::strength(check));
            if !strengths.contains(&words) {
                strengths.push(words);
            }
        }
        pen.flow(Style::Dim, &strengths.join("; "), 69, 4);
    }
    pen.put(Style::Plain, &interleaving::tally(&report.models));
    pen.end();
    reality(pen, report);
}

fn reality(pen: &mut Pen, report: &Report) {
    if report.reality.is_empty() {
        return;
    }
    pen.heading("Model against reality");
    for row in report.reality.iter().take(ROWS) {
        let color = match row.agreement {
            Agreement::Refuted => Style::Red,
            Agreement::Open => Style::Yellow,
            Agreement::Held | Agreement::Outside | Agreement::Alone => continue,
        };
        pen.put(color, &format!("{:<9}", row.agreement.word()));
        pen.put(Style::Bold, &text::name(&row.scenario));
        pen.put(Style::Plain, ": ");
        pen.flow(Style::Plain, &text::sentence(&row.says), 9, 4);
    }
    pen.put(Style::Plain, &interleaving::agreement_tally(report));
    pen.end();
}

/// As it is printed where no renderer was asked for: the summary, the stacks, every step, and the string that replays it.
impl std::fmt::Display for Counterexample {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let options = TerminalOptions { color: false, width: 120, unicode: true };
        write!(f, "{}replay: {}", counterexample(self, &options), text::line(&self.replay, text::STORY))
    }
}
