//! The prediction: a program reduced to the locks it takes, and every state that those can reach.
//!
//! Independent of the shim and of both engines: a breadth-first search over lock states, with no `prometheus` in it. Locks
//! that are only ever held around nothing (the vector's, the histogram's) cannot be part of a circle and are left out.

use crate::program::{APP_LOCKS, Act, Program};
use std::collections::{BTreeSet, VecDeque};

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
            Act::Inc | Act::Observe | Act::NewSeries | Act::Remove => {}
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct State {
    at: Vec<usize>,
    readers: usize,
    claimed: bool,
    locked: [bool; APP_LOCKS],
    collected: bool,
}

impl State {
    /// The state after this thread's next step, if it can take one.
    fn step(&self, thread: usize, ops: &[Op]) -> Option<State> {
        let mut next = self.clone();
        next.at[thread] += 1;
        match *ops.get(self.at[thread])? {
            Op::Read if self.claimed => return None,
            Op::Read => next.readers += 1,
            Op::LeaveRead => next.readers -= 1,
            Op::Claim if self.claimed => return None,
            Op::Claim => next.claimed = true,
            Op::Write if self.readers > 0 => return None,
            Op::Write => {}
            Op::LeaveWrite => next.claimed = false,
            Op::Lock(lock) if self.locked[lock] => return None,
            Op::Lock(lock) => next.locked[lock] = true,
            Op::Unlock(lock) => next.locked[lock] = false,
            Op::First(skip) if self.collected => next.at[thread] += skip,
            Op::First(_) => next.collected = true,
        }
        Some(next)
    }
}

/// Whether some schedule of the program deadlocks.
pub(crate) fn can_deadlock(program: &Program) -> bool {
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
    let at = vec![0; threads.len()];
    let start = State { at, readers: 0, claimed: false, locked: [false; APP_LOCKS], collected: false };
    let mut seen = BTreeSet::from([start.clone()]);
    let mut queue = VecDeque::from([start]);
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
            return true;
        }
    }
    false
}
