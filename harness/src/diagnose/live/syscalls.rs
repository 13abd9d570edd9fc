//! System calls of Linux on x86_64 that threads block in: their names, and what they wait for.

use crate::model::{RawThread, ResourceKind};

pub(super) const FUTEX: i64 = 202;
pub(super) const RESTART: i64 = 219;
const POLL: i64 = 7;
const PPOLL: i64 = 271;

/// Where a call says which file it is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum File {
    None,
    /// The first argument is the descriptor.
    First,
    /// The first argument is an array of `struct pollfd`; the first entry says which file it is, if there is only one.
    Polled,
}

/// A blocking call.
struct Call {
    number: i64,
    name: &'static str,
    kind: ResourceKind,
    /// What a thread in it is doing, as the beginning of a resource's name.
    doing: &'static str,
    file: File,
}

const fn call(number: i64, name: &'static str, kind: ResourceKind, doing: &'static str, file: File) -> Call {
    Call { number, name, kind, doing, file }
}

const CALLS: &[Call] = &[
    call(0, "read", ResourceKind::Io, "read from", File::First),
    call(1, "write", ResourceKind::Io, "write to", File::First),
    call(7, "poll", ResourceKind::Io, "poll of", File::Polled),
    call(17, "pread64", ResourceKind::Io, "read from", File::First),
    call(18, "pwrite64", ResourceKind::Io, "write to", File::First),
    call(19, "readv", ResourceKind::Io, "read from", File::First),
    call(20, "writev", ResourceKind::Io, "write to", File::First),
    call(23, "select", ResourceKind::Io, "select of files", File::None),
    call(34, "pause", ResourceKind::Unknown, "pause until a signal", File::None),
    call(35, "nanosleep", ResourceKind::Sleep, "the end of a sleep", File::None),
    call(42, "connect", ResourceKind::Io, "connect to", File::First),
    call(43, "accept", ResourceKind::Io, "accept on", File::First),
    call(44, "sendto", ResourceKind::Io, "send to", File::First),
    call(45, "recvfrom", ResourceKind::Io, "receive from", File::First),
    call(46, "sendmsg", ResourceKind::Io, "send to", File::First),
    call(47, "recvmsg", ResourceKind::Io, "receive from", File::First),
    call(61, "wait4", ResourceKind::Unknown, "end of a child process", File::None),
    call(72, "fcntl", ResourceKind::Io, "lock of", File::First),
    call(73, "flock", ResourceKind::Io, "lock of", File::First),
    call(74, "fsync", ResourceKind::Io, "sync of", File::First),
    call(75, "fdatasync", ResourceKind::Io, "sync of", File::First),
    call(128, "rt_sigtimedwait", ResourceKind::Unknown, "wait for a signal", File::None),
    call(130, "rt_sigsuspend", ResourceKind::Unknown, "wait for a signal", File::None),
    call(202, "futex", ResourceKind::Channel, "wait on a futex", File::None),
    call(219, "restart_syscall", ResourceKind::Unknown, "a restarted system call", File::None),
    call(230, "clock_nanosleep", ResourceKind::Sleep, "the end of a sleep", File::None),
    call(232, "epoll_wait", ResourceKind::Io, "wait for events on", File::First),
    call(247, "waitid", ResourceKind::Unknown, "end of a child process", File::None),
    call(270, "pselect6", ResourceKind::Io, "select of files", File::None),
    call(271, "ppoll", ResourceKind::Io, "poll of", File::Polled),
    call(281, "epoll_pwait", ResourceKind::Io, "wait for events on", File::First),
    call(288, "accept4", ResourceKind::Io, "accept on", File::First),
    call(441, "epoll_pwait2", ResourceKind::Io, "wait for events on", File::First),
    call(449, "futex_waitv", ResourceKind::Channel, "wait on futexes", File::None),
];

fn find(number: i64) -> Option<&'static Call> {
    CALLS.iter().find(|call| call.number == number)
}

/// The call's name, or its number.
pub(super) fn name(number: i64) -> String {
    find(number).map_or_else(|| format!("syscall {number}"), |call| call.name.to_owned())
}

/// What a thread in this call waits for, and how to begin its name.
pub(super) fn waits_for(number: i64) -> (ResourceKind, &'static str) {
    find(number).map_or((ResourceKind::Unknown, "a system call"), |call| (call.kind, call.doing))
}

/// Whether it is the wait for events that an I/O driver does.
pub(super) fn is_epoll(number: i64) -> bool {
    find(number).is_some_and(|call| call.name.starts_with("epoll"))
}

/// The file descriptor that the thread's call is about.
pub(super) fn descriptor(thread: &RawThread) -> Option<i32> {
    let (number, arguments) = thread.syscall?;
    match find(number)?.file {
        File::None => None,
        File::First => i32::try_from(arguments[0]).ok(),
        File::Polled if arguments[1] == 1 => {
            // Whoever polls one file nearly always has its entry on the stack.
            let at = usize::try_from(arguments[0].checked_sub(thread.stack_start)?).ok()?;
            let bytes = thread.stack.get(at..at.checked_add(4)?)?;
            i32::try_from(u32::from_le_bytes(bytes.try_into().ok()?)).ok()
        }
        File::Polled => None,
    }
}

/// The timeout of a poll that waits for nothing but time.
pub(super) fn is_plain_sleep((number, arguments): (i64, [u64; 6])) -> bool {
    matches!(number, POLL | PPOLL) && arguments[1] == 0
}

/// Whether a futex call is a wait, and on which address.
pub(super) fn futex_wait((number, arguments): (i64, [u64; 6])) -> Option<u64> {
    const WAIT: u64 = 0;
    const LOCK_PI: u64 = 6;
    const WAIT_BITSET: u64 = 9;
    (number == FUTEX && matches!(arguments[1] & 0x7f, WAIT | LOCK_PI | WAIT_BITSET)).then_some(arguments[0])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_one_file_that_is_polled() {
        let thread = |files: u64, at: u64| RawThread {
            syscall: Some((POLL, [at, files, 0, 0, 0, 0])),
            stack_start: 0x7000,
            stack: [0u32, 9, 1, 0].iter().flat_map(|word| word.to_le_bytes()).collect(),
            ..RawThread::default()
        };
        assert_eq!(descriptor(&thread(1, 0x7004)), Some(9));
        assert_eq!(descriptor(&thread(2, 0x7004)), None, "which of them is not known");
        assert_eq!(descriptor(&thread(1, 0x9000)), None, "not on the stack");
        assert_eq!(descriptor(&thread(1, 0x7010)), None, "cut");
        assert_eq!(descriptor(&thread(1, 0)), None);
    }
}
