//! What the kernel says of a process's threads, from `/proc`, without stopping anything.
//!
//! Threads come and go while one looks: a thread that has ended is left out, never an error. Names are untrusted; they
//! may hold spaces, brackets and line breaks. On other systems than Linux there is no `/proc` and everything here fails
//! with [`io::ErrorKind::NotFound`].

use crate::model::Gap;
use rustix::param::clock_ticks_per_second;
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// One thread, as the kernel sees it at this moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ThreadStat {
    /// As the kernel numbers it.
    pub tid: i32,
    /// Its name, at most 15 bytes; untrusted.
    pub name: String,
    /// R running or runnable, S sleeping, D in uninterruptible sleep, T stopped, t traced, Z ended.
    pub state: char,
    /// The kernel function it sleeps in; `None` if it does not sleep or may not be looked at.
    pub wchan: Option<String>,
    /// What it does in the kernel.
    pub syscall: Syscall,
    /// CPU time so far, in microseconds.
    pub cpu_us: u64,
    /// Voluntary context switches so far.
    pub voluntary: u64,
    /// Involuntary context switches so far.
    pub involuntary: u64,
}

/// What a thread does in the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Syscall {
    /// It is on a CPU, or waits for one.
    Running,
    /// It sleeps, but in no system call (a page fault).
    None,
    /// It sleeps in this one.
    In {
        /// The call's number on this architecture.
        number: i64,
        /// Its arguments.
        args: [u64; 6],
    },
    /// It may not be looked at: another user's process, or one that is not ours where ptrace is restricted.
    Hidden,
}

impl Syscall {
    /// The address of the word it waits for, if it sleeps in a futex call.
    ///
    /// `None` also after the wait was interrupted and restarted by the kernel (a timed wait that a signal or a tracer
    /// disturbed shows as `restart_syscall`, without its arguments).
    #[cfg(target_os = "linux")]
    pub fn futex_wait_address(self) -> Option<u64> {
        const WAIT: u64 = libc::FUTEX_WAIT as u64;
        const WAIT_BITSET: u64 = libc::FUTEX_WAIT_BITSET as u64;
        const LOCK_PI: u64 = libc::FUTEX_LOCK_PI as u64;
        const LOCK_PI2: u64 = libc::FUTEX_LOCK_PI2 as u64;
        let Syscall::In { number: libc::SYS_futex, args: [address, operation, ..] } = self else { return None };
        // The operation without its flags (private, real-time clock).
        let operation = operation & libc::FUTEX_CMD_MASK as u32 as u64;
        matches!(operation, WAIT | WAIT_BITSET | LOCK_PI | LOCK_PI2).then_some(address)
    }

    /// The address of the word it waits for; nobody can tell here.
    #[cfg(not(target_os = "linux"))]
    pub fn futex_wait_address(self) -> Option<u64> {
        None
    }
}

/// The threads of a process, by tid, and what could not be seen of them.
///
/// # Errors
/// When there is no such process.
pub fn threads(pid: i32) -> io::Result<(Vec<ThreadStat>, Vec<Gap>)> {
    let threads: Vec<ThreadStat> = tids(pid)?.into_iter().filter_map(|tid| thread(pid, tid)).collect();
    let hidden = threads.iter().filter(|thread| thread.syscall == Syscall::Hidden).count();
    let gap = (hidden > 0).then(|| Gap {
        what: format!("the system calls of {hidden} of {} threads of process {pid}", threads.len()),
        why: "/proc/PID/task/TID/syscall may not be read: run as the same user, or with CAP_SYS_PTRACE".into(),
        uncovers: false,
    });
    Ok((threads, gap.into_iter().collect()))
}

/// One thread; `None` if it has ended.
pub fn thread(pid: i32, tid: i32) -> Option<ThreadStat> {
    let folder = task(pid).join(tid.to_string());
    let (name, state, ticks) = parse_stat(&fs::read(folder.join("stat")).ok()?)?;
    let (voluntary, involuntary) = parse_status(&fs::read(folder.join("status")).ok()?)?;
    let on_cpu_ns = fs::read_to_string(folder.join("schedstat")).ok().and_then(|text| parse_schedstat(&text));
    Some(ThreadStat {
        tid,
        name,
        state,
        wchan: wchan(&folder),
        syscall: syscall(&folder)?,
        cpu_us: on_cpu_ns
            .map_or_else(|| ticks.saturating_mul(1_000_000) / clock_ticks_per_second().max(1), |ns| ns / 1000),
        voluntary,
        involuntary,
    })
}

/// How many threads are in which state, e.g. `{"S futex_do_wait": 4, "R": 1}`.
///
/// # Errors
/// When there is no such process.
pub fn thread_states(pid: i32) -> io::Result<BTreeMap<String, u32>> {
    let mut states = BTreeMap::new();
    for thread in threads(pid)?.0 {
        let state = match thread.wchan {
            Some(wchan) => format!("{} {wchan}", thread.state),
            None => thread.state.to_string(),
        };
        *states.entry(state).or_insert(0) += 1;
    }
    Ok(states)
}

/// How many threads a process has.
///
/// # Errors
/// When there is no such process.
pub fn thread_count(pid: i32) -> io::Result<usize> {
    Ok(tids(pid)?.len())
}

/// The address of the word that a thread waits for in a futex call; `None` if it waits for none, has ended, or may not
/// be looked at. That a thread sleeps says nothing: which word it sleeps on does.
pub fn futex_wait_address(pid: i32, tid: i32) -> Option<u64> {
    syscall(&task(pid).join(tid.to_string()))?.futex_wait_address()
}

/// The tids of a process, ascending.
///
/// # Errors
/// When there is no such process.
pub fn tids(pid: i32) -> io::Result<Vec<i32>> {
    let mut tids: Vec<i32> =
        fs::read_dir(task(pid))?.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
    tids.sort_unstable();
    Ok(tids)
}

fn task(pid: i32) -> PathBuf {
    PathBuf::from(format!("/proc/{pid}/task"))
}

fn wchan(folder: &Path) -> Option<String> {
    // "0": it does not sleep, or may not be looked at.
    fs::read_to_string(folder.join("wchan")).ok().filter(|wchan| !wchan.is_empty() && wchan != "0")
}

/// `None`: the thread has ended.
fn syscall(folder: &Path) -> Option<Syscall> {
    match fs::read_to_string(folder.join("syscall")) {
        Ok(text) => Some(parse_syscall(&text).unwrap_or(Syscall::Hidden)),
        Err(e) if e.kind() == io::ErrorKind::PermissionDenied => Some(Syscall::Hidden),
        // A kernel without this file hides it from everybody; a thread that has ended has no folder either.
        Err(e) if e.kind() == io::ErrorKind::NotFound && folder.exists() => Some(Syscall::Hidden),
        Err(_) => None,
    }
}

/// `tid (name) state … utime stime …`: name, state, and CPU time in clock ticks. The name ends at the *last* bracket.
fn parse_stat(stat: &[u8]) -> Option<(String, char, u64)> {
    let open = stat.iter().position(|&b| b == b'(')?;
    let close = stat.iter().rposition(|&b| b == b')')?;
    let name = String::from_utf8_lossy(stat.get(open + 1..close)?).into_owned();
    let rest = std::str::from_utf8(&stat[close + 1..]).ok()?;
    let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
    // Fields are numbered from 1 in proc(5); the state is the third, user and system time the 14th and 15th.
    let field = |number: usize| fields.get(number - 3).copied();
    let ticks = |number| field(number)?.parse::<u64>().ok();
    Some((name, field(3)?.chars().next()?, ticks(14)?.saturating_add(ticks(15)?)))
}

/// Voluntary and involuntary context switches. The kernel escapes line breaks in the name here.
fn parse_status(status: &[u8]) -> Option<(u64, u64)> {
    let status = String::from_utf8_lossy(status);
    let value = |key: &str| status.lines().rev().find_map(|line| line.strip_prefix(key))?.trim().parse().ok();
    Some((value("voluntary_ctxt_switches:")?, value("nonvoluntary_ctxt_switches:")?))
}

/// Nanoseconds on a CPU; `None` where the kernel does not count them.
fn parse_schedstat(schedstat: &str) -> Option<u64> {
    schedstat.split_ascii_whitespace().next()?.parse().ok().filter(|&ns| ns > 0)
}

fn parse_syscall(text: &str) -> Option<Syscall> {
    let mut words = text.split_ascii_whitespace();
    let number = match words.next()? {
        "running" => return Some(Syscall::Running),
        "-1" => return Some(Syscall::None),
        number => number.parse().ok()?,
    };
    let mut args = [0; 6];
    for arg in &mut args {
        *arg = u64::from_str_radix(words.next()?.strip_prefix("0x")?, 16).ok()?;
    }
    Some(Syscall::In { number, args })
}

/// Reads a text as each of those that are read here.
#[cfg(test)]
pub(crate) fn fuzzed(text: &[u8]) {
    parse_stat(text);
    parse_status(text);
    let text = String::from_utf8_lossy(text);
    parse_schedstat(&text);
    for line in text.lines().take(64) {
        parse_syscall(line);
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::sync::mpsc::channel;
    use std::time::{Duration, Instant};

    /// Long enough for the slowest machine.
    const PATIENCE: Duration = Duration::from_secs(60);

    fn me() -> i32 {
        std::process::id() as i32
    }

    /// Looks until `look` sees it.
    fn until<T>(mut look: impl FnMut() -> Option<T>) -> T {
        let end = Instant::now() + PATIENCE;
        loop {
            if let Some(seen) = look() {
                return seen;
            }
            assert!(Instant::now() < end, "it was never seen");
            std::thread::yield_now();
        }
    }

    fn futex(word: &AtomicU32, operation: libc::c_int, value: u32) {
        // SAFETY: the word outlives the call; a wait has no timeout, so the other arguments are not read.
        unsafe { libc::syscall(libc::SYS_futex, word.as_ptr(), operation, value, std::ptr::null::<libc::timespec>()) };
    }

    #[test]
    fn a_thread_parked_on_a_word_is_seen_with_its_hostile_name() {
        static WORD: AtomicU32 = AtomicU32::new(0);
        let (tell, told) = channel();
        // Ends like a record of `stat`, to fool whoever takes the first bracket.
        let name = "a) R 1\n(b) S";
        let parked = std::thread::Builder::new().name(name.into()).spawn(move || {
            tell.send(nix::unistd::gettid().as_raw()).unwrap();
            while WORD.load(Ordering::Acquire) == 0 {
                futex(&WORD, libc::FUTEX_WAIT | libc::FUTEX_PRIVATE_FLAG, 0);
            }
        });
        let parked = parked.unwrap();
        let tid = told.recv().unwrap();
        let address = until(|| futex_wait_address(me(), tid));
        assert_eq!(address, WORD.as_ptr() as u64);
        let seen = thread(me(), tid).unwrap();
        assert_eq!((seen.name.as_str(), seen.state, seen.tid), (name, 'S', tid));
        assert_eq!(seen.syscall.futex_wait_address(), Some(address));
        assert!(seen.wchan.as_deref().is_some_and(|wchan| wchan.contains("futex")), "{seen:?}");
        assert!(seen.voluntary > 0 && seen.cpu_us > 0, "{seen:?}");
        assert!(threads(me()).unwrap().0.iter().any(|other| other.tid == tid));
        assert!(thread_states(me()).unwrap().keys().any(|state| state.starts_with("S futex")));

        WORD.store(1, Ordering::Release);
        futex(&WORD, libc::FUTEX_WAKE | libc::FUTEX_PRIVATE_FLAG, 1);
        parked.join().unwrap();
        until(|| thread(me(), tid).is_none().then_some(()));
        assert_eq!(futex_wait_address(me(), tid), None);
    }

    #[test]
    fn a_running_thread_waits_for_nothing_and_burns_cpu() {
        let tid = nix::unistd::gettid().as_raw();
        let before = thread(me(), tid).unwrap();
        assert_eq!((before.state, before.wchan, before.syscall.futex_wait_address()), ('R', None, None));
        until(|| (thread(me(), tid).unwrap().cpu_us > before.cpu_us + 10_000).then_some(()));
    }

    #[test]
    fn threads_that_vanish_while_one_looks_are_left_out() {
        let stop = AtomicU32::new(0);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while stop.load(Ordering::Acquire) == 0 {
                    std::thread::spawn(|| {}).join().unwrap();
                }
            });
            for _ in 0..200 {
                let (threads, gaps) = threads(me()).unwrap();
                assert!(threads.iter().any(|thread| thread.tid == me()));
                assert_eq!(gaps, []);
            }
            stop.store(1, Ordering::Release);
        });
    }

    #[test]
    fn a_process_that_is_not_there_is_an_error() {
        assert_eq!(threads(i32::MAX).unwrap_err().kind(), io::ErrorKind::NotFound);
        assert_eq!(thread_states(i32::MAX).unwrap_err().kind(), io::ErrorKind::NotFound);
        assert_eq!(futex_wait_address(i32::MAX, 1), None);
        assert!(thread_count(me()).unwrap() >= 1);
    }

    #[test]
    fn only_waiting_operations_on_a_futex_are_waits() {
        let call = |number, operation: libc::c_int| Syscall::In { number, args: [0x10, operation as u64, 0, 0, 0, 0] };
        for operation in [0, 9, 6, 13, 128, 128 | 9, 128 | 256 | 9] {
            assert_eq!(call(libc::SYS_futex, operation).futex_wait_address(), Some(0x10), "{operation}");
        }
        for operation in [1, 129, 3, 10] {
            assert_eq!(call(libc::SYS_futex, operation).futex_wait_address(), None, "{operation}");
        }
        assert_eq!(call(libc::SYS_read, 0).futex_wait_address(), None);
        assert_eq!(call(libc::SYS_restart_syscall, 0).futex_wait_address(), None);
    }

    #[test]
    fn the_lines_of_the_kernel_are_understood() {
        assert_eq!(parse_syscall("running\n"), Some(Syscall::Running));
        assert_eq!(parse_syscall("-1 0x7ffd 0x55d1\n"), Some(Syscall::None));
        let line = "202 0x7f0 0x80 0x0 0x0 0x0 0xffffffffffffffff 0x7ffd 0x7f1\n";
        assert_eq!(parse_syscall(line), Some(Syscall::In { number: 202, args: [0x7f0, 0x80, 0, 0, 0, u64::MAX] }));
        assert_eq!(parse_syscall(""), None);
        assert_eq!(parse_schedstat("12345 6 7\n"), Some(12345));
        assert_eq!(parse_schedstat("0 0 0\n"), None, "a kernel that does not count");
    }

    proptest! {
        #[test]
        fn a_name_of_any_bytes_does_not_shift_the_fields(name in prop::collection::vec(any::<u8>(), 0..16)) {
            let mut stat = b"77 (".to_vec();
            stat.extend(&name);
            stat.extend(b") D 1 77 77 0 -1 4194304 1 2 3 4 50 7 0 0 20 0 1 0 99 0 0\n");
            let parsed = parse_stat(&stat).unwrap();
            prop_assert_eq!(parsed, (String::from_utf8_lossy(&name).into_owned(), 'D', 57));
        }

        #[test]
        fn no_text_makes_the_parsers_panic(bytes in prop::collection::vec(any::<u8>(), 0..120)) {
            let _ = parse_stat(&bytes);
            let _ = parse_status(&bytes);
            let text = String::from_utf8_lossy(&bytes);
            let _ = (parse_syscall(&text), parse_schedstat(&text));
        }
    }
}
