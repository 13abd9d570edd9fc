//! The matrix on a terminal: as many columns side by side as fit, the others in a panel below.

use super::pen::{Pen, Style, style};
use crate::model::{CaseReport, Outcome, Verdict};
use crate::render::matrix::{Matrix, Row};
use crate::render::{digest, text};

/// The lines of one cell: the first is the outcome, the others what stands beside it.
struct Cell {
    lines: Vec<(Style, String)>,
}

/// Draws the matrix and its legend.
pub(super) fn draw(pen: &mut Pen, matrix: &Matrix<'_>) {
    if matrix.columns.is_empty() {
        pen.put(Style::Dim, "no case was selected");
        pen.end();
        return;
    }
    let label = matrix.rows().flat_map(|row| label_lines(pen, row)).map(|line| text::width(&line)).max().unwrap_or(0);
    let label = label.min(pen.width * 2 / 5).max(8);
    let cells: Vec<Vec<Vec<Cell>>> = matrix
        .families
        .iter()
        .map(|family| family.rows.iter().map(|row| row.cells.iter().map(|cases| cell(pen, cases)).collect()).collect())
        .collect();
    let heads: Vec<Vec<String>> =
        matrix.columns.iter().map(|column| head_lines(&pen.plain(&text::name(column.id)))).collect();
    let widths: Vec<usize> = (0..matrix.columns.len())
        .map(|at| {
            let of_cells = cells.iter().flatten().flat_map(|row| &row[at].lines).map(|(_, line)| text::width(line));
            let of_head = heads[at].iter().map(|line| text::width(line));
            of_cells.chain(of_head).max().unwrap_or(1).clamp(1, 24)
        })
        .collect();
    for (n, panel) in panels(&widths, pen.width.saturating_sub(label + 1)).into_iter().enumerate() {
        if n > 0 {
            pen.end();
        }
        head(pen, label, &heads, &widths, &panel);
        for (family, rows) in matrix.families.iter().zip(&cells) {
            let in_panel = |row: &Row<'_>| panel.clone().any(|at| !row.cells[at].is_empty());
            if family.rows.iter().any(in_panel) {
                pen.put(Style::Dim, &text::fit(&pen.plain(&text::name(family.name)), pen.width - 1, pen.ellipsis()));
                pen.end();
            }
            for (row, cells) in family.rows.iter().zip(rows).filter(|(row, _)| in_panel(row)) {
                draw_row(pen, label, row, cells, &widths, &panel);
            }
        }
    }
    legend(pen, matrix);
}

/// Which columns stand side by side: as few panels as possible, about equally wide.
fn panels(widths: &[usize], room: usize) -> Vec<std::ops::Range<usize>> {
    let fewest = fill(widths, room).len();
    let widest = widths.iter().max().map_or(1, |width| width + 1);
    (widest..room)
        .map(|room| fill(widths, room))
        .find(|panels| panels.len() == fewest)
        .unwrap_or_else(|| fill(widths, room))
}

/// Fills panels of at most `room` columns from left to right; a column that is wider than that stands alone.
fn fill(widths: &[usize], room: usize) -> Vec<std::ops::Range<usize>> {
    let mut panels = Vec::new();
    let (mut from, mut used) = (0, 0);
    for (at, width) in widths.iter().enumerate() {
        if at > from && used + width + 1 > room {
            panels.push(from..at);
            (from, used) = (at, 0);
        }
        used += width + 1;
    }
    panels.push(from..widths.len());
    panels
}

fn head(pen: &mut Pen, label: usize, heads: &[Vec<String>], widths: &[usize], panel: &std::ops::Range<usize>) {
    let deep = panel.clone().map(|at| heads[at].len()).max().unwrap_or(1);
    for line in 0..deep {
        pen.cell(Style::Plain, "", label + 1);
        for at in panel.clone() {
            // Short names stand on the last line, next to what they head.
            let skip = deep - heads[at].len();
            let part = line.checked_sub(skip).map_or("", |n| heads[at][n].as_str());
            let part = text::fit(part, widths[at], pen.ellipsis());
            pen.cell(Style::Bold, &part, widths[at] + 1);
        }
        pen.end();
    }
    let wide: usize = panel.clone().map(|at| widths[at] + 1).sum();
    pen.rule(label + wide);
    pen.end();
}

fn draw_row(
    pen: &mut Pen,
    label: usize,
    row: &Row<'_>,
    cells: &[Cell],
    widths: &[usize],
    panel: &std::ops::Range<usize>,
) {
    let names = label_lines(pen, row);
    let deep = panel.clone().map(|at| cells[at].lines.len()).max().unwrap_or(1).max(names.len());
    for line in 0..deep {
        let name = names.get(line).map_or("", String::as_str);
        let style = if line == 0 { Style::Plain } else { Style::Dim };
        let name = text::fit(name, label, pen.ellipsis());
        pen.cell(style, &name, label + 1);
        for at in panel.clone() {
            let (style, part) = cells[at].lines.get(line).map_or((Style::Plain, ""), |(style, part)| (*style, part));
            let part = text::fit(part, widths[at], pen.ellipsis());
            pen.cell(style, &part, widths[at] + 1);
        }
        pen.end();
    }
}

/// `  register-under-app-lock` and below it `    lock=std`.
fn label_lines(pen: &Pen, row: &Row<'_>) -> Vec<String> {
    let name = pen.plain(&text::name(&row.name));
    match name.split_once('[') {
        None => vec![format!("  {name}")],
        Some((scenario, params)) => {
            vec![format!("  {scenario}"), format!("    {}", params.trim_end_matches(']'))]
        }
    }
}

/// A variant's name in lines of at most 11 columns, broken after hyphens.
fn head_lines(name: &str) -> Vec<String> {
    let mut lines = vec![String::new()];
    for part in name.split_inclusive('-') {
        let last = lines.last_mut().expect("there is always a line");
        if !last.is_empty() && text::width(last) + text::width(part) > 11 {
            lines.push(part.to_string());
        } else {
            last.push_str(part);
        }
    }
    lines
}

fn cell(pen: &Pen, cases: &[&CaseReport]) -> Cell {
    let mut lines = Vec::new();
    for case in cases {
        let sign = pen.sign(case.verdict);
        let Some(verdict) = case.verdict else {
            lines.push((Style::Dim, sign.to_string()));
            continue;
        };
        let seen = digest::seen(case);
        let may = if digest::is_may(case) { "~" } else { "" };
        let word = seen.first().map_or("no trial", |seen| seen.word());
        let style = style(verdict);
        lines.push((style, pen.plain(&format!("{sign} {may}{word}"))));
        for more in seen.iter().skip(1) {
            lines.push((style, pen.plain(&format!("  {} {}/{}", more.word(), more.trials, case.trials.len()))));
        }
        for figure in digest::figures(case) {
            lines.push((Style::Dim, pen.plain(&format!("  {figure}"))));
        }
    }
    Cell { lines }
}

fn legend(pen: &mut Pen, matrix: &Matrix<'_>) {
    pen.end();
    let mut any = [false; 5];
    let mut outcomes = Vec::new();
    let mut figures = Vec::new();
    let mut may = false;
    for case in matrix.cases() {
        any[case.verdict.map_or(4, |verdict| verdict as usize)] = true;
        outcomes.extend(case.trials.iter().filter_map(|trial| trial.outcome));
        figures.extend(digest::figures(case));
        may |= digest::is_may(case);
    }
    let mut parts = Vec::new();
    for (verdict, says) in [
        (Verdict::Held, "as expected"),
        (Verdict::Violated, "violated: forbidden by the expectation"),
        (Verdict::Vanished, "vanished: the mistake no longer shows"),
        (Verdict::Inconclusive, "inconclusive: nothing can be said"),
    ] {
        if any[verdict as usize] {
            parts.push(format!("{} {says}", pen.sign(Some(verdict))));
        }
    }
    if any[4] {
        parts.push(format!("{} skipped, the reason is in the report", pen.sign(None)));
    }
    if may {
        parts.push("~ measured, not promised".to_string());
    }
    for (sign, says) in [
        ("/scrape", "+n/scrape: threads that each scrape takes and keeps"),
        ("stuck", "stuck: application threads that wait for ever"),
        ("lost", "lost: updates that are not in the exposition"),
    ] {
        if figures.iter().any(|figure| figure.ends_with(sign)) {
            parts.push(says.to_string());
        }
    }
    pen.flow(Style::Dim, &parts.join(" · "), 0, 12);
    for outcome in Outcome::ALL {
        if outcomes.contains(&outcome) {
            pen.put(Style::Dim, &format!("{outcome:<12}"));
            pen.flow(Style::Dim, outcome.meaning(), 12, 3);
        }
    }
}
