//! The wait-for graph: which thread waits for which, how surely, and where such waits close a circle.
//!
//! A thread *waits on* another if it wants a resource in a mode that the other's hold, or the other's place in the queue,
//! rules out. A circle of such steps can never be left, because a lock is given to a waiter only when *every* thread that
//! rules it out has let go. That argument needs each step to be a fact, so a circle is *claimed* only if each step is
//! ([`Step::is_claimable`]); any other circle is a suspect.

use super::elementary::elementary_cycles;
use crate::model::{
    Confidence, CycleStep, Edge, Event, Explained, Mode, Provenance, Relation, Resource, ResourceKind, Thread,
    ThreadRef, WaitsFor,
};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Claimed cycles that are looked for. One is enough to explain a hang; more would only fill the page.
const CYCLE_LIMIT: usize = 64;

/// Suspects that are listed.
const SUSPECT_LIMIT: usize = 16;

/// One thread waits on another, or on itself.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Step<'a> {
    /// Who waits.
    pub waiter: i32,
    /// Who must let go first; may be the waiter itself.
    pub blocker: i32,
    /// The edge that says what is waited for. For a queued writer without a `waits` edge it is its `queued` edge.
    pub wait: &'a Edge,
    /// The edge by which the blocker holds the resource or goes first; `None` where that is only supposed.
    pub block: Option<&'a Edge>,
    /// How sure the step is.
    pub confidence: Confidence,
    /// Whether it would be a fact if the waiter had been seen waiting in the first sample, too: it came in between.
    pub late: bool,
}

impl Step<'_> {
    /// Whether a cycle may be claimed on the strength of this step: it is about a lock, both edges stood unchanged in two
    /// samples, none is inferred from frames, a walked one agrees with the holder count in the lock word, and no edge
    /// contradicts that count.
    pub fn is_claimable(&self) -> bool {
        self.confidence > Confidence::Suspected
    }

    /// Whether the blocker does not hold the resource but goes first: a queued writer.
    pub fn is_queue(&self) -> bool {
        self.block.is_some_and(|edge| edge.relation == Relation::Queued)
    }
}

/// A closed circle of steps: the blocker of each is the waiter of the next. One step long, it is a thread that waits for
/// itself. It begins with the thread of the smallest number.
#[derive(Clone, Debug, PartialEq)]
pub struct Cycle<'a> {
    /// The steps, never empty.
    pub steps: Vec<Step<'a>>,
}

impl Cycle<'_> {
    /// The threads in it, in its order.
    pub fn threads(&self) -> impl Iterator<Item = i32> + '_ {
        self.steps.iter().map(|step| step.waiter)
    }

    /// As sure as its least sure step.
    pub fn confidence(&self) -> Confidence {
        weakest(&self.steps)
    }

    /// Whether one thread waits for itself.
    pub fn is_self_wait(&self) -> bool {
        self.steps.len() == 1
    }
}

/// How a thread comes to wait for a cycle.
#[derive(Clone, Debug, PartialEq)]
pub struct Reach<'a, 'g> {
    /// The steps from the thread to the first one in the cycle; empty if the thread itself is in it.
    pub path: Vec<Step<'a>>,
    /// The cycle or self-wait.
    pub cycle: &'g Cycle<'a>,
}

impl Reach<'_, '_> {
    /// As sure as the least sure step of the path and the cycle.
    pub fn confidence(&self) -> Confidence {
        weakest(&self.path).min(self.cycle.confidence())
    }
}

fn weakest(steps: &[Step<'_>]) -> Confidence {
    steps.iter().map(|step| step.confidence).min().unwrap_or(Confidence::Proven)
}

/// Threads, what they wait for, and the circles in it.
#[derive(Clone, Debug)]
pub struct WaitGraph<'a> {
    threads: BTreeMap<i32, &'a str>,
    steps: Vec<Step<'a>>,
    cycles: Vec<Cycle<'a>>,
    self_waits: Vec<Cycle<'a>>,
    suspects: Vec<Cycle<'a>>,
    truncated: bool,
}

impl<'a> WaitGraph<'a> {
    /// Builds the graph. Edges that name a thread or a resource which `explained` does not list are kept, but no cycle is
    /// claimed on a resource that is not known to be a lock.
    pub fn new(explained: &'a Explained) -> WaitGraph<'a> {
        let steps = steps_of(explained);
        let claimable: Vec<Step<'a>> = steps.iter().copied().filter(Step::is_claimable).collect();
        // Claimable cycles are searched for alone first, so that a thicket of suspects cannot crowd them out.
        let (claimed, cut) = circles(&claimable, CYCLE_LIMIT);
        let (all, cut_too) = circles(&steps, SUSPECT_LIMIT + claimed.len());
        let mut suspects: Vec<Cycle<'a>> =
            all.into_iter().filter(|cycle| cycle.confidence() == Confidence::Suspected).collect();
        for cycle in supposed(explained, &steps) {
            if !suspects.contains(&cycle) {
                suspects.push(cycle);
            }
        }
        let truncated = cut || cut_too || suspects.len() > SUSPECT_LIMIT;
        suspects.truncate(SUSPECT_LIMIT);
        let (self_waits, cycles) = claimed.into_iter().partition(Cycle::is_self_wait);
        let threads = explained.threads.iter().map(|thread| (thread.tid, thread.name.as_str())).collect();
        WaitGraph { threads, steps, cycles, self_waits, suspects, truncated }
    }

    /// Who waits on whom: at most one step for each pair of threads, the surest, by waiter and blocker.
    pub fn steps(&self) -> &[Step<'a>] {
        &self.steps
    }

    /// Claimed cycles of two threads or more, shortest first.
    pub fn cycles(&self) -> &[Cycle<'a>] {
        &self.cycles
    }

    /// Threads that wait for themselves, each as a cycle of one step.
    pub fn self_waits(&self) -> &[Cycle<'a>] {
        &self.self_waits
    }

    /// Circles that must not be claimed, each with at least one step that is no fact.
    pub fn suspects(&self) -> &[Cycle<'a>] {
        &self.suspects
    }

    /// Whether there are more cycles or suspects than were looked for.
    pub fn is_truncated(&self) -> bool {
        self.truncated
    }

    /// The steps of one waiter.
    pub fn steps_from(&self, waiter: i32) -> impl Iterator<Item = &Step<'a>> {
        let first = self.steps.partition_point(|step| step.waiter < waiter);
        self.steps[first..].iter().take_while(move |step| step.waiter == waiter)
    }

    /// The claimed cycle or self-wait that a thread is in or waits for, by the shortest way over claimable steps alone.
    /// Of several at the same distance, a self-wait goes before a cycle, and a short cycle before a long one.
    pub fn reaches(&self, tid: i32) -> Option<Reach<'a, '_>> {
        let knot = |tid| self.self_waits.iter().chain(&self.cycles).find(|cycle| cycle.threads().any(|t| t == tid));
        let path = self.path(tid, |at| knot(at).is_some())?;
        let end = path.last().map_or(tid, |step| step.blocker);
        Some(Reach { path, cycle: knot(end)? })
    }

    /// The shortest way over claimable steps from `tid` to a thread that `ends` accepts; empty if it accepts `tid`.
    pub fn path(&self, tid: i32, ends: impl Fn(i32) -> bool) -> Option<Vec<Step<'a>>> {
        shortest(&self.steps, tid, Step::is_claimable, ends)
    }

    /// Threads that wait on a cycle's threads, directly or through others, and are not in it. Steps that changed between
    /// the samples do not count, supposed ones neither.
    pub fn behind(&self, cycle: &Cycle<'_>) -> Vec<i32> {
        let inside: BTreeSet<i32> = cycle.threads().collect();
        let stuck = self.waiting_on(&inside);
        stuck.difference(&inside).copied().collect()
    }

    /// All threads that wait on one of `blockers`, directly or through others, by steps that stood unchanged in both
    /// samples; a blocker itself only if it waits on one.
    pub fn waiting_on(&self, blockers: &BTreeSet<i32>) -> BTreeSet<i32> {
        let mut waiters: BTreeMap<i32, Vec<i32>> = BTreeMap::new();
        let known = |edge: &Edge| edge.stable && !matches!(edge.provenance, Provenance::Inferred { .. });
        for step in self.steps.iter().filter(|step| step.wait.stable && step.block.is_some_and(known)) {
            waiters.entry(step.blocker).or_default().push(step.waiter);
        }
        let mut found = BTreeSet::new();
        let mut queue: Vec<i32> = blockers.iter().copied().collect();
        while let Some(blocker) = queue.pop() {
            for &waiter in waiters.get(&blocker).into_iter().flatten() {
                if found.insert(waiter) {
                    queue.push(waiter);
                }
            }
        }
        found
    }

    /// A thread with its name; empty for one that is not listed.
    pub fn thread(&self, tid: i32) -> ThreadRef {
        ThreadRef { tid, name: self.threads.get(&tid).copied().unwrap_or_default().to_string() }
    }

    /// A cycle in the shape of reports.
    pub fn report(&self, cycle: &Cycle<'_>) -> Vec<CycleStep> {
        let step = |step: &Step<'_>| CycleStep {
            thread: self.thread(step.waiter),
            waits_for: WaitsFor { resource: step.wait.resource.clone(), mode: step.wait.mode },
            held_by: self.thread(step.blocker),
        };
        cycle.steps.iter().map(step).collect()
    }
}

/// Whether an edge, if it stood in both samples, is known well enough to rest a claim on.
fn is_sure(edge: &Edge) -> bool {
    edge.count_agrees != Some(false)
        && match edge.provenance {
            Provenance::Traced | Provenance::Read => true,
            Provenance::Walked => edge.count_agrees == Some(true),
            Provenance::Inferred { .. } => false,
        }
}

fn confidence(wait: &Edge, block: &Edge, of_a_lock: bool, samples: u32) -> Confidence {
    let edges = [wait, block];
    if !of_a_lock || samples < 2 || !edges.into_iter().all(|edge| edge.stable && is_sure(edge)) {
        Confidence::Suspected
    } else if edges.into_iter().any(|edge| edge.provenance == Provenance::Walked) {
        Confidence::Inferred
    } else {
        Confidence::Proven
    }
}

fn steps_of(explained: &Explained) -> Vec<Step<'_>> {
    let kinds: BTreeMap<&str, ResourceKind> =
        explained.resources.iter().map(|resource| (resource.id.as_str(), resource.kind)).collect();
    let mut blocks: BTreeMap<&str, Vec<&Edge>> = BTreeMap::new();
    let mut waits: Vec<&Edge> = Vec::new();
    let mut waiting: BTreeSet<(i32, &str)> = BTreeSet::new();
    for edge in &explained.edges {
        match edge.relation {
            Relation::Holds | Relation::Queued => blocks.entry(&edge.resource).or_default().push(edge),
            Relation::Waits => {
                waiting.insert((edge.thread, &edge.resource));
                waits.push(edge);
            }
        }
    }
    // Whoever is queued waits, whether or not an edge says so twice.
    let queued = explained.edges.iter().filter(|edge| edge.relation == Relation::Queued);
    waits.extend(queued.filter(|edge| !waiting.contains(&(edge.thread, edge.resource.as_str()))));

    let mut best: BTreeMap<(i32, i32), Step<'_>> = BTreeMap::new();
    for wait in waits {
        let kind = kinds.get(wait.resource.as_str()).copied();
        let of_a_lock = kind.is_some_and(ResourceKind::is_lock);
        for block in blocks.get(wait.resource.as_str()).into_iter().flatten().copied() {
            let rules_out = match block.relation {
                Relation::Queued => {
                    let itself_queued = blocks[wait.resource.as_str()]
                        .iter()
                        .any(|other| other.relation == Relation::Queued && other.thread == wait.thread);
                    goes_first(kind, wait.mode, itself_queued)
                }
                _ => block.mode.excludes(wait.mode),
            };
            if !rules_out {
                continue;
            }
            let step = Step {
                waiter: wait.thread,
                blocker: block.thread,
                wait,
                block: Some(block),
                confidence: confidence(wait, block, of_a_lock, explained.samples),
                late: of_a_lock
                    && explained.samples >= 2
                    && !wait.stable
                    && block.stable
                    && is_sure(wait)
                    && is_sure(block),
            };
            // The surest step for a pair stands for it; among equals a hold says more than a place in the queue, and
            // then the engine's order decides.
            let better = |old: &Step<'_>| (step.confidence, !step.is_queue()) > (old.confidence, !old.is_queue());
            let entry = best.entry((step.waiter, step.blocker)).or_insert(step);
            if better(entry) {
                *entry = step;
            }
        }
    }
    best.into_values().collect()
}

/// Whether a queued writer keeps somebody waiting who wants the lock in `wanted`. It goes before readers that come later.
/// Before another writer it goes only where the lock has already promised itself to one of them, as parking_lot's writer
/// bit does; writers that are queued alike have no order that can be seen, and wait for the holder, not for each other.
fn goes_first(kind: Option<ResourceKind>, wanted: Mode, itself_queued: bool) -> bool {
    match wanted {
        _ if itself_queued => false,
        Mode::Read | Mode::Upgradable => true,
        _ => kind == Some(ResourceKind::ParkingLotRwLock),
    }
}

fn circles<'a>(steps: &[Step<'a>], limit: usize) -> (Vec<Cycle<'a>>, bool) {
    let tids: Vec<i32> =
        steps.iter().flat_map(|step| [step.waiter, step.blocker]).collect::<BTreeSet<_>>().into_iter().collect();
    let index: BTreeMap<i32, usize> = tids.iter().enumerate().map(|(index, tid)| (*tid, index)).collect();
    let mut adjacent = vec![Vec::new(); tids.len()];
    let mut by_pair = BTreeMap::new();
    for step in steps {
        let pair = (index[&step.waiter], index[&step.blocker]);
        adjacent[pair.0].push(pair.1);
        by_pair.insert(pair, *step);
    }
    let (found, truncated) = elementary_cycles(&adjacent, limit);
    let close = |cycle: Vec<usize>| {
        let next = cycle.iter().skip(1).chain(cycle.first());
        Cycle { steps: cycle.iter().zip(next).map(|(from, to)| by_pair[&(*from, *to)]).collect() }
    };
    (found.into_iter().map(close).collect(), truncated)
}

fn shortest<'a>(
    steps: &[Step<'a>],
    from: i32,
    allowed: impl Fn(&Step<'a>) -> bool,
    ends: impl Fn(i32) -> bool,
) -> Option<Vec<Step<'a>>> {
    let mut came_by: BTreeMap<i32, Option<Step<'a>>> = BTreeMap::from([(from, None)]);
    let mut queue = VecDeque::from([from]);
    while let Some(at) = queue.pop_front() {
        if ends(at) {
            let mut path = Vec::new();
            let mut last = at;
            while let Some(step) = came_by[&last] {
                path.push(step);
                last = step.waiter;
            }
            path.reverse();
            return Some(path);
        }
        let first = steps.partition_point(|step| step.waiter < at);
        for step in steps[first..].iter().take_while(|step| step.waiter == at).filter(|step| allowed(step)) {
            came_by.entry(step.blocker).or_insert_with(|| {
                queue.push_back(step.blocker);
                Some(*step)
            });
        }
    }
    None
}

/// Circles with one step that nobody saw. A request waits for an event while another thread waits, in the end, for what
/// the request holds: that thread may be the one that should reply. Without names an event is only a futex that is no lock;
/// who waits behind the request is seen all the same. And a thread spins on a word while the thread seen
/// inside the code that changes it waits for the spinner.
fn supposed<'a>(explained: &'a Explained, steps: &[Step<'a>]) -> Vec<Cycle<'a>> {
    let resources: BTreeMap<&str, &Resource> =
        explained.resources.iter().map(|resource| (resource.id.as_str(), resource)).collect();
    let is_event = |of: &Resource| of.kind == ResourceKind::Channel || of.event == Some(Event::Futex);
    let serving = |thread: &&Thread| thread.serves_request;
    let requests: BTreeSet<i32> = explained.threads.iter().filter(serving).map(|thread| thread.tid).collect();
    let mut cycles = Vec::new();
    for wait in explained.edges.iter().filter(|edge| edge.relation == Relation::Waits) {
        let repliers: Vec<i32> = match resources.get(wait.resource.as_str()) {
            Some(of) if is_event(of) && requests.contains(&wait.thread) => {
                explained.threads.iter().filter(|thread| !thread.serves_request).map(|thread| thread.tid).collect()
            }
            Some(of) if of.kind == ResourceKind::SpinWord => {
                let of_this = explained.spins.iter().filter(|s| s.tid == wait.thread && s.resource == wait.resource);
                of_this.filter_map(|spin| spin.culprit).collect()
            }
            _ => continue,
        };
        // Who was seen to have to do with it is in the graph already.
        let seen = |replier: &i32| {
            steps.iter().any(|step| step.waiter == wait.thread && step.blocker == *replier && step.block.is_some())
        };
        for replier in repliers.into_iter().filter(|replier| !seen(replier)) {
            let Some(path) = shortest(steps, replier, |_| true, |at| at == wait.thread) else { continue };
            if path.is_empty() {
                continue;
            }
            let (waiter, confidence) = (wait.thread, Confidence::Suspected);
            let supposed = Step { waiter, blocker: replier, wait, block: None, confidence, late: false };
            let mut steps = vec![supposed];
            steps.extend(path);
            let smallest = steps.iter().enumerate().min_by_key(|(_, step)| step.waiter).map_or(0, |(at, _)| at);
            steps.rotate_left(smallest);
            cycles.push(Cycle { steps });
        }
    }
    cycles.sort_by_key(|cycle| (cycle.steps.len(), cycle.threads().collect::<Vec<_>>()));
    cycles
}
