//! Who else has to do with what a thread waits for, where that is no lock: threads whose frames refer to the same channel or
//! condition variable, or whose end is awaited.
//!
//! Nothing records who will send or signal. A thread that refers to the same object may be the one, and may be a bystander:
//! what is found here is named as a suspect, and no cycle is claimed on it.

use super::holders::Held;
use super::rules::{self, Pattern};
use super::stacks::{Named, Stack};
use super::tokio;
use super::waits::{Key, Wait};
use super::walk::Walker;
use crate::model::{Event, ResourceKind};
use std::collections::BTreeSet;

/// A thread that has to do with what another waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Suspect {
    /// Index of the wait.
    pub(super) wait: usize,
    /// Index of the thread.
    pub(super) thread: usize,
    /// The frame that refers to it.
    pub(super) frame: usize,
    pub(super) rule: &'static str,
}

const CHANNELS: &[Pattern] = &[
    Pattern { path: "std::sync::mpmc", file: "std/src/sync/mpmc/", name: "" },
    Pattern { path: "std::sync::mpsc", file: "std/src/sync/mpsc", name: "" },
    Pattern { path: "crossbeam_channel", file: "crossbeam-channel-", name: "" },
    Pattern { path: "flume::", file: "flume-", name: "" },
    Pattern { path: "tokio::sync::", file: "/src/sync/mpsc/", name: "" },
    Pattern { path: "", file: "/src/sync/oneshot.rs", name: "" },
];
const ONCE: &[Pattern] = &[
    Pattern { path: "std::sys::sync::once", file: "std/src/sys/sync/once/", name: "call" },
    Pattern { path: "parking_lot::once", file: "/src/once.rs", name: "call_once" },
];
/// Waits that are looked into.
const MAX_WAITS: usize = 16;
/// Suspects of one wait.
const MAX_SUSPECTS: usize = 8;
/// Words of one frame that are looked at.
const FRAME_WORDS: usize = 1024;
/// Bytes in front of a futex at which the object that contains it may begin.
const NEAR: u64 = 64;
/// Bytes around a thread's own futex that belong to its handle.
const HANDLE: u64 = 128;

/// Finds the suspects of requests' threads and of those that hold a lock that somebody waits for.
pub(super) fn find(stacks: &[Stack<'_>], waits: &[Wait], held: &[Held], walker: &Walker<'_>) -> Vec<Suspect> {
    let holders: BTreeSet<usize> = held.iter().flat_map(|held| held.holds.iter().map(|hold| hold.thread)).collect();
    let matters = |wait: &Wait| {
        let stack = &stacks[wait.thread];
        let known = wait.kind == ResourceKind::Channel && stack.application().is_some();
        // Without names it may be anything, but who else has it in his frames is seen all the same.
        let nameless = matches!(wait.kind, ResourceKind::Channel | ResourceKind::Unknown) && stack.is_nameless();
        (known || (nameless && !tokio::is_parked(stack)))
            && (holders.contains(&wait.thread) || stack.logical().any(rules::serves_request))
    };
    let chosen = waits.iter().enumerate().filter(|(_, wait)| matters(wait)).take(MAX_WAITS);
    chosen.flat_map(|(index, wait)| of(index, wait, stacks, waits, walker)).collect()
}

fn of(index: usize, wait: &Wait, stacks: &[Stack<'_>], waits: &[Wait], walker: &Walker<'_>) -> Vec<Suspect> {
    let Key::Event(futex) = wait.key else { return Vec::new() };
    let suspect = |thread, frame, rule| Suspect { wait: index, thread, frame, rule };
    if wait.event == Some(Event::ThreadEnd) {
        // The word is the thread's own, at the upper end of its stack.
        let on_stack = |stack: &Stack<'_>| {
            futex.checked_sub(stack.raw.stack_start).is_some_and(|offset| offset < stack.raw.stack.len() as u64)
        };
        let ending = stacks.iter().position(on_stack).filter(|thread| *thread != wait.thread);
        let frame = |thread: usize| stacks[thread].application().map_or(0, |(frame, _)| frame);
        return ending.map(|thread| suspect(thread, frame(thread), "its-end-is-awaited")).into_iter().collect();
    }
    let once = wait.event == Some(Event::Initialisation);
    let objects = channel(&stacks[wait.thread], futex, walker);
    let refers: Box<dyn Fn(u64) -> bool> = if objects.is_empty() {
        Box::new(move |value| value <= futex && futex - value <= NEAR)
    } else {
        Box::new(move |value| objects.contains(&value))
    };
    let others = stacks.iter().enumerate().filter(|(thread, stack)| {
        let same = waits.iter().any(|other| other.thread == *thread && other.key == wait.key);
        let works = stack.application().is_some() || (stack.is_nameless() && !tokio::is_parked(stack));
        *thread != wait.thread && !same && works
    });
    let found = others.filter_map(|(thread, stack)| {
        let frames = stack.frames.iter().enumerate().filter(|(_, frame)| !frame.system);
        let mut referring = frames.filter(|(_, frame)| values(frame, walker).any(&refers));
        let (frame, _) = referring.next()?;
        let runs = once && stack.logical().any(|f| rules::any(ONCE, f));
        Some(suspect(thread, frame, if runs { "runs-the-initialisation" } else { "refers-to-the-same" }))
    });
    found.take(MAX_SUSPECTS).collect()
}

/// What the frames of a channel's own code refer to on the heap: the channel is among it.
fn channel(stack: &Stack<'_>, futex: u64, walker: &Walker<'_>) -> BTreeSet<u64> {
    let end = stack.application().map_or(0, |(frame, _)| frame);
    let own = stack.frames[..end].iter().filter(|frame| frame.names.iter().any(|f| rules::any(CHANNELS, f)));
    let on_heap = |value: &u64| {
        *value > 0x1_0000
            && value.is_multiple_of(8)
            && value.abs_diff(futex) > HANDLE
            && walker.memory.on_stack(*value).is_none()
            && !walker.layout.modules().iter().any(|m| m.bias <= *value && *value < m.end.saturating_add(16 << 20))
            && walker.memory.aligned(*value).is_some()
    };
    own.flat_map(|frame| values(frame, walker)).filter(on_heap).collect()
}

/// The registers of a frame as it will find them again, and the words of its part of the stack.
fn values<'a>(named: &'a Named, walker: &'a Walker<'_>) -> impl Iterator<Item = u64> + 'a {
    let frame = &named.frame;
    let words = (frame.sp & !7..frame.cfa).step_by(8).take(FRAME_WORDS);
    frame.registers.iter().flatten().copied().chain(words.filter_map(|address| walker.memory.on_stack(address)))
}
