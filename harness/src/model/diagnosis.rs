//! What is known about a process that did not answer: who waits for what, who holds it, and how that is known.

use super::{Event, Evidence, Exchange, Outcome};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// A diagnosis, as `diagnose --format json` prints it and as a hung trial carries it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Diagnosis {
    /// What was looked at.
    pub target: Target,
    /// The class of the hang or of the answer. `null` where no endpoint was scraped and nothing was found wrong: that
    /// says nothing about an endpoint.
    pub outcome: Option<Outcome>,
    /// One sentence for the top of a page.
    pub summary: String,
    /// How sure it is.
    pub confidence: Confidence,
    /// What the probes saw, if a URL was probed.
    pub probes: Probes,
    /// The threads, most interesting first.
    pub threads: Vec<Thread>,
    /// The locks and other things waited for.
    pub resources: Vec<Resource>,
    /// How many samples the edges stood unchanged in.
    pub samples: u32,
    /// The async runtime's state, where one was recognised.
    pub runtime: Option<RuntimeState>,
    /// Threads that wait behind the cycle and are not in it.
    pub blocked_behind: Vec<i32>,
    /// Who holds and who waits.
    pub edges: Vec<Edge>,
    /// The cycle; empty unless the outcome is `deadlocked`.
    pub cycle: Vec<CycleStep>,
    /// What could not be proven: the same shape as `cycle`.
    pub suspects: Vec<Vec<CycleStep>>,
    /// What could not be seen, and why.
    pub gaps: Vec<Gap>,
    /// What to change, one line each.
    pub advice: Vec<String>,
    /// What the detectors concluded, the decisive one first. Empty in a trial's diagnosis: the trial has its own list.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub evidence: Vec<Evidence>,
}

/// What was looked at.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Target {
    /// The endpoint.
    pub url: Option<String>,
    /// The process.
    pub pid: Option<i32>,
    /// What it is called in its own pid namespace, if that is another one: in its container.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inner_pid: Option<i32>,
    /// Its executable's file name.
    pub exe: Option<String>,
}

/// How sure a diagnosis is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Confidence {
    /// Never enough to say `deadlocked`.
    Suspected,
    /// Walked edges whose count agrees with the lock word, unchanged in two samples: enough for `deadlocked`.
    Inferred,
    /// Every edge traced or read.
    Proven,
}

/// What the probes saw.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Probes {
    /// The judged scrape.
    pub metrics: Option<Exchange>,
    /// The last health check.
    pub health: Option<Exchange>,
    /// What Prometheus would have recorded.
    pub prometheus: Option<PrometheusView>,
    /// The server's side of the connection while it hung, where both ends are on this machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connection: Option<ServerSide>,
}

/// What the kernel says of the server's side of a connection that hangs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ServerSide {
    /// Whether the server has taken the connection out of the listener's queue; `null` if that cannot be seen.
    pub accepted: Option<bool>,
    /// Bytes that arrived at the server and that it has not read; `null` if that cannot be seen.
    pub unread_bytes: Option<u64>,
    /// Connections that wait in the listener's queue to be accepted.
    pub backlog: Option<u64>,
}

/// The series that Prometheus writes about a scrape.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct PrometheusView {
    /// 1 if the scrape succeeded, else 0.
    pub up: u8,
    /// Seconds until the answer or the timeout.
    pub scrape_duration_seconds: f64,
    /// Samples in the body.
    pub scrape_samples_scraped: u64,
}

/// One thread of the target.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Thread {
    /// As the kernel numbers it.
    pub tid: i32,
    /// Its name; untrusted.
    pub name: String,
    /// The letter in `/proc/PID/task/TID/stat`: R running, S sleeping, D disk, T stopped.
    pub state: String,
    /// The kernel function it sleeps in, if readable.
    pub wchan: Option<String>,
    /// The system call it is in, by name.
    pub syscall: Option<String>,
    /// CPU time between the samples, in milliseconds.
    pub cpu_ms: u64,
    /// Ids of the resources it holds.
    pub holds: Vec<String>,
    /// What it waits for.
    pub waits_for: Option<WaitsFor>,
    /// Whether it runs a request of the judged endpoint (its stack shows the handler gathering, encoding or rendering).
    pub serves_request: bool,
    /// Innermost frame first. Threads that stand at the same instructions share it.
    pub stack: Arc<Vec<StackFrame>>,
    /// Outer frames that were left out, because the thread only waits for work.
    #[serde(default)]
    pub omitted_frames: u32,
}

/// A resource and the mode in which it is wanted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct WaitsFor {
    /// The resource's id.
    pub resource: String,
    /// The mode.
    pub mode: Mode,
}

/// One frame of a stack, as far as it could be named. In JSON, what is unknown or false is left out: frames are most of a
/// report.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct StackFrame {
    /// Demangled; `module+0xoffset` where there is no symbol.
    pub function: String,
    /// `crate-version/src/file.rs`, never a home directory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// Line in `file`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
    /// File name of the module.
    pub module: String,
    /// Whether the compiler inlined it into the frame below.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub inlined: bool,
    /// The address, for frames that have no name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<u64>,
    /// Belongs to the runtime, the server or std: folded by default.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub runtime: bool,
}

/// Something a thread can hold or wait for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Resource {
    /// Unique within the diagnosis, e.g. `lock-1`.
    pub id: String,
    /// What it is.
    pub kind: ResourceKind,
    /// What people call it, e.g. `prometheus Registry #1`.
    pub name: String,
    /// Its address in the target.
    pub address: Option<u64>,
    /// Holders according to the lock word, and how many were found.
    pub holders: Option<Holders>,
    /// Which event it is, if it is one and is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event: Option<Event>,
}

/// Kinds of resources.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum ResourceKind {
    /// `parking_lot::Mutex`.
    ParkingLotMutex,
    /// `parking_lot::RwLock`.
    ParkingLotRwLock,
    /// `std::sync::Mutex` (futex implementation).
    StdMutex,
    /// `std::sync::RwLock` (futex implementation).
    StdRwLock,
    /// A word that a thread spins on.
    SpinWord,
    /// A channel, condition variable, parker or join.
    Channel,
    /// A socket, pipe or file.
    Io,
    /// A timer.
    Sleep,
    /// Nothing that could be recognised.
    Unknown,
}

impl ResourceKind {
    /// What people call it.
    pub fn word(self) -> &'static str {
        match self {
            ResourceKind::ParkingLotMutex => "parking_lot::Mutex",
            ResourceKind::ParkingLotRwLock => "parking_lot::RwLock",
            ResourceKind::StdMutex => "std::sync::Mutex",
            ResourceKind::StdRwLock => "std::sync::RwLock",
            ResourceKind::SpinWord => "spin",
            ResourceKind::Channel => "channel or condition variable",
            ResourceKind::Io => "I/O",
            ResourceKind::Sleep => "sleep",
            ResourceKind::Unknown => "unknown",
        }
    }
    /// Whether it is a lock with holders.
    pub fn is_lock(self) -> bool {
        matches!(
            self,
            ResourceKind::ParkingLotMutex
                | ResourceKind::ParkingLotRwLock
                | ResourceKind::StdMutex
                | ResourceKind::StdRwLock
        )
    }
}

/// Accounting of a lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Holders {
    /// According to the lock word.
    pub word: u32,
    /// Found on stacks.
    pub found: u32,
}

/// The mode in which a lock is held or wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Shared.
    Read,
    /// Exclusive, of a read-write lock.
    Write,
    /// Upgradable read.
    Upgradable,
    /// Exclusive, of a mutex.
    Exclusive,
    /// Not a lock: the thread waits for an event.
    Event,
}

impl Mode {
    /// READ, WRITE, …
    pub fn word(self) -> &'static str {
        match self {
            Mode::Read => "READ",
            Mode::Write => "WRITE",
            Mode::Upgradable => "UPGRADABLE",
            Mode::Exclusive => "LOCK",
            Mode::Event => "EVENT",
        }
    }

    /// Whether a thread that wants `wanted` has to wait while another holds this.
    pub fn excludes(self, wanted: Mode) -> bool {
        !matches!((self, wanted), (Mode::Read, Mode::Read | Mode::Upgradable) | (Mode::Upgradable, Mode::Read))
    }
}

/// One edge of the wait-for graph.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Edge {
    /// The thread's tid.
    pub thread: i32,
    /// The resource's id.
    pub resource: String,
    /// Which way.
    pub relation: Relation,
    /// In which mode.
    pub mode: Mode,
    /// How it is known.
    #[serde(flatten)]
    pub provenance: Provenance,
    /// Whether the lock word's own holder count agrees with the holders found; `None` for waits and for what has no count.
    pub count_agrees: Option<bool>,
    /// Whether it stood unchanged in two samples.
    pub stable: bool,
    /// Where in the code: the frame that waits or that will release, as `function (file:line)`.
    #[serde(rename = "where")]
    pub site: Option<String>,
    /// Why the edge blocks although the holder only has, or wants, another mode: "a queued writer goes first".
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

impl Edge {
    /// Whether this keeps `waiter` from getting what it waits for. A thread's own place in the queue does not keep it
    /// waiting; what it holds does.
    pub fn blocks(&self, waiter: i32, waits_for: &WaitsFor) -> bool {
        self.resource == waits_for.resource
            && match self.relation {
                Relation::Holds => self.mode.excludes(waits_for.mode),
                Relation::Queued => self.thread != waiter,
                Relation::Waits => false,
            }
    }
}

/// Which way an edge points.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Relation {
    /// The thread holds the resource.
    Holds,
    /// The thread waits for the resource.
    Waits,
    /// The thread has reserved the resource and goes before later comers: a queued writer.
    Queued,
}

/// How an edge is known, strongest first.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "provenance", rename_all = "lowercase")]
pub enum Provenance {
    /// A tracer saw the lock operation.
    Traced,
    /// Read from process memory or the kernel.
    Read,
    /// The machine code ahead of a frame releases this lock.
    Walked,
    /// From stack frames, by a named rule.
    Inferred {
        /// The rule.
        rule: String,
    },
}

/// One step of a cycle: a thread waits for a resource that the next thread holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct CycleStep {
    /// Who waits.
    pub thread: ThreadRef,
    /// For what.
    pub waits_for: WaitsFor,
    /// Who holds it, or goes first.
    pub held_by: ThreadRef,
}

/// A thread by tid and name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ThreadRef {
    /// As the kernel numbers it.
    pub tid: i32,
    /// Its name; untrusted.
    pub name: String,
}

/// An async runtime, as far as it can be seen from outside.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RuntimeState {
    /// Worker threads.
    pub workers: u32,
    /// Workers that are stuck in application code.
    pub blocked: u32,
    /// The tid that polls the I/O driver; `None`: nobody does, so every route hangs.
    pub driver: Option<i32>,
    /// The workers that are stuck.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stuck: Vec<i32>,
    /// Its blocking pool, if that has threads.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pool: Option<PoolState>,
}

/// The threads on which a runtime runs blocking jobs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct PoolState {
    /// Threads, the workers not counted.
    pub threads: u32,
    /// Those of them that are stuck in a job.
    pub stuck: Vec<i32>,
    /// Jobs that wait for a thread, although the pool has all that it may have; `None` where that could not be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queued: Option<u64>,
}

impl RuntimeState {
    /// The pool, if it has no thread left for the jobs that wait.
    pub fn full_pool(&self) -> Option<(&PoolState, u64)> {
        let pool = self.pool.as_ref()?;
        let queued = pool.queued.filter(|queued| *queued > 0)?;
        (pool.threads > 0 && pool.stuck.len() >= pool.threads as usize).then_some((pool, queued))
    }
}

/// Something that could not be seen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Gap {
    /// What is missing.
    pub what: String,
    /// Why.
    pub why: String,
    /// Whether it leaves the judged request's own wait path unexplained; then no outcome may rest on it.
    #[serde(default)]
    pub uncovers: bool,
}
