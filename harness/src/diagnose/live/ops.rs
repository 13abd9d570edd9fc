//! What an instruction does to a lock: a table of the atomic operations of `parking_lot` and `std`, by kind of lock.

use crate::model::{Mode, ResourceKind};
use iced_x86::{Instruction, Mnemonic};

/// What an instruction or a call means for a lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Op {
    /// Takes it in this mode, or tries to.
    Lock(Mode),
    /// Gives it back: whoever gets here held it in this mode.
    Unlock(Mode),
    /// Turns a held mode into another one: held until here in the first.
    Convert(Mode, Mode),
    /// Touches it without taking or giving back: bookkeeping bits, the rollback of a timeout.
    Neutral,
    /// Not in the table: no statement behind it.
    Unknown,
}

/// Bytes of the word that the lock's atomics work on.
pub(super) fn width(kind: ResourceKind) -> usize {
    match kind {
        ResourceKind::ParkingLotMutex => 1,
        ResourceKind::ParkingLotRwLock => 8,
        _ => 4,
    }
}

/// An atomic instruction on the lock word: `expected` is what rax holds, `source` the second operand.
pub(super) fn atomic(kind: ResourceKind, i: &Instruction, expected: Option<u64>, source: Option<u64>) -> Op {
    // Sign-extend 32-bit operands so that one table serves both widths.
    let signed = |value: u64| if i.memory_size().size() == 4 { i64::from(value as u32 as i32) } else { value as i64 };
    let source = source.map(signed);
    let added = match i.mnemonic() {
        Mnemonic::Xadd | Mnemonic::Add => source,
        Mnemonic::Sub => source.map(i64::wrapping_neg),
        Mnemonic::Inc => Some(1),
        Mnemonic::Dec => Some(-1),
        _ => None,
    };
    let exchanged = (i.mnemonic() == Mnemonic::Cmpxchg).then_some((expected.map(signed), source));
    let swapped = if i.mnemonic() == Mnemonic::Xchg { source } else { None };
    match kind {
        ResourceKind::ParkingLotRwLock => parking_lot_rwlock(added, exchanged),
        ResourceKind::ParkingLotMutex => match exchanged {
            Some((Some(e), Some(n))) if e & 1 == 1 && n & 1 == 0 => Op::Unlock(Mode::Exclusive),
            Some((Some(e), Some(n))) if e & 1 == 0 && n & 1 == 1 => Op::Lock(Mode::Exclusive),
            Some((None, Some(n))) if n & 1 == 1 => Op::Lock(Mode::Exclusive),
            Some((Some(_), Some(_))) => Op::Neutral,
            // parking_lot 0.13 subtracts one instead.
            None if added == Some(-1) || added == Some(0xff) => Op::Unlock(Mode::Exclusive),
            _ => Op::Unknown,
        },
        ResourceKind::StdMutex => match (exchanged, swapped) {
            (_, Some(0)) => Op::Unlock(Mode::Exclusive),
            (_, Some(1 | 2)) | (Some((_, Some(1 | 2))), _) => Op::Lock(Mode::Exclusive),
            _ => Op::Unknown,
        },
        ResourceKind::StdRwLock => match (added, exchanged) {
            (Some(-1), _) => Op::Unlock(Mode::Read),
            (Some(-0x3fff_ffff), _) => Op::Unlock(Mode::Write),
            (_, Some((Some(e), Some(n)))) if n == e.wrapping_add(1) => Op::Lock(Mode::Read),
            (_, Some((_, Some(n)))) if n & 0x3fff_ffff == 0x3fff_ffff => Op::Lock(Mode::Write),
            (_, Some((Some(_), Some(_)))) => Op::Neutral,
            _ => Op::Unknown,
        },
        _ => Op::Unknown,
    }
}

fn parking_lot_rwlock(added: Option<i64>, exchanged: Option<(Option<i64>, Option<i64>)>) -> Op {
    const WRITER: i64 = 8;
    const READER: i64 = 16;
    const UPGRADABLE: i64 = 20;
    match (added, exchanged) {
        (Some(-16), _) => Op::Unlock(Mode::Read),
        (Some(-20), _) => Op::Unlock(Mode::Upgradable),
        // A writer that gives up waiting for readers takes its bit back.
        (Some(-8), _) => Op::Neutral,
        // Downgrades: WRITE to READ, WRITE to UPGRADABLE, UPGRADABLE to READ.
        (Some(8), _) => Op::Convert(Mode::Write, Mode::Read),
        (Some(12), _) => Op::Convert(Mode::Write, Mode::Upgradable),
        (Some(-4), _) => Op::Convert(Mode::Upgradable, Mode::Read),
        (_, Some((Some(WRITER), Some(0)))) => Op::Unlock(Mode::Write),
        (_, Some((Some(e), Some(n)))) if n == e.wrapping_add(READER) => Op::Lock(Mode::Read),
        (_, Some((Some(e), Some(n)))) if n == e.wrapping_add(UPGRADABLE) => Op::Lock(Mode::Upgradable),
        (_, Some((Some(e), Some(n)))) if n == e.wrapping_sub(UPGRADABLE) => Op::Unlock(Mode::Upgradable),
        (_, Some((Some(e), Some(n)))) if n == e.wrapping_sub(UPGRADABLE - WRITER) => {
            Op::Convert(Mode::Upgradable, Mode::Write)
        }
        (_, Some((Some(e), Some(n)))) if n == e | WRITER && e & WRITER == 0 => Op::Lock(Mode::Write),
        (_, Some((None, Some(WRITER)))) => Op::Lock(Mode::Write),
        (_, Some((Some(_), Some(_)))) => Op::Neutral,
        _ => Op::Unknown,
    }
}

/// What a call of a named function means for a lock it gets as an argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Call {
    /// Its fast path, or all of it: counts as the operation.
    Op(Op),
    /// The slow path behind an atomic of the same operation: counts only if there was none.
    Slow(Op),
    /// Does nothing that matters: not to be followed.
    Opaque,
    /// Never comes back.
    NoReturn,
    /// Not in the table.
    Other,
}

/// Looks a function up by its demangled name.
pub(super) fn call(kind: ResourceKind, name: &str) -> Call {
    const NO_RETURN: [&str; 12] = [
        "_Unwind_Resume",
        "core::panicking::",
        "std::panicking::rust_panic",
        "::begin_panic",
        "abort",
        "terminate",
        "unwrap_failed",
        "handle_alloc_error",
        "expect_failed",
        "capacity_overflow",
        "_fail",
        "process::exit",
    ];
    const OPAQUE: [&str; 7] = [
        "deadlock_impl::",
        "deadlock::acquire_resource",
        "deadlock::release_resource",
        "Mutex::wake",
        "wake_writer_or_readers",
        "thread::panicking",
        "panic_count",
    ];
    if name.is_empty() {
        return Call::Other;
    }
    if OPAQUE.iter().any(|part| name.contains(part)) {
        return Call::Opaque;
    }
    if name.contains("drop_in_place<") || name.contains("Drop>::drop") {
        // A guard in other things is dropped inside: only the guard itself is the operation.
        let subject = name.split_once("drop_in_place<").map_or(name, |(_, rest)| rest).trim_start_matches('<');
        let subject = subject.split(['<', '>', ' ']).next().unwrap_or_default();
        return if subject.ends_with("Guard") { Call::Op(Op::Unlock(mode(kind, subject))) } else { Call::Other };
    }
    if NO_RETURN.iter().any(|part| name.contains(part)) {
        return Call::NoReturn;
    }
    let last = super::rules::bare(name);
    let lock_type = ["RawRwLock", "RawMutex", "sys::sync::mutex", "sys::sync::rwlock", "lock_api::", "std::sync::"];
    if !lock_type.iter().any(|part| name.contains(part)) {
        return Call::Other;
    }
    match last {
        "unlock_slow"
        | "unlock_shared_slow"
        | "unlock_exclusive_slow"
        | "unlock_upgradable_slow"
        | "unlock_contended" => Call::Slow(Op::Unlock(mode(kind, last))),
        "unlock" | "unlock_shared" | "unlock_exclusive" | "unlock_upgradable" | "read_unlock" | "write_unlock"
        | "force_unlock" | "unlock_fair" | "force_unlock_read" | "force_unlock_write" => {
            Call::Op(Op::Unlock(mode(kind, last)))
        }
        "lock_slow"
        | "lock_shared_slow"
        | "lock_exclusive_slow"
        | "lock_upgradable_slow"
        | "lock_contended"
        | "read_contended"
        | "write_contended" => Call::Slow(Op::Lock(mode(kind, last))),
        "lock"
        | "lock_shared"
        | "lock_exclusive"
        | "lock_upgradable"
        | "read"
        | "write"
        | "try_lock"
        | "try_read"
        | "try_write"
        | "read_recursive"
        | "lock_shared_recursive"
        | "upgradable_read" => Call::Op(Op::Lock(mode(kind, last))),
        _ => Call::Other,
    }
}

fn mode(kind: ResourceKind, name: &str) -> Mode {
    if matches!(kind, ResourceKind::ParkingLotMutex | ResourceKind::StdMutex) {
        Mode::Exclusive
    } else if name.contains("pgradable") {
        Mode::Upgradable
    } else if name.contains("xclusive") || name.contains("rite") {
        Mode::Write
    } else {
        Mode::Read
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use iced_x86::{Decoder, DecoderOptions};

    fn decode(bytes: &[u8]) -> Instruction {
        Decoder::new(64, bytes, DecoderOptions::NONE).decode()
    }

    #[test]
    fn the_atomics_of_each_kind() {
        let xadd64 = decode(&[0xf0, 0x48, 0x0f, 0xc1, 0x03]); // lock xadd [rbx], rax
        let xadd32 = decode(&[0xf0, 0x0f, 0xc1, 0x03]); // lock xadd [rbx], eax
        let cmpxchg64 = decode(&[0xf0, 0x48, 0x0f, 0xb1, 0x0b]); // lock cmpxchg [rbx], rcx
        let cmpxchg8 = decode(&[0xf0, 0x0f, 0xb0, 0x0b]); // lock cmpxchg [rbx], cl
        let cmpxchg32 = decode(&[0xf0, 0x0f, 0xb1, 0x0b]); // lock cmpxchg [rbx], ecx
        let xchg32 = decode(&[0x87, 0x03]); // xchg [rbx], eax
        let minus = |v: i64| Some(v as u64);
        use ResourceKind::*;
        for (kind, i, expected, source, op) in [
            (ParkingLotRwLock, &xadd64, None, minus(-16), Op::Unlock(Mode::Read)),
            (ParkingLotRwLock, &xadd64, None, minus(-8), Op::Neutral),
            (ParkingLotRwLock, &cmpxchg64, Some(8), Some(0), Op::Unlock(Mode::Write)),
            (ParkingLotRwLock, &cmpxchg64, Some(0), Some(8), Op::Lock(Mode::Write)),
            (ParkingLotRwLock, &cmpxchg64, Some(0x19), Some(0x29), Op::Lock(Mode::Read)),
            (ParkingLotRwLock, &cmpxchg64, None, None, Op::Unknown),
            (ParkingLotMutex, &cmpxchg8, Some(1), Some(0), Op::Unlock(Mode::Exclusive)),
            (ParkingLotMutex, &cmpxchg8, Some(0), Some(1), Op::Lock(Mode::Exclusive)),
            (StdMutex, &xchg32, None, Some(0), Op::Unlock(Mode::Exclusive)),
            (StdMutex, &xchg32, None, Some(2), Op::Lock(Mode::Exclusive)),
            (StdRwLock, &xadd32, None, Some(0xffff_ffff), Op::Unlock(Mode::Read)),
            (StdRwLock, &xadd32, None, Some(0xc000_0001), Op::Unlock(Mode::Write)),
            (StdRwLock, &cmpxchg32, Some(0x8000_0001), Some(0x8000_0002), Op::Lock(Mode::Read)),
            (ParkingLotRwLock, &cmpxchg64, Some(u64::MAX >> 1), Some(0), Op::Neutral),
            // Not an operation of a std mutex, whatever it looks like.
            (StdMutex, &xadd32, None, Some(0xffff_ffff), Op::Unknown),
        ] {
            assert_eq!(atomic(kind, i, expected, source), op, "{kind:?} {:?} {expected:?} {source:?}", i.code());
        }
    }

    #[test]
    fn functions_by_name() {
        use ResourceKind::*;
        let pl = "<parking_lot::raw_rwlock::RawRwLock as lock_api::rwlock::RawRwLock>::unlock_shared";
        assert_eq!(call(ParkingLotRwLock, pl), Call::Op(Op::Unlock(Mode::Read)));
        let guard = "core::ptr::drop_in_place<std::sync::poison::mutex::MutexGuard<svc::State>>";
        assert_eq!(call(StdMutex, guard), Call::Op(Op::Unlock(Mode::Exclusive)));
        let holder = "core::ptr::drop_in_place<svc::Session<std::sync::poison::mutex::MutexGuard<u8>>>";
        assert_eq!(call(StdMutex, holder), Call::Other);
        let slow = "parking_lot::raw_rwlock::RawRwLock::lock_exclusive_slow";
        assert_eq!(call(ParkingLotRwLock, slow), Call::Slow(Op::Lock(Mode::Write)));
        assert_eq!(call(StdMutex, "svc::Store::lock"), Call::Other);
        assert_eq!(call(StdMutex, "core::panicking::panic_fmt"), Call::NoReturn);
    }
}
