//! Takes one picture of a process: what is slow is read before and after the stop, the rest while all threads stand.

use super::images::Images;
use super::parking::{self, Places};
use super::proc::{self, Mapping};
use super::remote::{read_process, read_words};
use super::share::share;
use super::spin;
use super::stop::{self, Stopped};
use super::tasks::{self, Part, Task};
use super::{files, syscalls};
use crate::diagnose::SampleError;
use crate::diagnose::moment::Moment;
use crate::model::{Gap, ParkedThread, RawModule, RawThread, SNAPSHOT_FORMAT, Snapshot};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Bytes of one stack.
const MAX_STACK: u64 = 1 << 20;
/// Bytes of all stacks of a process.
const MAX_STACKS: u64 = 256 << 20;
/// The part below the stack pointer that a leaf function may use.
const RED_ZONE: u64 = 128;
/// Files described in one sample.
const MAX_FILES: usize = 256;

/// What the engine's own stops did to a thread.
#[derive(Clone, Debug, Default)]
struct Disturbed {
    stops: u64,
    /// The system call it was in at the last stop, with its arguments and stack pointer.
    syscall: Option<(i64, [u64; 6], u64)>,
}

/// A thread that is the same one for sure: process, thread and start time.
type ThreadId = (i32, i32, u64);

/// The memory of an engine: how often it disturbed whom.
#[derive(Default)]
pub(super) struct History {
    threads: Mutex<HashMap<ThreadId, Disturbed>>,
    /// By process, how long it took the last time to read the files of its threads.
    ahead: Mutex<HashMap<i32, Ahead>>,
}

/// How long it takes to read what [`Part::Lasting`] and [`Part::Moving`] are, of all threads.
#[derive(Clone, Copy, Default)]
struct Ahead {
    lasting: Duration,
    moving: Duration,
}

/// Threads remembered; far more than any trial has.
const MAX_REMEMBERED: usize = 1 << 16;

/// Processes remembered.
const MAX_PROCESSES: usize = 1 << 10;

/// What was copied of a process while it stood.
pub(super) struct Copied {
    snapshot: Snapshot,
    mappings: Vec<Mapping>,
    /// When each thread started.
    started: HashMap<i32, u64>,
    /// What is known of sockets on which threads are blocked.
    sockets: BTreeMap<i32, String>,
}

/// Stops `pid` and copies: at a moment, or as soon as possible behind it. Dropping the first lets it go.
pub(super) fn copy(
    pid: i32,
    moment: Moment,
    images: &Images,
    history: &History,
) -> Result<(Stopped, Copied), SampleError> {
    let at = if let Moment::At(at) = moment { Some(at) } else { None };
    let (process, tasks) = if let Some(at) = at {
        (Process::read(pid, images)?, ahead_of(at, pid, history.ahead(pid))?)
    } else {
        // A process that shows no threads shows nothing else either; why, is said there.
        let tids = proc::threads(pid).unwrap_or_default();
        let part = if moment == Moment::First { Part::Moving } else { Part::All };
        let read = tasks::read(pid, &tids, part, || Process::read(pid, images));
        history.remember(pid, Ahead { lasting: Duration::ZERO, moving: read.took });
        (read.beside?, read.parts)
    };
    let Process { mappings, modules, places, mut gaps } = process;
    let mut standing = Vec::new();
    let stopped = Stopped::new(pid, at, tasks, |tid, task| match stop::registers(tid) {
        Ok(registers) => standing.push(Standing { tid, task, registers }),
        Err(e) => gaps.push(gap(&format!("thread {tid}"), &e.to_string())),
    })?;
    let started: HashMap<i32, u64> = standing.iter().map(|thread| (thread.tid, thread.task.started)).collect();
    let threads = copies(pid, standing, &mappings);
    let taken_us = monotonic_us();
    let (parked, unknown) = parking::read(pid, &places);
    let words = lock_words(pid, &threads, &parked);
    for (tid, reason) in &stopped.missed {
        // A thread that ended before it could be stopped is no part of the picture.
        if std::path::Path::new(&format!("/proc/{pid}/task/{tid}")).exists() {
            gaps.push(gap(&format!("thread {tid}"), reason));
        }
    }
    let sockets = files::sockets(pid, &descriptors(&threads));
    stop::reached(stop::Step::Read);
    if unknown > 0 {
        gaps.push(gap(
            "parking_lot's parked threads",
            "its table does not have the layout known here, or was being changed",
        ));
    }
    let format = SNAPSHOT_FORMAT.to_owned();
    let files = BTreeMap::new();
    let snapshot = Snapshot { format, pid, taken_us, stopped_us: 0, threads, modules, parked, words, files, gaps };
    Ok((stopped, Copied { snapshot, mappings, started, sockets }))
}

impl Copied {
    /// How many threads.
    pub(super) fn threads(&self) -> usize {
        self.snapshot.threads.len()
    }

    /// The rest of the sample, for which nobody has to stand; how long it was stopped is not known yet. What follows the first
    /// of two samples is read when it runs again.
    pub(super) fn complete(self, moment: Moment, history: &History) -> Snapshot {
        let Copied { mut snapshot, mappings, mut started, sockets } = self;
        let pid = snapshot.pid;
        if moment == Moment::First {
            let lasting = lasting(pid, &mut snapshot.threads, &mut started);
            history.remember(pid, Ahead { lasting, ..history.ahead(pid) });
        }
        snapshot.threads.sort_by_key(|thread| thread.tid);
        history.account(pid, &mut snapshot.threads, &started);
        snapshot.files = files::describe(pid, &descriptors(&snapshot.threads), sockets);
        spin::record(pid, &snapshot.threads, &mappings, &mut snapshot.words);
        snapshot
    }
}

/// Reads the threads right before a stop that is to come at a moment: what a comparison needs last, as what happens between
/// then and the stop is not seen.
fn ahead_of(at: Instant, pid: i32, ahead: Ahead) -> Result<Vec<(i32, Task)>, SampleError> {
    // The stop has to come when it was asked for: with room for a reader that finds no processor beside this one.
    let before = |needed: Duration| {
        let begin = at.checked_sub(needed * 2 + Duration::from_micros(300)).unwrap_or(at);
        std::thread::sleep(begin.saturating_duration_since(Instant::now()));
    };
    before(ahead.lasting + ahead.moving);
    let tids = proc::threads(pid).map_err(|e| proc::failure(pid, "task list", &e))?;
    let lasting = tasks::read(pid, &tids, Part::Lasting, || ()).parts;
    before(ahead.moving);
    let moving = tasks::read(pid, &tids, Part::Moving, || ()).parts;
    Ok(lasting.into_iter().zip(moving).map(|((tid, lasting), (_, moving))| (tid, lasting.moved(moving))).collect())
}

/// Reads what was not read of the threads before they were stopped; how long that took.
fn lasting(pid: i32, threads: &mut [RawThread], started: &mut HashMap<i32, u64>) -> Duration {
    let tids: Vec<i32> = threads.iter().map(|thread| thread.tid).collect();
    let read = tasks::read(pid, &tids, Part::Lasting, || ());
    for (thread, (tid, task)) in threads.iter_mut().zip(read.parts) {
        thread.name = task.name;
        thread.wchan = task.wchan;
        if thread.cpu_us == 0 {
            thread.cpu_us = task.cpu_us;
        }
        started.insert(tid, task.started);
    }
    read.took
}

fn gap(what: &str, why: &str) -> Gap {
    Gap { what: what.to_owned(), why: why.to_owned(), uncovers: false }
}

/// Microseconds on the clock that all local processes share.
fn monotonic_us() -> u64 {
    let now = nix::time::clock_gettime(nix::time::ClockId::CLOCK_MONOTONIC);
    now.map_or(0, |t| {
        u64::try_from(t.tv_sec()).unwrap_or(0) * 1_000_000 + u64::try_from(t.tv_nsec()).unwrap_or(0) / 1000
    })
}

/// What is read of a process before its threads are stopped, except of these.
struct Process {
    mappings: Vec<Mapping>,
    modules: Vec<RawModule>,
    places: Places,
    gaps: Vec<Gap>,
}

impl Process {
    fn read(pid: i32, images: &Images) -> Result<Process, SampleError> {
        let mut gaps = Vec::new();
        let mappings = proc::mappings(pid)?;
        let modules = images.modules(pid, &mappings, &mut gaps)?;
        if !modules.iter().any(|module| module.exe) {
            return Err(SampleError::WrongArchitecture { pid, reason: "it has no executable mapped".into() });
        }
        let layout = images.layout(&modules, &mut gaps);
        let places = parking::places(pid, &layout, &mappings);
        Ok(Process { mappings, modules, places, gaps })
    }
}

/// A thread that stands.
struct Standing {
    tid: i32,
    task: Task,
    registers: libc::user_regs_struct,
}

/// Copies the stopped threads, side by side where they are many.
fn copies(pid: i32, standing: Vec<Standing>, mappings: &[Mapping]) -> Vec<RawThread> {
    let mut room = MAX_STACKS;
    let extents: Vec<(u64, u64)> = standing
        .iter()
        .map(|thread| {
            let (start, length) = extent(thread.registers.rsp, mappings);
            let length = length.min(room);
            room -= length;
            (start, length)
        })
        .collect();
    let worker = || |number: usize| stack(pid, extents[number]);
    let stacks = share(standing.len(), worker, || ()).parts;
    let stacks = extents.iter().map(|(start, _)| *start).zip(stacks);
    standing.into_iter().zip(stacks).map(|(thread, (start, stack))| raw(thread, start, stack)).collect()
}

/// The part of its stack that a thread uses: address and length.
fn extent(sp: u64, mappings: &[Mapping]) -> (u64, u64) {
    let start = sp.saturating_sub(RED_ZONE) & !7;
    let index = mappings.partition_point(|mapping| mapping.end <= sp);
    // A stack mapped after the list was read, or no stack at all: one page is better than nothing.
    let end = mappings.get(index).filter(|m| m.contains(sp)).map_or(sp.saturating_add(4096), |m| m.end);
    (start, end.saturating_sub(start).min(MAX_STACK))
}

fn stack(pid: i32, (start, length): (u64, u64)) -> Vec<u8> {
    let mut stack = vec![0; usize::try_from(length).unwrap_or(0)];
    let mut read = read_process(pid, start, &mut stack);
    if read < stack.len() {
        // A read that crosses the end of the mapping, or starts in front of it, is cut or refused as a whole.
        read = stack
            .chunks_mut(4096)
            .enumerate()
            .map_while(|(n, page)| {
                let got = read_process(pid, start + 4096 * n as u64, page);
                (got == page.len()).then_some(got)
            })
            .sum();
    }
    stack.truncate(read);
    stack
}

fn raw(thread: Standing, stack_start: u64, stack: Vec<u8>) -> RawThread {
    let Standing { tid, task, registers: r } = thread;
    // DWARF's order, which is not the processor's.
    let registers = [
        r.rax, r.rdx, r.rcx, r.rbx, r.rsi, r.rdi, r.rbp, r.rsp, r.r8, r.r9, r.r10, r.r11, r.r12, r.r13, r.r14, r.r15,
        r.rip,
    ];
    RawThread {
        tid,
        name: task.name,
        state: task.state,
        wchan: task.wchan,
        cpu_us: task.cpu_us,
        switches: task.voluntary_switches,
        syscall: in_syscall(&r).then_some((r.orig_rax as i64, [r.rdi, r.rsi, r.rdx, r.r10, r.r8, r.r9])),
        registers: registers.iter().copied().map(Some).collect(),
        stack_start,
        stack,
    }
}

/// Whether the stop interrupted a system call: the kernel notes its number, and in rax that it is to be restarted.
fn in_syscall(registers: &libc::user_regs_struct) -> bool {
    const EINTR: i64 = -4;
    const RESTARTS: std::ops::RangeInclusive<i64> = -516..=-512;
    let result = registers.rax as i64;
    registers.orig_rax as i64 >= 0 && (RESTARTS.contains(&result) || result == EINTR)
}

/// The words that the waiting threads wait on.
fn lock_words(pid: i32, threads: &[RawThread], parked: &[ParkedThread]) -> BTreeMap<u64, u64> {
    let futexes = threads.iter().filter_map(|thread| match thread.syscall {
        Some((syscalls::FUTEX, arguments)) => Some(arguments[0] & !7),
        _ => None,
    });
    // The writers of a std::sync::RwLock wait on the word behind the lock.
    let futexes = futexes.flat_map(|address| [address, address.saturating_sub(8)]);
    let locks = parked.iter().map(|thread| thread.key & !7);
    let addresses: BTreeSet<u64> = futexes.chain(locks).collect();
    read_words(pid, &addresses)
}

/// The descriptors on which threads are blocked.
fn descriptors(threads: &[RawThread]) -> BTreeSet<i32> {
    threads.iter().filter_map(syscalls::descriptor).take(MAX_FILES).collect()
}

impl History {
    fn ahead(&self, pid: i32) -> Ahead {
        let known = self.ahead.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(&pid).copied().unwrap_or_default()
    }

    fn remember(&self, pid: i32, ahead: Ahead) {
        let mut known = self.ahead.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() > MAX_PROCESSES {
            known.clear();
        }
        known.insert(pid, ahead);
    }

    /// Takes the engine's own part out of the counts: each stop costs a sleeping thread two switches, one into the stop
    /// and one back to sleep. And a call that was interrupted and restarted shows as `restart_syscall` the next time.
    fn account(&self, pid: i32, threads: &mut [RawThread], started: &HashMap<i32, u64>) {
        let mut known = self.threads.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() > MAX_REMEMBERED {
            known.clear();
        }
        known.retain(|(owner, tid, start), _| *owner != pid || started.get(tid) == Some(start));
        for thread in threads {
            let start = started.get(&thread.tid).copied().unwrap_or(0);
            let disturbed = known.entry((pid, thread.tid, start)).or_default();
            thread.switches = thread.switches.wrapping_sub(2 * disturbed.stops);
            disturbed.stops += 1;
            let sp = thread.registers.get(super::unwind::RSP).copied().flatten().unwrap_or(0);
            if let (Some((number, arguments)), Some((before, same, at))) = (&mut thread.syscall, disturbed.syscall)
                && *number == syscalls::RESTART
                && *arguments == same
                && sp == at
            {
                *number = before;
            }
            disturbed.syscall = thread.syscall.map(|(number, arguments)| (number, arguments, sp));
        }
    }
}
