//! A diagnosis as sentences about threads and locks, in the order in which people read them; shared by all views.

use super::text;
use crate::model::{
    Confidence, CycleStep, Diagnosis, Edge, Mode, Outcome, Provenance, Relation, Resource, StackFrame, Thread,
    ThreadRef, WaitsFor,
};

/// Threads that are told of before the stacks.
const TELLERS: usize = 6;

/// One step of a cycle with the edges and the resource it rests on.
pub(super) struct Step<'a> {
    /// The step.
    pub(super) step: &'a CycleStep,
    /// What is waited for, if the diagnosis lists it.
    pub(super) resource: Option<&'a Resource>,
    /// The edge by which the thread waits.
    pub(super) wait: Option<&'a Edge>,
    /// The edge by which the other thread holds.
    pub(super) hold: Option<&'a Edge>,
}

/// The steps of `cycle` with what they rest on.
pub(super) fn steps<'a>(diagnosis: &'a Diagnosis, cycle: &'a [CycleStep]) -> Vec<Step<'a>> {
    cycle
        .iter()
        .map(|step| Step {
            step,
            resource: resource(diagnosis, &step.waits_for.resource),
            wait: wait(diagnosis, step.thread.tid, &step.waits_for.resource),
            hold: hold(diagnosis, step.thread.tid, &step.waits_for, |tid| tid == step.held_by.tid),
        })
        .collect()
}

/// The edge by which a thread waits for a resource.
pub(super) fn wait<'a>(diagnosis: &'a Diagnosis, tid: i32, resource: &str) -> Option<&'a Edge> {
    let waits = |edge: &&Edge| edge.thread == tid && edge.resource == resource && edge.relation == Relation::Waits;
    diagnosis.edges.iter().find(waits)
}

/// The edge by which a thread that `is_holder` accepts keeps `waiter` waiting; one that holds before one that is queued.
pub(super) fn hold<'a>(
    diagnosis: &'a Diagnosis,
    waiter: i32,
    waits_for: &WaitsFor,
    is_holder: impl Fn(i32) -> bool,
) -> Option<&'a Edge> {
    let blocks = |edge: &&Edge| is_holder(edge.thread) && edge.blocks(waiter, waits_for);
    diagnosis.edges.iter().filter(blocks).min_by_key(|edge| edge.relation)
}

/// The resource with that id.
pub(super) fn resource<'a>(diagnosis: &'a Diagnosis, id: &str) -> Option<&'a Resource> {
    diagnosis.resources.iter().find(|resource| resource.id == id)
}

/// The thread with that tid.
pub(super) fn thread(diagnosis: &Diagnosis, tid: i32) -> Option<&Thread> {
    diagnosis.threads.iter().find(|thread| thread.tid == tid)
}

/// `"tokio-rt-worker" (tid 25161)`.
pub(super) fn who(thread: &ThreadRef) -> String {
    format!("\"{}\" (tid {})", text::name(&thread.name), thread.tid)
}

/// The same for a thread of the list.
pub(super) fn who_thread(thread: &Thread) -> String {
    format!("\"{}\" (tid {})", text::name(&thread.name), thread.tid)
}

/// The name of a resource, or its id where it has none.
pub(super) fn what(resource: Option<&Resource>, id: &str) -> String {
    match resource {
        Some(resource) if !resource.name.is_empty() => text::name(&resource.name),
        Some(resource) => resource.kind.word().to_string(),
        None => text::name(id),
    }
}

/// The name with its kind and address: `Registry #1 (parking_lot::RwLock, 0x55c1…)`.
pub(super) fn what_in_full(resource: Option<&Resource>, id: &str) -> String {
    let name = what(resource, id);
    let Some(resource) = resource else { return name };
    let kind = resource.kind.word();
    match resource.address {
        Some(address) if name == kind => format!("{name} <{address:#x}>"),
        Some(address) => format!("{name} ({kind} <{address:#x}>)"),
        None if name == kind => name,
        None => format!("{name} ({kind})"),
    }
}

/// How an edge is known: `walked, count 1 of 1`, `read`, `inferred by futex-owner, seen in one sample only`.
pub(super) fn known(edge: Option<&Edge>, resource: Option<&Resource>) -> String {
    let Some(edge) = edge else { return "no edge recorded".to_string() };
    let mut words = match &edge.provenance {
        Provenance::Traced => "traced".to_string(),
        Provenance::Read => "read".to_string(),
        Provenance::Walked => "walked".to_string(),
        Provenance::Inferred { rule } => format!("inferred by {}", text::name(rule)),
    };
    if let (Some(agrees), Some(holders)) = (edge.count_agrees, resource.and_then(|resource| resource.holders)) {
        if agrees {
            words.push_str(&format!(", count {}/{}", holders.found, holders.word));
        } else {
            words.push_str(&format!(", count disagrees: {} found, the lock word says {}", holders.found, holders.word));
        }
    }
    if !edge.stable {
        words.push_str(", not seen unchanged in two samples");
    }
    words
}

/// `waits to LOCK`, `waits to READ`, `waits for`.
pub(super) fn waiting(mode: Mode) -> &'static str {
    match mode {
        Mode::Read => "waits to READ",
        Mode::Write => "waits to WRITE",
        Mode::Upgradable => "waits to read UPGRADABLE",
        Mode::Exclusive => "waits to LOCK",
        Mode::Event => "waits for",
    }
}

impl Step<'_> {
    /// `held READ by`, `held by`, `reserved for WRITE by`, `expected from`.
    pub(super) fn holding(&self) -> String {
        match (self.hold, self.hold_mode()) {
            (Some(Edge { relation: Relation::Queued, mode, .. }), _) => format!("reserved for {} by", mode.word()),
            (_, Some(Mode::Event)) => "expected from".to_string(),
            (_, Some(Mode::Exclusive) | None) => "held by".to_string(),
            (_, Some(mode)) => format!("held {} by", mode.word()),
        }
    }

    /// How it is known that the other thread holds it.
    pub(super) fn hold_known(&self) -> String {
        match (self.hold, self.hold_mode()) {
            (None, Some(Mode::Event)) => "supposed: nothing seen says that it would".to_string(),
            (hold, _) => known(hold, self.resource),
        }
    }

    /// The mode in which it is held. Nobody holds an event, seen or not.
    fn hold_mode(&self) -> Option<Mode> {
        let event = (self.step.waits_for.mode == Mode::Event).then_some(Mode::Event);
        self.hold.map(|edge| edge.mode).or(event)
    }
}

/// The order in which one thread of a cycle takes its locks: what it has, then what it waits for.
pub(super) struct Order<'a> {
    /// The thread.
    pub(super) thread: &'a ThreadRef,
    /// The mode and name of what it has, or is queued for.
    pub(super) has: String,
    /// The mode and name of what it wants.
    pub(super) wants: String,
}

/// The lock orders of a cycle, one a thread.
pub(super) fn orders<'a>(steps: &[Step<'a>]) -> Vec<Order<'a>> {
    let say = |mode: Option<Mode>, step: &Step<'_>, event: &str| {
        let name = what(step.resource, &step.step.waits_for.resource);
        match mode {
            None => name,
            Some(Mode::Event) => format!("{event} {name}"),
            Some(mode) => format!("{} {name}", mode.word()),
        }
    };
    steps
        .iter()
        .filter_map(|step| {
            let held = steps.iter().find(|other| other.step.held_by.tid == step.step.thread.tid)?;
            Some(Order {
                thread: &step.step.thread,
                has: match held.hold {
                    // It does not have it: it only goes first.
                    Some(Edge { relation: Relation::Queued, .. }) => {
                        format!("queued for {}", say(held.hold_mode(), held, "answers"))
                    }
                    _ => say(held.hold_mode(), held, "answers"),
                },
                wants: say(Some(step.step.waits_for.mode), step, "awaits"),
            })
        })
        .collect()
}

/// Threads that wait behind the cycle, by what they wait for: `(name, mode, threads)`, most first.
pub(super) fn behind(diagnosis: &Diagnosis) -> Vec<(String, &'static str, usize)> {
    let mut groups: Vec<(String, &'static str, usize)> = Vec::new();
    for tid in &diagnosis.blocked_behind {
        let waits = thread(diagnosis, *tid).and_then(|thread| thread.waits_for.as_ref());
        let (name, mode) = waits.map_or(("something not listed".to_string(), ""), |waits| {
            (what(resource(diagnosis, &waits.resource), &waits.resource), waits.mode.word())
        });
        match groups.iter_mut().find(|(n, m, _)| *n == name && *m == mode) {
            Some((_, _, count)) => *count += 1,
            None => groups.push((name, mode, 1)),
        }
    }
    groups.sort_by_key(|(_, _, count)| std::cmp::Reverse(*count));
    groups
}

/// Threads with the same stack.
pub(super) struct Group<'a> {
    /// The threads; the first stands for all.
    pub(super) threads: Vec<&'a Thread>,
    /// Whether a thread of the cycle, a suspect, one that serves a request, or one whose being stuck is the verdict is among
    /// them.
    pub(super) matters: bool,
}

/// The threads whose being stuck is why no other is left for the request.
fn starved(diagnosis: &Diagnosis) -> &[i32] {
    match (&diagnosis.runtime, diagnosis.outcome) {
        (Some(runtime), Some(Outcome::Starved)) => match runtime.full_pool() {
            Some((pool, _)) if runtime.stuck.len() < runtime.workers as usize => &pool.stuck,
            _ => &runtime.stuck,
        },
        _ => &[],
    }
}

/// The threads grouped by stack and by what they wait for: those of the cycle first, then suspects, then requests.
pub(super) fn groups(diagnosis: &Diagnosis) -> Vec<Group<'_>> {
    let in_cycle: Vec<i32> =
        diagnosis.cycle.iter().chain(diagnosis.suspects.iter().flatten()).map(|step| step.thread.tid).collect();
    let starved = starved(diagnosis);
    let matters = |thread: &Thread| thread.serves_request || starved.contains(&thread.tid);
    let rank = |thread: &Thread| {
        let cycle = in_cycle.iter().position(|tid| *tid == thread.tid);
        cycle.unwrap_or(if matters(thread) { in_cycle.len() } else { in_cycle.len() + 1 })
    };
    let mut threads: Vec<&Thread> = diagnosis.threads.iter().collect();
    threads.sort_by_key(|thread| rank(thread));
    let mut groups: Vec<Group<'_>> = Vec::new();
    for thread in threads {
        let alone = in_cycle.contains(&thread.tid);
        let same = |group: &&mut Group<'_>| {
            let first = group.threads[0];
            !alone
                && !in_cycle.contains(&first.tid)
                && matters(first) == matters(thread)
                && first.waits_for == thread.waits_for
                && first.stack == thread.stack
        };
        match groups.iter_mut().find(same) {
            Some(group) => group.threads.push(thread),
            None => groups.push(Group { threads: vec![thread], matters: alone || matters(thread) }),
        }
    }
    groups
}

/// A stack with its runtime frames folded.
pub(super) enum Piece<'a> {
    /// A frame of the application or of a library that matters, with its number.
    Frame(usize, &'a StackFrame),
    /// So many runtime frames in a row, beginning with that number.
    Runtime(usize, &'a [StackFrame]),
}

/// Folds the runtime frames of `stack`.
pub(super) fn fold(stack: &[StackFrame]) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    let mut at = 0;
    while at < stack.len() {
        let run = stack[at..].iter().take_while(|frame| frame.runtime).count();
        if run > 0 {
            pieces.push(Piece::Runtime(at, &stack[at..at + run]));
            at += run;
        } else {
            pieces.push(Piece::Frame(at, &stack[at]));
            at += 1;
        }
    }
    pieces
}

/// Every frame of `stack`.
pub(super) fn unfolded(stack: &[StackFrame]) -> Vec<Piece<'_>> {
    stack.iter().enumerate().map(|(at, frame)| Piece::Frame(at, frame)).collect()
}

/// `function` and `file:line` of a frame; what has no symbol keeps its module and address.
pub(super) fn frame(frame: &StackFrame) -> (String, String) {
    let function = if frame.function.is_empty() {
        frame.address.map_or("unnamed".to_string(), |address| format!("{address:#x}"))
    } else {
        text::line(&frame.function, 240)
    };
    let place = match (&frame.file, frame.line) {
        (Some(file), Some(line)) => format!("{}:{line}", text::path(file)),
        (Some(file), None) => text::path(file),
        (None, _) => text::name(&frame.module),
    };
    (function, place)
}

/// What is to be said beside the frames of a thread: `(number of the frame or None, sentence)`.
pub(super) fn notes(diagnosis: &Diagnosis, thread: &Thread) -> Vec<(Option<usize>, String)> {
    let at = |edge: &Edge| {
        let site = edge.site.as_deref()?;
        thread.stack.iter().position(|frame| !frame.function.is_empty() && site.starts_with(frame.function.as_str()))
    };
    diagnosis
        .edges
        .iter()
        .filter(|edge| edge.thread == thread.tid)
        .take(32)
        .map(|edge| {
            let resource = resource(diagnosis, &edge.resource);
            let name = what_in_full(resource, &edge.resource);
            let says = match edge.relation {
                Relation::Waits => format!("{} {name}", waiting(edge.mode)),
                Relation::Holds if edge.mode == Mode::Event => format!("is expected to end the wait for {name}"),
                Relation::Holds => format!("holds {} {name}", edge.mode.word()),
                Relation::Queued => format!("has reserved {} {name}", edge.mode.word()),
            };
            (at(edge), format!("{says} [{}]", known(Some(edge), resource)))
        })
        .collect()
}

/// Where there is no cycle to tell: the threads that hold or wait, those that serve requests first, with what they hold
/// and wait for; and how many more there are.
pub(super) fn tellers(diagnosis: &Diagnosis) -> (Vec<(&Thread, Vec<String>)>, usize) {
    if !diagnosis.cycle.is_empty() || !diagnosis.suspects.is_empty() {
        return (Vec::new(), 0);
    }
    let mut tellers: Vec<_> = groups(diagnosis)
        .iter()
        .map(|group| group.threads[0])
        // Whoever stands in nothing but the runtime's own frames waits for work.
        .filter(|thread| thread.stack.is_empty() || thread.stack.iter().any(|frame| !frame.runtime))
        .map(|thread| (thread, notes(diagnosis, thread).into_iter().map(|(_, note)| note).collect::<Vec<_>>()))
        .filter(|(_, notes)| !notes.is_empty())
        .collect();
    let more = tellers.len().saturating_sub(TELLERS);
    tellers.truncate(TELLERS);
    (tellers, more)
}

/// `sleeping in futex`, `running`, with the CPU time it took between the samples.
pub(super) fn doing(thread: &Thread) -> String {
    let state = match thread.state.as_str() {
        "R" => "running",
        "S" => "sleeping",
        "D" => "in uninterruptible sleep",
        "T" | "t" => "stopped",
        "Z" => "dead",
        other => return text::name(other),
    };
    let place = thread.syscall.as_deref().or(thread.wchan.as_deref()).map(text::name);
    let mut says = place.map_or_else(|| state.to_string(), |place| format!("{state} in {place}"));
    if thread.cpu_ms > 0 {
        says.push_str(&format!(", {} ms CPU between the samples", thread.cpu_ms));
    }
    says
}

/// `proven`, and what that means.
pub(super) fn confidence(diagnosis: &Diagnosis) -> (&'static str, &'static str) {
    match (diagnosis.confidence, diagnosis.outcome) {
        (Confidence::Suspected, Some(Outcome::Deadlocked)) => ("suspected", "not proven: at least one edge is a guess"),
        (Confidence::Suspected, _) => ("suspected", "not proven: a part of it was not seen, or is a guess"),
        (Confidence::Inferred, Some(Outcome::Deadlocked)) => (
            "inferred",
            "at least one edge was found by walking the code; the counts agree, and nothing changed between two samples",
        ),
        (Confidence::Inferred, _) => ("inferred", "concluded from stacks, system calls and counts in two samples"),
        (Confidence::Proven, Some(Outcome::Deadlocked)) => ("proven", "every edge was traced or read"),
        (Confidence::Proven, _) => ("proven", "what the first sentence rests on was traced or read"),
    }
}

/// `Deadlock: 2 threads, 2 locks`, `Stalled`.
pub(super) fn headline(diagnosis: &Diagnosis) -> String {
    let distinct = |mut ids: Vec<&str>| {
        ids.sort_unstable();
        ids.dedup();
        ids.len()
    };
    match (diagnosis.outcome, diagnosis.cycle.len()) {
        (Some(Outcome::Deadlocked), 1) => "Deadlock: a thread waits for itself".to_string(),
        (Some(Outcome::Deadlocked), threads) if threads > 0 => {
            let locks = distinct(diagnosis.cycle.iter().map(|step| step.waits_for.resource.as_str()).collect());
            format!("Deadlock: {}, {}", text::count(threads, "thread"), text::count(locks, "lock"))
        }
        (None, _) => "Nothing found".to_string(),
        (Some(outcome), _) => {
            let word = outcome.word();
            format!("{}{}", word[..1].to_uppercase(), &word[1..])
        }
    }
}

/// What is known of the runtime, in a sentence.
pub(super) fn runtime(diagnosis: &Diagnosis) -> Option<String> {
    let runtime = diagnosis.runtime.as_ref()?;
    let driver = match runtime.driver {
        Some(tid) => format!("its I/O driver is polled by tid {tid}"),
        None => "nobody polls its I/O driver, so other routes hang as well".to_string(),
    };
    let (blocked, workers) = (runtime.blocked, runtime.workers);
    let pool = match runtime.full_pool() {
        Some((pool, jobs)) => format!(
            "; its blocking pool is full: {}, all stuck, and {} waiting",
            text::count(pool.threads as usize, "thread"),
            text::count(usize::try_from(jobs).unwrap_or(usize::MAX), "job")
        ),
        None => match runtime.pool.as_ref().map_or(0, |pool| pool.stuck.len()) {
            0 => String::new(),
            n => format!("; {} of its blocking pool stuck in a job", text::count(n, "thread")),
        },
    };
    Some(format!("{blocked} of {} stuck in application code; {driver}{pool}", text::count(workers as usize, "worker")))
}
