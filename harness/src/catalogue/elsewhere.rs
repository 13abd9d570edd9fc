//! What the child's side of a trial does where there is no Linux: gates are pipes, and whether a thread is parked on a lock
//! nobody can tell, so that a story which has to know it fails and says why.

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use std::io::{self, PipeReader, PipeWriter, Write};
use std::os::fd::{AsFd, BorrowedFd};

/// Something that happens once, and can be waited for with `poll` ever after.
#[derive(Debug)]
pub(super) struct Event(PipeReader, PipeWriter);

impl Event {
    pub(super) fn new() -> io::Result<Event> {
        let (reader, writer) = io::pipe()?;
        fcntl(&writer, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
        Ok(Event(reader, writer))
    }

    /// Makes it readable for good: nobody ever reads it.
    pub(super) fn signal(&self) {
        // A full pipe is readable as well.
        let _ = (&self.1).write(&[1]);
    }

    pub(super) fn descriptor(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

pub(super) fn this_thread() -> i32 {
    0
}

/// Not known here.
///
/// # Safety
/// None is needed.
pub(super) unsafe fn allocation_size(_: *mut libc::c_void) -> usize {
    0
}

pub(super) fn futex_of(_: &str) -> Option<usize> {
    None
}

pub(super) fn word(_: usize) -> Option<usize> {
    None
}

/// The end of its input tells this process that its parent has ended.
pub(super) fn die_with_parent() -> io::Result<()> {
    Ok(())
}
