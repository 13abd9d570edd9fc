//! What the child's side of a trial needs of Linux; `elsewhere.rs` has the same for other systems.

use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::sys::uio::{RemoteIoVec, process_vm_readv};
use nix::unistd::{Pid, gettid};
use std::io::{self, IoSliceMut};
use std::os::fd::{AsFd, BorrowedFd};

/// Something that happens once, and can be waited for with `poll` ever after.
#[derive(Debug)]
pub(super) struct Event(EventFd);

impl Event {
    pub(super) fn new() -> io::Result<Event> {
        Ok(Event(EventFd::from_value_and_flags(0, EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)?))
    }

    /// Makes it readable for good: nobody ever reads it.
    pub(super) fn signal(&self) {
        // The one possible failure is a counter at its maximum, which is readable as well.
        let _ = self.0.write(1);
    }

    pub(super) fn descriptor(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

pub(super) fn this_thread() -> i32 {
    gettid().as_raw()
}

/// The size of an allocation of the C library.
///
/// # Safety
/// The pointer must be to a live one.
pub(super) unsafe fn allocation_size(start: *mut libc::c_void) -> usize {
    // SAFETY: as the caller promises.
    unsafe { libc::malloc_usable_size(start) }
}

/// The futex address in a line of `/proc/…/syscall`, if that is the system call.
pub(super) fn futex_of(line: &str) -> Option<usize> {
    let mut words = line.split_whitespace();
    let number: i64 = words.next()?.parse().ok()?;
    if number != libc::SYS_futex {
        return None;
    }
    usize::from_str_radix(words.next()?.strip_prefix("0x")?, 16).ok()
}

/// A word of this process, read through the kernel, because who knows whether there is memory.
pub(super) fn word(address: usize) -> Option<usize> {
    let mut word = [0; size_of::<usize>()];
    let there = RemoteIoVec { base: address, len: word.len() };
    let read = process_vm_readv(Pid::this(), &mut [IoSliceMut::new(&mut word)], &[there]);
    (read == Ok(size_of::<usize>())).then(|| usize::from_ne_bytes(word))
}

/// Ends this process when its parent ends.
pub(super) fn die_with_parent() -> io::Result<()> {
    Ok(nix::sys::prctl::set_pdeathsig(nix::sys::signal::Signal::SIGKILL)?)
}
