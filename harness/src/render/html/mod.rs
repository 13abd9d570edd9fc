//! The report as one page that stands alone: no script, nothing from the network, light and dark, screen and paper.

mod case;
mod diagnosis;
mod fixes;
mod matrix;
mod models;
mod words;

use super::digest::sign;
use super::{digest, interleaving, matrix::Matrix, matrix::Row, svg, text};
use crate::model::{Agreement, CaseReport, Diagnosis, Report, ScenarioInfo, Verdict};
use maud::{DOCTYPE, Markup, PreEscaped, html};
use words::{class, fact, sentence_case};

/// Nothing may be loaded or run, even if an escape were forgotten somewhere.
const POLICY: &str =
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'";
const STYLE: &str = include_str!("page.css");

/// The whole report.
pub fn render(report: &Report) -> String {
    if let Some(found) = report.diagnosis.as_ref().filter(|_| report.cases.is_empty()) {
        return page(&super::waits::headline(found), &alone(found, Some(report)));
    }
    let matrix = Matrix::of(report);
    let rows: Vec<_> = matrix.rows().collect();
    let same = |a: Option<&ScenarioInfo>, b: Option<&ScenarioInfo>| a.map(|info| &info.id) == b.map(|info| &info.id);
    let body = html! {
        (head(report))
        main {
            (filter(&matrix))
            (problems(report))
            (unheld(&matrix))
            (findings(report))
            (matrix::draw(&matrix))
            (fixes::sections(report))
            @for (at, row) in rows.iter().enumerate() {
                // Rows that differ in a parameter only are one scenario, whose story is told once.
                @let told = rows[..at].iter().any(|other| other.scenario.is_some() && same(other.scenario, row.scenario));
                (case::scenario(row, &matrix, told, &models::beside(report, &cases_of(row))))
            }
            (models::sections(report))
        }
        (foot(report))
    };
    page(&headline(report), &body)
}

/// One diagnosis as a page of its own.
pub fn render_diagnosis(found: &Diagnosis) -> String {
    page(&super::waits::headline(found), &alone(found, None))
}

/// A page with one diagnosis, and with what the report around it says.
fn alone(found: &Diagnosis, report: Option<&Report>) -> Markup {
    html! {
        header class="top" {
            p class="brand" { "Gatherlock" span { "diagnosis" } }
            h1 { (super::waits::headline(found)) }
            @if let Some(report) = report {
                p class="lead" { "begun " (text::name(&report.started)) ", took " (text::millis(report.duration_ms as f64)) }
                pre class="command" { code { (digest::command(&report.command)) } }
            }
        }
        main { article class="case" { (diagnosis::draw(found)) } }
        @if let Some(report) = report { (foot(report)) }
    }
}

fn page(title: &str, body: &Markup) -> String {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(POLICY);
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta name="referrer" content="no-referrer";
                link rel="icon" href="data:,";
                title { (title) " · Gatherlock" }
                style { (PreEscaped(STYLE)) (PreEscaped(models::STYLE)) (PreEscaped(svg::STYLE)) }
            }
            body { (body) }
        }
    };
    page.into_string()
}

/// The cases of a row.
fn cases_of<'a>(row: &Row<'a>) -> Vec<&'a CaseReport> {
    row.cells.iter().flatten().copied().collect()
}

fn headline(report: &Report) -> String {
    let s = &report.summary;
    let judged = s.held + s.violated + s.vanished + s.inconclusive;
    let unheld = judged - s.held;
    let cases = match (judged, unheld) {
        (0, _) => "No case was judged".to_string(),
        (1, 0) => "The one case held".to_string(),
        (all, 0) => format!("All {all} cases held"),
        (all, some) => format!("{some} of {all} cases did not hold"),
    };
    let checks = report.models.iter().filter(|model| model.verdict != Verdict::Held).count();
    let refuted = report.reality.iter().filter(|row| row.agreement == Agreement::Refuted).count();
    let also = [(checks, "model check", "did not hold"), (refuted, "comparison", "with a model was refuted")];
    let also = also.iter().filter(|(n, ..)| *n > 0).map(|(n, what, how)| format!("; {} {how}", text::count(*n, what)));
    cases + &also.collect::<String>()
}

fn head(report: &Report) -> Markup {
    let s = &report.summary;
    let env = &report.environment;
    let tally = [
        (s.held, "held"),
        (s.violated, "violated"),
        (s.vanished, "vanished"),
        (s.inconclusive, "inconclusive"),
        (s.skipped, "skipped"),
    ];
    let signs = ["✓", "✗", "∅", "?", "–"];
    let trials: usize = report.cases.iter().map(|case| case.trials.len()).sum();
    let versions: Vec<String> = env.prometheus.iter().take(16).map(|version| text::name(version)).collect();
    html! {
        header class="top" {
            p class="brand" { "Gatherlock" span { "report" } }
            h1 { (headline(report)) }
            p class="lead" {
                (text::count(trials, "trial")) " in " (text::millis(report.duration_ms as f64)) ", begun " (text::name(&report.started))
                @if !report.models.is_empty() { " · " a href="#models" { (interleaving::tally(&report.models)) } }
                @if report.interrupted { strong { " · interrupted: not every trial ended" } }
            }
            div class="shares" aria-hidden="true" {
                @for (n, class) in tally { @if n > 0 { span class=(class) style=(format!("flex-grow:{n}")) {} } }
            }
            ul class="tally" {
                @for ((n, class), sign) in tally.iter().zip(signs) {
                    li class={ (class) @if *n == 0 { " none" } } { b { (sign) " " (n) } " " (class) }
                }
            }
            pre class="command" { code { (digest::command(&report.command)) } }
            dl class="facts" {
                (fact("bound", &text::millis(report.bound_ms as f64)))
                (fact("hang limit", &text::millis(report.hang_limit_ms as f64)))
                (fact("seed", &report.seed.to_string()))
                (fact("exit code", &report.exit_code.to_string()))
                (fact("prometheus", &versions.join(", ")))
                (fact("system", &format!("{}, kernel {}", text::name(&env.os), text::name(&env.kernel))))
                (fact("processors", &env.cpus.to_string()))
                (fact("compiler", &text::name(&env.rustc)))
            }
        }
    }
}

/// Shows some of the cases only; works without a script.
fn filter(matrix: &Matrix<'_>) -> Markup {
    let hangs = matrix.cases().filter(|case| digest::hang(case).is_some()).count();
    let unheld = digest::unheld(matrix.cases()).len();
    html! {
        nav class="filter" aria-label="Which cases are shown" {
            input type="radio" name="show" id="show-all" checked; label for="show-all" { "All cases" }
            input type="radio" name="show" id="show-hangs"; label for="show-hangs" { "Hangs " span { (hangs) } }
            input type="radio" name="show" id="show-unheld"; label for="show-unheld" { "Did not hold " span { (unheld) } }
        }
    }
}

fn problems(report: &Report) -> Markup {
    html! {
        @if !report.problems.is_empty() {
            section class="problems" {
                h2 { "Problems around the trials" }
                ul { @for problem in report.problems.iter().take(200) { li { (text::sentence(problem)) } } }
            }
        }
    }
}

fn unheld(matrix: &Matrix<'_>) -> Markup {
    let unheld = digest::unheld(matrix.cases());
    html! {
        @if !unheld.is_empty() {
            section class="unheld" {
                h2 { "What did not hold" }
                ol {
                    @for (case, verdict) in unheld {
                        @let id = text::name(&case.id.to_string());
                        li class=(class(Some(verdict))) {
                            p class="verdict" { b { (sign(Some(verdict))) " " (verdict.word()) } " " a href=(format!("#{id}")) { (id) } }
                            @if let Some(expectation) = &case.expectation {
                                @let figures = digest::figures(case);
                                p {
                                    (sentence_case(&digest::expected_in_words(expectation)))
                                    @for limit in digest::expected_limits(expectation) { ", " (limit) }
                                    "; seen: " strong { (digest::seen_in_words(case)) }
                                    @if !figures.is_empty() { " (" (figures.join(", ")) ")" } "."
                                }
                            }
                            @if let Some(trial) = digest::telling(case) { p class="soft" { (digest::reason(trial)) } }
                        }
                    }
                }
            }
        }
    }
}

fn findings(report: &Report) -> Markup {
    html! {
        @if !report.findings.is_empty() {
            section class="findings" {
                h2 { "What follows" }
                @for finding in report.findings.iter().take(200) {
                    blockquote {
                        p { (text::sentence(&finding.says)) }
                        footer {
                            (text::sentence(&finding.strength.to_string()))
                            @for case in finding.cases.iter().take(12) {
                                @let id = text::name(&case.to_string());
                                " · " a href=(format!("#{id}")) { (id) }
                            }
                            @if let Some(more) = finding.cases.len().checked_sub(12).filter(|more| *more > 0) { " · " (more) " more" }
                            (models::of_finding(report, finding))
                        }
                    }
                }
            }
        }
    }
}

fn foot(report: &Report) -> Markup {
    let tool = &report.tool;
    html! {
        footer class="foot" {
            (text::name(&tool.name)) " " (text::name(&tool.version))
            @if let Some(commit) = &tool.commit { " (" (text::name(commit)) ")" }
            " · " (text::name(&report.schema)) " · everything on this page, and more, is in " code { "report.json" }
        }
    }
}
