//! A scenario's section: its story, and an article for each of its cases.

use super::diagnosis;
use super::matrix::{row_name, tint};
use super::words::{class, fact, sentence_case};
use crate::model::{CanaryMoved, CaseReport, Evidence, Release, TrialReport, Verdict};
use crate::render::digest::sign;
use crate::render::matrix::{Matrix, Row};
use crate::render::{digest, svg, text};
use maud::{Markup, html};

/// Trials whose timeline or diagnosis is shown besides the telling one.
const OTHERS: usize = 4;
/// Rows of a table.
const ROWS: usize = 200;

/// The section of one row of the matrix.
///
/// `told`: whether the scenario's story stands above already. `beside`: what its models say.
pub(super) fn scenario(row: &Row<'_>, matrix: &Matrix<'_>, told: bool, beside: &Markup) -> Markup {
    let cases: Vec<&CaseReport> = row.cells.iter().flatten().copied().collect();
    let (run, skipped): (Vec<&CaseReport>, Vec<&CaseReport>) = cases.iter().partition(|case| case.verdict.is_some());
    html! {
        section class="scenario" {
            @if let Some(first) = cases.first() { p class="kicker" { (text::name(&first.family)) } }
            h2 { (row_name(&row.name)) }
            @if let Some(info) = row.scenario {
                p class="title" { (text::sentence(&info.title)) }
                @if !told { div class="lesson" {
                    div class="story" { @for paragraph in text::paragraphs(&info.story) { p { (paragraph) } } }
                    div {
                        @if !info.advice.is_empty() {
                            div class="advice" { h4 { "What to change" } ul { @for advice in info.advice.iter().take(20) { li { (text::sentence(advice)) } } } }
                        }
                        @if !info.origin.is_empty() {
                            h4 { "Seen in the wild" }
                            p class="soft" { (text::list(&info.origin.iter().take(20).map(|o| text::name(o)).collect::<Vec<_>>())) }
                        }
                    }
                } }
            } @else if let Some(first) = cases.first() {
                p class="title" { (text::sentence(&first.story)) }
            }
            (beside)
            @for case in run { (article(case, matrix)) }
            @if !skipped.is_empty() {
                ul class="skips" {
                    @for case in skipped {
                        li id=(text::name(&case.id.to_string())) {
                            b { (sign(None)) " " (text::name(&case.variant)) } " skipped: "
                            (case.skip.as_deref().map_or("no reason recorded".to_string(), text::sentence))
                        }
                    }
                }
            }
        }
    }
}

fn article(case: &CaseReport, matrix: &Matrix<'_>) -> Markup {
    let id = text::name(&case.id.to_string());
    let seen = digest::seen(case);
    let hang = if digest::hang(case).is_some() { " hang" } else { "" };
    let verdict = class(case.verdict);
    let info = matrix.columns.iter().find(|column| column.id == case.variant).and_then(|column| column.info);
    let telling = digest::telling(case);
    let others = case.trials.iter().filter(|trial| telling.is_none_or(|telling| !std::ptr::eq(*trial, telling)));
    let others: Vec<&TrialReport> = others.filter(|trial| trial.diagnosis.is_some()).take(OTHERS).collect();
    // What went as expected and did not hang needs no more than a line until somebody asks.
    let quiet =
        case.verdict == Some(Verdict::Held) && hang.is_empty() && telling.is_none_or(|trial| trial.diagnosis.is_none());
    html! {
        article id=(id) class={ "case " (verdict) (hang) @if quiet { " quiet" } } {
            header {
                h3 { a href=(format!("#{id}")) { (text::name(&case.variant)) } }
                span class={ "chip " (tint(seen.first().and_then(|seen| seen.outcome))) } { (digest::seen_in_words(case)) }
                span class={ "chip sign " (verdict) } { (sign(case.verdict)) " " (verdict) }
                @for figure in digest::figures(case) { span class="chip figure" { (figure) } }
                @if let Some(strength) = &case.strength { span class="soft" { (text::sentence(&strength.to_string())) } }
            }
            @if let Some(info) = info { p class="about" { (text::sentence(&info.title)) } }
            @if let Some(expectation) = &case.expectation {
                p class="expected" {
                    (sentence_case(&digest::expected_in_words(expectation)))
                    @for limit in digest::expected_limits(expectation) { ", " (limit) }
                    @if !expectation.because.is_empty() { ", because " (text::sentence(&expectation.because)) }
                }
            }
            @if let Some(trial) = telling {
                @if quiet { details { summary { "Evidence, requests, how to replay it" } (account(trial)) } } @else { (account(trial)) }
            }
            @for trial in others {
                details class="trial" {
                    summary { "Another trial, seed " (trial.seed) ": " (trial.outcome.map_or("void", |outcome| outcome.word())) }
                    (account(trial))
                }
            }
            @if case.trials.len() > 1 { (trials(case)) }
        }
    }
}

/// One trial in full.
fn account(trial: &TrialReport) -> Markup {
    let timeline = svg::inline_timeline(&trial.timeline);
    html! {
        @if let Some(void) = &trial.void { p class="void" { b { "Void: " } (text::sentence(&void.reason)) } }
        @if !trial.covered { p class="void" { b { "Not covered: " } "the evidence does not explain the judged request's own wait" } }
        (evidence(&trial.evidence))
        @if !trial.residue.is_empty() {
            div class="residue" { h4 { "What stays stuck inside" } ul { @for what in trial.residue.iter().take(ROWS) { li { (text::sentence(what)) } } } }
        }
        @if let Some(found) = &trial.diagnosis { (diagnosis::draw(found)) }
        @if let Some(timeline) = timeline {
            figure { h4 { "Timeline" } div class="wide" { (timeline) } }
        }
        (requests(trial))
        @if !trial.replay.is_empty() { pre class="command" { code { (text::line(&trial.replay, text::STORY)) } } }
    }
}

fn evidence(all: &[Evidence]) -> Markup {
    html! {
        @if !all.is_empty() {
            ul class="evidence" {
                @for evidence in all.iter().take(ROWS) {
                    li class=[evidence.decisive.then_some("decisive")] {
                        @if evidence.because.is_empty() {
                            (text::sentence(&evidence.says)) " " span class="tag" { (text::name(&evidence.detector)) }
                        } @else {
                            details {
                                summary { (text::sentence(&evidence.says)) " " span class="tag" { (text::name(&evidence.detector)) @if evidence.decisive { ", decides" } } }
                                ul { @for because in evidence.because.iter().take(ROWS) { li { (text::sentence(because)) } } }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn requests(trial: &TrialReport) -> Markup {
    let probes = &trial.probes;
    html! {
        @if !probes.requests.is_empty() {
            details class="requests" {
                summary { (text::count(probes.requests.len(), "request")) ", figures and probes" }
                div class="wide" { table class="plain" {
                    thead { tr { th { "#" } th { "for" } th { "sent at" } th { "answer" } th { "first byte" } th { "bytes" } th { "Content-Type" } th { "class" } } }
                    tbody {
                        @for request in probes.requests.iter().take(ROWS) {
                            tr {
                                td { (request.request) }
                                td { (digest::request(request)) }
                                td { (text::micros(request.at_us)) }
                                td {
                                    (digest::exchange(&request.exchange))
                                    @for wrong in request.wrong.iter().take(8) { br; span class="soft" { (text::sentence(wrong)) } }
                                }
                                td { @if let Some(us) = request.exchange.first_byte_us { (text::micros(us)) } @else { "–" } }
                                td { (request.exchange.bytes) }
                                td { (request.exchange.content_type.as_deref().map_or("–".to_string(), text::name)) }
                                td { @if let Some(class) = request.class { span class={ "chip " (tint(Some(class))) } { (class.word()) } } }
                            }
                        }
                    }
                } }
                @if let Some(more) = probes.requests.len().checked_sub(ROWS).filter(|more| *more > 0) { p class="soft" { (more) " more in the JSON report" } }
                dl class="facts" {
                    @for (label, value) in digest::figures_in_full(&trial.limits) { (fact(label, &value)) }
                    (fact("canary", match trial.canary_moved {
                        CanaryMoved::Yes => "moved",
                        CanaryMoved::No => "did not move",
                        CanaryMoved::NotChecked => "not checked",
                    }))
                    @if let Some(release) = trial.release { (fact("cause released", match release {
                        Release::Never => "never",
                        Release::AfterBound => "after the bound",
                        Release::AtEnd => "at the end",
                    })) }
                    @if let Some(view) = &probes.prometheus {
                        (fact("Prometheus would record", &format!("up {}, {:.3} s, {} samples", view.up, view.scrape_duration_seconds, view.scrape_samples_scraped)))
                    }
                    @if let Some(cycles) = &probes.parking_lot_detector { (fact("parking_lot's detector", &detector(cycles))) }
                    @if !probes.thread_states.is_empty() {
                        @let states: Vec<String> = probes.thread_states.iter().take(12).map(|(state, n)| format!("{n} × {}", text::name(state))).collect();
                        (fact("threads", &states.join(", ")))
                    }
                    @if let Some(ms) = trial.classified_in_ms { (fact("classified in", &text::millis(ms))) }
                    (fact("observer's lag", &text::millis(probes.lag_ms)))
                }
            }
        }
    }
}

fn detector(cycles: &[u32]) -> String {
    if cycles.is_empty() {
        return "found nothing".to_string();
    }
    let sizes: Vec<String> =
        cycles.iter().take(20).map(|n| format!("a cycle of {}", text::count(*n as usize, "thread"))).collect();
    text::list(&sizes)
}

fn trials(case: &CaseReport) -> Markup {
    html! {
        details class="trials" {
            summary { "All " (text::count(case.trials.len(), "trial")) }
            div class="wide" { table class="plain" {
                thead { tr { th { "seed" } th { "outcome" } th { "took" } th { "evidence" } th { "replay" } } }
                tbody {
                    @for trial in case.trials.iter().take(ROWS) {
                        tr {
                            td { (trial.seed) }
                            td { span class={ "chip " (tint(trial.outcome)) } { (trial.outcome.map_or("void", |outcome| outcome.word())) } }
                            td { (text::millis(trial.duration_ms as f64)) }
                            td { @if trial.evidence.is_empty() && trial.void.is_none() { "–" } @else { (digest::reason(trial)) } }
                            td { code { (text::line(&trial.replay, text::STORY)) } }
                        }
                    }
                }
            } }
            @if let Some(more) = case.trials.len().checked_sub(ROWS).filter(|more| *more > 0) { p class="soft" { (more) " more in the JSON report" } }
        }
    }
}
