//! An allocation on pages of its own, and a fault that holds whoever touches it: the way to stop a thread between two
//! instructions of somebody else's code.
//!
//! A gate can be put wherever an application has code. Between the two counters of `Histogram::observe` it has none; but
//! the observer reads the bucket table there. So the table is placed on a page of its own, the page is made inaccessible,
//! and the fault handler keeps the observer at a gate. When the gate is opened the handler gives the page back and returns,
//! and the observer goes on as if nothing had been.
//!
//! Placing it needs a hand in the allocator: one allocation of a given size, made on a thread that asked for it, gets pages
//! of its own. Everything else comes from the C library as before.

use gatherlock::catalogue::{Gate, Problem};
use nix::errno::Errno;
use nix::sys::mman::{MapFlags, ProtFlags, mmap_anonymous, mprotect};
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::ffi::c_void;
use std::num::NonZeroUsize;
use std::ops::Range;
use std::ptr::NonNull;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The C library's allocator, but for the one allocation that [`isolated`] asks for.
struct Isolating;

#[global_allocator]
static ALLOCATOR: Isolating = Isolating;

/// What a thread wants isolated.
#[derive(Clone, Copy)]
struct Wanted {
    /// The size of the allocation; 0 wants nothing.
    size: usize,
    /// Which byte of it begins a page.
    split: usize,
}

const NOTHING: Wanted = Wanted { size: 0, split: 0 };

thread_local! {
    static WANTED: Cell<Wanted> = const { Cell::new(NOTHING) };
}

/// The isolated allocation of this process, 0 while there is none.
static START: AtomicUsize = AtomicUsize::new(0);
static SIZE: AtomicUsize = AtomicUsize::new(0);

fn is_isolated(pointer: *mut u8) -> bool {
    let start = START.load(Ordering::Relaxed);
    start != 0 && pointer as usize == start
}

/// Pages for an allocation of `wanted`, if this thread wants it. The thread's wish is fulfilled once.
fn isolate(layout: Layout) -> Option<*mut u8> {
    let wanted = WANTED.try_with(Cell::get).unwrap_or(NOTHING);
    if wanted.size == 0 || layout.size() != wanted.size || !wanted.split.is_multiple_of(layout.align()) {
        return None;
    }
    let _ = WANTED.try_with(|wish| wish.set(NOTHING));
    let page = page_size();
    let length = NonZeroUsize::new(wanted.size.next_multiple_of(page) + 2 * page)?;
    // SAFETY: a new private mapping at an address that the kernel chooses touches no memory of anybody.
    let mapped = unsafe {
        mmap_anonymous(None, length, ProtFlags::PROT_READ | ProtFlags::PROT_WRITE, MapFlags::MAP_PRIVATE).ok()?
    };
    let start = mapped.as_ptr() as usize + page - wanted.split;
    SIZE.store(wanted.size, Ordering::SeqCst);
    START.store(start, Ordering::SeqCst);
    Some(start as *mut u8)
}

// SAFETY: every request goes to the C library's allocator, except for one that gets a mapping of its own: large enough,
// aligned (pages are, and `split` is a multiple of the alignment), zeroed by the kernel, and never unmapped, so that freeing
// it may do nothing.
unsafe impl GlobalAlloc for Isolating {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller keeps the contract of `alloc`.
        isolate(layout).unwrap_or_else(|| unsafe { System.alloc(layout) })
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller keeps the contract of `alloc_zeroed`.
        isolate(layout).unwrap_or_else(|| unsafe { System.alloc_zeroed(layout) })
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        if !is_isolated(pointer) {
            // SAFETY: it is not the isolated one, so the C library allocated it.
            unsafe { System.dealloc(pointer, layout) }
        }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        let Ok(new_layout) = Layout::from_size_align(new_size, layout.align()) else {
            return std::ptr::null_mut();
        };
        let elsewhere = match isolate(new_layout) {
            Some(pages) => pages,
            // SAFETY: the caller passes a new size that is not 0.
            None if is_isolated(pointer) => unsafe { System.alloc(new_layout) },
            // SAFETY: it is not the isolated one, so the C library allocated it.
            None => return unsafe { System.realloc(pointer, layout, new_size) },
        };
        if !elsewhere.is_null() {
            // SAFETY: both are valid for the smaller of the two sizes and do not overlap; the old one is not used again.
            unsafe {
                std::ptr::copy_nonoverlapping(pointer, elsewhere, layout.size().min(new_size));
                self.dealloc(pointer, layout);
            }
        }
        elsewhere
    }
}

/// The isolated allocation: where it lies and where a page begins in it.
#[derive(Clone, Debug)]
pub(crate) struct Isolated {
    bytes: Range<usize>,
    boundary: usize,
}

/// The pages of an isolated allocation on one side of its page boundary.
#[derive(Clone, Debug)]
pub(crate) struct Pages(Range<usize>);

/// Calls `make` and gives the first allocation of `size` bytes that it makes on this thread pages of its own, so that its
/// byte `split` is the first of a page. Once per process.
///
/// # Errors
/// If no such allocation was made, or there is an isolated one already.
pub(crate) fn isolated<T>(size: usize, split: usize, make: impl FnOnce() -> T) -> Result<(T, Isolated), Problem> {
    if START.load(Ordering::SeqCst) != 0 {
        return Err("this process has its isolated allocation already".into());
    }
    assert!(split <= page_size(), "the byte that begins a page is farther in than a page");
    WANTED.set(Wanted { size, split });
    let made = make();
    WANTED.set(NOTHING);
    match START.load(Ordering::SeqCst) {
        0 => {
            Err(format!("no allocation of {size} bytes was made: the library lays its data out in another way").into())
        }
        start => Ok((made, Isolated { bytes: start..start + size, boundary: start + split })),
    }
}

impl Isolated {
    /// The words of the allocation, as they stand.
    pub(crate) fn words(&self) -> Vec<u64> {
        let words = self.bytes.clone().step_by(size_of::<u64>());
        // SAFETY: the mapping is never unmapped, and nobody has made it inaccessible yet: that consumes `self`. Whoever writes
        // to it at the same time does so with atomic operations or not at all; the reads are volatile, of aligned words.
        words.map(|at| unsafe { std::ptr::with_exposed_provenance::<u64>(at).read_volatile() }).collect()
    }

    /// The pages from the boundary on.
    pub(crate) fn after_boundary(self) -> Pages {
        Pages(self.boundary..self.bytes.end.next_multiple_of(page_size()))
    }

    /// The page before the boundary.
    pub(crate) fn before_boundary(self) -> Pages {
        Pages(self.boundary - page_size()..self.boundary)
    }
}

impl Pages {
    /// Sets who may touch them. Async-signal-safe.
    fn protect(&self, protection: ProtFlags) -> Result<(), Errno> {
        let start = NonNull::new(std::ptr::with_exposed_provenance_mut::<c_void>(self.0.start)).ok_or(Errno::EFAULT)?;
        // SAFETY: these pages belong to the isolated allocation alone, and whoever touches them meanwhile faults into the
        // handler, which gives them back before it returns.
        unsafe { mprotect(start, self.0.len(), protection) }
    }
}

/// The pages that are kept, and the gate that whoever touches them is kept at.
struct Kept {
    pages: Pages,
    gate: Gate,
}

static KEPT: OnceLock<Kept> = OnceLock::new();

/// From now on whoever touches `pages` is held, until [`let_go`]. Once per process. Other faults end the process as ever.
///
/// # Errors
/// Those of the system calls.
pub(crate) fn keep(pages: Pages) -> Result<(), Problem> {
    let gate = Gate::silent("the page fault")?;
    gate.close();
    KEPT.set(Kept { pages: pages.clone(), gate }).map_err(|_| "pages are kept already")?;
    // Not on an alternate stack: the handler's frames shall stand on those of the thread that it holds.
    let handler = SigAction::new(SigHandler::SigAction(on_fault), SaFlags::SA_SIGINFO, SigSet::empty());
    // SAFETY: the handler makes only system calls and loads of atomics.
    unsafe { sigaction(Signal::SIGSEGV, &handler)? };
    Ok(pages.protect(ProtFlags::PROT_NONE)?)
}

/// Waits until somebody is held.
pub(crate) fn wait_for_fault() {
    if let Some(kept) = KEPT.get() {
        kept.gate.wait_for_arrival();
    }
}

/// Lets whoever is held go on, and everybody later through.
pub(crate) fn let_go() {
    if let Some(kept) = KEPT.get() {
        kept.gate.open();
    }
}

/// Holds a thread that touched the kept pages; anything else is a fault like any other.
extern "C" fn on_fault(_: libc::c_int, info: *mut libc::siginfo_t, _: *mut c_void) {
    let errno = Errno::last_raw();
    // SAFETY: the kernel passes a valid `siginfo_t` to a handler with SA_SIGINFO, and for SIGSEGV it holds an address.
    let address = unsafe { (*info).si_addr() } as usize;
    let given_back = match KEPT.get() {
        Some(kept) if kept.pages.0.contains(&address) => {
            kept.gate.pass();
            kept.pages.protect(ProtFlags::PROT_READ | ProtFlags::PROT_WRITE).is_ok()
        }
        _ => false,
    };
    if !given_back {
        // The instruction faults again on return, and then the default action is taken.
        let default = SigAction::new(SigHandler::SigDfl, SaFlags::empty(), SigSet::empty());
        // SAFETY: the default action runs no code of this process.
        let _ = unsafe { sigaction(Signal::SIGSEGV, &default) };
    }
    Errno::set_raw(errno);
}

/// The size of a page. Makes no allocation.
fn page_size() -> usize {
    // SAFETY: `sysconf` has no preconditions.
    usize::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).expect("every system has a page size")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One test, because there is one isolated allocation per process.
    #[test]
    fn one_allocation_is_isolated_and_holds_whoever_touches_it() {
        assert!(isolated(777, 0, || ()).is_err(), "nothing of that size was allocated");
        let (table, isolated) = isolated(61 * 8, 16, || (1u64..=61).collect::<Vec<u64>>()).unwrap();
        assert_eq!((table.as_ptr() as usize + 16) % page_size(), 0);
        assert_eq!(isolated.words(), table);
        assert!(super::isolated(61 * 8, 16, Vec::<u8>::new).is_err(), "a second one");

        keep(isolated.after_boundary()).unwrap();
        assert_eq!(table[1], 2, "before the boundary nothing is kept");
        std::thread::scope(|scope| {
            let reader = scope.spawn(|| std::hint::black_box(&table)[2]);
            wait_for_fault();
            assert!(!reader.is_finished());
            let_go();
            assert_eq!(reader.join().unwrap(), 3);
        });
        let mut grown = table;
        grown.extend(62..=200);
        assert_eq!(grown.iter().sum::<u64>(), 200 * 201 / 2);
    }
}
