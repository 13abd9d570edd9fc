//! One stopped picture of a process, as data: what was read while it stood still, and nothing concluded from it.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The version of the snapshot format.
pub const SNAPSHOT_FORMAT: &str = "gatherlock.snapshot/1";

/// One sample of a process. Two of them, some time apart, are what a diagnosis rests on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Snapshot {
    /// Always [`SNAPSHOT_FORMAT`].
    pub format: String,
    /// The process.
    pub pid: i32,
    /// Microseconds on the monotonic clock when the last thread stood.
    pub taken_us: u64,
    /// How long the process was stopped, in microseconds; 0 if it was not stopped.
    pub stopped_us: u64,
    /// Its threads, by tid.
    pub threads: Vec<RawThread>,
    /// Executable mappings that matter for unwinding.
    pub modules: Vec<RawModule>,
    /// parking_lot's parked threads.
    pub parked: Vec<ParkedThread>,
    /// Words of memory that were read besides the stacks (lock words and what led to them), by address.
    pub words: BTreeMap<u64, u64>,
    /// What the file descriptors are that threads are blocked on, e.g. `TCP peer 10.0.0.7:443`.
    #[serde(default)]
    pub files: BTreeMap<i32, String>,
    /// What could not be read, and why.
    pub gaps: Vec<super::Gap>,
}

/// One thread as it stood.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RawThread {
    /// As the kernel numbers it.
    pub tid: i32,
    /// `comm`, at most 15 bytes; untrusted.
    pub name: String,
    /// The state letter before the stop.
    pub state: char,
    /// The kernel function it slept in, if readable.
    pub wchan: Option<String>,
    /// User and system CPU time so far, in microseconds.
    pub cpu_us: u64,
    /// Voluntary context switches so far, less those that the engine's own stops of this thread caused.
    pub switches: u64,
    /// The system call it was in: number and six arguments.
    pub syscall: Option<(i64, [u64; 6])>,
    /// General registers by DWARF number (0 rax, 1 rdx, 2 rcx, 3 rbx, 4 rsi, 5 rdi, 6 rbp, 7 rsp, 8-15, 16 rip).
    pub registers: Vec<Option<u64>>,
    /// Address of the first byte of `stack`.
    pub stack_start: u64,
    /// The stack from a red zone below the stack pointer upwards, at most 1 MiB.
    pub stack: Vec<u8>,
}

/// An executable mapping.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RawModule {
    /// Its path as the target sees it.
    pub path: String,
    /// Whether it is the main executable.
    pub exe: bool,
    /// First address.
    pub start: u64,
    /// Address behind the last.
    pub end: u64,
    /// Runtime address minus link-time address.
    pub bias: u64,
    /// The build id in hex, if it has one.
    pub build_id: Option<String>,
}

/// A thread in parking_lot's global table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ParkedThread {
    /// Address of the key in its `ThreadData`; its futex word lies 32 bytes behind.
    pub thread_data: u64,
    /// The key it parks on: the lock's address, its lowest bit set for a writer that already owns the writer bit.
    pub key: u64,
    /// The park token: 16 READ, 8 WRITE, 20 UPGRADABLE, 0 mutex or condition variable.
    pub token: u64,
}
