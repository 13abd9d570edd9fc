//! Draws a trial's timeline: lanes from top to bottom, time from left to right.

use super::frame::frame;
use crate::model::{TimelineEntry, TimelineKind};
use crate::render::text;
use maud::{Markup, html};

const LABELS: i32 = 190;
const PLOT: i32 = 720;
const AXIS: i32 = 26;
const ROW: i32 = 24;
const MARGIN: i32 = 10;
/// Lanes that are drawn.
const LANES: usize = 32;
/// Entries that are drawn.
const ENTRIES: usize = 400;
/// About how wide a character of a label is, in pixels.
const CHARACTER: i32 = 7;

/// Entries that stand on one line of a lane without touching each other.
struct Lane<'a> {
    name: &'a str,
    rows: Vec<i32>,
    placed: Vec<Placed<'a>>,
}

/// An entry with its place.
struct Placed<'a> {
    entry: &'a TimelineEntry,
    row: usize,
    from: i32,
    to: i32,
    label: String,
    label_x: i32,
    anchor: &'static str,
}

/// The picture, or `None` if there is nothing to draw.
pub(super) fn draw(entries: &[TimelineEntry], alone: bool) -> Option<Markup> {
    if entries.is_empty() {
        return None;
    }
    let first = entries.iter().map(|entry| entry.from_us).min().unwrap_or(0);
    let last = entries.iter().map(|entry| entry.to_us.unwrap_or(entry.from_us)).max().unwrap_or(0);
    let span = last.saturating_sub(first).max(1);
    let x_of = |us: u64| {
        let part = us.saturating_sub(first) as f64 / span as f64;
        LABELS + (part.min(1.0) * f64::from(PLOT)).round() as i32
    };
    let mut lanes: Vec<Lane<'_>> = Vec::new();
    let mut left_out = entries.len().saturating_sub(ENTRIES);
    for entry in entries.iter().take(ENTRIES) {
        let at = lanes.iter().position(|lane| lane.name == entry.lane);
        let at = match at {
            Some(at) => at,
            None if lanes.len() == LANES => {
                left_out += 1;
                continue;
            }
            None => {
                lanes.push(Lane { name: &entry.lane, rows: vec![], placed: vec![] });
                lanes.len() - 1
            }
        };
        lanes[at].place(entry, x_of(entry.from_us), x_of(entry.to_us.unwrap_or(entry.from_us)));
    }
    let tops: Vec<i32> = lanes
        .iter()
        .scan(MARGIN + AXIS, |y, lane| {
            let top = *y;
            *y += lane.rows.len() as i32 * ROW + 8;
            Some(top)
        })
        .collect();
    let bottom = tops.last().zip(lanes.last()).map_or(AXIS, |(top, lane)| top + lane.rows.len() as i32 * ROW + 8);
    let height = bottom + MARGIN + if left_out > 0 { 18 } else { 0 };
    let width = LABELS + PLOT + 2 * MARGIN + 20;
    let body = html! {
        @for us in ticks(first, last) {
            @let x = x_of(us);
            line class="grid" x1=(x) y1=(MARGIN + 14) x2=(x) y2=(bottom) {}
            text class="soft" x=(x) y=(MARGIN + 8) text-anchor="middle" { (tick_label(us)) }
        }
        @for (lane, top) in lanes.iter().zip(&tops) { (lane.draw(*top)) }
        @if left_out > 0 {
            text class="soft" x=(LABELS) y=(bottom + 14) { (left_out) " more not drawn; the JSON report has them" }
        }
    };
    let describe = lanes.iter().map(Lane::in_words).collect::<Vec<_>>().join(" ");
    let title = "Timeline: who did, held and waited for what, from the start of the child";
    Some(frame("timeline", (width, height), title, &text::line(&describe, 4_000), alone, &body))
}

impl<'a> Lane<'a> {
    /// Finds the first row in which neither the entry nor its label touches another.
    fn place(&mut self, entry: &'a TimelineEntry, from: i32, to: i32) {
        let label = text::fit(&text::name(&entry.label), 48, "…");
        let wide = text::width(&label) as i32 * CHARACTER;
        let inside = entry.to_us.is_some() && to - from > wide + 10;
        let room_right = to + 10 + wide < LABELS + PLOT + 20;
        let (label_x, anchor) = match (inside, room_right) {
            (true, _) => (from + 6, "start"),
            (false, true) => (to + 9, "start"),
            (false, false) => (from - 9, "end"),
        };
        let (left, right) = match (inside, room_right) {
            (true, _) => (from, to),
            (false, true) => (from, to + 9 + wide),
            (false, false) => (from - 9 - wide, to),
        };
        let row = self.rows.iter().position(|end| *end < left - 6).unwrap_or_else(|| {
            self.rows.push(i32::MIN);
            self.rows.len() - 1
        });
        self.rows[row] = self.rows[row].max(right);
        self.placed.push(Placed { entry, row, from, to, label, label_x, anchor });
    }

    fn draw(&self, top: i32) -> Markup {
        let height = self.rows.len() as i32 * ROW;
        let name = text::name(self.name);
        html! {
            line class="lane" x1=(MARGIN) y1=(top - 4) x2=(LABELS + PLOT + MARGIN) y2=(top - 4) {}
            g {
                title { (name) }
                text x=(LABELS - 14) y=(top + height.min(ROW) / 2 + 3) text-anchor="end" { (text::fit(&name, 26, "…")) }
            }
            @for placed in &self.placed { (placed.draw(top)) }
        }
    }

    fn in_words(&self) -> String {
        let words = self.placed.iter().map(|placed| placed.entry).map(|entry| {
            let label = text::name(&entry.label);
            match entry.to_us {
                Some(to) => format!("{label} from {} to {}", text::micros(entry.from_us), text::micros(to)),
                None => format!("{label} at {}", text::micros(entry.from_us)),
            }
        });
        format!("{}: {}.", text::name(self.name), words.collect::<Vec<_>>().join(", "))
    }
}

impl Placed<'_> {
    fn draw(&self, top: i32) -> Markup {
        let entry = self.entry;
        let y = top + self.row as i32 * ROW + 2;
        let when = match entry.to_us {
            Some(to) => format!("{} to {}", text::micros(entry.from_us), text::micros(to)),
            None => format!("at {}", text::micros(entry.from_us)),
        };
        let class = match entry.kind {
            TimelineKind::Request => "request",
            TimelineKind::Holds => "holds",
            TimelineKind::Waits => "waits",
            TimelineKind::Runs => "runs",
            TimelineKind::Mark => "mark",
        };
        let middle = y + 9;
        let diamond = format!("M{} {} l5 -5 l5 5 l-5 5 Z", self.from - 5, middle);
        html! {
            g {
                title { (text::name(&entry.label)) ", " (when) }
                @if entry.to_us.is_some() {
                    rect class={ "bar " (class) } x=(self.from) y=(y) width=((self.to - self.from).max(3)) height="18" {}
                } @else {
                    path class=(class) d=(diamond) {}
                }
                text x=(self.label_x) y=(y + 13) text-anchor=(self.anchor) { (self.label) }
            }
        }
    }
}

/// Round times, about six of them, between `first` and `last`.
fn ticks(first: u64, last: u64) -> Vec<u64> {
    let rough = (last.saturating_sub(first) / 6).max(1);
    let magnitude = 10u64.pow(rough.ilog10());
    let step = [1, 2, 5, 10].into_iter().map(|n| n * magnitude).find(|step| *step >= rough).unwrap_or(rough);
    (first.div_ceil(step)..=last / step).map(|n| n * step).take(16).collect()
}

fn tick_label(us: u64) -> String {
    match us {
        0 => "0".to_string(),
        us if us < 1_000 => format!("{us} µs"),
        us if us < 1_000_000 => format!("{} ms", us as f64 / 1_000.0),
        us => format!("{} s", us as f64 / 1_000_000.0),
    }
}
