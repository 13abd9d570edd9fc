//! What each thread waits for: locks by address, and everything else by system call and frames.

use super::layout::Layout;
use super::memory::Memory;
use super::rules;
use super::stacks::{self, Stack};
use super::syscalls;
use super::walk::{Lock, Release, Walker};
use crate::model::{Event, Mode, Provenance, ResourceKind, Snapshot};
use std::collections::HashMap;

/// What identifies the thing waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Key {
    /// A lock, by address.
    Lock(u64),
    /// A futex that is no lock, by address.
    Event(u64),
    /// A file, by descriptor.
    File(i32),
    /// Something that only this thread waits for.
    Own(i32),
}

/// One thread's wait.
#[derive(Clone, Debug)]
pub(super) struct Wait {
    /// Index of the thread.
    pub(super) thread: usize,
    pub(super) key: Key,
    pub(super) kind: ResourceKind,
    pub(super) mode: Mode,
    pub(super) provenance: Provenance,
    /// The first frame that is not lock code: the one that wants the lock.
    pub(super) acquirer: usize,
    /// What that frame holds of the same lock already, where the walk through the acquisition tells; else its own walk does.
    pub(super) beside: Option<Vec<Release>>,
    /// The writer owns the writer bit and waits for the readers to leave: it goes before all later comers.
    pub(super) queued: bool,
    pub(super) site: String,
    /// What people call it, for things that are no lock.
    pub(super) name: String,
    /// Which event it is, where it is one.
    pub(super) event: Option<Event>,
}

/// Frames into which the guard of an acquisition is followed.
pub(super) const CLIMBED: usize = 6;

/// `std::sync::RwLock`'s word: who holds it, and who sleeps.
const STD_HOLDERS: u64 = 0x3fff_ffff;
const STD_READERS_WAITING: u64 = 1 << 30;
const STD_WRITERS_WAITING: u64 = 1 << 31;

/// Reads the waits of all threads.
pub(super) fn find(snapshot: &Snapshot, stacks: &[Stack<'_>], memory: &Memory<'_>, walker: &Walker<'_>) -> Vec<Wait> {
    let parked: HashMap<u64, _> = snapshot.parked.iter().map(|p| (p.thread_data.wrapping_add(32), p)).collect();
    let finder = Finder { snapshot, memory, walker, layout: walker.layout };
    stacks
        .iter()
        .enumerate()
        .filter_map(|(thread, stack)| {
            let call = stack.raw.syscall?;
            let futex = syscalls::futex_wait(call).or_else(|| restarted_futex(stack, call));
            match futex {
                Some(address) => Some(match parked.get(&address) {
                    Some(entry) => finder.parked(thread, stack, address, entry.key, entry.token),
                    None => finder.futex(thread, stack, address),
                }),
                None => Some(finder.other(thread, stack, call)),
            }
        })
        .collect()
}

/// Functions without names in which threads wait for locks of `parking_lot`, by where they begin, and what they take. A lock
/// that is handed over there is taken by no instruction, so that only the call shows it.
pub(super) fn taking(snapshot: &Snapshot, stacks: &[Stack<'_>], layout: &Layout) -> HashMap<u64, (ResourceKind, Mode)> {
    let parked: HashMap<u64, _> = snapshot.parked.iter().map(|p| (p.thread_data.wrapping_add(32), p)).collect();
    let mut taking: HashMap<u64, Option<(ResourceKind, Mode)>> = HashMap::new();
    for stack in stacks {
        let entry = stack.raw.syscall.and_then(syscalls::futex_wait).and_then(|futex| parked.get(&futex));
        let what = entry.and_then(|entry| parked_for(entry.key, entry.token));
        let innermost = stack.frames.iter().find(|frame| !frame.system).filter(|frame| frame.is_nameless());
        let start = innermost.and_then(|frame| {
            let place = frame.frame.lookup();
            let module = layout.find(place)?;
            Some(module.image.function_bounds(place.wrapping_sub(module.bias))?.0.wrapping_add(module.bias))
        });
        if let (Some(what), Some(start)) = (what, start) {
            // One function for two kinds of locks says nothing of either.
            let known = taking.entry(start).or_insert(Some(what));
            *known = known.filter(|known| *known == what);
        }
    }
    taking.into_iter().filter_map(|(start, what)| Some((start, what?))).collect()
}

/// What a thread in `parking_lot`'s table waits for, unless it is a condition variable.
fn parked_for(key: u64, token: u64) -> Option<(ResourceKind, Mode)> {
    Some(match token {
        16 => (ResourceKind::ParkingLotRwLock, Mode::Read),
        8 => (ResourceKind::ParkingLotRwLock, Mode::Write),
        20 => (ResourceKind::ParkingLotRwLock, Mode::Upgradable),
        // A writer that drains readers, or upgrades, parks on the lock's address + 1 without a token.
        0 if key & 1 == 1 => (ResourceKind::ParkingLotRwLock, Mode::Write),
        0 => (ResourceKind::ParkingLotMutex, Mode::Exclusive),
        _ => return None,
    })
}

/// A futex wait with a timeout that an earlier stop interrupted: the kernel has forgotten its number, the arguments stand.
fn restarted_futex(stack: &Stack<'_>, (number, arguments): (i64, [u64; 6])) -> Option<u64> {
    let leaf = stack.frames.first()?;
    let futex = leaf.names.iter().any(|f| f.function == "syscall" || f.function.contains("futex"));
    (number == syscalls::RESTART && futex).then(|| syscalls::futex_wait((syscalls::FUTEX, arguments))).flatten()
}

struct Finder<'a> {
    snapshot: &'a Snapshot,
    memory: &'a Memory<'a>,
    walker: &'a Walker<'a>,
    layout: &'a Layout,
}

impl Finder<'_> {
    /// A thread in parking_lot's table.
    fn parked(&self, thread: usize, stack: &Stack<'_>, futex: u64, key: u64, token: u64) -> Wait {
        let lock = key & !1;
        // A condition variable parks with the same token as a mutex; a lock's thread is inside the lock's code.
        let is_lock = token != 0 || (!inside(stack, "ondvar") && self.touches_mutex(stack, lock, key));
        let Some((kind, mode)) = parked_for(key, token).filter(|_| is_lock) else {
            return self.event(thread, stack, futex);
        };
        let queued = key & 1 == 1 && mode == Mode::Write;
        self.lock(thread, stack, Lock { address: lock, kind }, mode, queued)
    }

    /// A thread in a futex wait that parking_lot knows nothing of.
    fn futex(&self, thread: usize, stack: &Stack<'_>, address: u64) -> Wait {
        let at = |lock: &str, file: &str, function: &str| {
            stack.frames.iter().take(8).flat_map(|frame| frame.names.iter()).any(|f| {
                f.function.contains(function)
                    && (f.function.contains(lock) || f.file.as_ref().is_some_and(|of| of.contains(file)))
            })
        };
        const MUTEX: &str = "std/src/sys/sync/mutex";
        const RWLOCK: &str = "std/src/sys/sync/rwlock";
        if at("mutex", MUTEX, "lock_contended") {
            let lock = Lock { address, kind: ResourceKind::StdMutex };
            return self.lock(thread, stack, lock, Mode::Exclusive, false);
        }
        if at("rwlock", RWLOCK, "read_contended") {
            return self.lock(thread, stack, Lock { address, kind: ResourceKind::StdRwLock }, Mode::Read, false);
        }
        if at("rwlock", RWLOCK, "write_contended") {
            let lock = Lock { address: address.wrapping_sub(4), kind: ResourceKind::StdRwLock };
            let queued = self.writers_wait(lock);
            return self.lock(thread, stack, lock, Mode::Write, queued);
        }
        if self.is_nameless_mutex(stack, address) {
            let lock = Lock { address, kind: ResourceKind::StdMutex };
            return self.lock(thread, stack, lock, Mode::Exclusive, false);
        }
        if let Some((lock, mode)) = self.nameless_rwlock(stack, address) {
            let queued = mode == Mode::Write && self.writers_wait(lock);
            return self.lock(thread, stack, lock, mode, queued);
        }
        self.event(thread, stack, address)
    }

    /// In an executable without symbols: the code that waits goes on to take a `std::sync::Mutex` at this address.
    fn is_nameless_mutex(&self, stack: &Stack<'_>, address: u64) -> bool {
        let lock = Lock { address, kind: ResourceKind::StdMutex };
        let own: Vec<_> = stack.frames.iter().filter(|frame| !frame.system).take(3).collect();
        own.first().is_some_and(|frame| frame.physical().function.is_empty())
            && matches!(self.memory.word(address).map(|word| word as u32), Some(1 | 2))
            && own.iter().any(|frame| {
                let outlook = self.walker.outlook(&frame.frame, lock, &[]);
                outlook.locks_first && outlook.held.is_empty()
            })
    }

    /// Whether threads wait for WRITE of a `std::sync::RwLock`.
    fn writers_wait(&self, lock: Lock) -> bool {
        self.memory.word(lock.address).is_some_and(|word| word & STD_WRITERS_WAITING != 0)
    }

    /// In an executable without symbols: the code that waits goes on to give back a `std::sync::RwLock` at this address, on
    /// which readers sleep, or four bytes before it, where writers sleep on a word of their own. The lock's word must agree.
    fn nameless_rwlock(&self, stack: &Stack<'_>, address: u64) -> Option<(Lock, Mode)> {
        let own: Vec<_> = stack.frames.iter().filter(|frame| !frame.system).take(4).collect();
        if !own.first()?.is_nameless() {
            return None;
        }
        let candidates =
            [(address, Mode::Read, STD_READERS_WAITING), (address.wrapping_sub(4), Mode::Write, STD_WRITERS_WAITING)];
        candidates.into_iter().find_map(|(address, mode, waiting)| {
            let lock = Lock { address, kind: ResourceKind::StdRwLock };
            let word = self.memory.word(address).filter(|_| address.is_multiple_of(4))?;
            if word & waiting == 0 || word & STD_HOLDERS == 0 {
                return None;
            }
            let gives_back = own.iter().any(|frame| {
                let outlook = self.walker.outlook(&frame.frame, lock, &[]);
                outlook.locks_first || outlook.held.iter().any(|release| release.mode == mode)
            });
            gives_back.then_some((lock, mode))
        })
    }

    /// Without names a condition variable's wait looks like a mutex's: only the latter goes on to give the mutex back.
    fn touches_mutex(&self, stack: &Stack<'_>, lock: u64, key: u64) -> bool {
        let own: Vec<_> = stack.frames.iter().filter(|frame| !frame.system).take(4).collect();
        if key & 1 == 1 || !own.first().is_some_and(|frame| frame.is_nameless()) {
            return true;
        }
        let lock = Lock { address: lock, kind: ResourceKind::ParkingLotMutex };
        own.iter().any(|frame| {
            let outlook = self.walker.outlook(&frame.frame, lock, &[]);
            outlook.locks_first || !outlook.held.is_empty()
        })
    }

    fn lock(&self, thread: usize, stack: &Stack<'_>, lock: Lock, mode: Mode, queued: bool) -> Wait {
        let (acquirer, beside) = self.acquirer(stack, lock, mode);
        let site = stack.frames.get(acquirer).map(|frame| stacks::site(frame, frame.user(), self.layout));
        Wait {
            thread,
            key: Key::Lock(lock.address),
            kind: lock.kind,
            mode,
            provenance: Provenance::Read,
            acquirer,
            beside,
            queued,
            site: site.unwrap_or_default(),
            name: String::new(),
            event: None,
        }
    }

    /// The innermost frame that is not part of the lock, and what it holds of the lock besides, if that is known.
    fn acquirer(&self, stack: &Stack<'_>, lock: Lock, mode: Mode) -> (usize, Option<Vec<Release>>) {
        let frames = &stack.frames;
        let Some(first) = frames.iter().position(|frame| !frame.is_lock_code() || frame.is_nameless()) else {
            return (0, None);
        };
        if !frames[first].is_nameless() {
            return (first, None);
        }
        // Without names: the lock was wanted by the function that goes on to give it back.
        let climbed: Vec<_> = frames[first..].iter().take(CLIMBED).map(|frame| &frame.frame).collect();
        let outlook = self.walker.climb(&climbed, lock, &[], 0);
        if let Some(level) = outlook.released {
            return (first + level, Some(outlook.held));
        }
        let gives_back = frames.iter().enumerate().skip(first).find(|(_, frame)| {
            let outlook = || self.walker.outlook(&frame.frame, lock, &[]);
            frame.is_nameless() && outlook().held.iter().any(|release| release.mode == mode)
        });
        (gives_back.map_or((first + 1).min(frames.len() - 1), |(index, _)| index), None)
    }

    /// A futex that is no lock.
    fn event(&self, thread: usize, stack: &Stack<'_>, address: u64) -> Wait {
        // What lies behind the application's own frame says where the thread came from, not what it waits for.
        let end = stack.application().map_or(stack.frames.len(), |(index, _)| index + 1);
        let rule = rules::event(stack.frames[..end].iter().flat_map(|frame| frame.names.iter()));
        // Without names, what the functions contain code of says it, if it says anything.
        let rule = rule.or_else(|| rules::hinted_event(stack.innermost_hint()?.hinted()));
        let (kind, event) = rule.map_or((ResourceKind::Unknown, Event::Futex), |event| (ResourceKind::Channel, event));
        let of = self.layout.variable(address).map_or_else(String::new, |name| format!(" of {name}"));
        let what = format!("{}{of}", event.word());
        let rule = if rule.is_some() { "frames-of-event" } else { "futex-without-known-frames" };
        let provenance = Provenance::Inferred { rule: rule.into() };
        Wait { event: Some(event), ..self.named(thread, stack, Key::Event(address), kind, what, provenance) }
    }

    /// Any other blocking call.
    fn other(&self, thread: usize, stack: &Stack<'_>, call: (i64, [u64; 6])) -> Wait {
        let (number, _) = call;
        let tid = stack.raw.tid;
        let (mut kind, doing) = syscalls::waits_for(number);
        let fd = syscalls::descriptor(stack.raw);
        let mut what = match fd {
            Some(fd) => match self.snapshot.files.get(&fd) {
                Some(file) => format!("{doing} {file}"),
                None => format!("{doing} file descriptor {fd}"),
            },
            None if doing.ends_with(" of") => format!("{doing} files"),
            None => doing.to_owned(),
        };
        let sleeping = number == syscalls::RESTART && inside(stack, "nanosleep");
        if sleeping || syscalls::is_plain_sleep(call) {
            (kind, what) = (ResourceKind::Sleep, "the end of a sleep".to_owned());
        } else if number == syscalls::RESTART && inside(stack, "poll") {
            (kind, what) = (ResourceKind::Io, "poll of files".to_owned());
        }
        let key = fd.map_or(Key::Own(tid), Key::File);
        self.named(thread, stack, key, kind, what, Provenance::Read)
    }

    fn named(
        &self,
        thread: usize,
        stack: &Stack<'_>,
        key: Key,
        kind: ResourceKind,
        what: String,
        provenance: Provenance,
    ) -> Wait {
        let user = stack.application();
        let (acquirer, site) = match user {
            Some((index, function)) => (index, stacks::site(&stack.frames[index], Some(function), self.layout)),
            None => {
                (0, stack.frames.first().map(|f| stacks::site(f, f.names.first(), self.layout)).unwrap_or_default())
            }
        };
        let name = match user {
            Some(_) => format!("{what} in {site}"),
            None => what,
        };
        Wait {
            thread,
            key,
            kind,
            mode: Mode::Event,
            provenance,
            acquirer,
            beside: None,
            queued: false,
            site,
            name,
            event: None,
        }
    }
}

/// Whether one of the innermost functions has this in its name.
fn inside(stack: &Stack<'_>, part: &str) -> bool {
    stack.frames.iter().take(9).flat_map(|frame| frame.names.iter()).any(|f| {
        rules::is_lock_code(f) && f.function.contains(part)
            || f.function.contains(part) && f.file.is_none()
            || f.file.as_ref().is_some_and(|file| file.contains(part) && rules::is_lock_code(f))
    })
}
