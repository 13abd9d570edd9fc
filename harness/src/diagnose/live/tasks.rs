//! What `/proc/PID/task` says about each thread: the kernel takes longer to write a thread's files than everything else
//! about it does.

use super::share::{Shared, share};
use nix::fcntl::{OFlag, openat};
use nix::sys::stat::Mode;
use rustix::param::clock_ticks_per_second;
use std::fmt::Write;
use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;

/// Bytes of a text about one thread.
const MAX_TEXT: u64 = 1 << 20;
/// The kernel gives a text in one piece if there is room.
const ROOM: usize = 1 << 13;

/// What `/proc/PID/task/TID` says about a thread.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Task {
    pub(super) name: String,
    pub(super) state: char,
    pub(super) wchan: Option<String>,
    pub(super) cpu_us: u64,
    pub(super) voluntary_switches: u64,
    /// When it started, in the kernel's ticks since boot: tells a reused tid from the same thread.
    pub(super) started: u64,
}

impl Task {
    /// What [`Part::Lasting`] says of a thread, with what [`Part::Moving`] said of it another time.
    pub(super) fn moved(self, moving: Task) -> Task {
        let Task { state, cpu_us, voluntary_switches, .. } = moving;
        Task { state, cpu_us: if cpu_us > 0 { cpu_us } else { self.cpu_us }, voluntary_switches, ..self }
    }
}

/// What is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// Everything.
    All,
    /// What must be read right before a stop, for a comparison: state and switches, and the CPU time of one that does not
    /// sleep, as that of others stands still.
    Moving,
    /// The rest: name, start, where the kernel put the thread to sleep, and CPU time.
    Lasting,
}

/// Reads what can be read about these threads, in order, while something else is done `beside` it.
pub(super) fn read<V>(pid: i32, tids: &[i32], part: Part, beside: impl FnOnce() -> V) -> Shared<(i32, Task), V> {
    let worker = || {
        let mut folder = Folder::of(pid);
        move |number: usize| (tids[number], folder.task(tids[number], part))
    };
    share(tids.len(), worker, beside)
}

/// Reads what can be read about a thread; whatever cannot stays empty.
pub(super) fn task(pid: i32, tid: i32) -> Task {
    Folder::of(pid).task(tid, Part::All)
}

/// The threads of a process as a folder, and what is used again for each file in it.
struct Folder {
    folder: Option<OwnedFd>,
    path: String,
    buffer: Vec<u8>,
}

impl Folder {
    fn of(pid: i32) -> Folder {
        let path = format!("/proc/{pid}/task");
        let folder = nix::fcntl::open(path.as_str(), OFlag::O_PATH | OFlag::O_CLOEXEC, Mode::empty()).ok();
        Folder { folder, path, buffer: vec![0; ROOM] }
    }

    fn task(&mut self, tid: i32, part: Part) -> Task {
        let mut task = Task { state: '?', ..Task::default() };
        if part != Part::Moving {
            parse_stat(&text(self.file(tid, "stat")), &mut task);
            let wchan = self.file(tid, "wchan");
            task.wchan = (!wchan.is_empty() && wchan != b"0").then(|| text(wchan));
        }
        if part != Part::Lasting {
            parse_status(self.file(tid, "status"), &mut task);
        }
        if part != Part::Moving || task.state != 'S' {
            // Nanoseconds, where the kernel offers them; ticks of 10 ms from `stat` otherwise.
            if let Some(ns) = self.file(tid, "schedstat").split(|byte| *byte == b' ').next().and_then(number) {
                task.cpu_us = ns / 1000;
            }
        }
        task
    }

    /// A file of a thread, without its last line break.
    fn file(&mut self, tid: i32, name: &str) -> &[u8] {
        let length = self.length(tid, name).unwrap_or(0);
        self.buffer[..length].trim_ascii_end()
    }

    fn length(&mut self, tid: i32, name: &str) -> Option<usize> {
        self.path.clear();
        write!(self.path, "{tid}/{name}").ok()?;
        let flags = OFlag::O_RDONLY | OFlag::O_CLOEXEC;
        let mut file = File::from(openat(self.folder.as_ref()?, self.path.as_str(), flags, Mode::empty()).ok()?);
        let length = file.read(&mut self.buffer).ok()?;
        if length < self.buffer.len() {
            return Some(length);
        }
        self.buffer.truncate(length);
        let more = file.take(MAX_TEXT).read_to_end(&mut self.buffer).unwrap_or(0);
        self.buffer.resize(ROOM.max(length + more), 0);
        Some(length + more)
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn number(digits: &[u8]) -> Option<u64> {
    std::str::from_utf8(digits).ok()?.trim().parse().ok()
}

/// Takes the state and the voluntary switches from a `status` text. The kernel escapes line breaks in the name.
pub(super) fn parse_status(status: &[u8], task: &mut Task) {
    let mut lines = status.split(|byte| *byte == b'\n');
    if let Some(state) = lines.find_map(|line| line.strip_prefix(b"State:")?.trim_ascii_start().first().copied()) {
        task.state = char::from(state);
    }
    // One of the last.
    let switches = lines.rev().find_map(|line| number(line.strip_prefix(b"voluntary_ctxt_switches:")?));
    task.voluntary_switches = switches.unwrap_or(0);
}

/// Takes name, state, CPU time and start time from a `stat` line.
pub(super) fn parse_stat(stat: &str, task: &mut Task) {
    // The name in parentheses may contain anything, also parentheses.
    let Some((start, rest)) = stat.rsplit_once(") ") else { return };
    task.name = start.split_once('(').map_or("", |(_, name)| name).to_owned();
    let mut fields = [""; 20];
    fields.iter_mut().zip(rest.split(' ')).for_each(|(field, text)| *field = text);
    let number = |index: usize| fields[index].parse::<u64>().unwrap_or(0);
    task.state = fields[0].chars().next().unwrap_or('?');
    task.cpu_us = number(11).saturating_add(number(12)).saturating_mul(1_000_000) / clock_ticks_per_second().max(1);
    task.started = number(19);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_thread_is_read_once_and_in_order_by_one_reader_or_by_many() {
        let own = i32::try_from(std::process::id()).unwrap();
        for count in [1, 7, 300] {
            // What is no thread of this process has no state, and is listed all the same.
            let tids: Vec<i32> = std::iter::once(own).chain((2..).map(|n| -n)).take(count).collect();
            let read = read(own, &tids, Part::All, || ()).parts;
            assert_eq!(read.iter().map(|(tid, _)| *tid).collect::<Vec<_>>(), tids, "{count}");
            assert!(read[0].1.state != '?' && read[1..].iter().all(|(_, task)| task.state == '?'), "{count}");
        }
    }

    #[test]
    fn a_thread_is_described_as_the_kernel_describes_it() {
        let (tell, told) = std::sync::mpsc::channel();
        let sleeps = move || {
            tell.send(nix::unistd::gettid().as_raw()).unwrap();
            std::thread::park();
        };
        let thread = std::thread::Builder::new().name("a) b (c".into()).spawn(sleeps).unwrap();
        let (own, tid) = (i32::try_from(std::process::id()).unwrap(), told.recv().unwrap());
        let seen = task(own, tid);
        assert_eq!(seen.name, "a) b (c");
        let field = |file: &str, key: &str| -> u64 {
            let text = std::fs::read_to_string(format!("/proc/self/task/{tid}/{file}")).unwrap();
            text.lines().find_map(|line| line.strip_prefix(key)?.split_whitespace().next()?.parse().ok()).unwrap()
        };
        assert!(seen.started > 0);
        assert!(seen.voluntary_switches <= field("status", "voluntary_ctxt_switches:"));
        assert!(seen.cpu_us <= field("schedstat", "") / 1000);
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
        while task(own, tid).state != 'S' {
            assert!(std::time::Instant::now() < deadline);
            std::thread::yield_now();
        }
        let asleep = task(own, tid);
        assert_eq!(asleep.voluntary_switches, field("status", "voluntary_ctxt_switches:"));
        assert_eq!(asleep.cpu_us, field("schedstat", "") / 1000);
        thread.thread().unpark();
        thread.join().unwrap();
    }

    #[test]
    fn a_thread_name_with_parentheses_does_not_shift_the_fields() {
        let mut task = Task::default();
        parse_stat("7 (a) b) S 1 7 7 0 -1 0 0 0 0 0 3 4 0 0 20 0 1 0 99 0", &mut task);
        assert_eq!((task.name.as_str(), task.state, task.started), ("a) b", 'S', 99));
        assert!(task.cpu_us > 0);
        // No kernel says so; the fuzzer did.
        parse_stat("7 (a) S 1 7 7 0 -1 0 0 0 0 0 18446744073709551615 4 0 0 20 0 1 0 99 0", &mut task);
    }

    #[test]
    fn state_and_switches_of_a_status() {
        let status = b"Name:\tvoluntary_ctxt_switches:7\nState:\tS (sleeping)\nvoluntary_ctxt_switches:\t12\n\
            nonvoluntary_ctxt_switches:\t3";
        let mut task = Task { state: '?', ..Task::default() };
        parse_status(b"", &mut task);
        assert_eq!((task.state, task.voluntary_switches), ('?', 0));
        parse_status(status, &mut task);
        assert_eq!((task.state, task.voluntary_switches), ('S', 12));
    }

    #[test]
    fn two_parts_are_all() {
        let tid = nix::unistd::gettid().as_raw();
        let own = i32::try_from(std::process::id()).unwrap();
        let part = |part| Folder::of(own).task(tid, part);
        let (lasting, moving, all) = (part(Part::Lasting), part(Part::Moving), part(Part::All));
        assert_eq!((&lasting.name, lasting.started), (&all.name, all.started));
        assert!(!all.name.is_empty() && all.started > 0);
        assert_eq!((moving.name.as_str(), moving.wchan.as_deref(), moving.started), ("", None, 0));
        assert_eq!((moving.state, all.state), ('R', 'R'));
        assert!(moving.cpu_us <= all.cpu_us);
        assert!(moving.voluntary_switches <= all.voluntary_switches);
        let expected = Task { cpu_us: moving.cpu_us, voluntary_switches: moving.voluntary_switches, ..all };
        assert_eq!(Task { wchan: None, ..lasting.clone().moved(moving) }, Task { wchan: None, ..expected });
        // One that sleeps is not asked for its time again.
        let asleep = Task { state: 'S', voluntary_switches: 7, ..Task::default() };
        let expected = Task { state: 'S', voluntary_switches: 7, ..lasting.clone() };
        assert_eq!(lasting.moved(asleep), expected);
    }
}
