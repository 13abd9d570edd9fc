//! Draws the wait-for graph: chooses what to show of a diagnosis, has it laid out, and writes boxes, edges and labels.

use super::frame::frame;
use crate::graph::layout::{Branch, Layout, Plan, Point, Size, layout};
use crate::model::{CycleStep, Diagnosis, Edge, Mode, Relation, Thread, WaitsFor};
use crate::render::{text, waits};
use maud::{Markup, html};

const THREAD: Size = Size { width: 196, height: 52 };
const LOCK: Size = Size { width: 196, height: 62 };
const FOLDED: Size = Size { width: 196, height: 34 };
const GAP: Size = Size { width: 148, height: 72 };
const MARGIN: i32 = 16;
/// Longest label of a line, in characters.
const LABEL: usize = 24;
/// Longest cycle that is drawn; longer ones are told in words only.
const LONGEST: usize = 12;

/// What a node stands for.
#[derive(Clone, PartialEq)]
enum Node {
    /// A thread.
    Thread(i32),
    /// A resource, by id.
    Resource(String),
    /// So many threads that wait for a resource.
    Folded(usize, String),
}

/// A line from one node to another, in the direction of waiting.
struct Line<'a> {
    from: usize,
    to: usize,
    waits: bool,
    mode: Option<Mode>,
    edge: Option<&'a Edge>,
}

/// A diagnosis as nodes and lines.
struct Sketch<'a> {
    diagnosis: &'a Diagnosis,
    nodes: Vec<Node>,
    ring: Vec<usize>,
    branches: Vec<Branch>,
    lines: Vec<Line<'a>>,
    /// `cycle`, `suspect` or nothing.
    class: &'static str,
}

/// The picture, or `None` if nobody waits for anything.
pub(super) fn draw(diagnosis: &Diagnosis, alone: bool) -> Option<Markup> {
    let sketch = Sketch::of(diagnosis)?;
    let plan = Plan {
        sizes: sketch.nodes.iter().map(size).collect(),
        ring: sketch.ring.clone(),
        branches: sketch.branches.clone(),
        gap: GAP,
    };
    let found = layout(&plan);
    // Labels beside upright lines of the last column stand outside the boxes.
    let beside = |line: &Line<'_>| {
        let (from, to) = (found.centers[line.from]?, found.centers[line.to]?);
        let upright = (from.x - to.x).abs() < (from.y - to.y).abs();
        upright.then(|| (from.x + to.x) / 2 + 10 + LABEL as i32 * 6)
    };
    let labels = sketch.lines.iter().filter_map(beside).max().unwrap_or(0);
    let (width, height) = (found.size.width.max(labels) + 2 * MARGIN, found.size.height + 2 * MARGIN);
    let body = html! {
        @for line in &sketch.lines { (sketch.line(line, &plan, &found)) }
        @for (at, node) in sketch.nodes.iter().enumerate() { (sketch.node(at, node, &found)) }
    };
    let title = waits::headline(diagnosis);
    Some(frame("graph", (width, height), &title, &sketch.in_words(), alone, &body))
}

fn size(node: &Node) -> Size {
    match node {
        Node::Thread(_) => THREAD,
        Node::Resource(_) => LOCK,
        Node::Folded(..) => FOLDED,
    }
}

impl<'a> Sketch<'a> {
    fn of(diagnosis: &'a Diagnosis) -> Option<Sketch<'a>> {
        let mut sketch = Sketch { diagnosis, nodes: vec![], ring: vec![], branches: vec![], lines: vec![], class: "" };
        let cycles = [("cycle", Some(&diagnosis.cycle)), ("suspect", diagnosis.suspects.first())];
        let drawn = cycles.into_iter().find_map(|(class, steps)| {
            let steps = steps.filter(|steps| !steps.is_empty() && steps.len() <= LONGEST)?;
            Some((class, steps))
        });
        match drawn {
            Some((class, steps)) => {
                sketch.class = class;
                sketch.loop_of(steps);
                sketch.request_branch();
            }
            None => sketch.chain()?,
        }
        sketch.fold_others();
        Some(sketch)
    }

    fn add(&mut self, node: Node) -> usize {
        self.nodes.iter().position(|known| *known == node).unwrap_or_else(|| {
            self.nodes.push(node);
            self.nodes.len() - 1
        })
    }

    fn wait_line(&mut self, from: usize, tid: i32, resource: &str, to: usize) {
        let edge = waits::wait(self.diagnosis, tid, resource);
        let thread = waits::thread(self.diagnosis, tid);
        let mode = edge.map(|edge| edge.mode).or(thread.and_then(|t| t.waits_for.as_ref()).map(|w| w.mode));
        self.lines.push(Line { from, to, waits: true, mode, edge });
    }

    /// From what `waiter` waits for to the thread that holds it.
    fn hold_line(&mut self, from: usize, waiter: i32, waits_for: &WaitsFor, tid: i32, to: usize) {
        let edge = waits::hold(self.diagnosis, waiter, waits_for, |holder| holder == tid);
        self.lines.push(Line { from, to, waits: false, mode: edge.map(|edge| edge.mode), edge });
    }

    fn loop_of(&mut self, steps: &[CycleStep]) {
        for step in steps {
            let thread = self.add(Node::Thread(step.thread.tid));
            let resource = self.add(Node::Resource(step.waits_for.resource.clone()));
            let holder = self.add(Node::Thread(step.held_by.tid));
            self.wait_line(thread, step.thread.tid, &step.waits_for.resource, resource);
            self.hold_line(resource, step.thread.tid, &step.waits_for, step.held_by.tid, holder);
            for node in [thread, resource] {
                if !self.ring.contains(&node) {
                    self.ring.push(node);
                }
            }
        }
    }

    /// From a thread along what it waits for and who holds that, until a node of the loop or an end.
    fn path(&self, tid: i32) -> Vec<Node> {
        let mut path = vec![Node::Thread(tid)];
        let mut at = tid;
        while let Some(waits_for) = waits::thread(self.diagnosis, at).and_then(|thread| thread.waits_for.as_ref()) {
            let resource = Node::Resource(waits_for.resource.clone());
            let known = path.contains(&resource) || path.len() > 2 * LONGEST;
            let in_loop = self.ring.iter().any(|node| self.nodes[*node] == resource);
            if known || in_loop {
                if in_loop {
                    path.push(resource);
                }
                break;
            }
            path.push(resource);
            let Some(holder) = waits::hold(self.diagnosis, at, waits_for, |tid| tid != at) else { break };
            let next = Node::Thread(holder.thread);
            if path.contains(&next) {
                break;
            }
            let in_loop = self.ring.iter().any(|node| self.nodes[*node] == next);
            path.push(next);
            if in_loop {
                break;
            }
            at = holder.thread;
        }
        path
    }

    /// The way of a request that is not in the loop itself but reaches it through other locks.
    fn request_branch(&mut self) {
        let in_loop = |sketch: &Sketch<'_>, node: &Node| sketch.ring.iter().any(|at| sketch.nodes[*at] == *node);
        let requests = self.diagnosis.threads.iter().filter(|thread| thread.serves_request);
        let outside = requests.filter(|thread| !in_loop(self, &Node::Thread(thread.tid)));
        for path in outside.map(|thread| self.path(thread.tid)).collect::<Vec<_>>() {
            let reaches = path.last().is_some_and(|last| in_loop(self, last));
            if reaches && path.len() > 2 {
                self.branch(path);
                return;
            }
        }
    }

    /// No cycle: the request's way to what it waits for in the end.
    fn chain(&mut self) -> Option<()> {
        let waiting = |thread: &&Thread| thread.waits_for.is_some();
        let threads = &self.diagnosis.threads;
        let first = threads
            .iter()
            .filter(|thread| thread.serves_request)
            .find(waiting)
            .or_else(|| threads.iter().find(waiting))?;
        let path = self.path(first.tid);
        let root = self.add(path.last()?.clone());
        self.ring.push(root);
        self.branch(path);
        Some(())
    }

    /// Adds a path whose last node is in the loop.
    fn branch(&mut self, path: Vec<Node>) {
        let nodes: Vec<usize> = path.iter().map(|node| self.add(node.clone())).collect();
        let mut waiter = None;
        for (pair, at) in path.windows(2).zip(nodes.windows(2)) {
            match pair {
                [Node::Thread(tid), Node::Resource(resource)] => {
                    waiter = waits::thread(self.diagnosis, *tid);
                    self.wait_line(at[0], *tid, resource, at[1]);
                }
                [Node::Resource(_), Node::Thread(tid)] => {
                    if let Some(Thread { tid: waiter, waits_for: Some(waits_for), .. }) = waiter {
                        self.hold_line(at[0], *waiter, waits_for, *tid, at[1]);
                    }
                }
                _ => {}
            }
        }
        let Some((last, before)) = nodes.split_last() else { return };
        let Some(at) = self.ring.iter().position(|node| node == last) else { return };
        if !before.is_empty() {
            self.branches.push(Branch { at, nodes: before.iter().rev().copied().collect() });
        }
    }

    /// Everybody else who waits for a resource of the loop, as one node a resource.
    fn fold_others(&mut self) {
        for (at, node) in self.ring.clone().into_iter().enumerate() {
            let Node::Resource(id) = self.nodes[node].clone() else { continue };
            let others: Vec<&Thread> = self
                .diagnosis
                .threads
                .iter()
                .filter(|thread| thread.waits_for.as_ref().is_some_and(|waits| waits.resource == id))
                .filter(|thread| !self.nodes.contains(&Node::Thread(thread.tid)))
                .collect();
            let Some(first) = others.first() else { continue };
            let folded = self.add(match others.len() {
                1 => Node::Thread(first.tid),
                many => Node::Folded(many, id.clone()),
            });
            let mode = first.waits_for.as_ref().map(|waits| waits.mode);
            let edge = waits::wait(self.diagnosis, first.tid, &id);
            self.lines.push(Line { from: folded, to: node, waits: true, mode, edge });
            self.branches.push(Branch { at, nodes: vec![folded] });
        }
    }

    /// The graph in sentences, for those who do not see it.
    fn in_words(&self) -> String {
        let say = |node: usize| match &self.nodes[node] {
            Node::Thread(tid) => self.thread_name(*tid),
            Node::Resource(id) => waits::what(waits::resource(self.diagnosis, id), id),
            Node::Folded(n, _) => format!("{n} more threads"),
        };
        let sentence = |line: &Line<'_>| {
            let verb = if line.waits { "waits for" } else { "is held by" };
            format!("{} {verb} {}.", say(line.from), say(line.to))
        };
        let words: Vec<String> = self.lines.iter().map(sentence).collect();
        words.join(" ")
    }

    fn thread_name(&self, tid: i32) -> String {
        let steps = self.diagnosis.cycle.iter().chain(self.diagnosis.suspects.iter().flatten());
        let in_steps = || steps.flat_map(|step| [&step.thread, &step.held_by]).find(|who| who.tid == tid);
        match waits::thread(self.diagnosis, tid) {
            Some(thread) => waits::who_thread(thread),
            None => in_steps().map_or(format!("tid {tid}"), waits::who),
        }
    }

    fn node(&self, at: usize, node: &Node, found: &Layout) -> Markup {
        let Some(center) = found.centers[at] else { return html! {} };
        let Size { width, height } = size(node);
        let (x, y) = (center.x + MARGIN - width / 2, center.y + MARGIN - height / 2);
        let middle = x + width / 2;
        let class = if self.ring.contains(&at) { self.class } else { "" };
        match node {
            Node::Thread(tid) => {
                let thread = waits::thread(self.diagnosis, *tid);
                let full = self.thread_name(*tid);
                let name = thread.map_or_else(|| format!("tid {tid}"), |thread| text::name(&thread.name));
                let serves = if thread.is_some_and(|thread| thread.serves_request) { ", runs a request" } else { "" };
                html! {
                    g class=(class) {
                        title { (full) @if let Some(thread) = thread { ": " (waits::doing(thread)) } }
                        rect class="node thread" x=(x) y=(y) width=(width) height=(height) rx="16" {}
                        text class="name" x=(middle) y=(y + 22) text-anchor="middle" { (text::fit(&name, 23, "…")) }
                        text class="soft" x=(middle) y=(y + 39) text-anchor="middle" { "tid " (tid) (serves) }
                    }
                }
            }
            Node::Resource(id) => {
                let resource = waits::resource(self.diagnosis, id);
                let name = waits::what(resource, id);
                let kind = resource.map_or("not listed", |resource| resource.kind.word());
                let (rx, ry) = (width / 2, 7);
                let body = format!(
                    "M{x} {} v{} a{rx} {ry} 0 0 0 {width} 0 v-{} a{rx} {ry} 0 0 0 -{width} 0",
                    y + ry,
                    height - 2 * ry,
                    height - 2 * ry
                );
                let lid = format!("M{x} {} a{rx} {ry} 0 0 0 {width} 0", y + ry);
                html! {
                    g class=(class) {
                        title { (waits::what_in_full(resource, id)) }
                        path class="node lock" d=(body) {}
                        path class="node lock" d=(lid) {}
                        text class="name" x=(middle) y=(y + 32) text-anchor="middle" { (text::fit(&name, 25, "…")) }
                        text class="soft" x=(middle) y=(y + 48) text-anchor="middle" { (kind) }
                    }
                }
            }
            Node::Folded(n, _) => html! {
                g {
                    title { (n) " threads wait here and are not in the cycle" }
                    rect class="node folded" x=(x) y=(y) width=(width) height=(height) rx="16" {}
                    text x=(middle) y=(y + 21) text-anchor="middle" { (n) " more threads behind it" }
                }
            },
        }
    }

    fn line(&self, line: &Line<'_>, plan: &Plan, found: &Layout) -> Markup {
        let (Some(from), Some(to)) = (found.centers[line.from], found.centers[line.to]) else { return html! {} };
        let shift = |point: Point| Point { x: point.x + MARGIN, y: point.y + MARGIN };
        let (mut from, mut to) = (shift(from), shift(to));
        // A self-wait has two lines between the same two boxes.
        let twin = self.lines.iter().any(|other| other.from == line.to && other.to == line.from);
        if twin {
            let aside = if line.waits { -13 } else { 13 };
            (from.y, to.y) = (from.y + aside, to.y + aside);
        }
        let start = border(from, to, plan.sizes[line.from]);
        let end = border(to, from, plan.sizes[line.to]);
        let in_loop = self.ring.contains(&line.from) && self.ring.contains(&line.to);
        let class = if in_loop { self.class } else { "" };
        let style = if line.waits { "edge wait" } else { "edge" };
        let resource = match (&self.nodes[line.from], &self.nodes[line.to]) {
            (Node::Resource(id), _) | (_, Node::Resource(id)) => waits::resource(self.diagnosis, id),
            _ => None,
        };
        let queued = line.edge.is_some_and(|edge| edge.relation == Relation::Queued);
        let verb = match (line.waits, queued, line.mode) {
            (true, _, Some(Mode::Event)) => "waits for".to_string(),
            (true, _, mode) => format!("waits{}", mode.map_or(String::new(), |mode| format!(" {}", mode.word()))),
            (false, true, _) => "goes first".to_string(),
            (false, _, Some(Mode::Event)) => "expected from".to_string(),
            (false, _, Some(Mode::Exclusive) | None) => "held by".to_string(),
            (false, _, Some(mode)) => format!("held {}", mode.word()),
        };
        let known = waits::known(line.edge, resource);
        let site = line.edge.and_then(|edge| edge.site.as_deref()).map(|site| text::line(site, 240));
        let upright = (start.x - end.x).abs() < (start.y - end.y).abs();
        let (middle_x, middle_y) = ((start.x + end.x) / 2, (start.y + end.y) / 2);
        let (x, y, anchor) = match (upright, twin && !line.waits) {
            (true, _) => (middle_x + 10, middle_y - 2, "start"),
            (false, true) => (middle_x, middle_y + 17, "middle"),
            (false, false) => (middle_x, middle_y - 20, "middle"),
        };
        html! {
            g class=(class) {
                title { (verb) ", " (known) @if let Some(site) = &site { ", in " (site) } }
                path class=(style) d=(format!("M{} {} L{} {}", start.x, start.y, end.x, end.y)) {}
                path class="tip" d=(tip(start, end)) {}
                text class="label halo" x=(x) y=(y) text-anchor=(anchor) { (verb) }
                text class="soft halo" x=(x) y=(y + 14) text-anchor=(anchor) { (text::fit(&known, LABEL, "…")) }
            }
        }
    }
}

/// Where the line from `from` to `to` leaves the box of `from`.
pub(super) fn border(from: Point, to: Point, size: Size) -> Point {
    let (dx, dy) = (f64::from(to.x - from.x), f64::from(to.y - from.y));
    let (half_x, half_y) = (f64::from(size.width) / 2.0, f64::from(size.height) / 2.0);
    let scale_x = if dx == 0.0 { f64::INFINITY } else { half_x / dx.abs() };
    let scale_y = if dy == 0.0 { f64::INFINITY } else { half_y / dy.abs() };
    let scale = scale_x.min(scale_y).min(1.0);
    Point { x: from.x + (dx * scale).round() as i32, y: from.y + (dy * scale).round() as i32 }
}

/// A triangle at `end`, pointing away from `start`.
pub(super) fn tip(start: Point, end: Point) -> String {
    let (dx, dy) = (f64::from(end.x - start.x), f64::from(end.y - start.y));
    let length = dx.hypot(dy).max(1.0);
    let (ux, uy) = (dx / length, dy / length);
    let (x, y) = (f64::from(end.x), f64::from(end.y));
    let corner = |side: f64| (x - ux * 10.0 + uy * 5.0 * side, y - uy * 10.0 - ux * 5.0 * side);
    let ((ax, ay), (bx, by)) = (corner(1.0), corner(-1.0));
    format!("M{x:.0} {y:.0} L{ax:.1} {ay:.1} L{bx:.1} {by:.1} Z")
}
