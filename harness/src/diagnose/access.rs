//! What can be said of a process before it is stopped, and by which rule the kernel refuses, from `/proc` alone.

use super::{Refusal, SampleError};
use std::fs;
use std::io::{self, Read};
use std::path::Path;

/// `CAP_SYS_PTRACE`, as the kernel numbers it.
const SYS_PTRACE: u64 = 1 << 19;
/// `PF_KTHREAD` in the flags of `/proc/PID/stat`.
const KERNEL_THREAD: u64 = 0x0020_0000;
/// Bytes of a file that are searched at once.
const PIECE: usize = 1 << 16;
/// Bytes of an executable that are searched for traces of Rust.
const MOST_SEARCHED: u64 = 512 << 20;

/// A process, seen from outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    /// The process; where a thread was asked for, the one it belongs to.
    pub pid: i32,
    /// File name of its executable, as far as it may be seen; untrusted.
    pub exe: Option<String>,
    /// Whether the executable has been deleted or replaced since it was started.
    pub deleted: bool,
    /// Its number in the innermost pid namespace, where that is another one: it runs in a container.
    pub inner_pid: Option<i32>,
    /// Whether its executable shows traces of Rust's standard library; `None` if it may not be read.
    pub rust: Option<bool>,
}

/// Looks at a process, without disturbing it.
///
/// # Errors
/// If there is none, or none with a program of its own.
pub fn examine(pid: i32) -> Result<Process, SampleError> {
    if pid <= 0 {
        return Err(SampleError::NoSuchProcess { pid });
    }
    let status = match fs::read(format!("/proc/{pid}/status")) {
        Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        Err(_) if is_hidden(pid) => return Err(SampleError::HiddenProcess { pid }),
        Err(error) if error.kind() == io::ErrorKind::NotFound || error.raw_os_error() == Some(libc::ESRCH) => {
            return Err(SampleError::NoSuchProcess { pid });
        }
        Err(error) => return Err(SampleError::Io { pid, what: "status".into(), reason: error.to_string() }),
    };
    let status = Status(&status);
    let pid = status.number("Tgid:").map_or(pid, |tgid| i32::try_from(tgid).unwrap_or(pid));
    if status.field("State:").is_some_and(|state| state.starts_with(['Z', 'X'])) {
        return Err(SampleError::Ended { pid });
    }
    let stat = fs::read(format!("/proc/{pid}/stat")).unwrap_or_default();
    if status.field("Kthread:") == Some("1") || flags(&stat).is_some_and(|flags| flags & KERNEL_THREAD != 0) {
        return Err(SampleError::KernelThread { pid, name: status.field("Name:").unwrap_or_default().to_string() });
    }
    let link = fs::read_link(format!("/proc/{pid}/exe")).ok();
    let path = link.as_deref().map(|link| link.to_string_lossy().into_owned());
    let deleted = path.as_deref().is_some_and(|path| path.ends_with(" (deleted)"));
    let exe = path.as_deref().map(|path| path.trim_end_matches(" (deleted)"));
    let exe = exe.and_then(|path| Path::new(path).file_name()).map(|name| name.to_string_lossy().into_owned());
    let inner = status.field("NSpid:").and_then(|pids| pids.split_whitespace().last()?.parse().ok());
    Ok(Process {
        pid,
        exe,
        deleted,
        inner_pid: inner.filter(|inner| *inner != pid),
        rust: fs::File::open(format!("/proc/{pid}/exe")).ok().and_then(|file| holds(file, b"/rustc/").ok()),
    })
}

/// Whether the process still lives.
pub fn lives(pid: i32) -> bool {
    let stat = fs::read(format!("/proc/{pid}/stat")).unwrap_or_default();
    let state = stat.iter().rposition(|&b| b == b')').and_then(|at| stat.get(at + 2).copied());
    state.is_some_and(|state| !matches!(state, b'Z' | b'X')) || is_hidden(pid)
}

/// It answers to signals, and `/proc` has no entry for it.
fn is_hidden(pid: i32) -> bool {
    let exists = match nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), None) {
        Ok(()) | Err(nix::errno::Errno::EPERM) => true,
        Err(_) => false,
    };
    exists && !Path::new(&format!("/proc/{pid}")).exists()
}

/// The refusal to look into `pid`, with the rule that explains it.
#[cfg_attr(not(live), expect(dead_code, reason = "nothing looks into it"))]
pub(super) fn not_permitted(pid: i32) -> SampleError {
    let read =
        |pid: &str| String::from_utf8_lossy(&fs::read(format!("/proc/{pid}/status")).unwrap_or_default()).into_owned();
    let namespace = |pid: &str| fs::read_link(format!("/proc/{pid}/ns/user")).ok();
    let (own, theirs) = (read("self"), read(&pid.to_string()));
    let yama = fs::read_to_string("/proc/sys/kernel/yama/ptrace_scope").ok().and_then(|text| text.trim().parse().ok());
    // The kernel gives the files of a protected process to root, but not their folder.
    let owner = fs::metadata(format!("/proc/{pid}/status")).map(|data| std::os::unix::fs::MetadataExt::uid(&data)).ok();
    // Whoever has the capability in his own namespace, which is not the host's, and may not even see that of the other, is
    // in another one.
    let of_host =
        fs::read_to_string("/proc/self/uid_map").is_ok_and(|map| map.split_whitespace().eq(["0", "0", "4294967295"]));
    let same_namespace = match (namespace("self"), namespace(&pid.to_string())) {
        (Some(own), Some(theirs)) => Some(own == theirs),
        (Some(_), None) if !of_host => Some(false),
        _ => None,
    };
    let reason = reason(&Status(&own), &Status(&theirs), yama, owner, same_namespace);
    SampleError::NotPermitted { pid, reason }
}

/// The rules in the order in which the kernel applies them.
fn reason(
    own: &Status<'_>,
    theirs: &Status<'_>,
    yama: Option<u8>,
    owner: Option<u32>,
    same_ns: Option<bool>,
) -> Refusal {
    let uids = |status: &Status<'_>| -> Vec<u32> {
        let ids = status.field("Uid:").unwrap_or_default();
        ids.split_whitespace().filter_map(|id| id.parse().ok()).collect()
    };
    let (own_uids, their_uids) = (uids(own), uids(theirs));
    let own_uid = own_uids.get(1).copied().unwrap_or(u32::MAX);
    let capable = own.bits("CapEff:").is_some_and(|bits| bits & SYS_PTRACE != 0);
    if yama == Some(3) {
        return Refusal::Yama { scope: 3 };
    }
    if capable && same_ns == Some(false) {
        return Refusal::UserNamespace;
    }
    let filtered = own.number("Seccomp:").is_some_and(|mode| mode != 0);
    if !capable {
        let other = their_uids.iter().take(3).find(|uid| **uid != own_uid);
        if let Some(theirs) = other {
            return if own_uid == 0 {
                Refusal::MissingCapability
            } else {
                Refusal::OtherUser { own: own_uid, theirs: *theirs }
            };
        }
        if owner.is_some_and(|owner| owner != own_uid) {
            return Refusal::NotDumpable;
        }
        let more = |status: &Status<'_>| status.bits("CapPrm:").unwrap_or(0);
        if more(theirs) & !more(own) != 0 {
            return if own_uid == 0 { Refusal::MissingCapability } else { Refusal::MoreCapable };
        }
        if let Some(scope @ 1..) = yama {
            return Refusal::Yama { scope };
        }
    }
    if filtered { Refusal::Seccomp } else { Refusal::Unknown }
}

/// The text of a `/proc/PID/status`.
struct Status<'a>(&'a str);

impl<'a> Status<'a> {
    /// The kernel escapes line breaks in the name, so that a line's beginning can be trusted.
    fn field(&self, key: &str) -> Option<&'a str> {
        self.0.lines().find_map(|line| line.strip_prefix(key)).map(str::trim)
    }

    fn number(&self, key: &str) -> Option<u64> {
        self.field(key)?.parse().ok()
    }

    fn bits(&self, key: &str) -> Option<u64> {
        u64::from_str_radix(self.field(key)?, 16).ok()
    }
}

/// The ninth field of `/proc/PID/stat`; the name in brackets may hold anything.
fn flags(stat: &[u8]) -> Option<u64> {
    let close = stat.iter().rposition(|&b| b == b')')?;
    let rest = std::str::from_utf8(stat.get(close + 1..)?).ok()?;
    rest.split_ascii_whitespace().nth(6)?.parse().ok()
}

/// Reads a text as each of those that are read here.
#[cfg(test)]
pub(super) fn fuzzed(text: &[u8]) {
    flags(text);
    let status = String::from_utf8_lossy(text);
    let status = Status(&status);
    for yama in [None, Some(1)] {
        reason(&status, &status, yama, Some(0), Some(true));
    }
    status.number("Tgid:");
}

/// Whether a file holds these bytes, as far as it is searched.
fn holds(file: impl Read, wanted: &[u8]) -> io::Result<bool> {
    let mut file = file.take(MOST_SEARCHED);
    let mut buffer = vec![0; PIECE];
    let mut kept = 0;
    loop {
        let got = match file.read(&mut buffer[kept..]) {
            Ok(0) => return Ok(false),
            Ok(got) => kept + got,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        let first = wanted[0];
        let mut rest = &buffer[..got];
        while let Some(at) = rest.iter().position(|b| *b == first) {
            rest = &rest[at..];
            if rest.starts_with(wanted) {
                return Ok(true);
            }
            rest = &rest[1..];
        }
        // What begins at the end of one piece may go on in the next.
        kept = got.min(wanted.len() - 1);
        buffer.copy_within(got - kept..got, 0);
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    const ROOT: &str = "Uid:\t0\t0\t0\t0\nCapPrm:\t000001ffffffffff\nCapEff:\t000001ffffffffff\nSeccomp:\t0\n";
    const BARE_ROOT: &str = "Uid:\t0\t0\t0\t0\nCapPrm:\t00000000a80425fb\nCapEff:\t00000000a80425fb\nSeccomp:\t2\n";
    const USER: &str = "Uid:\t1000\t1000\t1000\t1000\nCapPrm:\t0\nCapEff:\t0\nSeccomp:\t0\n";
    const OTHER: &str = "Uid:\t33\t33\t33\t33\nCapPrm:\t0\nCapEff:\t0\nSeccomp:\t0\n";
    const ABLE: &str = "Uid:\t1000\t1000\t1000\t1000\nCapPrm:\t400\nCapEff:\t0\nSeccomp:\t0\n";
    const FILTERED: &str = "Uid:\t1000\t1000\t1000\t1000\nCapPrm:\t0\nCapEff:\t0\nSeccomp:\t2\n";

    #[test]
    fn each_refusal_has_its_rule() {
        for (own, theirs, yama, owner, same, wanted) in [
            (USER, OTHER, None, Some(33), None, Refusal::OtherUser { own: 1000, theirs: 33 }),
            (BARE_ROOT, OTHER, None, Some(33), None, Refusal::MissingCapability),
            (BARE_ROOT, ROOT, None, Some(0), Some(true), Refusal::MissingCapability),
            (USER, USER, Some(1), Some(1000), Some(true), Refusal::Yama { scope: 1 }),
            (USER, USER, Some(2), Some(1000), Some(true), Refusal::Yama { scope: 2 }),
            (ROOT, USER, Some(3), Some(1000), Some(true), Refusal::Yama { scope: 3 }),
            (USER, USER, Some(0), Some(0), Some(true), Refusal::NotDumpable),
            (USER, ABLE, Some(1), Some(1000), Some(true), Refusal::MoreCapable),
            (ROOT, USER, Some(1), Some(1000), Some(false), Refusal::UserNamespace),
            (FILTERED, FILTERED, Some(0), Some(1000), Some(true), Refusal::Seccomp),
            (USER, USER, Some(0), Some(1000), Some(true), Refusal::Unknown),
        ] {
            assert_eq!(reason(&Status(own), &Status(theirs), yama, owner, same), wanted, "{wanted:?}");
        }
    }

    #[test]
    fn a_thread_leads_to_its_process() {
        let me = std::process::id() as i32;
        let tid = std::thread::spawn(|| {
            let tid = nix::unistd::gettid().as_raw();
            examine(tid).map(|process| (tid, process))
        });
        let (tid, process) = tid.join().unwrap().unwrap();
        assert_ne!(tid, me);
        assert_eq!((process.pid, process.rust, process.deleted), (me, Some(true), false));
        assert!(lives(me));
    }

    #[test]
    fn what_is_no_process_is_named() {
        assert_eq!(examine(0), Err(SampleError::NoSuchProcess { pid: 0 }));
        assert_eq!(examine(i32::MAX), Err(SampleError::NoSuchProcess { pid: i32::MAX }));
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let pid = child.id() as i32;
        // Not collected yet, so it becomes a zombie and stays one.
        while lives(pid) {
            std::thread::yield_now();
        }
        assert_eq!(examine(pid), Err(SampleError::Ended { pid }));
        child.wait().unwrap();
        assert_eq!(examine(pid), Err(SampleError::NoSuchProcess { pid }));
    }

    #[test]
    fn a_kernel_thread_is_known_by_its_flags() {
        let kthreadd = b"2 (kthreadd) S 0 0 0 0 -1 2129984 0 0 0 0 0 0 0 0 20 0 1 0 3 0 0";
        assert!(flags(kthreadd).unwrap() & KERNEL_THREAD != 0);
        assert_eq!(flags(b"7 (a) b) S 1 7 7 0 -1 4194304 0").unwrap() & KERNEL_THREAD, 0);
    }

    #[test]
    fn a_needle_across_two_pieces_is_found() {
        let mut bytes = vec![b'/'; PIECE - 3];
        bytes.extend(b"/rustc/abc");
        assert!(holds(bytes.as_slice(), b"/rustc/").unwrap());
        assert!(!holds(&bytes[..bytes.len() - 4], b"/rustc/").unwrap());
    }
}
