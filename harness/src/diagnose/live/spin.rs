//! Threads that burn CPU waiting for a word: `prometheus` waits for running observations of a histogram that way.

use super::memory::Memory;
use super::objects::{self, HISTOGRAM, Histogram};
use super::proc::Mapping;
use super::remote::Live;
use super::rules::{self, Pattern};
use super::stacks::Stack;
use super::unwind::RSP;
use crate::model::{RawThread, Snapshot};
use std::collections::{BTreeMap, BTreeSet};

/// The rule's name in reports.
pub(super) const RULE: &str = "prometheus-histogram-proto";
/// Words of the innermost frames that are looked at.
const STACK_WORDS: usize = 256;

const COLLECTS: &[Pattern] = &[
    Pattern { path: "prometheus::histogram::", file: "/src/histogram.rs", name: "proto" },
    Pattern { path: "HistogramCore::proto", file: "/src/histogram.rs", name: "collect" },
];
const OBSERVES: &[Pattern] = &[
    Pattern { path: "prometheus::histogram::Histogram::observe", file: "/src/histogram.rs", name: "observe" },
    Pattern { path: "prometheus::histogram::HistogramCore::observe", file: "/src/histogram.rs", name: "inc_by" },
];

/// A thread seen to spin.
#[derive(Clone, Debug)]
pub(super) struct Spinning {
    /// Index of the thread.
    pub(super) thread: usize,
    pub(super) histogram: Histogram,
    pub(super) unchanged: bool,
    pub(super) culprit: Option<i32>,
}

/// Registers, then the innermost words of the stack.
fn values(thread: &RawThread) -> impl Iterator<Item = u64> + '_ {
    let sp = thread.registers.get(RSP).copied().flatten().unwrap_or(thread.stack_start);
    let skip = usize::try_from(sp.saturating_sub(thread.stack_start)).unwrap_or(0);
    let stack = thread.stack.get(skip..).unwrap_or_default();
    let words = stack.chunks_exact(8).take(STACK_WORDS).map(|w| u64::from_le_bytes(w.try_into().unwrap_or_default()));
    thread.registers.iter().flatten().copied().chain(words)
}

/// Records the histogram that a running thread may be waiting for, so that two samples can be compared.
pub(super) fn record(pid: i32, threads: &[RawThread], mappings: &[Mapping], words: &mut BTreeMap<u64, u64>) {
    let live = Live::new(pid);
    let used = std::cell::RefCell::new(BTreeMap::new());
    let read = |address: u64| {
        let word = live.aligned(address)?;
        used.borrow_mut().insert(address, word);
        Some(word)
    };
    let writable = |address: u64| {
        let index = mappings.partition_point(|mapping| mapping.end <= address);
        mappings.get(index).is_some_and(|m| m.writable && m.readable && m.contains(address))
    };
    for thread in threads.iter().filter(|thread| thread.syscall.is_none()) {
        let candidates: BTreeSet<u64> = values(thread).filter(|value| writable(*value)).collect();
        if let Some(found) = objects::histogram_among(candidates.into_iter(), &read) {
            used.borrow_mut().clear();
            // Once more, to keep the words that matter and none of the misses.
            let _ = objects::histogram(found.base, &read);
            for address in (found.base..found.base.saturating_add(HISTOGRAM)).step_by(8) {
                let _ = read(address);
            }
            words.append(&mut used.borrow_mut());
        }
        used.borrow_mut().clear();
    }
}

/// Finds the spinning threads of the second sample.
pub(super) fn find(
    first: Option<&Snapshot>,
    stacks: &[Stack<'_>],
    memory: &Memory<'_>,
    elapsed_us: u64,
) -> Vec<Spinning> {
    let mut found = Vec::new();
    for (thread, stack) in stacks.iter().enumerate().filter(|(_, stack)| stack.raw.syscall.is_none()) {
        let nameless = stack.frames.iter().take(4).all(|f| f.physical().function.is_empty());
        if !nameless
            && !stack
                .frames
                .iter()
                .take(6)
                .flat_map(|f| f.names.iter())
                .any(|f| rules::any(COLLECTS, f) && is_prometheus(f))
        {
            continue;
        }
        let candidates: BTreeSet<u64> = values(stack.raw).collect();
        let read = |address: u64| memory.recorded(address);
        let Some(histogram) = objects::histogram_among(candidates.into_iter(), &read) else { continue };
        if !histogram.is_awaited() {
            continue;
        }
        let unchanged = first.is_some_and(|first| unchanged(first, stack, &histogram, elapsed_us));
        let culprit = stacks.iter().enumerate().find(|(other, candidate)| {
            *other != thread && candidate.logical().any(|f| rules::any(OBSERVES, f) && is_prometheus(f))
        });
        found.push(Spinning { thread, histogram, unchanged, culprit: culprit.map(|(_, stack)| stack.raw.tid) });
    }
    found
}

fn is_prometheus(frame: &super::symbolize::Logical) -> bool {
    frame.function.contains("prometheus::") || rules::crate_of(frame) == "prometheus"
}

/// Whether the thread spun from the first sample to the second, for the same word with the same value.
fn unchanged(first: &Snapshot, stack: &Stack<'_>, histogram: &Histogram, elapsed_us: u64) -> bool {
    let Some(before) = first.threads.iter().find(|thread| thread.tid == stack.raw.tid) else { return false };
    let (address, count) = histogram.cold();
    // Other observers may go on in the hot shard: their counts may change, the side may not.
    let side = first.words.get(&histogram.shard_word()).map(|word| usize::from(word >> 63 == 1));
    let burned = stack.raw.cpu_us.saturating_sub(before.cpu_us);
    // A spinner among others on few processors gets a share only; a sleeper gets nothing.
    let burns = burned.saturating_mul(50) >= elapsed_us && burned > 0;
    before.syscall.is_none() && first.words.get(&address) == Some(&count) && side == Some(histogram.hot) && burns
}

impl Histogram {
    /// What the words mean, in a sentence.
    pub(super) fn says(&self) -> String {
        let finished = self.finished[0].saturating_add(self.finished[1]);
        format!(
            "Histogram `{}`: {} observations started, {finished} finished; collecting waits for the rest",
            self.name, self.started
        )
    }
}
