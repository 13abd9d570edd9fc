//! The prediction: a program reduced to what it waits for, and every state that can be reached.
//!
//! Independent of the shim and of both engines: a breadth-first search over the states of locks and channels, with no
//! `prometheus` in it. Locks that are only ever held around nothing (the vector's, the histogram's) cannot be part of a
//! circle and are left out.

use crate::program::{APP_LOCKS, Act, CHANNELS, Program, ROOM};
use std::collections::{BTreeSet, VecDeque};

/// How a program can end other than by coming to its end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Ends {
    /// Some schedule ends with threads that wait for each other in a circle of locks, or one for itself.
    pub(crate) deadlocks: bool,
    /// Some schedule ends with nobody who can go on, and no such circle.
    pub(crate) blocks: bool,
}

impl Ends {
    /// Whether what a checker found, by its word, is among these.
    pub(crate) fn admit(self, found: &str) -> bool {
        match found {
            "deadlock" => self.deadlocks,
            "blocked" => self.blocks,
            "none" => self == Ends::default(),
            _ => false,
        }
    }
}

#[derive(Clone, Copy, Debug)]
enum Op {
    /// Shared, behind any writer that is in or queued.
    Read,
    LeaveRead,
    /// Keep new readers out.
    Claim,
    /// Go in, once the readers have left.
    Write,
    LeaveWrite,
    Lock(usize),
    Unlock(usize),
    Send(usize),
    Receive(usize),
    /// Skip so many, unless this is the first `collect()`.
    First(usize),
}

fn compile(acts: &[Act], collect: &[Op], into: &mut Vec<Op>) {
    for act in acts {
        match act {
            Act::Register | Act::Unregister => into.extend([Op::Claim, Op::Write, Op::LeaveWrite]),
            Act::Gather | Act::Encode => {
                into.extend([Op::Read, Op::First(collect.len())]);
                into.extend_from_slice(collect);
                into.push(Op::LeaveRead);
            }
            Act::Locked(lock, inside) => {
                into.push(Op::Lock(*lock));
                compile(inside, collect, into);
                into.push(Op::Unlock(*lock));
            }
            Act::Send(channel) => into.push(Op::Send(*channel)),
            Act::Receive(channel) => into.push(Op::Receive(*channel)),
            Act::Inc | Act::Observe | Act::NewSeries | Act::Remove => {}
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct State {
    at: Vec<usize>,
    /// For each thread how often it reads.
    reads: Vec<usize>,
    claimed: Option<usize>,
    locked: [Option<usize>; APP_LOCKS],
    queued: [usize; CHANNELS],
    collected: bool,
}

impl State {
    fn new(threads: usize) -> State {
        State {
            at: vec![0; threads],
            reads: vec![0; threads],
            claimed: None,
            locked: [None; APP_LOCKS],
            queued: [0; CHANNELS],
            collected: false,
        }
    }

    /// The state after this thread's next step, if it can take one.
    fn step(&self, thread: usize, ops: &[Op]) -> Option<State> {
        let mut next = self.clone();
        next.at[thread] += 1;
        match *ops.get(self.at[thread])? {
            Op::Read if self.claimed.is_some() => return None,
            Op::Read => next.reads[thread] += 1,
            Op::LeaveRead => next.reads[thread] -= 1,
            Op::Claim if self.claimed.is_some() => return None,
            Op::Claim => next.claimed = Some(thread),
            Op::Write if self.reads.iter().any(|reads| *reads > 0) => return None,
            Op::Write => {}
            Op::LeaveWrite => next.claimed = None,
            Op::Lock(lock) if self.locked[lock].is_some() => return None,
            Op::Lock(lock) => next.locked[lock] = Some(thread),
            Op::Unlock(lock) => next.locked[lock] = None,
            Op::Send(channel) if self.queued[channel] == ROOM => return None,
            Op::Send(channel) => next.queued[channel] += 1,
            Op::Receive(channel) if self.queued[channel] == 0 => return None,
            Op::Receive(channel) => next.queued[channel] -= 1,
            Op::First(skip) if self.collected => next.at[thread] += skip,
            Op::First(_) => next.collected = true,
        }
        Some(next)
    }

    /// For whom a thread that cannot go on waits, as far as somebody owns what it wants.
    fn waits_for(&self, thread: usize, ops: &[Op]) -> Vec<usize> {
        match ops.get(self.at[thread]) {
            Some(Op::Read | Op::Claim) => self.claimed.into_iter().collect(),
            Some(Op::Write) => (0..self.reads.len()).filter(|reader| self.reads[*reader] > 0).collect(),
            Some(Op::Lock(lock)) => self.locked[*lock].into_iter().collect(),
            _ => Vec::new(),
        }
    }

    /// Whether threads of a state in which nobody can go on wait for each other in a circle.
    fn has_circle(&self, threads: &[Vec<Op>]) -> bool {
        (0..threads.len()).any(|start| {
            let mut seen = vec![false; threads.len()];
            let mut next = self.waits_for(start, &threads[start]);
            while let Some(thread) = next.pop() {
                if thread == start {
                    return true;
                }
                if !std::mem::replace(&mut seen[thread], true) {
                    next.extend(self.waits_for(thread, &threads[thread]));
                }
            }
            false
        })
    }
}

/// How the program can end.
pub(crate) fn ends(program: &Program) -> Ends {
    // A gather inside collect() finds that the collector has had its turn.
    let mut collect = Vec::new();
    compile(&program.collect, &[], &mut collect);
    let threads: Vec<Vec<Op>> = program
        .threads
        .iter()
        .map(|acts| {
            let mut ops = Vec::new();
            compile(acts, &collect, &mut ops);
            ops
        })
        .collect();
    let start = State::new(threads.len());
    let mut seen = BTreeSet::from([start.clone()]);
    let mut queue = VecDeque::from([start]);
    let mut ends = Ends::default();
    while let Some(state) = queue.pop_front() {
        let mut stuck = true;
        for (thread, ops) in threads.iter().enumerate() {
            if let Some(next) = state.step(thread, ops) {
                stuck = false;
                if seen.insert(next.clone()) {
                    queue.push_back(next);
                }
            }
        }
        if stuck && threads.iter().zip(&state.at).any(|(ops, at)| *at < ops.len()) {
            let deadlock = state.has_circle(&threads);
            ends.deadlocks |= deadlock;
            ends.blocks |= !deadlock;
        }
    }
    ends
}
