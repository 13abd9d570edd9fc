//! The matrix as a table with a link to each case, and the legend below it.

use super::words::class;
use crate::model::{CaseReport, Outcome, Verdict};
use crate::render::digest::sign;
use crate::render::matrix::Matrix;
use crate::render::{digest, text};
use maud::{Markup, html};

/// The section with the matrix.
pub(super) fn draw(matrix: &Matrix<'_>) -> Markup {
    html! {
        section class="matrix" {
            h2 id="matrix" { "Scenario × variant" }
            div class="wide" { table class="cells" {
                thead { tr {
                    th scope="col" { span class="hidden" { "scenario" } }
                    @for column in &matrix.columns {
                        th scope="col" title=[column.info.map(|info| text::sentence(&info.title))] {
                            (text::name(column.id))
                            @if let Some(fix) = column.info.and_then(|info| info.fix.as_deref()) { small { (text::name(fix)) } }
                        }
                    }
                } }
                @for family in &matrix.families {
                    tbody {
                        tr class="family" { th scope="rowgroup" colspan=(matrix.columns.len() + 1) { (text::name(family.name)) } }
                        @for row in &family.rows {
                            tr {
                                th scope="row" title=[row.scenario.map(|info| text::sentence(&info.title))] { (row_name(&row.name)) }
                                @for cases in &row.cells { td { @for case in cases { (cell(case)) } } }
                            }
                        }
                    }
                }
            } }
            (legend(matrix))
        }
    }
}

/// The scenario, with its parameters smaller.
pub(super) fn row_name(name: &str) -> Markup {
    let name = text::name(name);
    let (scenario, params) =
        name.split_once('[').map_or((name.as_str(), None), |(a, b)| (a, Some(b.trim_end_matches(']'))));
    html! { (scenario) @if let Some(params) = params { small { (params) } } }
}

/// How a case is coloured: by what was seen most.
pub(super) fn tint(outcome: Option<Outcome>) -> &'static str {
    match outcome {
        Some(Outcome::Served) => "o-served",
        Some(Outcome::Contained) => "o-contained",
        Some(Outcome::Late) => "o-late",
        Some(Outcome::Deadlocked) => "o-deadlocked",
        Some(Outcome::Busy | Outcome::Livelocked | Outcome::Starved | Outcome::Stalled) => "o-hang",
        Some(Outcome::Invalid) => "o-invalid",
        Some(Outcome::Crashed | Outcome::Unreachable) => "o-gone",
        None => "o-void",
    }
}

fn cell(case: &CaseReport) -> Markup {
    let id = text::name(&case.id.to_string());
    let Some(verdict) = case.verdict else {
        let reason = case.skip.as_deref().map_or("no reason recorded".to_string(), text::sentence);
        return html! { a class="cell skipped" href=(format!("#{id}")) title=(format!("skipped: {reason}")) { (sign(None)) } };
    };
    let seen = digest::seen(case);
    let word = seen.first().map_or("no trial", |seen| seen.word());
    let hang = if digest::hang(case).is_some() { " hang" } else { "" };
    let may = if digest::is_may(case) { " may" } else { "" };
    html! {
        a class={ "cell " (class(Some(verdict))) " " (tint(seen.first().and_then(|seen| seen.outcome))) (hang) (may) } href=(format!("#{id}"))
            title=(format!("{id}: {verdict}")) {
            b { i { (sign(Some(verdict))) } " " @if digest::is_may(case) { "~" } (word) }
            @for more in seen.iter().skip(1) { small { (more.word()) " " (more.trials) "/" (case.trials.len()) } }
            @for figure in digest::figures(case) { small { (figure) } }
        }
    }
}

fn legend(matrix: &Matrix<'_>) -> Markup {
    let seen: Vec<Outcome> = matrix.cases().flat_map(|case| &case.trials).filter_map(|trial| trial.outcome).collect();
    html! {
        details class="legend" open {
            summary { "Legend" }
            div class="columns" {
                div { dl {
                    @for (verdict, says) in [
                        (Verdict::Held, "every trial showed what was expected"),
                        (Verdict::Violated, "a trial showed what the expectation forbids"),
                        (Verdict::Vanished, "the mistake no longer shows: the reproducer stopped reproducing"),
                        (Verdict::Inconclusive, "nothing can be said"),
                    ] {
                        div { dt { b class={ "sign " (verdict.word()) } { (sign(Some(verdict))) } " " (verdict.word()) } dd { (says) } }
                    }
                    div { dt { b class="sign skipped" { (sign(None)) } " skipped" } dd { "not run; the case says why" } }
                    div { dt { "~" } dd { "measured, not promised" } }
                    div { dt { "+n/scrape" } dd { "threads that each scrape takes and keeps" } }
                    div { dt { "n stuck" } dd { "application threads that wait for ever" } }
                    div { dt { "n lost" } dd { "updates that were made and are not exposed" } }
                }
                @let told: Vec<_> = matrix.columns.iter().filter_map(|column| column.info).collect();
            @if !told.is_empty() {
                dl class="variants" {
                    @for info in told {
                        div { dt { (text::name(&info.id)) } dd { (text::sentence(&info.title)) @if let Some(fix) = &info.fix { " (" (text::name(fix)) ")" } } }
                    }
                }
            }
                }
                dl {
                    @for outcome in Outcome::ALL { @if seen.contains(&outcome) {
                        div { dt { span class={ "swatch " (tint(Some(outcome))) } {} " " (outcome.word()) } dd { (outcome.meaning()) } }
                    } }
                }
            }
        }
    }
}
