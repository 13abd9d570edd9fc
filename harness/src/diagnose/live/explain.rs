//! Puts an explanation together: threads, resources and edges, with how each is known and what is missing.

use super::holders::{self, Held};
use super::images::Images;
use super::memory::Memory;
use super::rules;
use super::spin::{self, Spinning};
use super::stacks::{self, Known, Presented, Stack};
use super::suspects::{self, Suspect};
use super::syscalls;
use super::unwind::{End, RSP};
use super::versions;
use super::waits::{self, Key, Wait};
use super::walk::Walker;
use super::{name, runtime, serving};
use crate::model::{
    Edge, Event, Explained, Gap, Holders, Mode, Provenance, RawThread, Relation, Resource, ResourceKind, Snapshot,
    Spin, Thread, WaitsFor,
};
use std::cell::Cell;
use std::collections::{BTreeMap, HashMap, HashSet};

/// Instructions of all walks of one explanation: about a second's worth.
const BUDGET: u32 = 12_000_000;
/// Stacks that end early are named one by one up to this many.
const MAX_STACK_GAPS: usize = 8;

/// What [`explain`] found, and the words that it read for it.
pub(super) struct Explanation {
    pub(super) explained: Explained,
    pub(super) read: BTreeMap<u64, u64>,
}

/// Unwinds and names what the first sample shows, and walks through the code ahead, so that what the second needs of the files has been read.
pub(super) fn prepare(images: &Images, first: &Snapshot) -> Known {
    let layout = images.layout(&first.modules, &mut Vec::new());
    let memory = Memory::new(first, &layout, false);
    let stacks = stacks::build(&first.threads, &layout, &memory, None);
    // The first instruction of all takes as long as thousands: the decoder builds its tables.
    let _ = iced_x86::Decoder::new(64, &[0x90], iced_x86::DecoderOptions::NONE).decode();
    // What the walks through the code need of the files; what they find is of no use yet.
    let memory = Memory::new(first, &layout, true);
    let takes = waits::taking(first, &stacks, &layout);
    let walker = Walker { layout: &layout, memory: &memory, takes, budget: Cell::new(BUDGET / 8) };
    let waits = waits::find(first, &stacks, &memory, &walker);
    let held = holders::find(&stacks, &waits, &memory, &walker);
    name::locks(&stacks, &waits, &held, &memory, &layout);
    name_gaps(&layout);
    versions::gaps(&layout, false);
    Known::of(first, stacks)
}

/// Explains the second sample; the first tells what has not moved, and `known` are its stacks.
pub(super) fn explain(
    images: &Images,
    first: Option<&Snapshot>,
    known: Option<&Known>,
    second: &Snapshot,
    live: bool,
    judged: &[i32],
    apart: &[i32],
) -> Explanation {
    let mut gaps = second.gaps.clone();
    let first = first.filter(|first| first.pid == second.pid);
    let layout = images.layout(&second.modules, &mut gaps);
    let memory = Memory::new(second, &layout, live);
    let still = Still::new(first, second);
    let known = known.filter(|known| first.is_some_and(|first| known.serves(first, &second.modules)));
    let stacks = stacks::build(&second.threads, &layout, &memory, known.map(|known| (known, &still.before)));
    let takes = waits::taking(second, &stacks, &layout);
    let walker = Walker { layout: &layout, memory: &memory, takes, budget: Cell::new(BUDGET) };
    let waits = waits::find(second, &stacks, &memory, &walker);
    let held = holders::find(&stacks, &waits, &memory, &walker);
    let names = name::locks(&stacks, &waits, &held, &memory, &layout);
    let elapsed = first.map_or(0, |first| second.taken_us.saturating_sub(first.taken_us));
    let spinning = spin::find(first, &stacks, &memory, elapsed);

    let mut graph = Graph { explained: Explained::default(), ids: HashMap::new(), counters: HashMap::new() };
    for wait in &waits {
        graph.wait(wait, &stacks, &names, &still);
    }
    for held in &held {
        graph.holders(held, &stacks, &still, &spinning, &layout);
    }
    for spin in &spinning {
        graph.spin(spin, &stacks, &layout);
    }
    for suspect in suspects::find(&stacks, &waits, &held, &walker) {
        graph.suspect(suspect, &waits[suspect.wait], &stacks, &still, &layout);
    }
    let stuck = |thread: usize| {
        still.stands(&second.threads[thread]) || spinning.iter().any(|spin| spin.thread == thread && spin.unchanged)
    };
    let mut explained = graph.explained;
    explained.runtime = runtime::state(&stacks, &waits, &memory, stuck);
    let has_server = stacks.iter().any(Stack::is_nameless) && runtime::has_server(&layout);
    let mut presented = Presented::default();
    let mut shown = |stack| thread(stack, first, &walker, &explained, has_server, &mut presented);
    explained.threads = stacks.iter().map(&mut shown).collect();
    for thread in &mut explained.threads {
        thread.serves_request = (thread.serves_request && !apart.contains(&thread.tid)) || judged.contains(&thread.tid);
    }
    let unnamed = serving::unnamed_gap(&stacks, &explained);
    explained.samples = if first.is_some() { 2 } else { 1 };
    gaps.extend(unnamed);
    gaps.append(&mut count_gaps(&explained));
    gaps.append(&mut stack_gaps(&stacks));
    gaps.append(&mut name_gaps(&layout));
    gaps.append(&mut layout.lost());
    let pool = explained.runtime.as_ref().and_then(|runtime| runtime.pool.as_ref());
    gaps.append(&mut versions::gaps(&layout, pool.is_some_and(|p| p.queued.is_none() && !p.stuck.is_empty())));
    if walker.budget.get() == 0 {
        let why = "the walks through the code used up their budget".to_owned();
        gaps.push(Gap { what: "holders of some locks".into(), why, uncovers: false });
    }
    explained.gaps = gaps;
    drop(stacks);
    Explanation { explained, read: memory.into_used() }
}

/// Which threads have not moved since the first sample.
struct Still<'a> {
    before: HashMap<i32, &'a RawThread>,
}

impl<'a> Still<'a> {
    fn new(first: Option<&'a Snapshot>, second: &Snapshot) -> Still<'a> {
        let later = |first: &&Snapshot| first.taken_us < second.taken_us;
        let threads = first.filter(later).map(|first| first.threads.as_slice()).unwrap_or_default();
        Still { before: threads.iter().map(|thread| (thread.tid, thread)).collect() }
    }

    /// Asleep in the same call with the same arguments, at the same place of the stack, and not run in between.
    fn stands(&self, now: &RawThread) -> bool {
        let sp = |thread: &RawThread| thread.registers.get(RSP).copied().flatten();
        let same_call = |a: Option<(i64, [u64; 6])>, b: Option<(i64, [u64; 6])>| match (a, b) {
            // A call that a stop interrupted is restarted under another number.
            (Some((a, x)), Some((b, y))) => x == y && (a == b || b == syscalls::RESTART || a == syscalls::RESTART),
            _ => false,
        };
        self.before.get(&now.tid).is_some_and(|before| {
            same_call(before.syscall, now.syscall)
                && sp(before).is_some()
                && sp(before) == sp(now)
                && before.switches == now.switches
        })
    }
}

/// The graph as it grows.
struct Graph {
    explained: Explained,
    ids: HashMap<Key, String>,
    counters: HashMap<&'static str, u32>,
}

impl Graph {
    /// The id of a resource, made up on first sight: `lock-1`, `io-2`, ….
    fn resource(
        &mut self,
        key: Key,
        kind: ResourceKind,
        name: &str,
        address: Option<u64>,
        event: Option<Event>,
    ) -> String {
        if let Some(id) = self.ids.get(&key) {
            return id.clone();
        }
        let prefix = match kind {
            kind if kind.is_lock() => "lock",
            ResourceKind::SpinWord => "spin",
            ResourceKind::Channel => "channel",
            ResourceKind::Io => "io",
            ResourceKind::Sleep => "sleep",
            _ => "wait",
        };
        let counter = self.counters.entry(prefix).or_insert(0);
        *counter += 1;
        let id = format!("{prefix}-{counter}");
        self.ids.insert(key, id.clone());
        let name = if name.is_empty() { kind.word().to_owned() } else { name.to_owned() };
        self.explained.resources.push(Resource { id: id.clone(), kind, name, address, holders: None, event });
        id
    }

    fn wait(&mut self, wait: &Wait, stacks: &[Stack<'_>], names: &BTreeMap<u64, String>, still: &Still<'_>) {
        let thread = stacks[wait.thread].raw;
        let (name, address) = match wait.key {
            Key::Lock(address) => (names.get(&address).map_or("", String::as_str), Some(address)),
            Key::Event(address) => (wait.name.as_str(), Some(address)),
            Key::File(_) | Key::Own(_) => (wait.name.as_str(), None),
        };
        let resource = self.resource(wait.key, wait.kind, name, address, wait.event);
        let edge = Edge {
            thread: thread.tid,
            resource,
            relation: Relation::Waits,
            mode: wait.mode,
            provenance: wait.provenance.clone(),
            count_agrees: None,
            stable: still.stands(thread),
            site: (!wait.site.is_empty()).then(|| wait.site.clone()),
            note: None,
        };
        if wait.queued {
            let note = Some("a queued writer goes first".to_owned());
            self.explained.edges.push(Edge { relation: Relation::Queued, note, ..edge.clone() });
        }
        self.explained.edges.push(edge);
    }

    fn holders(
        &mut self,
        held: &Held,
        stacks: &[Stack<'_>],
        still: &Still<'_>,
        spinning: &[Spinning],
        layout: &super::layout::Layout,
    ) {
        let Some(id) = self.ids.get(&Key::Lock(held.lock.address)).cloned() else { return };
        let found = u32::try_from(held.holds.len()).unwrap_or(u32::MAX);
        if let Some(resource) = self.explained.resources.iter_mut().find(|resource| resource.id == id) {
            resource.holders = held.word.map(|word| Holders { word, found });
        }
        let mut seen = HashSet::new();
        for hold in &held.holds {
            // Two guards of one thread in one mode are one edge; the count knows of both.
            if !seen.insert((hold.thread, hold.mode)) {
                continue;
            }
            let stack = &stacks[hold.thread];
            let frame = &stack.frames[hold.frame];
            let spins = spinning.iter().any(|spin| spin.thread == hold.thread && spin.unchanged);
            self.explained.edges.push(Edge {
                thread: stack.raw.tid,
                resource: id.clone(),
                relation: Relation::Holds,
                mode: hold.mode,
                provenance: Provenance::Walked,
                count_agrees: Some(held.word == Some(found)),
                stable: still.stands(stack.raw) || spins,
                site: Some(stacks::site(frame, frame.user(), layout)),
                note: None,
            });
        }
    }

    fn suspect(
        &mut self,
        suspect: Suspect,
        wait: &Wait,
        stacks: &[Stack<'_>],
        still: &Still<'_>,
        layout: &super::layout::Layout,
    ) {
        let Some(resource) = self.ids.get(&wait.key).cloned() else { return };
        let stack = &stacks[suspect.thread];
        let frame = &stack.frames[suspect.frame];
        self.explained.edges.push(Edge {
            thread: stack.raw.tid,
            resource,
            relation: Relation::Holds,
            mode: Mode::Event,
            provenance: Provenance::Inferred { rule: suspect.rule.to_owned() },
            count_agrees: None,
            stable: still.stands(stack.raw),
            site: Some(stacks::site(frame, frame.user(), layout)),
            note: None,
        });
    }

    fn spin(&mut self, spin: &Spinning, stacks: &[Stack<'_>], layout: &super::layout::Layout) {
        let stack = &stacks[spin.thread];
        let tid = stack.raw.tid;
        let name = format!("Histogram `{}`", spin.histogram.name);
        let (address, _) = spin.histogram.cold();
        let resource = self.resource(Key::Event(address), ResourceKind::SpinWord, &name, Some(address), None);
        let site =
            stack.application().map(|(index, function)| stacks::site(&stack.frames[index], Some(function), layout));
        self.explained.edges.push(Edge {
            thread: tid,
            resource: resource.clone(),
            relation: Relation::Waits,
            mode: Mode::Event,
            provenance: Provenance::Read,
            count_agrees: None,
            stable: spin.unchanged,
            site,
            note: None,
        });
        self.explained.spins.push(Spin {
            tid,
            rule: spin::RULE.to_owned(),
            resource,
            says: spin.histogram.says(),
            unchanged: spin.unchanged,
            culprit: spin.culprit,
        });
    }
}

fn thread(
    stack: &Stack<'_>,
    first: Option<&Snapshot>,
    walker: &Walker<'_>,
    explained: &Explained,
    has_server: bool,
    presented: &mut Presented,
) -> Thread {
    let edges = &explained.edges;
    let raw = stack.raw;
    let before = first.and_then(|first| first.threads.iter().find(|thread| thread.tid == raw.tid));
    let of = |relation: Relation| edges.iter().filter(move |e| e.thread == raw.tid && e.relation == relation);
    let held = of(Relation::Holds).filter(|edge| edge.mode != Mode::Event);
    let mut holds: Vec<String> = held.map(|edge| edge.resource.clone()).collect();
    holds.dedup();
    Thread {
        tid: raw.tid,
        name: raw.name.clone(),
        state: raw.state.to_string(),
        wchan: raw.wchan.clone(),
        syscall: raw.syscall.map(|(number, _)| syscalls::name(number)),
        cpu_ms: before.map_or(0, |before| raw.cpu_us.saturating_sub(before.cpu_us) / 1000),
        holds,
        waits_for: of(Relation::Waits).next().map(|e| WaitsFor { resource: e.resource.clone(), mode: e.mode }),
        serves_request: stack.logical().any(rules::serves_request)
            || serves_nameless(stack, explained, has_server)
            || serving::goes_on_to_write(stack, walker),
        stack: presented.of(stack, walker.layout),
        omitted_frames: 0,
    }
}

/// Where names are missing: a thread of the runtime that is at work on a connection, or whose code writes a page.
fn serves_nameless(stack: &Stack<'_>, explained: &Explained, has_server: bool) -> bool {
    let writes = stack.frames.iter().any(|frame| frame.hinted().any(rules::writes_page));
    let spins = explained.spins.iter().any(|spin| spin.tid == stack.raw.tid);
    stack.is_nameless() && (writes || spins || runtime::may_serve(stack, has_server))
}

/// What cannot be told in an executable without names.
fn name_gaps(layout: &super::layout::Layout) -> Vec<Gap> {
    let exe = layout.modules().iter().find(|module| module.exe);
    let nameless = exe.filter(|module| !module.image.has_symbols());
    let gap = |module: &super::layout::Mapped| {
        // Whoever did not write it in Rust has no such options.
        let advice = if module.image.is_rust() {
            "; build with `strip = false`, or debug = \"line-tables-only\", to see names"
        } else {
            ""
        };
        Gap {
            what: format!("the names of functions in `{}`, and which thread runs the request", module.name),
            why: format!(
                "its symbols were stripped: threads of the runtime that are at work on a connection, or on a blocking job, are taken \
             for the request's{advice}"
            ),
            uncovers: false,
        }
    };
    nameless.map(gap).into_iter().collect()
}

/// Locks whose word counts other holders than were found.
fn count_gaps(explained: &Explained) -> Vec<Gap> {
    let mut gaps = Vec::new();
    let judged = judged_path(explained);
    for resource in &explained.resources {
        let Some(Holders { word, found }) = resource.holders else { continue };
        let why = if found < word {
            let missing = word - found;
            format!(
                "the lock word says {word} holder{}; for {missing} of them no thread's stack will release it: a leaked guard, \
                 or one in a suspended task, which is not visible",
                if word == 1 { "" } else { "s" }
            )
        } else if found > word {
            format!(
                "it seems to be held {found} times, and the lock word says {word}: it was changing hands, or the walk erred"
            )
        } else {
            continue;
        };
        let uncovers = judged.contains(resource.id.as_str());
        gaps.push(Gap { what: format!("holders of {} ({})", resource.name, resource.id), why, uncovers });
    }
    gaps
}

/// The resources that a thread which serves a request waits for, itself or through holders and writers in front of it.
fn judged_path(explained: &Explained) -> HashSet<&str> {
    let mut reached = HashSet::new();
    let mut visited = HashSet::new();
    let mut work: Vec<i32> = explained.threads.iter().filter(|t| t.serves_request).map(|t| t.tid).collect();
    while let Some(tid) = work.pop() {
        if !visited.insert(tid) {
            continue;
        }
        let waits = explained.edges.iter().filter(|e| e.thread == tid && e.relation == Relation::Waits);
        for wait in waits {
            reached.insert(wait.resource.as_str());
            let ahead = explained.edges.iter().filter(|e| e.resource == wait.resource && e.relation != Relation::Waits);
            work.extend(ahead.map(|edge| edge.thread));
        }
    }
    reached
}

/// Stacks that end before their thread's first function.
fn stack_gaps(stacks: &[Stack<'_>]) -> Vec<Gap> {
    let lost = stacks.iter().filter_map(|stack| match &stack.end {
        End::Lost(reason) => Some((stack.raw.tid, reason)),
        End::Bottom => None,
    });
    let mut gaps: Vec<Gap> = lost
        .map(|(tid, reason)| Gap {
            what: format!("the rest of the stack of thread {tid}"),
            why: reason.clone(),
            uncovers: false,
        })
        .collect();
    if gaps.len() > MAX_STACK_GAPS {
        let more = gaps.len() - MAX_STACK_GAPS;
        gaps.truncate(MAX_STACK_GAPS);
        let why = "they end like those above".to_owned();
        gaps.push(Gap { what: format!("the rest of the stacks of {more} more threads"), why, uncovers: false });
    }
    gaps
}
