//! Pictures: the wait-for graph of a diagnosis and the timeline of a trial, each a picture that stands alone.
//!
//! Text is escaped, long names are cut with the full text in a `<title>`, and nothing is loaded from anywhere.

mod graph;
mod interleaving;
mod timeline;

use crate::model::{Counterexample, Diagnosis, TimelineEntry};
use maud::{Markup, PreEscaped, html};

/// Colours and strokes of both pictures, light and dark; a page that holds many pictures holds this once.
pub(super) const STYLE: &str = include_str!("picture.css");

/// The wait-for graph: threads as rounded boxes, locks as cylinders, waits dashed, holds solid, the cycle marked. Empty
/// if the diagnosis knows of nobody who waits.
pub fn wait_graph(diagnosis: &Diagnosis) -> String {
    alone(graph::draw(diagnosis, true))
}

/// The timeline: a lane for each request and thread, spans for what was held, waited for and run, points for marks.
/// Empty if there is no entry.
pub fn timeline(entries: &[TimelineEntry]) -> String {
    alone(timeline::draw(entries, true))
}

/// The end of a counterexample: threads as rounded boxes, locks as cylinders, the circle marked. Empty if there is nothing
/// to draw.
pub fn interleaving(trace: &Counterexample) -> String {
    alone(interleaving::draw(trace, true))
}

/// The end of a counterexample for a page that holds [`STYLE`] itself.
pub(super) fn inline_interleaving(trace: &Counterexample) -> Option<Markup> {
    interleaving::draw(trace, false)
}

/// The graph for a page that holds [`STYLE`] itself.
pub(super) fn inline_graph(diagnosis: &Diagnosis) -> Option<Markup> {
    graph::draw(diagnosis, false)
}

/// The timeline for a page that holds [`STYLE`] itself.
pub(super) fn inline_timeline(entries: &[TimelineEntry]) -> Option<Markup> {
    timeline::draw(entries, false)
}

fn alone(picture: Option<Markup>) -> String {
    picture.map_or(String::new(), |picture| format!("{}\n", picture.into_string()))
}

/// The outermost element of a picture.
fn frame(class: &str, (width, height): (i32, i32), title: &str, describe: &str, alone: bool, body: &Markup) -> Markup {
    let view = format!("0 0 {width} {height}");
    let class = format!("gl {class}");
    html! {
        svg xmlns=[alone.then_some("http://www.w3.org/2000/svg")] class=(class) viewBox=(view) width=(width) height=(height) role="img" {
            title { (title) }
            desc { (describe) }
            @if alone { style { (PreEscaped(STYLE)) } rect class="page" width="100%" height="100%" {} }
            (body)
        }
    }
}
