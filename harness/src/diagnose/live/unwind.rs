//! A CFI unwinder that restores every callee-saved register, crosses signal frames, and says why it ended.
//!
//! The walk through the code ahead of a frame needs rbx and r12-r15, which unwinders made for profiling do not restore.

use super::cfi;
use super::layout::Layout;
use gimli::{CfaRule, EvaluationResult, Location, Register, RegisterRule, UnwindContext, UnwindExpression, Value};
use std::cell::Cell;

/// DWARF numbers of the registers used by name here and in the walk.
pub(super) const RBX: usize = 3;
pub(super) const RBP: usize = 6;
pub(super) const RSP: usize = 7;
pub(super) const RIP: usize = 16;
/// Registers that a call leaves as they were.
pub(super) const CALLEE_SAVED: [usize; 6] = [RBX, RBP, 12, 13, 14, 15];
/// Registers 0 to 16 by DWARF number.
pub(super) type Registers = [Option<u64>; 17];

/// Deeper stacks are cut.
const MAX_FRAMES: usize = 512;
/// Steps of one CFI expression.
const MAX_STEPS: u32 = 1000;
/// Bytes of unwinding tables that may be carried out for all threads together, a frame counting for at least
/// [`LEAST`]: stacks of a few hundred frames and some hundred thousand of them.
pub(super) const BUDGET: u64 = 1 << 28;
const LEAST: u64 = 64;

/// One physical frame.
#[derive(Clone, Debug)]
pub(super) struct Frame {
    pub(super) pc: u64,
    /// Whether `pc` is a return address; otherwise the frame was interrupted there, and all registers are good.
    pub(super) returns: bool,
    pub(super) sp: u64,
    /// The canonical frame address: the stack pointer before the call of this function.
    pub(super) cfa: u64,
    pub(super) registers: Registers,
}

impl Frame {
    /// An address inside the instruction that the frame is at: a return address may already belong to the next line.
    pub(super) fn lookup(&self) -> u64 {
        if self.returns { self.pc.wrapping_sub(1) } else { self.pc }
    }
}

/// Why a stack ends where it ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// At the thread's first function.
    Bottom,
    /// Before it, for this reason.
    Lost(String),
}

/// Unwinds a thread from its registers; `read` gives words of its stack, and `budget` is what is left of [`BUDGET`].
pub(super) fn unwind(
    layout: &Layout,
    registers: Registers,
    read: impl Fn(u64) -> Option<u64>,
    budget: &Cell<u64>,
) -> (Vec<Frame>, End) {
    let mut frames: Vec<Frame> = Vec::new();
    let mut context = UnwindContext::new();
    let mut registers = registers;
    let mut returns = false;
    loop {
        if frames.len() >= MAX_FRAMES {
            return (frames, End::Lost(format!("more than {MAX_FRAMES} frames")));
        }
        let (Some(pc), Some(sp)) = (registers[RIP], registers[RSP]) else {
            return (frames, End::Lost("no program counter or stack pointer".into()));
        };
        if pc == 0 {
            return (frames, End::Bottom);
        }
        let mut frame = Frame { pc, returns, sp, cfa: sp, registers };
        match step(layout, &mut frame, &mut context, &read, budget) {
            Ok(Step::Caller { registers: caller, signal }) => {
                // A stack grows downwards: a caller that lies below its callee is garbage. A signal handler may run on
                // a stack of its own.
                let upwards = caller[RSP] > Some(sp) || signal || (frames.is_empty() && caller[RSP] == Some(sp));
                frames.push(frame);
                if !upwards {
                    return (frames, End::Lost("the caller's frame lies below its callee's".into()));
                }
                registers = caller;
                returns = !signal;
            }
            Ok(Step::Bottom) => {
                frames.push(frame);
                return (frames, End::Bottom);
            }
            Err(reason) => {
                // A call through a bad pointer: the return address lies on top of the stack.
                frames.push(frame);
                return (frames, End::Lost(reason));
            }
        }
    }
}

#[expect(clippy::large_enum_variant, reason = "it lives for one step, and boxing would allocate for every frame")]
enum Step {
    Caller { registers: Registers, signal: bool },
    Bottom,
}

fn step(
    layout: &Layout,
    frame: &mut Frame,
    context: &mut UnwindContext<usize>,
    read: &impl Fn(u64) -> Option<u64>,
    budget: &Cell<u64>,
) -> Result<Step, String> {
    let lookup = frame.lookup();
    let module = layout.find(lookup).ok_or_else(|| format!("{:#x} is in no known module", frame.pc))?;
    let image = &module.image;
    let address = lookup.wrapping_sub(module.bias);
    let no_cfi = |e: gimli::Error| format!("no unwinding information at {}+{address:#x}: {e}", module.name);
    let (section, bases) = cfi::tables(image);
    let entry = cfi::entry(image, image.entries(), &section, &bases, address).map_err(no_cfi)?;
    let cost = LEAST.max((entry.entry_len() as u64).saturating_add(entry.cie().entry_len() as u64));
    let left = budget.get().checked_sub(cost).ok_or("the unwinding used up its budget")?;
    budget.set(left);
    let row = entry.unwind_info_for_address(&section, &bases, context, address).map_err(no_cfi)?;
    let encoding = entry.cie().encoding();
    let registers = frame.registers;
    let known = |register: Register| registers.get(usize::from(register.0)).copied().flatten();
    let evaluate = |expression: &UnwindExpression<usize>, initial: Option<u64>| -> Option<u64> {
        let mut evaluation = expression.get(&section).ok()?.evaluation(encoding);
        evaluation.set_max_iterations(MAX_STEPS);
        if let Some(initial) = initial {
            evaluation.set_initial_value(initial);
        }
        let mut result = evaluation.evaluate().ok()?;
        for _ in 0..MAX_STEPS {
            result = match result {
                EvaluationResult::Complete => break,
                EvaluationResult::RequiresRegister { register, .. } => {
                    evaluation.resume_with_register(Value::Generic(known(register)?)).ok()?
                }
                EvaluationResult::RequiresMemory { address, .. } => {
                    evaluation.resume_with_memory(Value::Generic(read(address)?)).ok()?
                }
                _ => return None,
            };
        }
        if !matches!(result, EvaluationResult::Complete) {
            return None;
        }
        match evaluation.result().first()?.location {
            Location::Address { address } => Some(address),
            _ => None,
        }
    };
    let cfa = match row.cfa() {
        CfaRule::RegisterAndOffset { register, offset } => known(*register).map(|v| v.wrapping_add_signed(*offset)),
        CfaRule::Expression(expression) => evaluate(expression, None),
    }
    .ok_or("the frame's address depends on a register that is not known")?;
    frame.cfa = cfa;
    let mut caller: Registers = [None; 17];
    for register in CALLEE_SAVED {
        caller[register] = registers[register];
    }
    caller[RSP] = Some(cfa);
    for number in 0..17u16 {
        let Some(rule) = row.register(Register(number)) else { continue };
        caller[usize::from(number)] = match rule {
            RegisterRule::SameValue => registers[usize::from(number)],
            RegisterRule::Offset(offset) => read(cfa.wrapping_add_signed(offset)),
            RegisterRule::ValOffset(offset) => Some(cfa.wrapping_add_signed(offset)),
            RegisterRule::Register(other) => known(other),
            RegisterRule::Expression(expression) => evaluate(&expression, Some(cfa)).and_then(read),
            RegisterRule::ValExpression(expression) => evaluate(&expression, Some(cfa)),
            _ => None,
        };
    }
    if matches!(row.register(Register(RIP as u16)), Some(RegisterRule::Undefined)) {
        return Ok(Step::Bottom);
    }
    if caller[RIP].is_none() {
        return Err("the return address lies outside the copied stack".into());
    }
    Ok(Step::Caller { registers: caller, signal: entry.is_signal_trampoline() })
}
