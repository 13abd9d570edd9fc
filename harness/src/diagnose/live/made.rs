//! Targets that no process made, for tests: an executable at a chosen place, and a thread that stands in it.

use super::image::Image;
use super::layout::{Binary, Layout, Mapped};
use super::unwind::{RSP, Registers};
use super::{proc, remote};
use crate::model::{RawThread, SNAPSHOT_FORMAT, Snapshot};
use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

/// Where the executable lies.
pub(super) const BASE: u64 = 0x5555_0000_0000;
/// Where the thread's stack lies.
pub(super) const STACK: u64 = 0x7fff_0000_0000;

/// A small real ELF file with unwinding tables and symbols: the page of code that the kernel maps into every process.
pub(super) static VDSO: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let pid = i32::try_from(std::process::id()).unwrap();
    let mapping = proc::mappings(pid).unwrap().into_iter().find(|mapping| mapping.path == "[vdso]").unwrap();
    let mut bytes = vec![0; usize::try_from(mapping.end - mapping.start).unwrap()];
    assert_eq!(remote::read_process(pid, mapping.start, &mut bytes), bytes.len());
    bytes
});

/// See [`only_code`].
pub(super) const CODE: u64 = 0x1000;

/// An ELF file that is nothing but code, which lies [`CODE`] bytes behind its beginning.
pub(super) fn only_code(code: &[u8]) -> Vec<u8> {
    let mut file = vec![0; 0x1000];
    file[..20].copy_from_slice(&[0x7f, b'E', b'L', b'F', 2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 3, 0, 62, 0]);
    file[20] = 1;
    file[32] = 64; // program headers
    file[52] = 64;
    file[54] = 56;
    file[56] = 1;
    let mut header = |at: usize, value: u64| file[64 + at..64 + at + 8].copy_from_slice(&value.to_le_bytes());
    header(0, 1 | 5 << 32); // PT_LOAD, readable and executable
    header(8, 0x1000);
    header(16, 0x1000);
    header(32, code.len() as u64);
    header(40, code.len() as u64);
    file.extend_from_slice(code);
    file
}

/// A process with one executable, of so many bytes.
pub(super) fn layout(image: Image, bytes: u64) -> Layout {
    Layout::of(vec![Mapped {
        start: BASE,
        end: BASE + bytes,
        bias: BASE,
        exe: true,
        system: false,
        name: "hostile".into(),
        image: Arc::new(Binary::new(image)),
    }])
}

/// Registers by number, with the stack pointer so far up the stack.
pub(super) fn registers(values: &[u64], sp: u64) -> Registers {
    let mut registers = [None; 17];
    for (slot, value) in registers.iter_mut().zip(values) {
        *slot = Some(*value);
    }
    registers[RSP] = Some(STACK + sp);
    registers
}

/// A sample of one thread, which waits for a futex on its stack.
pub(super) fn snapshot(stack: Vec<u8>, registers: &Registers, words: BTreeMap<u64, u64>) -> Snapshot {
    let thread = RawThread {
        tid: 1,
        state: 'S',
        syscall: Some((202, [STACK, 0, 0, 0, 0, 0])),
        registers: registers.to_vec(),
        stack_start: STACK,
        stack,
        ..RawThread::default()
    };
    Snapshot {
        format: SNAPSHOT_FORMAT.into(),
        pid: 1,
        taken_us: 1,
        stopped_us: 1,
        threads: vec![thread],
        modules: Vec::new(),
        parked: Vec::new(),
        words,
        files: BTreeMap::new(),
        gaps: Vec::new(),
    }
}
