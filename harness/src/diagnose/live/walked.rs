//! Tests of the walk over code that was written for them, instruction by instruction.

use super::image::Image;
use super::locations::Hints;
use super::made::{BASE, CODE, STACK, VDSO, layout, only_code, registers, snapshot};
use super::memory::Memory;
use super::stacks::{Named, Stack};
use super::symbolize::Logical;
use super::unwind::{End, Frame};
use super::waits;
use super::walk::{Lock, Outlook, Walker};
use crate::model::{Mode, ParkedThread, RawThread, ResourceKind};
use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

/// Not a token: the thread is in nobody's table.
const NOT_PARKED: u64 = u64::MAX;
/// Where the lock lies.
const LOCK: u64 = 0x7777_0000;

const LOCK_RBX: &[u8] = &[0xb8, 1, 0, 0, 0, 0x87, 0x03]; // mov eax, 1; xchg [rbx], eax
const UNLOCK_RBX: &[u8] = &[0xb8, 0, 0, 0, 0, 0x87, 0x03]; // mov eax, 0; xchg [rbx], eax
const LOCK_RDI: &[u8] = &[0xb8, 1, 0, 0, 0, 0x87, 0x07]; // mov eax, 1; xchg [rdi], eax
const PASS_LOCK: &[u8] = &[0x48, 0x89, 0xdf]; // mov rdi, rbx
const PASS_NOTHING: &[u8] = &[0x31, 0xff]; // xor edi, edi
const TEST: &[u8] = &[0x85, 0xc0]; // test eax, eax
const RET: &[u8] = &[0xc3];

/// Code under construction.
#[derive(Default)]
struct Code(Vec<u8>);

impl Code {
    fn then(mut self, parts: &[&[u8]]) -> Code {
        parts.iter().for_each(|part| self.0.extend_from_slice(part));
        self
    }

    fn here(&self) -> usize {
        self.0.len()
    }

    fn relative(mut self, opcode: &[u8], target: usize) -> Code {
        self.0.extend_from_slice(opcode);
        let after = self.0.len() as i64 + 4;
        self.0.extend_from_slice(&i32::try_from(target as i64 - after).unwrap().to_le_bytes());
        self
    }

    fn call(self, target: usize) -> Code {
        self.relative(&[0xe8], target)
    }

    fn jump(self, target: usize) -> Code {
        self.relative(&[0xe9], target)
    }

    fn jump_if_zero(self, target: usize) -> Code {
        self.relative(&[0x0f, 0x84], target)
    }

    /// What a frame holds that stands at `pc`, with the lock's address in rbx.
    fn outlook(&self, pc: usize) -> Outlook {
        self.outlook_given(pc, None)
    }

    /// The same, where the function at `takes` is known to take a lock of this kind.
    fn outlook_given(&self, pc: usize, takes: Option<(usize, ResourceKind)>) -> Outlook {
        let layout = layout(Image::parse(only_code(&self.0)).unwrap(), 1 << 20);
        let registers = registers(&[0, 0, 0, LOCK], 64);
        let snapshot = snapshot(vec![0; 256], &registers, BTreeMap::from([(LOCK, 2)]));
        let memory = Memory::new(&snapshot, &layout, false);
        let takes = takes.map(|(at, kind)| (BASE + CODE + at as u64, (kind, Mode::Exclusive))).into_iter().collect();
        let walker = Walker { layout: &layout, memory: &memory, takes, budget: Cell::new(100_000) };
        let frame = Frame { pc: BASE + CODE + pc as u64, returns: true, sp: STACK + 64, cfa: STACK + 128, registers };
        walker.outlook(&frame, Lock { address: LOCK, kind: ResourceKind::StdMutex }, &[])
    }

    fn held(&self, pc: usize) -> usize {
        let outlook = self.outlook(pc);
        assert!(outlook.held.iter().all(|release| release.mode == Mode::Exclusive));
        outlook.held.len()
    }
}

#[test]
fn a_retry_that_calls_something_in_between_is_one_acquisition() {
    // A loop that calls something that has nothing to do with the lock, and tries again; what follows releases two.
    for inside in [false, true] {
        let code = Code::default().then(&[RET]);
        let helper = code.here() - 1;
        let again = code.here();
        let code = if inside { code.then(&[LOCK_RDI]) } else { code.then(&[LOCK_RBX]) };
        let code = code.then(&[TEST]);
        let exit = code.here() + 6 + 5 + 5 + if inside { 2 } else { 0 };
        let code = code.jump_if_zero(exit);
        let code = if inside { code.then(&[&[0x57]]) } else { code }; // push rdi
        let code = code.call(helper);
        let code = if inside { code.then(&[&[0x5f]]) } else { code }; // pop rdi
        let code = code.jump(again);
        assert_eq!(code.here(), exit);
        let (code, start) = if inside {
            let code = code.then(&[RET]);
            let start = code.here();
            (code.then(&[PASS_LOCK]).call(again), start)
        } else {
            (code, again)
        };
        let code = code.then(&[UNLOCK_RBX, UNLOCK_RBX, RET]);
        assert_eq!(code.held(start), 1, "in a function of its own: {inside}");
    }
}

#[test]
fn the_same_instruction_locks_twice_where_its_function_was_called_twice() {
    for (calls, unlocks, held) in [(1, 2, 1), (2, 2, 0), (2, 3, 1), (3, 4, 1)] {
        let code = Code::default().then(&[LOCK_RDI, RET]);
        let mut code = (0..calls).fold(code, |code, _| code.then(&[PASS_LOCK]).call(0));
        let start = LOCK_RDI.len() + 1;
        for _ in 0..unlocks {
            code = code.then(&[UNLOCK_RBX]);
        }
        assert_eq!(code.then(&[RET]).held(start), held, "{calls} calls, {unlocks} releases");
    }
}

#[test]
fn what_is_called_without_the_lock_changes_nothing() {
    let code = Code::default().then(&[RET, PASS_NOTHING]).call(0).then(&[UNLOCK_RBX, RET]);
    let outlook = code.outlook(1);
    assert_eq!((outlook.held.len(), outlook.locks_first), (1, false));
    let code = Code::default().then(&[LOCK_RBX, UNLOCK_RBX, RET]);
    let outlook = code.outlook(0);
    assert_eq!((outlook.held.len(), outlook.locks_first), (0, true));
}

#[test]
fn a_lock_that_is_handed_over_is_taken_by_the_call() {
    const OURS: Option<(usize, ResourceKind)> = Some((0, ResourceKind::StdMutex));
    // The slow path at 0 holds no instruction that takes anything.
    let after =
        |before: &[&[u8]]| Code::default().then(&[RET]).then(before).call(0).then(&[UNLOCK_RBX, UNLOCK_RBX, RET]);
    let held = |code: &Code, takes| code.outlook_given(1, takes).held.len();
    assert_eq!(held(&after(&[PASS_LOCK]), OURS), 1);
    assert_eq!(held(&after(&[PASS_LOCK]), None), 2, "nothing tells of it");
    assert_eq!(
        held(&after(&[LOCK_RBX, PASS_LOCK]), OURS),
        1,
        "the slow path behind the fast one is the same acquisition"
    );
    // Of two calls each takes it: the first one is done.
    let twice = Code::default().then(&[RET, PASS_LOCK]).call(0).then(&[PASS_LOCK]).call(0);
    let twice = twice.then(&[UNLOCK_RBX, UNLOCK_RBX, UNLOCK_RBX, RET]);
    assert_eq!(held(&twice, OURS), 1);
    // Near misses: it gets another lock, it takes locks of another kind, and it is another function.
    assert_eq!(held(&after(&[PASS_NOTHING]), OURS), 2);
    assert_eq!(held(&after(&[PASS_LOCK]), Some((0, ResourceKind::ParkingLotRwLock))), 2);
    assert_eq!(held(&after(&[PASS_LOCK]), Some((1, ResourceKind::StdMutex))), 2);
}

#[test]
fn what_waiters_stand_in_takes_their_lock() {
    let layout = layout(Image::parse(VDSO.clone()).unwrap(), 1 << 20);
    let image = &layout.modules()[0].image;
    let starts: BTreeSet<u64> = (0..VDSO.len() as u64).filter_map(|at| Some(image.function_bounds(at)?.0)).collect();
    let [one, other] = [0, 1].map(|n| BASE + starts.iter().nth(n).unwrap());
    let taken = |waiters: &[(u64, u64, &str)]| {
        let registers = registers(&[], 64);
        let mut snapshot = snapshot(vec![0; 256], &registers, BTreeMap::new());
        let raw: Vec<RawThread> = (0..waiters.len() as u64)
            .map(|n| RawThread { syscall: Some((202, [STACK + 64 * n, 0, 0, 0, 0, 0])), ..snapshot.threads[0].clone() })
            .collect();
        let parked = |n: usize, token| ParkedThread { thread_data: STACK + 64 * n as u64 - 32, key: LOCK, token };
        let known = waiters.iter().enumerate().filter(|(_, (_, token, _))| *token != NOT_PARKED);
        snapshot.parked = known.map(|(n, (_, token, _))| parked(n, *token)).collect();
        let stand = |(raw, (start, _, name)): (&'static RawThread, &(u64, u64, &str))| {
            let frame = Frame { pc: start + 1, returns: false, sp: STACK, cfa: STACK + 64, registers };
            let names = Arc::new([Logical { function: (*name).to_owned(), ..Logical::default() }]);
            let named = Named { frame, names, module: String::new(), hints: Hints::default(), system: false };
            Stack { raw, frames: Arc::new(vec![named]), end: End::Bottom, alone: true }
        };
        let raw: &'static [RawThread] = raw.leak();
        let stacks: Vec<Stack<'_>> = raw.iter().zip(waiters).map(stand).collect();
        waits::taking(&snapshot, &stacks, &layout)
    };
    let read = (ResourceKind::ParkingLotRwLock, Mode::Read);
    let write = (ResourceKind::ParkingLotRwLock, Mode::Write);
    assert_eq!(taken(&[(one, 16, ""), (one, 16, "")]), HashMap::from([(one, read)]));
    assert_eq!(taken(&[(one, 16, ""), (other, 8, "")]), HashMap::from([(one, read), (other, write)]));
    // Near misses: two kinds in one function, a function with a name, and a thread that parking_lot does not know.
    assert_eq!(taken(&[(one, 16, ""), (one, 8, ""), (one, 16, "")]), HashMap::new());
    assert_eq!(taken(&[(one, 16, "app::wait")]), HashMap::new());
    assert_eq!(taken(&[(one, NOT_PARKED, "")]), HashMap::new());
}
