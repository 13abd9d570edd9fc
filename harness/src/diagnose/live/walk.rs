//! "Who will release L?": walks the machine code ahead of a frame and looks for what it does to the lock.
//!
//! A frame that releases a lock without having taken it first holds it now. The walk is existential: some path does so.
//! It is the count in the lock word that tells whether all holders were found, and none too many.

use super::layout::{Layout, Mapped};
use super::machine::{Machine, truncate};
use super::memory::Memory;
use super::ops::{self, Call, Op};
use super::path::{Last, Path};
use super::unwind::{CALLEE_SAVED, Frame, RSP};
use crate::model::{Mode, ResourceKind};
use iced_x86::{Decoder, DecoderOptions, FlowControl, Instruction, InstructionInfoFactory, Mnemonic, OpKind};
use std::cell::Cell;
use std::collections::HashMap;

pub(super) use super::path::{Lock, Outlook, Release};

/// Instructions of one walk.
const MAX_STEPS: u32 = 8000;
/// Instructions of one walk after it found a release: a second guard in the same frame is rare and near.
const MAX_STEPS_AFTER: u32 = 2500;
/// Bytes of the longest instruction.
const MAX_INSTRUCTION: usize = 15;
/// How often one instruction is visited with the same lock state: twice lets a loop be left after one more turn.
const MAX_VISITS: u8 = 2;
/// Calls that are followed into each other.
const MAX_DEPTH: usize = 12;
/// Paths not yet followed.
const MAX_PATHS: usize = 512;
const RDI: usize = 5;
const RSI: usize = 4;
const RDX: usize = 1;
const RAX: usize = 0;

/// Walks frames; shares its budget among all walks of one explanation.
pub(super) struct Walker<'a> {
    pub(super) layout: &'a Layout,
    pub(super) memory: &'a Memory<'a>,
    /// Functions without names that are known to take a lock they get, by where they begin.
    pub(super) takes: HashMap<u64, (ResourceKind, Mode)>,
    /// Instructions left.
    pub(super) budget: Cell<u32>,
}

impl Walker<'_> {
    /// What lies ahead of `frame` for `lock`; `pending`: the modes in which a deeper frame is acquiring it just now.
    pub(super) fn outlook(&self, frame: &Frame, lock: Lock, pending: &[Mode]) -> Outlook {
        self.search(&[frame], lock, pending, 0)
    }

    /// Walks from the first frame, in which the lock is being acquired, up into its callers until it is given back: where a
    /// guard is returned to callers, only following it there tells it from the guards that they hold already. The first
    /// `inner` frames are the lock's own code, and what they do to it is this one acquisition.
    pub(super) fn climb(&self, frames: &[&Frame], lock: Lock, pending: &[Mode], inner: usize) -> Outlook {
        if frames.is_empty() { Outlook::default() } else { self.search(frames, lock, pending, inner) }
    }

    fn search(&self, frames: &[&Frame], lock: Lock, pending: &[Mode], inner: usize) -> Outlook {
        let frame = frames[0];
        let mut registers = frame.registers;
        if frame.returns {
            // The callee has not returned yet: only what it must preserve is known to be what it will be then.
            for (number, register) in registers.iter_mut().enumerate() {
                if !CALLEE_SAVED.contains(&number) {
                    *register = None;
                }
            }
        }
        let mut machine = Machine::new(&registers);
        machine.set_register(RSP, Some(frame.sp));
        let start = Path {
            pc: frame.pc,
            machine,
            returns: Vec::new(),
            bounds: self.bounds(frame.lookup()),
            open: pending.to_vec(),
            held: Vec::new(),
            pending: pending.len(),
            last: Last::Nothing,
            level: 0,
        };
        let mut search = Search {
            walker: self,
            lock,
            frames,
            inner,
            visits: HashMap::new(),
            paths: vec![start],
            outlook: Outlook::default(),
            factory: InstructionInfoFactory::new(),
            steps: 0,
        };
        search.run();
        search.outlook
    }

    /// Takes the cost of something beside the walks from their budget; `false` if it is used up.
    pub(super) fn affords(&self, steps: u32) -> bool {
        self.budget.set(self.budget.get().saturating_sub(steps));
        self.budget.get() > 0
    }

    fn bounds(&self, address: u64) -> (u64, u64) {
        let bounds = self.layout.find(address).and_then(|module| {
            let (start, end) = module.image.function_bounds(address.wrapping_sub(module.bias))?;
            Some((start.wrapping_add(module.bias), end.wrapping_add(module.bias)))
        });
        bounds.unwrap_or((0, u64::MAX))
    }
}

/// One walk.
struct Search<'a, 'b> {
    walker: &'a Walker<'b>,
    lock: Lock,
    /// The frame of the walk, then those that it may climb.
    frames: &'a [&'a Frame],
    /// How many of them are code of the lock.
    inner: usize,
    visits: HashMap<(u64, usize, usize, usize, usize), u8>,
    paths: Vec<Path>,
    outlook: Outlook,
    factory: InstructionInfoFactory,
    steps: u32,
}

/// How a path goes on after an instruction.
enum Next {
    Go,
    End,
}

impl Search<'_, '_> {
    fn run(&mut self) {
        while let Some(mut path) = self.paths.pop() {
            loop {
                let limit = if self.outlook.held.is_empty() { MAX_STEPS } else { MAX_STEPS_AFTER };
                if self.steps >= limit || self.walker.budget.get() == 0 {
                    self.finish(&path);
                    return;
                }
                self.steps += 1;
                self.walker.budget.set(self.walker.budget.get() - 1);
                match self.step(&mut path) {
                    Next::Go => {}
                    Next::End => break,
                }
            }
            self.finish(&path);
        }
    }

    /// Takes over what a path found.
    fn finish(&mut self, path: &Path) {
        if path.held.len() > self.outlook.held.len() {
            self.outlook.held.clone_from(&path.held);
        }
    }

    fn step(&mut self, path: &mut Path) -> Next {
        let key = (path.pc, path.open.len(), path.held.len(), path.returns.len(), path.level);
        let visits = self.visits.entry(key).or_insert(0);
        *visits += 1;
        if *visits > MAX_VISITS || path.machine.is_full() || path.pc < path.bounds.0 || path.pc >= path.bounds.1 {
            return Next::End;
        }
        let Some(i) = self.decode(path.pc) else { return Next::End };
        if let Some(op) = self.operation(path, &i)
            && matches!(self.apply(path, op, false), Next::End)
        {
            return Next::End;
        }
        match i.flow_control() {
            FlowControl::Next => {
                path.machine.execute(self.walker.memory, &i, &mut self.factory);
                path.pc = i.next_ip();
                Next::Go
            }
            FlowControl::UnconditionalBranch => self.jump(path, i.near_branch_target()),
            FlowControl::ConditionalBranch => {
                if self.paths.len() < MAX_PATHS {
                    let mut other = path.clone();
                    other.pc = i.near_branch_target();
                    self.paths.push(other);
                }
                path.pc = i.next_ip();
                Next::Go
            }
            FlowControl::Return => self.leave(path),
            FlowControl::Call | FlowControl::IndirectCall => self.call(path, &i),
            // A jump table: which entry is not known; that would need the value of a variable.
            FlowControl::IndirectBranch => match self.target(path, &i) {
                Some(target) => self.jump(path, target),
                None => Next::End,
            },
            _ => Next::End,
        }
    }

    fn decode(&self, pc: u64) -> Option<Instruction> {
        let module = self.walker.layout.find(pc)?;
        let code = module.image.code(pc.wrapping_sub(module.bias), MAX_INSTRUCTION);
        let i = Decoder::with_ip(64, code, pc, DecoderOptions::NONE).decode();
        (!i.is_invalid()).then_some(i)
    }

    /// What the instruction does to the lock word, if it touches it.
    fn operation(&self, path: &Path, i: &Instruction) -> Option<Op> {
        let memory_operand = (0..i.op_count()).any(|n| i.op_kind(n) == OpKind::Memory);
        let atomic = matches!(i.mnemonic(), Mnemonic::Cmpxchg | Mnemonic::Xadd | Mnemonic::Xchg) || i.has_lock_prefix();
        let stores = i.mnemonic() == Mnemonic::Mov && i.op0_kind() == OpKind::Memory;
        if !memory_operand || !(atomic || stores) || path.machine.address(i) != Some(self.lock.address) {
            return None;
        }
        if stores {
            // A plain store initialises the word: whatever lies here is another lock by then.
            return Some(Op::Unknown);
        }
        let width = ops::width(self.lock.kind);
        let memory = self.walker.memory;
        let register_operand = if i.op0_kind() == OpKind::Memory { 1 } else { 0 };
        let source = (i.op_count() > 1).then(|| path.machine.operand(memory, i, register_operand)).flatten();
        let expected = path.machine.register(RAX).map(|value| truncate(value, width));
        Some(if i.memory_size().size() == width {
            ops::atomic(self.lock.kind, i, expected, source)
        } else {
            Op::Neutral
        })
    }

    /// Notes an operation on the lock. `slow`: it is the slow path of an operation that may have been seen already.
    fn apply(&mut self, path: &mut Path, op: Op, slow: bool) -> Next {
        if path.level < self.inner && path.pending > 0 && matches!(op, Op::Lock(_) | Op::Unlock(_)) {
            return Next::Go;
        }
        match op {
            Op::Neutral => Next::Go,
            Op::Unknown => Next::End,
            Op::Lock(mode) => {
                self.outlook.locks_first |= path.last == Last::Nothing && path.held.is_empty();
                // A retry of the same instruction, or the slow path behind it, is one acquisition. When its function has
                // returned with the lock, the same instruction takes it once more.
                let again = match path.last {
                    Last::Locked { pc, left, .. } => slow || (pc == path.pc && !left),
                    _ => false,
                };
                if !again {
                    path.open.push(mode);
                }
                path.last = Last::Locked { pc: path.pc, depth: path.depth(), left: false };
                Next::Go
            }
            Op::Unlock(_) if slow && path.last == Last::Unlocked => Next::Go,
            // The guard that is followed upwards lives on in another mode.
            Op::Convert(mode, to) if self.frames.len() > 1 && path.open.contains(&mode) => {
                path.open.iter_mut().rev().filter(|open| **open == mode).take(1).for_each(|open| *open = to);
                Next::Go
            }
            Op::Unlock(mode) | Op::Convert(mode, _) => {
                path.last = Last::Unlocked;
                match path.open.iter().rposition(|open| *open == mode) {
                    Some(index) => {
                        if index < path.pending {
                            path.pending -= 1;
                            self.outlook.consumes = true;
                        }
                        path.open.remove(index);
                        if path.open.is_empty() && self.frames.len() > 1 {
                            let level = self.outlook.released.map_or(path.level, |least| least.min(path.level));
                            self.outlook.released = Some(level);
                        }
                    }
                    // The same place again, in a loop, is not a second guard.
                    None if path.held.iter().any(|release| release.pc == path.pc) => {}
                    None => path.held.push(Release { mode, pc: path.pc }),
                }
                if matches!(op, Op::Convert(..)) { Next::End } else { Next::Go }
            }
        }
    }

    fn target(&self, path: &Path, i: &Instruction) -> Option<u64> {
        match i.op0_kind() {
            OpKind::NearBranch64 => Some(i.near_branch_target()),
            _ => path.machine.operand(self.walker.memory, i, 0),
        }
    }

    fn jump(&mut self, path: &mut Path, target: u64) -> Next {
        if path.bounds.0 <= target && target < path.bounds.1 {
            path.pc = target;
            return Next::Go;
        }
        // A tail call: this function is done, the other one returns to its caller.
        match self.invoke(path, target) {
            Invoked::Followed => Next::Go,
            Invoked::Skipped => self.leave(path),
            Invoked::Ended => Next::End,
        }
    }

    fn leave(&mut self, path: &mut Path) -> Next {
        let depth = path.depth();
        if let Last::Locked { depth: locked, left, .. } = &mut path.last {
            // A function that is called on the way to a retry returns from deeper in.
            *left |= depth <= *locked;
        }
        let Some(back) = path.returns.pop() else { return self.climbs(path) };
        let sp = path.machine.register(RSP).map(|sp| sp.wrapping_add(8));
        path.machine.set_register(RSP, sp);
        path.pc = back;
        path.bounds = self.walker.bounds(back.wrapping_sub(1));
        Next::Go
    }

    /// Returns from the frame of the walk to its caller's, while the lock that is being acquired is not given back.
    fn climbs(&self, path: &mut Path) -> Next {
        let Some(frame) = self.frames.get(path.level + 1).filter(|_| !path.open.is_empty()) else { return Next::End };
        for number in CALLEE_SAVED {
            path.machine.set_register(number, frame.registers[number]);
        }
        path.machine.set_register(RSP, Some(frame.sp));
        path.pc = frame.pc;
        path.bounds = self.walker.bounds(frame.lookup());
        path.level += 1;
        Next::Go
    }

    fn call(&mut self, path: &mut Path, i: &Instruction) -> Next {
        let Some(target) = self.target(path, i) else {
            path.machine.forget_caller_saved();
            path.pc = i.next_ip();
            return Next::Go;
        };
        path.machine.push(self.walker.memory, Some(i.next_ip()));
        path.returns.push(i.next_ip());
        match self.invoke(path, target) {
            Invoked::Followed => Next::Go,
            Invoked::Skipped => {
                path.machine.forget_caller_saved();
                self.leave(path)
            }
            Invoked::Ended => Next::End,
        }
    }

    /// Decides what to make of a function that is entered with the current registers.
    fn invoke(&mut self, path: &mut Path, target: u64) -> Invoked {
        let Some(module) = self.walker.layout.find(target) else { return Invoked::Skipped };
        let name = module.image.function(target.wrapping_sub(module.bias));
        let lock = self.lock;
        // Only of the lock itself is it known what becomes of it.
        let takes = self.walker.takes.get(&target).filter(|(kind, _)| *kind == lock.kind);
        let takes = takes.filter(|_| path.machine.register(RDI) == Some(lock.address));
        let meant = takes.map_or_else(|| ops::call(lock.kind, &name), |(_, mode)| Call::Slow(Op::Lock(*mode)));
        // Behind a fast path that is done there is another acquisition.
        let done = takes.is_some() && matches!(path.last, Last::Locked { left: true, .. });
        let slow = matches!(meant, Call::Slow(_)) && !done;
        match meant {
            Call::NoReturn => return Invoked::Ended,
            Call::Opaque => return Invoked::Skipped,
            Call::Op(op) | Call::Slow(op) if self.names_lock(path) => {
                return match self.apply(path, op, slow) {
                    Next::Go => Invoked::Skipped,
                    Next::End => Invoked::Ended,
                };
            }
            // The guard of the acquisition that the thread waits for does not exist yet, so its place holds nothing that
            // can be known: the first guard of this kind to be dropped is taken for it. Where the guard itself is followed,
            // its place is known, and one that is not known is another.
            Call::Op(Op::Unlock(mode))
                if path.pending > 0 && self.frames.len() == 1 && self.unknown_guard(path, &name) =>
            {
                self.apply(path, Op::Unlock(mode), false);
                return Invoked::Skipped;
            }
            _ => {}
        }
        if !module.system && module.image.never_returns(target.wrapping_sub(module.bias)) {
            return Invoked::Ended;
        }
        if module.system || path.returns.len() > MAX_DEPTH || !self.concerns(path, module) {
            return Invoked::Skipped;
        }
        path.pc = target;
        path.bounds = self.walker.bounds(target);
        Invoked::Followed
    }

    /// Whether an argument is the lock, or a guard: a pointer to a pointer to it.
    fn names_lock(&self, path: &Path) -> bool {
        let lock = self.lock.address;
        [RDI, RSI]
            .iter()
            .filter_map(|number| path.machine.register(*number))
            .any(|value| value == lock || (0..2).any(|n| self.points_to_lock(path, value.wrapping_add(8 * n))))
    }

    /// Whether a guard of this kind of lock is dropped that does not refer to this one.
    fn unknown_guard(&self, path: &Path, name: &str) -> bool {
        let std = matches!(self.lock.kind, ResourceKind::StdMutex | ResourceKind::StdRwLock);
        path.machine.register(RDI).is_some()
            && name.contains("Guard<")
            && name.contains(if std { "std::sync::" } else { "lock_api::" })
    }

    fn points_to_lock(&self, path: &Path, address: u64) -> bool {
        address > 0x1_0000 && path.machine.load(self.walker.memory, address, 8) == Some(self.lock.address)
    }

    /// Whether a function is worth following: it gets the lock, or something that contains a pointer to it.
    fn concerns(&self, path: &Path, module: &Mapped) -> bool {
        debug_assert!(!module.system);
        [RDI, RSI, RDX].iter().filter_map(|number| path.machine.register(*number)).any(|value| {
            value == self.lock.address || (0..8).any(|n| self.points_to_lock(path, value.wrapping_add(8 * n)))
        })
    }
}

enum Invoked {
    Followed,
    Skipped,
    Ended,
}
