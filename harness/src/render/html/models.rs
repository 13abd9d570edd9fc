//! The proof beside the reproduction: model against reality, and an article for each mechanism with its interleaving.

use super::matrix::row_name;
use super::words::class;
use crate::model::{Agreement, CaseReport, Counterexample, Finding, LockFrame, LockStep, ModelReport, Report};
use crate::render::digest::sign;
use crate::render::interleaving::{self, AGREEMENTS};
use crate::render::{svg, text};
use maud::{Markup, html};

pub(super) const STYLE: &str = include_str!("models.css");
/// Models, comparisons or steps that are shown.
const ROWS: usize = 500;
/// Frames of a stack.
const FRAMES: usize = 60;
/// Models that a finding links to.
const LINKS: usize = 12;
/// Threads that have a column of their own.
const COLUMNS: usize = 8;

/// Where the article of a scenario's models is.
fn anchor(scenario: &str) -> String {
    format!("model-{}", text::name(scenario))
}

/// What stands beside a live scenario: what its models found, with a link.
pub(super) fn beside(report: &Report, cases: &[&CaseReport]) -> Markup {
    let Some(case) = cases.first() else { return html! {} };
    let row = case.id.row();
    let checks: Vec<&ModelReport> = report.models.iter().filter(|model| model.scenario() == case.scenario).collect();
    let reality = report.reality.iter().find(|reality| reality.scenario == row);
    html! {
        @if !checks.is_empty() {
            p class="beside" {
                a href=(format!("#{}", anchor(&case.scenario))) { "Model" } ": "
                (interleaving::found(&checks)) " (" (text::count(checks.len(), "check")) ")"
                @if let Some(reality) = reality { "; " (text::sentence(&reality.says)) }
            }
        } @else if let Some(reality) = reality.filter(|reality| reality.agreement == Agreement::Outside) {
            p class="beside" { "Outside the model: " (text::sentence(&reality.says)) }
        }
    }
}

/// Links to the models that a finding rests on.
pub(super) fn of_finding(report: &Report, finding: &Finding) -> Markup {
    let mut scenarios: Vec<&str> = Vec::new();
    for scenario in finding.models.iter().map(|name| crate::model::model_scenario(name)) {
        let checked = report.models.iter().any(|model| model.scenario() == scenario);
        if checked && !scenarios.contains(&scenario) {
            scenarios.push(scenario);
        }
    }
    html! {
        @for scenario in scenarios.iter().take(LINKS) {
            " · " a href=(format!("#{}", anchor(scenario))) { "model " (text::name(scenario)) }
        }
        @if let Some(more) = scenarios.len().checked_sub(LINKS).filter(|more| *more > 0) { " · " (more) " more" }
    }
}

/// The sections on models, if any were checked.
pub(super) fn sections(report: &Report) -> Markup {
    let memory: Vec<String> = report.models.iter().map(|model| text::name(&model.memory)).collect();
    html! {
        @if !report.models.is_empty() {
            section class="models" {
                h2 id="models" { "Models" }
                p class="title" {
                    "The published source of prometheus under a model checker, which tries schedules as far as each line says. A trial "
                    "says what happened; a model says what can."
                }
                p { (interleaving::tally(&report.models)) @if let Some(memory) = memory.first() { ". Memory model explored: " (memory) } "." }
                (reality(report))
            }
            @for (scenario, checks) in interleaving::by_scenario(&report.models).into_iter().take(ROWS) {
                (article(report, scenario, &checks))
            }
        }
    }
}

fn reality(report: &Report) -> Markup {
    let rows = |agreement| report.reality.iter().filter(move |row| row.agreement == agreement).take(ROWS);
    let first = |row: &str| report.cases.iter().find(|case| case.id.row() == row && case.verdict.is_some());
    html! {
        @if !report.reality.is_empty() {
            h4 { "Model against reality: " (interleaving::agreement_tally(report)) }
            div class="wide" { table class="plain reality" {
                thead { tr { th { "scenario" } th { "live" } th { "model" } th { "agree" } th { "because" } } }
                tbody {
                    @for agreement in AGREEMENTS { @for row in rows(agreement) {
                        tr class=(agreement_class(agreement)) {
                            td { @if let Some(case) = first(&row.scenario) {
                                a href=(format!("#{}", text::name(&case.id.to_string()))) { (row_name(&row.scenario)) }
                            } @else { (row_name(&row.scenario)) } }
                            td { (interleaving::live(row)) }
                            td { @if row.models.is_empty() { "–" } @else {
                                @let scenario = row.models.keys().next().map_or("", |name| crate::model::model_scenario(name));
                                a href=(format!("#{}", anchor(scenario))) { (interleaving::modelled(row)) }
                            } }
                            td class="agreement" { (agreement.word()) }
                            td { (text::sentence(&row.says)) }
                        }
                    } }
                }
            } }
        }
    }
}

fn agreement_class(agreement: Agreement) -> &'static str {
    match agreement {
        Agreement::Held => "held",
        Agreement::Refuted => "violated",
        Agreement::Outside | Agreement::Alone => "skipped",
        Agreement::Open => "inconclusive",
    }
}

/// The models of one mechanism.
fn article(report: &Report, scenario: &str, checks: &[&ModelReport]) -> Markup {
    let id = anchor(scenario);
    let worst = interleaving::worst(checks);
    let hang = if checks.iter().any(|check| check.counterexample.is_some()) { " hang" } else { "" };
    let live: Vec<&CaseReport> =
        report.cases.iter().filter(|case| case.scenario == scenario && case.verdict.is_some()).take(16).collect();
    let models: Vec<&str> = checks.iter().fold(Vec::new(), |mut names, check| {
        if !names.contains(&check.name.as_str()) {
            names.push(&check.name);
        }
        names
    });
    html! {
        article id=(id) class={ "case model " (class(worst)) (hang) } {
            header {
                h3 { a href=(format!("#{id}")) { (text::name(scenario)) } }
                span class={ "chip sign " (class(worst)) } { (sign(worst)) " " (class(worst)) }
                span class="soft" { (text::count(models.len(), "model")) ", " (text::count(checks.len(), "check")) }
            }
            p class="beside" { @if live.is_empty() { "No live case of it in this report." } @else {
                "Live: " @for (at, case) in live.iter().enumerate() {
                    @let id = text::name(&case.id.to_string());
                    @if at > 0 { " · " } a href=(format!("#{id}")) { (text::name(&case.variant)) }
                }
            } }
            @for name in models {
                @let of: Vec<&ModelReport> = checks.iter().filter(|check| check.name == name).copied().collect();
                (model(name, &of))
            }
        }
    }
}

fn model(name: &str, checks: &[&ModelReport]) -> Markup {
    html! {
        section class="proof" {
            h4 { (row_name(name)) @if let Some(first) = checks.first() { span class="lesson-line" { (text::sentence(&first.lesson)) } } }
            div class="wide" { table class="plain checks" { tbody {
                @for line in interleaving::lines(checks) {
                    @let check = line.first;
                    tr {
                        td class={ "sign " (class(Some(check.verdict))) } title=(check.verdict.word()) { (sign(Some(check.verdict))) }
                        td { b { (text::name(&check.outcome)) } @if check.outcome != check.expectation { ", expected " (text::name(&check.expectation)) } }
                        td { (text::name(&check.engine)) }
                        td { (line.versions.join(", ")) }
                        td { (interleaving::strength(check)) }
                        td { (text::count(usize::try_from(check.strength.executions).unwrap_or(usize::MAX), "execution")) }
                        td { (text::millis(line.seconds * 1_000.0)) }
                    }
                    @if let Some(why) = &check.why { tr { td {} td colspan="6" class="void" { (text::sentence(why)) } } }
                }
            } } }
            @if let Some(check) = interleaving::telling(checks) {
                @if let Some(trace) = &check.counterexample { (counterexample(check, trace)) }
            }
        }
    }
}

fn counterexample(check: &ModelReport, trace: &Counterexample) -> Markup {
    let picture = interleaving::picture(trace);
    html! {
        p class="summary" { strong { (interleaving::headline(trace)) "." } }
        div class="sides" {
            @if let Some(graph) = svg::inline_interleaving(trace) { figure class="graph" { (graph) } }
            div {
                ul class="ends" { @for sentence in interleaving::sentences(trace) { li { (sentence) } } }
            }
        }
        h5 { "How it can happen: the steps that still count at the end" }
        div class="wide" { table class="plain columns" {
            thead { tr { th {} @for thread in &picture.threads { th { (thread) } } } }
            tbody { @for row in picture.rows.iter().take(ROWS) {
                tr {
                    td { (row.step) }
                    @for column in 0..picture.threads.len() {
                        td { @if column == row.column { @if row.waits { em class="wait" { (row.text) } } @else { (row.text) } } }
                    }
                }
            } }
        } }
        details {
            summary { "The whole interleaving: " (text::count(trace.steps.len(), "step")) " on prometheus " (text::name(&check.crate_version)) " under " (text::name(&check.engine)) }
            (steps(trace))
        }
        details {
            summary { "Stacks of who holds and who waits" }
            @for held in trace.holds.iter().take(COLUMNS) {
                (stack(&format!("{} holds {} ({}) since step {}", text::name(&held.thread), text::name(&held.lock), text::name(&held.operation), held.step), &held.stack))
            }
            @for wait in trace.waits.iter().take(COLUMNS) {
                (stack(&format!("{} waits to {} {} since step {}", text::name(&wait.thread), text::name(&wait.operation), text::name(&wait.lock), wait.step), &wait.stack))
            }
        }
        @if let Some(replay) = &check.replay { pre class="command" { code { (text::line(replay, text::STORY)) } } }
    }
}

/// Every step, a column for each thread.
fn steps(trace: &Counterexample) -> Markup {
    let threads: Vec<&String> = trace.threads.iter().take(COLUMNS).collect();
    let cell = |step: &LockStep| {
        html! {
            (text::name(&step.operation)) " " (text::name(&step.lock)) " " span class="tag" { (step.progress.word()) }
            span class="site" { (text::name(&step.at)) }
        }
    };
    html! {
        div class="wide" { table class="plain columns" {
            thead { tr { th {} @for thread in &threads { th { (text::name(thread)) } } } }
            tbody { @for step in trace.steps.iter().take(ROWS) {
                tr { td { (step.number) } @for thread in &threads { td { @if **thread == step.thread { (cell(step)) } } } }
            } }
        } }
        @if let Some(more) = trace.steps.len().checked_sub(ROWS).filter(|more| *more > 0) { p class="soft" { (more) " more in the JSON report" } }
    }
}

fn stack(title: &str, frames: &[LockFrame]) -> Markup {
    html! {
        div class="stack" {
            p { b { (title) } }
            ol start="0" { @for frame in frames.iter().take(FRAMES) {
                li { code { (text::name(&frame.function)) } " " span class="place" { (text::name(&frame.at)) } }
            } }
        }
    }
}
