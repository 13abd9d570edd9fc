//! Pictures: the wait-for graph of a diagnosis and the timeline of a trial, each a picture that stands alone.
//!
//! Text is escaped, long names are cut with the full text in a `<title>`, and nothing is loaded from anywhere.

mod frame;
mod graph;
mod interleaving;
mod timeline;

use crate::model::{Counterexample, Diagnosis, TimelineEntry};
use maud::Markup;

pub(super) use frame::STYLE;

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
