//! What the rules for a hang look at: the explained process, its wait-for graph, and the threads that run requests; and
//! the words in which they speak of it.

use crate::graph::{Cycle, Step, WaitGraph};
use crate::model::{
    Confidence, Edge, Event, Explained, Mode, Outcome, Provenance, Relation, Resource, ResourceKind, ServerSide, Thread,
};
use std::collections::BTreeMap;

/// An explained process with the request that hangs in it.
pub(super) struct Scene<'a> {
    pub(super) explained: &'a Explained,
    pub(super) graph: WaitGraph<'a>,
    /// Threads that run a request of the endpoint.
    pub(super) serving: Vec<&'a Thread>,
    /// How many unanswered requests were sent before the judged one.
    pub(super) ahead: usize,
    /// Whether the kernel says that the server has not read the request: then no thread runs it.
    pub(super) unread: bool,
    /// Whether the server took the connection out of its listener's queue, where the kernel tells.
    pub(super) accepted: Option<bool>,
    /// What people call the endpoint, e.g. `/metrics`.
    pub(super) endpoint: String,
    threads: BTreeMap<i32, &'a Thread>,
    resources: BTreeMap<&'a str, &'a Resource>,
}

/// What is said of a lock that is held, though by nobody's stack.
pub(super) const UNHELD: &str =
    "which no thread's stack will release: leaked, or in a suspended task; which is not visible";

/// What a rule concluded.
#[derive(Clone, Debug)]
pub(super) struct Ruling<'a> {
    pub(super) outcome: Outcome,
    /// The rule's name.
    pub(super) detector: &'static str,
    /// Without the endpoint's name: "`a` 1 waits for …".
    pub(super) says: String,
    /// The edges and observations it rests on, in words.
    pub(super) because: Vec<String>,
    pub(super) confidence: Confidence,
    /// Whether the judged request's own wait path is explained.
    pub(super) covered: bool,
    /// The cycle or self-wait, if there is one.
    pub(super) cycle: Option<Cycle<'a>>,
    /// Further threads that it names, which the report shows before others.
    pub(super) named: Vec<i32>,
    /// What to do, where the rule knows better than what its outcome in general calls for.
    pub(super) fix: Vec<String>,
}

impl<'a> Scene<'a> {
    pub(super) fn new(explained: &'a Explained, endpoint: String, ahead: usize) -> Scene<'a> {
        Scene {
            explained,
            graph: WaitGraph::new(explained),
            serving: explained.threads.iter().filter(|thread| thread.serves_request).collect(),
            ahead,
            unread: false,
            accepted: None,
            endpoint,
            threads: explained.threads.iter().map(|thread| (thread.tid, thread)).collect(),
            resources: explained.resources.iter().map(|resource| (resource.id.as_str(), resource)).collect(),
        }
    }

    /// The scene of a request of which the kernel says this.
    pub(super) fn with_connection(self, connection: Option<&ServerSide>) -> Scene<'a> {
        let unread = |side: &ServerSide| side.accepted == Some(false) || side.unread_bytes.is_some_and(|n| n > 0);
        let accepted = connection.and_then(|side| side.accepted);
        Scene { unread: connection.is_some_and(unread), accepted, ..self }
    }

    pub(super) fn thread(&self, tid: i32) -> Option<&'a Thread> {
        self.threads.get(&tid).copied()
    }

    pub(super) fn resource(&self, id: &str) -> Option<&'a Resource> {
        self.resources.get(id).copied()
    }

    /// The edge by which a thread waits, its place in a queue included.
    pub(super) fn wait_of(&self, tid: i32) -> Option<&'a Edge> {
        let mut edges = self.explained.edges.iter().filter(|edge| edge.thread == tid);
        let waits = edges.clone().find(|edge| edge.relation == Relation::Waits);
        waits.or_else(|| edges.find(|edge| edge.relation == Relation::Queued))
    }

    /// What kind of thing an edge is about; `Unknown` for a resource that is not listed.
    pub(super) fn kind_of(&self, edge: &Edge) -> ResourceKind {
        self.resource(&edge.resource).map_or(ResourceKind::Unknown, |resource| resource.kind)
    }

    /// Which event an edge is about, if it is one and is known.
    pub(super) fn event_of(&self, edge: &Edge) -> Option<Event> {
        self.resource(&edge.resource)?.event
    }

    /// Whether a thread waits for a lock whose own count says that it is held, and no thread was found to hold it.
    pub(super) fn is_unheld(&self, wait: &Edge) -> bool {
        let holders = self.resource(&wait.resource).and_then(|resource| resource.holders);
        holders.is_some_and(|holders| holders.word > 0 && holders.found == 0)
            && self.graph.steps_from(wait.thread).next().is_none()
    }

    /// Whether a thread spins on a word that did not change.
    pub(super) fn spins(&self, tid: i32) -> bool {
        self.explained.spins.iter().any(|spin| spin.tid == tid && spin.unchanged)
    }

    /// Whether a thread is on CPU and used it between the samples. Whether it only spins is for an earlier rule to say.
    pub(super) fn progresses(&self, thread: &Thread) -> bool {
        thread.state == "R" && thread.cpu_ms > 0
    }

    /// `` `tokio-rt-worker` 4711 ``
    pub(super) fn name(&self, tid: i32) -> String {
        match self.thread(tid).map(|thread| thread.name.as_str()) {
            Some(name) if !name.is_empty() => format!("`{name}` {tid}"),
            _ => format!("thread {tid}"),
        }
    }

    /// What people call a resource.
    pub(super) fn resource_name(&self, id: &str) -> String {
        match self.resource(id) {
            Some(resource) if !resource.name.is_empty() => resource.name.clone(),
            Some(resource) => format!("{} {id}", resource.kind.word()),
            None => id.to_string(),
        }
    }

    /// "prometheus Registry #1 (READ)"; the mode only where there is one.
    pub(super) fn wanted(&self, edge: &Edge) -> String {
        match edge.mode {
            Mode::Event => self.resource_name(&edge.resource),
            mode => format!("{} ({})", self.resource_name(&edge.resource), mode.word()),
        }
    }

    /// One edge in words, with how it is known.
    pub(super) fn edge(&self, edge: &Edge) -> String {
        let verb = match edge.relation {
            Relation::Holds if edge.mode == Mode::Event => "may be the one to give",
            Relation::Holds => "holds",
            Relation::Waits => "waits for",
            Relation::Queued => "is queued for",
        };
        let site = edge.site.as_deref().map(|site| format!(" in {site}")).unwrap_or_default();
        let known = match &edge.provenance {
            Provenance::Traced => "traced".to_string(),
            Provenance::Read => "read".to_string(),
            Provenance::Walked => "its code goes on to release it".to_string(),
            Provenance::Inferred { rule } => format!("inferred by {rule}"),
        };
        let count = match edge.count_agrees {
            Some(true) => ", count agrees",
            Some(false) => ", count disagrees",
            None => "",
        };
        let stable = if edge.stable { "" } else { ", not seen in both samples" };
        format!("{} {verb} {}{site} [{known}{count}{stable}]", self.name(edge.thread), self.wanted(edge))
    }

    /// The edges of these steps in words, each once.
    pub(super) fn edges_of(&self, steps: &[Step<'_>]) -> Vec<String> {
        let mut said: Vec<String> = Vec::new();
        for edge in steps.iter().flat_map(|step| [Some(step.wait), step.block]).flatten() {
            let words = self.edge(edge);
            if !said.contains(&words) {
                said.push(words);
            }
        }
        said
    }

    /// How a request's thread comes to wait for `end`: "the request on `a` 9 waits for L (READ), which `b` 1 holds".
    pub(super) fn way(&self, path: &[Step<'_>]) -> Option<String> {
        let (first, last) = (path.first()?, path.last()?);
        let request = format!("the request on {} waits for {}", self.name(first.waiter), self.wanted(first.wait));
        let blocker = self.name(last.blocker);
        Some(match path {
            [step] if step.is_queue() => format!("{request}, for which {blocker} is queued ahead of it"),
            [_] => format!("{request}, which {blocker} holds"),
            _ => format!("{request}, in the end behind {blocker}"),
        })
    }

    /// A cycle in one sentence, told from the thread `from` if it is in it and holds something for another.
    pub(super) fn cycle(&self, cycle: &Cycle<'_>, from: Option<i32>) -> String {
        let mut steps = cycle.steps.clone();
        // The story begins with a thread that holds what the last one wants: "queued" makes a poor beginning.
        let holds = |at: usize| !steps[(at + steps.len() - 1) % steps.len()].is_queue();
        let wanted = (0..steps.len()).find(|&at| Some(steps[at].waiter) == from && holds(at));
        let start = wanted.or_else(|| (0..steps.len()).find(|&at| holds(at))).unwrap_or(0);
        steps.rotate_left(start);
        let (Some(first), Some(last)) = (steps.first(), steps.last()) else { return String::new() };

        let mut says = self.name(first.waiter);
        let before = last.wait.resource.as_str();
        match last.block {
            Some(edge) if edge.mode == Mode::Event => says.push_str(" may be the one to answer"),
            Some(edge) if edge.relation == Relation::Holds => says.push_str(&format!(" holds {}", self.wanted(edge))),
            Some(edge) => says.push_str(&format!(" is queued for {}", self.wanted(edge))),
            None => says.push_str(" may be the one to answer"),
        }
        if first.wait.resource == before {
            says.push_str(&format!(" and waits for it again ({})", first.wait.mode.word()));
        } else {
            says.push_str(&format!(" and waits for {}", self.wanted(first.wait)));
        }
        if cycle.is_self_wait() {
            says.push_str(": it waits for itself");
            return says;
        }
        for pair in steps.windows(2) {
            let blocker = self.name(pair[0].blocker);
            let next = self.wanted(pair[1].wait);
            says.push_str(&match pair[0].block {
                Some(edge) if edge.relation == Relation::Queued => {
                    format!(", behind {blocker} in its queue, which waits for {next}")
                }
                Some(edge) if edge.mode == Mode::Event => {
                    format!(", which {blocker} may be the one to give, while it waits for {next}")
                }
                Some(edge) if edge.mode != pair[0].wait.mode => {
                    format!(", which {blocker} holds ({}) while it waits for {next}", edge.mode.word())
                }
                Some(_) => format!(", which {blocker} holds while it waits for {next}"),
                None => format!(", which {blocker} may be the one to give, while it waits for {next}"),
            });
        }
        says
    }
}
