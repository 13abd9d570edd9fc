//! A small evaluator for x86_64: enough arithmetic to know which address an instruction touches.

use super::memory::Memory;
use super::unwind::{RSP, Registers};
use iced_x86::{
    Instruction, InstructionInfoFactory, InstructionInfoOptions, MemorySize, Mnemonic, OpAccess, OpKind, Register,
};

const RAX: usize = 0;

/// The general registers by DWARF number, from the processor's own numbering.
const DWARF: [usize; 16] = [0, 2, 1, 3, 7, 6, 4, 5, 8, 9, 10, 11, 12, 13, 14, 15];
/// A path that stores more than this is not followed on.
const MAX_STORES: usize = 512;

/// What is known of the processor on one path.
#[derive(Clone)]
pub(super) struct Machine {
    registers: [Option<u64>; 16],
    vectors: [(Option<u64>, Option<u64>); 16],
    /// Words written on this path, by aligned address, latest last.
    stores: Vec<(u64, Option<u64>)>,
}

/// The DWARF number of a general register; `None` for others and for ah, bh, ch, dh.
fn number(register: Register) -> Option<usize> {
    let high = matches!(register, Register::AH | Register::BH | Register::CH | Register::DH);
    (register.is_gpr() && !high).then(|| DWARF[register.full_register().number() % 16])
}

pub(super) fn truncate(value: u64, size: usize) -> u64 {
    match size {
        1 => value & 0xff,
        2 => value & 0xffff,
        4 => value & 0xffff_ffff,
        _ => value,
    }
}

impl Machine {
    /// With the registers of a frame; those that are `None` are unknown.
    pub(super) fn new(registers: &Registers) -> Machine {
        let mut machine = Machine { registers: [None; 16], vectors: [(None, None); 16], stores: Vec::new() };
        machine.registers.copy_from_slice(&registers[..16]);
        machine
    }

    pub(super) fn register(&self, number: usize) -> Option<u64> {
        self.registers[number]
    }

    pub(super) fn set_register(&mut self, number: usize, value: Option<u64>) {
        self.registers[number] = value;
    }

    /// Whether the path has written too much to be worth following.
    pub(super) fn is_full(&self) -> bool {
        self.stores.len() >= MAX_STORES
    }

    /// After a call that was not followed: only what it must preserve is still known.
    pub(super) fn forget_caller_saved(&mut self) {
        for number in [0, 1, 2, 4, 5, 8, 9, 10, 11] {
            self.registers[number] = None;
        }
        self.vectors = [(None, None); 16];
    }

    /// The address of the memory operand.
    pub(super) fn address(&self, i: &Instruction) -> Option<u64> {
        if matches!(i.segment_prefix(), Register::FS | Register::GS) {
            return None;
        }
        if i.is_ip_rel_memory_operand() {
            return Some(i.ip_rel_memory_address());
        }
        let mut address = i.memory_displacement64();
        if i.memory_base() != Register::None {
            address = address.wrapping_add(self.registers[number(i.memory_base())?]?);
        }
        if i.memory_index() != Register::None {
            let index = self.registers[number(i.memory_index())?]?;
            address = address.wrapping_add(index.wrapping_mul(u64::from(i.memory_index_scale())));
        }
        Some(address)
    }

    fn word(&self, memory: &Memory<'_>, aligned: u64) -> Option<u64> {
        match self.stores.iter().rev().find(|(address, _)| *address == aligned) {
            Some((_, value)) => *value,
            None => memory.word(aligned),
        }
    }

    /// Loads `size` bytes, at most eight.
    pub(super) fn load(&self, memory: &Memory<'_>, address: u64, size: usize) -> Option<u64> {
        let (aligned, shift) = (address & !7, (address % 8) * 8);
        let low = self.word(memory, aligned)? >> shift;
        let value = if (address % 8) as usize + size > 8 {
            low | self.word(memory, aligned.checked_add(8)?)? << (64 - shift)
        } else {
            low
        };
        Some(truncate(value, size))
    }

    /// Stores `size` bytes, at most eight.
    pub(super) fn store(&mut self, memory: &Memory<'_>, address: u64, size: usize, value: Option<u64>) {
        let (aligned, offset) = (address & !7, (address % 8) as usize);
        if size == 8 && offset == 0 {
            self.put(aligned, value);
        } else if offset + size <= 8 {
            let mask = truncate(u64::MAX, size) << (offset * 8);
            let merged =
                self.word(memory, aligned).zip(value).map(|(old, new)| old & !mask | new << (offset * 8) & mask);
            self.put(aligned, merged);
        } else {
            self.put(aligned, None);
            self.put(aligned.wrapping_add(8), None);
        }
    }

    fn put(&mut self, aligned: u64, value: Option<u64>) {
        let full = self.is_full();
        match self.stores.iter_mut().rev().find(|(address, _)| *address == aligned) {
            Some(slot) => slot.1 = value,
            None if !full => self.stores.push((aligned, value)),
            None => {}
        }
    }

    /// The value of an operand.
    pub(super) fn operand(&self, memory: &Memory<'_>, i: &Instruction, index: u32) -> Option<u64> {
        match i.op_kind(index) {
            OpKind::Register => {
                let register = i.op_register(index);
                Some(truncate(self.registers[number(register)?]?, register.size()))
            }
            OpKind::Memory => {
                let size = i.memory_size().size();
                (size <= 8).then(|| self.load(memory, self.address(i)?, size)).flatten()
            }
            _ => i.try_immediate(index).ok(),
        }
    }

    /// Pushes a value.
    pub(super) fn push(&mut self, memory: &Memory<'_>, value: Option<u64>) {
        if let Some(sp) = self.registers[RSP] {
            let sp = sp.wrapping_sub(8);
            self.registers[RSP] = Some(sp);
            self.store(memory, sp, 8, value);
        }
    }

    /// Pops a value.
    pub(super) fn pop(&mut self, memory: &Memory<'_>) -> Option<u64> {
        let sp = self.registers[RSP]?;
        self.registers[RSP] = Some(sp.wrapping_add(8));
        self.load(memory, sp, 8)
    }

    /// Carries out an instruction that is no branch, call or return; what it cannot follow becomes unknown.
    pub(super) fn execute(&mut self, memory: &Memory<'_>, i: &Instruction, factory: &mut InstructionInfoFactory) {
        match i.mnemonic() {
            Mnemonic::Push => {
                let value = self.operand(memory, i, 0);
                self.push(memory, value);
            }
            Mnemonic::Pop => {
                let value = self.pop(memory);
                self.assign(memory, i, value, 8);
            }
            Mnemonic::Xchg if i.op0_kind() == OpKind::Register && i.op1_kind() == OpKind::Register => {
                let (a, b) = (self.operand(memory, i, 0), self.operand(memory, i, 1));
                let size = i.op0_register().size();
                self.assign(memory, i, b, size);
                if let Some(number) = number(i.op1_register()) {
                    self.registers[number] = if size >= 4 { a } else { None };
                }
            }
            // Afterwards rax holds what was there, whether or not it was exchanged. That it was is not assumed: what loops
            // until it succeeds goes on with the value it finds.
            Mnemonic::Cmpxchg if i.op0_kind() == OpKind::Memory => {
                let (found, size) = (self.operand(memory, i, 0), i.memory_size().size());
                let rest = self.registers[RAX].unwrap_or(0) & !truncate(u64::MAX, size);
                self.registers[RAX] = found.map(|found| if size < 4 { rest | found } else { found });
            }
            Mnemonic::Movups
            | Mnemonic::Movaps
            | Mnemonic::Movupd
            | Mnemonic::Movapd
            | Mnemonic::Movdqu
            | Mnemonic::Movdqa => self.move_vector(memory, i),
            _ => match self.result(memory, i) {
                Some((value, size)) => self.assign(memory, i, value, size),
                None => self.clobber(memory, i, factory),
            },
        }
    }

    /// The value that an instruction assigns to its first operand, and its size; `None` if the instruction is not known.
    fn result(&self, memory: &Memory<'_>, i: &Instruction) -> Option<(Option<u64>, usize)> {
        let size = match i.op0_kind() {
            OpKind::Register if i.op0_register().is_gpr() => i.op0_register().size(),
            OpKind::Memory => i.memory_size().size(),
            _ => return None,
        };
        let operand = |index| self.operand(memory, i, index);
        let same = i.op_count() == 2
            && i.op0_kind() == OpKind::Register
            && i.op1_kind() == OpKind::Register
            && i.op0_register() == i.op1_register();
        let both = |f: fn(u64, u64) -> u64| operand(0).zip(operand(1)).map(|(a, b)| f(a, b));
        let value = match i.mnemonic() {
            Mnemonic::Mov | Mnemonic::Movzx => operand(1),
            Mnemonic::Movsx | Mnemonic::Movsxd => operand(1).map(|value| {
                let from =
                    if i.op1_kind() == OpKind::Memory { i.memory_size().size() } else { i.op1_register().size() };
                let unused = 64 - 8 * from.clamp(1, 8);
                (((value << unused) as i64) >> unused) as u64
            }),
            Mnemonic::Lea => self.address(i),
            Mnemonic::Xor | Mnemonic::Sub if same => Some(0),
            Mnemonic::Add => both(u64::wrapping_add),
            Mnemonic::Sub => both(u64::wrapping_sub),
            Mnemonic::And => both(|a, b| a & b),
            Mnemonic::Or => both(|a, b| a | b),
            Mnemonic::Xor => both(|a, b| a ^ b),
            Mnemonic::Shl => both(|a, b| a.wrapping_shl(b as u32)),
            Mnemonic::Shr => both(|a, b| a.wrapping_shr(b as u32)),
            Mnemonic::Neg => operand(0).map(u64::wrapping_neg),
            Mnemonic::Not => operand(0).map(|a| !a),
            Mnemonic::Inc => operand(0).map(|a| a.wrapping_add(1)),
            Mnemonic::Dec => operand(0).map(|a| a.wrapping_sub(1)),
            _ => return None,
        };
        Some((value, size))
    }

    fn assign(&mut self, memory: &Memory<'_>, i: &Instruction, value: Option<u64>, size: usize) {
        let value = value.map(|value| truncate(value, size));
        match i.op0_kind() {
            OpKind::Register => {
                let Some(number) = number(i.op0_register()) else {
                    // One of ah, bh, ch, dh: the register it is a part of is not known any more.
                    if i.op0_register().is_gpr8() {
                        self.registers[DWARF[i.op0_register().full_register().number() % 16]] = None;
                    }
                    return;
                };
                // Writing 32 bits clears the upper half; writing 8 or 16 keeps the rest. An unknown rest counts as zero:
                // whoever writes a byte reads a byte.
                let rest = self.registers[number].unwrap_or(0) & !truncate(u64::MAX, size);
                self.registers[number] = match size {
                    1 | 2 => value.map(|new| rest | new),
                    _ => value,
                };
            }
            OpKind::Memory if size <= 8 => {
                if let Some(address) = self.address(i) {
                    self.store(memory, address, size, value);
                }
            }
            _ => {}
        }
    }

    /// Sixteen bytes from, to or between vector registers: how guards of two words are moved.
    fn move_vector(&mut self, memory: &Memory<'_>, i: &Instruction) {
        let vector = |register: Register| register.is_xmm().then(|| register.number()).filter(|n| *n < 16);
        let value = match i.op1_kind() {
            OpKind::Register => vector(i.op1_register()).map_or((None, None), |n| self.vectors[n]),
            OpKind::Memory => self
                .address(i)
                .map_or((None, None), |a| (self.load(memory, a, 8), self.load(memory, a.wrapping_add(8), 8))),
            _ => (None, None),
        };
        match i.op0_kind() {
            OpKind::Register => {
                if let Some(number) = vector(i.op0_register()) {
                    self.vectors[number] = value;
                }
            }
            OpKind::Memory => {
                if let Some(address) = self.address(i) {
                    self.store(memory, address, 8, value.0);
                    self.store(memory, address.wrapping_add(8), 8, value.1);
                }
            }
            _ => {}
        }
    }

    /// Everything the instruction writes becomes unknown.
    fn clobber(&mut self, memory: &Memory<'_>, i: &Instruction, factory: &mut InstructionInfoFactory) {
        let writes = |access: OpAccess| {
            matches!(access, OpAccess::Write | OpAccess::ReadWrite | OpAccess::CondWrite | OpAccess::ReadCondWrite)
        };
        let info = factory.info_options(i, InstructionInfoOptions::NO_MEMORY_USAGE);
        for used in info.used_registers() {
            if !writes(used.access()) {
                continue;
            }
            if used.register().is_vector_register() {
                self.vectors[used.register().number() % 16] = (None, None);
            } else if let Some(number) = number(used.register())
                && number != RSP
            {
                self.registers[number] = None;
            }
        }
        if i.op0_kind() == OpKind::Memory
            && i.memory_size() != MemorySize::Unknown
            && writes(info.op0_access())
            && let Some(address) = self.address(i)
        {
            for part in (0..i.memory_size().size().min(64) as u64).step_by(8) {
                let size = (i.memory_size().size() as u64 - part).min(8) as usize;
                self.store(memory, address.wrapping_add(part), if size.is_power_of_two() { size } else { 8 }, None);
            }
        }
    }
}
