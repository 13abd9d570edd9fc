//! Who holds a lock: the walk over every frame that may, held against the count in the lock word.

use super::layout::Mapped;
use super::memory::Memory;
use super::stacks::Stack;
use super::waits::{CLIMBED, Key, Wait};
use super::walk::{Lock, Release, Walker};
use crate::model::{Mode, ResourceKind};
use std::collections::{BTreeMap, HashSet};

/// A lock found held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Hold {
    /// Index of the thread.
    pub(super) thread: usize,
    /// The frame that will release it.
    pub(super) frame: usize,
    pub(super) mode: Mode,
}

/// A lock and everybody found to hold it.
#[derive(Clone, Debug)]
pub(super) struct Held {
    pub(super) lock: Lock,
    /// What the lock word says; `None` if it cannot be read.
    pub(super) word: Option<u32>,
    pub(super) holds: Vec<Hold>,
}

/// Bytes in front of a lock at which the object that contains it may begin.
const NEAR: u64 = 64;

/// Words of a stack looked at for what one instruction of a walk costs.
const WORDS_A_STEP: u32 = 16;
/// Words of one frame.
const MAX_FRAME_WORDS: u64 = 1 << 14;

/// Finds the holders of every lock that a thread waits for.
pub(super) fn find(stacks: &[Stack<'_>], waits: &[Wait], memory: &Memory<'_>, walker: &Walker<'_>) -> Vec<Held> {
    let mut locks: BTreeMap<u64, Lock> = BTreeMap::new();
    for wait in waits {
        if let Key::Lock(address) = wait.key {
            locks.entry(address).or_insert(Lock { address, kind: wait.kind });
        }
    }
    locks.into_values().map(|lock| held(lock, stacks, waits, memory, walker)).collect()
}

fn held(lock: Lock, stacks: &[Stack<'_>], waits: &[Wait], memory: &Memory<'_>, walker: &Walker<'_>) -> Held {
    let word = memory.word(lock.address).map(|word| count(lock.kind, word));
    let plain = Look { lock, memory, walker, climbs: false };
    let mut holds = plain.around(stacks, waits, word);
    if word.is_some_and(|word| holds.len() != word as usize) {
        // A guard that its function returns is taken for one that the caller holds already, or the other way round: follow
        // each acquisition into the callers. Believed only if the count agrees then.
        let again = Look { climbs: true, ..plain }.around(stacks, waits, word);
        if word.is_some_and(|word| again.len() == word as usize) {
            holds = again;
        }
    }
    holds.sort_by_key(|hold| (hold.thread, hold.frame));
    Held { lock, word, holds }
}

/// One search for the holders of a lock.
#[derive(Clone, Copy)]
struct Look<'a> {
    lock: Lock,
    memory: &'a Memory<'a>,
    walker: &'a Walker<'a>,
    /// Whether acquisitions are followed into the callers of the function that wants the lock.
    climbs: bool,
}

impl Look<'_> {
    fn around(self, stacks: &[Stack<'_>], waits: &[Wait], word: Option<u32>) -> Vec<Hold> {
        let mut holds = Vec::new();
        let mut walked = HashSet::new();
        // First the frames that mention the lock or something right in front of it: cheap, and nearly always enough. A
        // guard in a future on the heap is mentioned nowhere: if holders are missing, every frame is walked.
        for thorough in [false, true] {
            for (thread, stack) in stacks.iter().enumerate() {
                // One wait a thread, in the order of the threads.
                let wait = waits.binary_search_by_key(&thread, |wait| wait.thread).ok().map(|at| &waits[at]);
                self.thread(thread, stack, wait, thorough, &mut walked, &mut holds);
            }
            if word.is_none_or(|word| holds.len() >= word as usize) {
                break;
            }
        }
        holds
    }

    fn thread(
        self,
        thread: usize,
        stack: &Stack<'_>,
        wait: Option<&Wait>,
        thorough: bool,
        walked: &mut HashSet<(usize, usize)>,
        holds: &mut Vec<Hold>,
    ) {
        let Look { lock, memory, walker, .. } = self;
        let wants = wait.filter(|wait| wait.key == Key::Lock(lock.address));
        let mut pending: Vec<Mode> = wants.map(|wait| wait.mode).into_iter().collect();
        // A condition variable gives its mutex back while it waits and takes it again on return.
        let in_event = wait.is_some_and(|wait| matches!(wait.key, Key::Event(_)))
            && matches!(lock.kind, ResourceKind::ParkingLotMutex | ResourceKind::StdMutex);
        let start = wants.map_or(0, |wait| wait.acquirer);
        // Up to which frame the acquisition was followed.
        let mut followed = None;
        for (index, named) in stack.frames.iter().enumerate().skip(start) {
            let frame = &named.frame;
            // The innermost frame of a sleeping thread is the kernel's door.
            if named.system || (index == 0 && stack.raw.syscall.is_some()) || followed.is_some_and(|to| index <= to) {
                continue;
            }
            let acquires = wants.is_some() && index == start;
            if named.is_lock_code() && !named.physical().function.is_empty() && !acquires {
                if in_event && pending.is_empty() && mentions(frame, lock.address, memory, walker) {
                    let outlook = walker.outlook(frame, lock, &[]);
                    if outlook.locks_first && outlook.held.is_empty() {
                        pending.push(Mode::Exclusive);
                    }
                }
                continue;
            }
            if let Some(wait) = wants.filter(|_| acquires)
                && let Some((to, releases)) = self.acquisition(stack, wait)
            {
                if walked.insert((thread, index)) {
                    holds.extend(releases.iter().map(|release| Hold { thread, frame: to, mode: release.mode }));
                }
                pending.clear();
                followed = Some(to);
                continue;
            }
            let likely = acquires
                || !pending.is_empty()
                || mentions(frame, lock.address, memory, walker)
                || is_static(lock, walker);
            if !(thorough || likely) || (thorough && walked.contains(&(thread, index))) {
                continue;
            }
            walked.insert((thread, index));
            let outlook = walker.outlook(frame, lock, &pending);
            if outlook.consumes {
                pending.clear();
            }
            holds.extend(outlook.held.iter().map(|release| Hold { thread, frame: index, mode: release.mode }));
        }
    }

    /// Up to which frame the guard that is being acquired lives, and what was found held on the way there.
    fn acquisition(self, stack: &Stack<'_>, wait: &Wait) -> Option<(usize, Vec<Release>)> {
        if let Some(beside) = &wait.beside {
            return Some((wait.acquirer, beside.clone()));
        }
        // From the innermost function of the lock, because it is they who make the guard.
        let first = stack.frames.iter().position(|frame| !frame.system).filter(|_| self.climbs)?;
        let inner = wait.acquirer.checked_sub(first)?;
        let frames = stack.frames.iter().skip(first).take(inner + CLIMBED);
        let frames: Vec<_> = frames.map(|named| &named.frame).collect();
        let outlook = self.walker.climb(&frames, self.lock, &[wait.mode], inner);
        Some((first + outlook.released?, outlook.held))
    }
}

/// Whether the frame or one of its saved registers refers to the lock, or to an object that begins a little before it.
fn mentions(frame: &super::unwind::Frame, lock: u64, memory: &Memory<'_>, walker: &Walker<'_>) -> bool {
    let near = |value: u64| value <= lock && lock - value <= NEAR;
    let length = (frame.cfa.saturating_sub(frame.sp & !7) / 8).min(MAX_FRAME_WORDS);
    // Many threads that wait for as many locks: every lock is looked for in every stack.
    if !walker.affords(1 + length as u32 / WORDS_A_STEP) {
        return false;
    }
    frame.registers.iter().flatten().any(|value| near(*value))
        || memory.any_on_stack(frame.sp & !7, length as usize, near)
}

/// Whether the lock lies in an executable's data, where code can name it without a pointer.
fn is_static(lock: Lock, walker: &Walker<'_>) -> bool {
    let holds = |module: &Mapped| module.image.holds(lock.address.wrapping_sub(module.bias));
    walker.layout.modules().iter().any(|module| !module.system && holds(module))
}

/// How many holders a lock word counts.
fn count(kind: ResourceKind, word: u64) -> u32 {
    match kind {
        ResourceKind::ParkingLotRwLock => {
            // A writer that waits for readers has its bit set already, and holds nothing yet.
            let readers = u32::try_from(word >> 4).unwrap_or(u32::MAX);
            if readers == 0 && word & 8 != 0 { 1 } else { readers }
        }
        ResourceKind::ParkingLotMutex => (word & 1) as u32,
        ResourceKind::StdMutex => u32::from(word as u32 != 0),
        ResourceKind::StdRwLock => match word as u32 & 0x3fff_ffff {
            0x3fff_ffff => 1,
            readers => readers,
        },
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lock_words_count() {
        use ResourceKind::*;
        for (kind, word, holders) in [
            (ParkingLotRwLock, 0x10, 1),
            (ParkingLotRwLock, 0x2b, 2), // two readers, a writer that waits for them, threads parked
            (ParkingLotRwLock, 0x8, 1),
            (ParkingLotRwLock, 0x0, 0),
            (ParkingLotMutex, 0x3, 1),
            (ParkingLotMutex, 0xffff_ff00, 0), // the bytes behind the lock are somebody else's
            (StdMutex, 2, 1),
            (StdMutex, 1 << 32, 0),
            (StdRwLock, 0x3fff_ffff, 1),
            (StdRwLock, 0x8000_0002, 2),
        ] {
            assert_eq!(count(kind, word), holders, "{kind:?} {word:#x}");
        }
    }
}
