//! Draws the end of a counterexample: threads, locks, who waits for what and who has it, the circle marked.

use super::frame::frame;
use super::graph::{border, tip};
use crate::graph::layout::{Branch, Layout, Plan, Point, Size, layout};
use crate::model::{Counterexample, LockWait};
use crate::render::{interleaving, text};
use maud::{Markup, html};

const THREAD: Size = Size { width: 170, height: 40 };
const LOCK: Size = Size { width: 210, height: 54 };
const GAP: Size = Size { width: 130, height: 70 };
const MARGIN: i32 = 16;
/// Longest label, in characters.
const LABEL: usize = 26;
/// Most threads of a circle that is drawn; longer ones are told in words only.
const LONGEST: usize = 6;

#[derive(Clone, PartialEq)]
enum Node<'a> {
    Thread(&'a str),
    Lock(&'a str),
}

/// A line in the direction of waiting.
struct Line {
    from: usize,
    to: usize,
    waits: bool,
    verb: String,
    at: String,
}

struct Sketch<'a> {
    trace: &'a Counterexample,
    nodes: Vec<Node<'a>>,
    ring: Vec<usize>,
    branches: Vec<Branch>,
    lines: Vec<Line>,
    class: &'static str,
}

/// The picture, or `None` if there is nothing to draw.
pub(super) fn draw(trace: &Counterexample, alone: bool) -> Option<Markup> {
    let mut sketch =
        Sketch { trace, nodes: Vec::new(), ring: Vec::new(), branches: Vec::new(), lines: Vec::new(), class: "" };
    match trace.cycle.len() {
        0 => sketch.chain()?,
        n if n <= LONGEST => sketch.circle(),
        _ => return None,
    }
    sketch.others();
    let plan = Plan {
        sizes: sketch.nodes.iter().map(|node| if matches!(node, Node::Thread(_)) { THREAD } else { LOCK }).collect(),
        ring: sketch.ring.clone(),
        branches: sketch.branches.clone(),
        gap: GAP,
    };
    let found = layout(&plan);
    // Labels beside upright lines of the last column stand outside the boxes.
    let beside = |line: &Line| {
        let (from, to) = (found.centers[line.from]?, found.centers[line.to]?);
        let upright = (from.x - to.x).abs() < (from.y - to.y).abs();
        upright.then(|| (from.x + to.x) / 2 + 10 + LABEL as i32 * 6)
    };
    let labels = sketch.lines.iter().filter_map(beside).max().unwrap_or(0);
    let size = (found.size.width.max(labels) + 2 * MARGIN, found.size.height + 2 * MARGIN);
    let body = html! {
        @for line in &sketch.lines { (sketch.line(line, &plan, &found)) }
        @for (at, node) in sketch.nodes.iter().enumerate() { (sketch.node(at, node, &found)) }
    };
    let title = interleaving::headline(trace);
    Some(frame("graph", size, &title, &interleaving::sentences(trace).join(". "), alone, &body))
}

impl<'a> Sketch<'a> {
    fn add(&mut self, node: Node<'a>) -> usize {
        self.nodes.iter().position(|known| *known == node).unwrap_or_else(|| {
            self.nodes.push(node);
            self.nodes.len() - 1
        })
    }

    fn wait_of(&self, thread: &str) -> Option<&'a LockWait> {
        self.trace.waits.iter().find(|wait| wait.thread == thread)
    }

    /// The line by which a thread waits.
    fn waits(&mut self, wait: &'a LockWait) -> (usize, usize) {
        let (from, to) = (self.add(Node::Thread(&wait.thread)), self.add(Node::Lock(&wait.lock)));
        let verb = format!("waits to {}", text::name(&wait.operation));
        self.push(Line { from, to, waits: true, verb, at: text::name(&wait.at) });
        (from, to)
    }

    /// The line by which a lock is another's: held, or claimed by a writer that goes first.
    fn held(&mut self, wait: &'a LockWait, by: &'a str) -> usize {
        let (from, to) = (self.add(Node::Lock(&wait.lock)), self.add(Node::Thread(by)));
        let hold = self.trace.holds.iter().find(|held| held.thread == by && held.lock == wait.lock);
        let (verb, at) = match (hold, self.wait_of(by)) {
            (Some(held), _) => (format!("held: {}", text::name(&held.operation)), text::name(&held.at)),
            (None, Some(other)) if other.lock == wait.lock => ("goes first".to_string(), text::name(&other.at)),
            (None, _) => ("expected from".to_string(), String::new()),
        };
        self.push(Line { from, to, waits: false, verb, at });
        to
    }

    fn push(&mut self, line: Line) {
        if !self.lines.iter().any(|known| (known.from, known.to) == (line.from, line.to)) {
            self.lines.push(line);
        }
    }

    fn circle(&mut self) {
        self.class = "cycle";
        let cycle = &self.trace.cycle;
        for (thread, next) in cycle.iter().zip(cycle.iter().cycle().skip(1)) {
            let Some(wait) = self.wait_of(thread) else { continue };
            let (from, to) = self.waits(wait);
            self.held(wait, next);
            for node in [from, to] {
                if !self.ring.contains(&node) {
                    self.ring.push(node);
                }
            }
        }
    }

    /// No circle: the longest way from a thread along what it waits for and who has that.
    fn chain(&mut self) -> Option<()> {
        let way = |first: &'a LockWait| {
            let mut path = vec![first];
            while let Some(next) = path.last().and_then(|wait| wait.waits_for.first()).and_then(|by| self.wait_of(by)) {
                if path.len() > LONGEST || path.iter().any(|wait| wait.thread == next.thread) {
                    break;
                }
                path.push(next);
            }
            path
        };
        let waits = self.trace.waits.iter().filter(|wait| wait.operation != "join");
        let path = waits.map(way).max_by_key(Vec::len)?;
        let mut nodes = Vec::new();
        for wait in &path {
            let (thread, lock) = self.waits(wait);
            nodes.extend([thread, lock]);
        }
        for (wait, next) in path.iter().zip(path.iter().skip(1)) {
            self.held(wait, &next.thread);
        }
        let last = path.last()?;
        if let Some(by) = last.waits_for.first() {
            nodes.push(self.held(last, by));
        }
        let root = nodes.pop()?;
        self.ring.push(root);
        nodes.reverse();
        self.branches.push(Branch { at: 0, nodes });
        Some(())
    }

    /// Everybody else who waits for a lock of the loop.
    fn others(&mut self) {
        for wait in &self.trace.waits {
            let lock = self.nodes.iter().position(|node| *node == Node::Lock(&wait.lock));
            let known = self.nodes.contains(&Node::Thread(&wait.thread));
            let at = lock.and_then(|lock| self.ring.iter().position(|node| *node == lock));
            if let (false, Some(at)) = (known, at) {
                let (thread, _) = self.waits(wait);
                self.branches.push(Branch { at, nodes: vec![thread] });
            }
        }
    }

    fn node(&self, at: usize, node: &Node<'_>, found: &Layout) -> Markup {
        let Some(center) = found.centers[at] else { return html! {} };
        let size = if matches!(node, Node::Thread(_)) { THREAD } else { LOCK };
        let (width, height) = (size.width, size.height);
        let (x, y) = (center.x + MARGIN - width / 2, center.y + MARGIN - height / 2);
        let middle = x + width / 2;
        let class = if self.ring.contains(&at) { self.class } else { "" };
        match node {
            Node::Thread(name) => html! {
                g class=(class) {
                    title { "thread " (text::name(name)) }
                    rect class="node thread" x=(x) y=(y) width=(width) height=(height) rx="16" {}
                    text class="name" x=(middle) y=(y + 25) text-anchor="middle" { (text::fit(&text::name(name), 20, "…")) }
                }
            },
            Node::Lock(name) => {
                let (rx, ry) = (width / 2, 7);
                let side = height - 2 * ry;
                let body =
                    format!("M{x} {} v{side} a{rx} {ry} 0 0 0 {width} 0 v-{side} a{rx} {ry} 0 0 0 -{width} 0", y + ry);
                let lid = format!("M{x} {} a{rx} {ry} 0 0 0 {width} 0", y + ry);
                html! {
                    g class=(class) {
                        title { (text::name(name)) }
                        path class="node lock" d=(body) {}
                        path class="node lock" d=(lid) {}
                        text class="name" x=(middle) y=(y + 35) text-anchor="middle" { (text::fit(&text::name(name), 27, "…")) }
                    }
                }
            }
        }
    }

    fn line(&self, line: &Line, plan: &Plan, found: &Layout) -> Markup {
        let (Some(from), Some(to)) = (found.centers[line.from], found.centers[line.to]) else { return html! {} };
        let shift = |point: Point| Point { x: point.x + MARGIN, y: point.y + MARGIN };
        let (mut from, mut to) = (shift(from), shift(to));
        // A thread that waits for itself, and a reader and a queued writer, have two lines between the same two boxes.
        let twin = self.lines.iter().any(|other| other.from == line.to && other.to == line.from);
        let level = (from.x - to.x).abs() >= (from.y - to.y).abs();
        if twin {
            let aside = if line.waits { -13 } else { 13 };
            match level {
                true => (from.y, to.y) = (from.y + aside, to.y + aside),
                false => (from.x, to.x) = (from.x + aside, to.x + aside),
            }
        }
        let start = border(from, to, plan.sizes[line.from]);
        let end = border(to, from, plan.sizes[line.to]);
        let in_loop = self.ring.contains(&line.from) && self.ring.contains(&line.to);
        let class = if in_loop { self.class } else { "" };
        let style = if line.waits { "edge wait" } else { "edge" };
        let (middle_x, middle_y) = ((start.x + end.x) / 2, (start.y + end.y) / 2);
        let (x, y, anchor) = match (level, twin && !line.waits) {
            (false, true) => (middle_x + 10, middle_y + 14, "start"),
            (false, false) if twin => (middle_x - 10, middle_y - 6, "end"),
            (false, false) => (middle_x + 10, middle_y + 4, "start"),
            (true, true) => (middle_x, middle_y + 17, "middle"),
            (true, false) => (middle_x, middle_y - 8, "middle"),
        };
        html! {
            g class=(class) {
                title { (line.verb) @if !line.at.is_empty() { ", at " (line.at) } }
                path class=(style) d=(format!("M{} {} L{} {}", start.x, start.y, end.x, end.y)) {}
                path class="tip" d=(tip(start, end)) {}
                text class="label halo" x=(x) y=(y) text-anchor=(anchor) { (text::fit(&line.verb, LABEL, "…")) }
            }
        }
    }
}
