//! A diagnosis on the page: the graph, who waits for whom, the lock order, what is behind it, stacks, gaps, advice.

use crate::model::{CycleStep, Diagnosis, Edge};
use crate::render::waits::{self, Piece};
use crate::render::{digest, svg, text};
use maud::{Markup, html};

/// Stacks shown.
const STACKS: usize = 24;
/// Frames shown of one stack.
const FRAMES: usize = 96;

/// The whole diagnosis.
pub(super) fn draw(diagnosis: &Diagnosis) -> Markup {
    let (word, means) = waits::confidence(diagnosis);
    html! {
        section class="diagnosis" {
            h4 { (waits::headline(diagnosis)) " " span class={ "confidence " (word) } title=(means) { (word) ", " (text::count(diagnosis.samples as usize, "sample")) } }
            p class="summary" { (text::sentence(&diagnosis.summary)) }
            // Three threads and more need the whole width.
            @let spread = diagnosis.cycle.len().max(diagnosis.suspects.iter().map(Vec::len).max().unwrap_or(0)) > 2;
            @let picture = html! {
                @if let Some(graph) = svg::inline_graph(diagnosis) { figure class="graph" { (graph) } }
                @for cycle in std::iter::once(&diagnosis.cycle).chain(&diagnosis.suspects).take(4) { (order(diagnosis, cycle)) }
            };
            @if spread { (picture) }
            div class="sides" {
                @if !spread { div { (picture) } }
                div {
                    @if !diagnosis.cycle.is_empty() { (steps(diagnosis, &diagnosis.cycle)) }
                    @let (tellers, more) = waits::tellers(diagnosis);
                    @if !tellers.is_empty() {
                        ol class="steps" { @for (thread, notes) in tellers {
                            li { b { (waits::who_thread(thread)) } " " span class="soft" { (waits::doing(thread)) } @for note in notes { div { (note) } } }
                        } }
                        @if more > 0 { p class="soft" { (text::count(more, "thread")) " more: see the stacks" } }
                    }
                    @for suspect in diagnosis.suspects.iter().take(8) {
                        div class="suspect" { h5 { "Suspected, not proven" } (steps(diagnosis, suspect)) }
                    }
                    @if !spread { (around(diagnosis)) }
                }
                @if spread { div { (around(diagnosis)) } }
            }
            (evidence(diagnosis))
            (gaps(diagnosis))
            @if !diagnosis.advice.is_empty() {
                div class="advice" { h4 { "Fix" } ul { @for advice in diagnosis.advice.iter().take(24) { li { (text::sentence(advice)) } } } }
            }
            (stacks(diagnosis))
        }
    }
}

fn steps(diagnosis: &Diagnosis, cycle: &[CycleStep]) -> Markup {
    html! {
        ol class="steps" {
            @for step in waits::steps(diagnosis, cycle) {
                @let waits_for = &step.step.waits_for;
                @let itself = step.step.thread.tid == step.step.held_by.tid;
                li {
                    b { (waits::who(&step.step.thread)) }
                    div {
                        em class="wait" { (waits::waiting(waits_for.mode)) } " " (waits::what_in_full(step.resource, &waits_for.resource))
                        (site(step.wait, waits::known(step.wait, step.resource)))
                    }
                    div {
                        em class="hold" { (step.holding()) } " " @if itself { "itself" } @else { (waits::who(&step.step.held_by)) }
                        (site(step.hold, step.hold_known()))
                    }
                }
            }
        }
    }
}

fn site(edge: Option<&Edge>, known: String) -> Markup {
    html! {
        span class="site" {
            @if let Some(site) = edge.and_then(|edge| edge.site.as_deref()) { "in " code { (text::line(site, 240)) } " " }
            span class="tag" { (known) }
            @if let Some(note) = edge.and_then(|edge| edge.note.as_deref()) { " because " (text::sentence(note)) }
        }
    }
}

fn order(diagnosis: &Diagnosis, cycle: &[CycleStep]) -> Markup {
    let steps = waits::steps(diagnosis, cycle);
    let orders = waits::orders(&steps);
    html! {
        @if !orders.is_empty() && orders.len() <= 6 {
            div class="wide order" {
                h5 { "Lock order" }
                table {
                    thead { tr { @for order in &orders { th scope="col" { (waits::who(order.thread)) } } } }
                    tbody {
                        @for at in 0..orders.len() { tr { @for (n, order) in orders.iter().enumerate() { td { @if n == at { (order.has) } } } } }
                        @for at in 0..orders.len() { tr { @for (n, order) in orders.iter().enumerate() { td class="wait" { @if n == at { (order.wants) " (waits)" } } } } }
                    }
                }
            }
        }
    }
}

fn around(diagnosis: &Diagnosis) -> Markup {
    let behind = waits::behind(diagnosis);
    let probes = &diagnosis.probes;
    html! {
        dl class="around" {
            @if !behind.is_empty() {
                @let groups: Vec<String> = behind.iter().take(8).map(|(name, mode, n)| format!("{} for {mode} {name}", text::count(*n, "thread"))).collect();
                div { dt { "blocked behind it" } dd { (text::list(&groups)) @if behind.len() > 8 { ", and more" } } }
            }
            @if let Some(runtime) = waits::runtime(diagnosis) { div { dt { "runtime" } dd { (runtime) } } }
            @if let Some(metrics) = &probes.metrics { div { dt { "scrape" } dd { (digest::exchange(metrics)) " " span class="soft" { (digest::phases(metrics)) } } } }
            @if let Some(health) = &probes.health { div { dt { "health" } dd { (digest::exchange(health)) } } }
        }
    }
}

fn evidence(diagnosis: &Diagnosis) -> Markup {
    html! {
        @if !diagnosis.evidence.is_empty() {
            div class="beside" {
                h4 { "Evidence" }
                ul { @for evidence in diagnosis.evidence.iter().take(48) {
                    li {
                        (text::sentence(&evidence.says))
                        @if !evidence.because.is_empty() { ul { @for reason in evidence.because.iter().take(48) { li { (text::sentence(reason)) } } } }
                    }
                } }
            }
        }
    }
}

fn gaps(diagnosis: &Diagnosis) -> Markup {
    html! {
        @if !diagnosis.gaps.is_empty() {
            div class="gaps" {
                h4 { "Not seen" }
                ul { @for gap in diagnosis.gaps.iter().take(48) {
                    li { (text::sentence(&gap.what)) ": " (text::sentence(&gap.why)) @if gap.uncovers { strong { " (no outcome may rest on it)" } } }
                } }
            }
        }
    }
}

fn stacks(diagnosis: &Diagnosis) -> Markup {
    let groups = waits::groups(diagnosis);
    let threads: usize = groups.iter().skip(STACKS).map(|group| group.threads.len()).sum();
    html! {
        @if !groups.is_empty() {
            details class="stacks" {
                summary { "Stacks of " (text::count(diagnosis.threads.len(), "thread")) }
                @for group in groups.iter().take(STACKS) {
                    @let first = group.threads[0];
                    @let notes = waits::notes(diagnosis, first);
                    div class={ "stack" @if !group.matters { " aside" } } {
                        p {
                            b { (waits::who_thread(first)) }
                            @if group.threads.len() > 1 { " and " (text::count(group.threads.len() - 1, "thread")) " with the same stack" }
                            " " span class="soft" { (waits::doing(first)) }
                        }
                        @for (_, note) in notes.iter().filter(|(at, _)| at.is_none()) { p class="note" { (note) } }
                        ol {
                            @for piece in waits::fold(&first.stack).into_iter().take(FRAMES) {
                                @match piece {
                                    Piece::Frame(at, frame) => {
                                        li value=(at) {
                                            (frame_line(frame))
                                            @for (_, note) in notes.iter().filter(|(place, _)| *place == Some(at)) { span class="note" { (note) } }
                                        }
                                    }
                                    Piece::Runtime(at, frames) => {
                                        li value=(at) class="runtime" {
                                            details {
                                                summary { (text::count(frames.len(), "runtime frame")) }
                                                @for frame in frames.iter().take(FRAMES) { div { (frame_line(frame)) } }
                                            }
                                        }
                                    }
                                }
                            }
                        }
                        @if first.stack.is_empty() { p class="soft" { "no stack" } }
                        @if first.omitted_frames > 0 {
                            p class="soft" { (text::count(first.omitted_frames as usize, "outer frame")) " left out of the report" }
                        }
                    }
                }
                @if threads > 0 { p class="soft" { (text::count(threads, "thread")) " more in the JSON report" } }
            }
        }
    }
}

fn frame_line(frame: &crate::model::StackFrame) -> Markup {
    let (function, place) = waits::frame(frame);
    html! { code { (function) } " " span class="place" { (place) } @if frame.inlined { " " span class="tag" { "inlined" } } }
}
