//! The blocking pool of tokio: its threads, which of them are stuck in a job, and how many jobs wait because it is full.
//!
//! Frames tell the threads. That a pool is full only its own counts tell: the threads it may have, those of the scheduler
//! (from tokio 1.54 on), threads, idle threads, waiting jobs, one word behind the other. The object is looked for one step
//! behind what the stacks of all its threads refer to, and believed only where its counts are those that the stacks show;
//! without the scheduler's, only where a table of as many threads lies in front of them.

use super::memory::Memory;
use super::rules::Pattern;

use super::stacks::Stack;
use super::tokio::{is_parked, is_pool_code, shows};
use crate::model::PoolState;
use std::collections::BTreeSet;

const POOL: &[Pattern] =
    &[Pattern { path: "tokio::runtime::blocking::pool::", file: "src/runtime/blocking/pool.rs", name: "" }];
/// Outer frames of a thread in which the pool's own loop stands.
const OUTER_FRAMES: usize = 12;
/// Words of one frame that are looked at.
const FRAME_WORDS: usize = 512;
/// Addresses that all threads refer to and that are looked into.
const MAX_HANDLES: usize = 64;
/// Addresses at which the pool may lie.
const MAX_OBJECTS: usize = 1024;
/// Words of an object that are looked at.
const REACH: u64 = 128;
/// More jobs than this are no count.
const MAX_JOBS: u64 = 1 << 24;

/// The pool of the runtime whose workers are `workers`. `None` if no thread of it was recognised.
pub(super) fn state(
    stacks: &[Stack<'_>],
    workers: &[usize],
    memory: &Memory<'_>,
    stuck: impl Fn(usize) -> bool,
) -> Option<PoolState> {
    // tokio starts its workers on threads of the pool, and counts them.
    let members: Vec<usize> = (0..stacks.len()).filter(|n| is_member(&stacks[*n])).collect();
    let own: Vec<usize> = members.iter().copied().filter(|n| !workers.contains(n)).collect();
    let (idle, busy): (Vec<usize>, Vec<usize>) = own.iter().copied().partition(|n| is_idle(&stacks[*n]));
    if own.is_empty() {
        return None;
    }
    let stuck: Vec<i32> = busy.iter().filter(|n| stuck(**n)).map(|n| stacks[*n].raw.tid).collect();
    // With a thread that idles or gets on, no job waits for long.
    let full = idle.is_empty() && stuck.len() == own.len();
    let queued = if full { queued(stacks, &members, workers.len(), memory) } else { None };
    Some(PoolState { threads: u32::try_from(own.len()).unwrap_or(u32::MAX), stuck, queued })
}

fn is_member(stack: &Stack<'_>) -> bool {
    shows(stack, POOL) || (stack.is_nameless() && stack.frames.iter().any(is_pool_code))
}

fn is_idle(stack: &Stack<'_>) -> bool {
    if stack.is_nameless() { is_parked(stack) } else { stack.application().is_none() }
}

/// Jobs that wait although the pool has as many threads as it may have, and none of them idles.
fn queued(stacks: &[Stack<'_>], members: &[usize], workers: usize, memory: &Memory<'_>) -> Option<u64> {
    let scheduler = u64::try_from(workers).ok()?;
    let threads = u64::try_from(members.len()).ok().filter(|threads| *threads >= 2)?;
    let mut common = references(&stacks[*members.first()?], memory);
    for other in members.iter().skip(1).take(7) {
        let others = references(&stacks[*other], memory);
        common.retain(|address| others.contains(address));
    }
    // The threads refer to the runtime, and the runtime to its pool.
    let words = |from: u64| (0..REACH).map(move |n| memory.aligned(from.wrapping_add(8 * n)));
    let within = common.iter().take(MAX_HANDLES).flat_map(|handle| words(*handle).flatten().filter(is_pointer));
    let objects: BTreeSet<u64> = within.collect();
    common.iter().copied().chain(objects).take(MAX_OBJECTS).find_map(|object| {
        let around: Vec<Option<u64>> = words(object).collect();
        counts(&around, threads, scheduler)
    })
}

/// The waiting jobs, if among these words are those of a full pool: the threads it may have, of which so many are the
/// scheduler's; then the threads it has, those that idle, and the jobs.
fn counts(words: &[Option<u64>], threads: u64, workers: u64) -> Option<u64> {
    let plausible = |jobs: u64| (1..MAX_JOBS).contains(&jobs).then_some(jobs);
    let newer = words.windows(5).find_map(|five| match *five {
        [Some(may_have), Some(scheduler), Some(has), Some(0), Some(jobs)]
            if may_have == threads && scheduler == workers && has == threads =>
        {
            plausible(jobs)
        }
        _ => None,
    });
    newer.or_else(|| {
        words.windows(4).enumerate().find_map(|(at, four)| match *four {
            [Some(may_have), Some(has), Some(0), Some(jobs)]
                if may_have == threads && has == threads && words[..at].windows(4).any(|of| is_table(of, threads)) =>
            {
                plausible(jobs)
            }
            _ => None,
        })
    })
}

/// Whether these four words are those of a hash table with so many entries: control bytes, buckets less one, room, entries.
fn is_table(words: &[Option<u64>], entries: u64) -> bool {
    let [Some(control), Some(mask), Some(left), Some(items)] = *words else { return false };
    let buckets = mask.wrapping_add(1);
    let room = if buckets <= 8 { mask } else { buckets / 8 * 7 };
    items == entries
        && is_pointer(&control)
        && buckets.is_power_of_two()
        && left.checked_add(items).is_some_and(|used| used <= room)
}

/// Addresses outside the stacks that the thread's outer frames refer to.
fn references(stack: &Stack<'_>, memory: &Memory<'_>) -> BTreeSet<u64> {
    let plausible = |value: &u64| is_pointer(value) && memory.on_stack(*value).is_none();
    let outer = stack.frames.iter().rev().filter(|frame| !frame.system).take(OUTER_FRAMES);
    outer
        .flat_map(|frame| {
            let frame = &frame.frame;
            let words = (frame.sp & !7..frame.cfa).step_by(8).take(FRAME_WORDS);
            let words = words.filter_map(|address| memory.on_stack(address));
            words.chain(frame.registers.iter().flatten().copied()).collect::<Vec<_>>()
        })
        .filter(plausible)
        .collect()
}

fn is_pointer(value: &u64) -> bool {
    (0x1_0000..1 << 47).contains(value) && value.is_multiple_of(8)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(words: &[u64]) -> Vec<Option<u64>> {
        words.iter().copied().map(Some).collect()
    }

    #[test]
    fn a_full_pool_of_an_older_tokio_has_a_table_of_its_threads_in_front() {
        const CONTROL: u64 = 0x55c5_6e72_a550;
        assert_eq!(counts(&words(&[CONTROL, 7, 2, 5, 0x7d35, 10, 0, 5, 5, 0, 2]), 5, 2), Some(2));
        for (near, why) in [
            (&[5, 5, 0, 2][..], "no table"),
            (&[5, 5, 0, 2, CONTROL, 7, 2, 5], "the table lies behind"),
            (&[CONTROL, 7, 2, 4, 0x7d35, 10, 0, 5, 5, 0, 2], "the table has other entries"),
            (&[CONTROL, 6, 1, 5, 0x7d35, 10, 0, 5, 5, 0, 2], "not as many buckets as a table has"),
            (&[CONTROL, 7, 3, 5, 0x7d35, 10, 0, 5, 5, 0, 2], "more room than a table has"),
            (&[7, 7, 2, 5, 0x7d35, 10, 0, 5, 5, 0, 2], "no pointer"),
            (&[CONTROL, 7, 2, 5, 0x7d35, 10, 0, 512, 5, 0, 2], "it may have more threads"),
            (&[CONTROL, 7, 2, 5, 0x7d35, 10, 0, 5, 5, 1, 2], "a thread is idle"),
            (&[CONTROL, 7, 2, 5, 0x7d35, 10, 0, 5, 5, 0, 0], "no job waits"),
        ] {
            assert_eq!(counts(&words(near), 5, 2), None, "{why}");
        }
    }

    #[test]
    fn a_full_pool_and_its_near_misses() {
        assert_eq!(counts(&words(&[1, 6, 4, 6, 0, 3]), 6, 4), Some(3));
        for (near, why) in [
            (&[1, 6, 4, 6, 0, 0][..], "no job waits"),
            (&[1, 512, 4, 6, 0, 3], "it may have more threads"),
            (&[1, 6, 4, 6, 1, 3], "a thread is idle"),
            (&[1, 5, 4, 5, 0, 3], "the stacks show another number"),
            (&[1, 6, 3, 6, 0, 3], "of which other workers are a part"),
            (&[1, 6, 4, 6, 0, u64::MAX], "no count"),
            (&[], "nothing"),
        ] {
            assert_eq!(counts(&words(near), 6, 4), None, "{why}");
        }
    }
}
