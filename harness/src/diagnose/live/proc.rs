//! Readers of `/proc/PID`: what the kernel says about a process without stopping it.

use crate::diagnose::SampleError;
use std::fs;
use std::io::{self, Read};

/// One line of `/proc/PID/maps`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mapping {
    pub(super) start: u64,
    pub(super) end: u64,
    pub(super) readable: bool,
    pub(super) writable: bool,
    pub(super) executable: bool,
    pub(super) offset: u64,
    pub(super) path: String,
}

impl Mapping {
    pub(super) fn contains(&self, address: u64) -> bool {
        self.start <= address && address < self.end
    }
}

/// More mappings than this are not looked at: a target may have as many as it likes.
const MAX_MAPPINGS: usize = 65_536;
/// Bytes of a text about one thread.
const MAX_TEXT: u64 = 1 << 20;

/// Parses one line of `maps`; `None` if it has another shape.
pub(super) fn parse_mapping(line: &str) -> Option<Mapping> {
    let (range, rest) = line.split_once(' ')?;
    let (start, end) = range.split_once('-')?;
    let (permissions, rest) = rest.split_once(' ')?;
    let (offset, rest) = rest.split_once(' ')?;
    // Device, inode, then the path behind padding; a path may contain spaces.
    let (_device, rest) = rest.split_once(' ')?;
    let path = rest.split_once(' ').map_or("", |(_inode, path)| path.trim_start());
    let flags = permissions.as_bytes();
    let (start, end) = (u64::from_str_radix(start, 16).ok()?, u64::from_str_radix(end, 16).ok()?);
    (start < end && flags.len() >= 3).then(|| Mapping {
        start,
        end,
        readable: flags[0] == b'r',
        writable: flags[1] == b'w',
        executable: flags[2] == b'x',
        offset: u64::from_str_radix(offset, 16).unwrap_or(0),
        // The kernel writes a line break in a path in octal digits, and nothing else.
        path: path.replace("\\012", "\n"),
    })
}

/// The mappings of a process, in order of address.
pub(super) fn mappings(pid: i32) -> Result<Vec<Mapping>, SampleError> {
    // A path may hold any bytes.
    let bytes = fs::read(format!("/proc/{pid}/maps")).map_err(|e| failure(pid, "maps", &e))?;
    Ok(read_mappings(&bytes))
}

/// The mappings in a text of that form.
pub(super) fn read_mappings(bytes: &[u8]) -> Vec<Mapping> {
    String::from_utf8_lossy(bytes).lines().take(MAX_MAPPINGS).filter_map(parse_mapping).collect()
}

/// Turns an I/O error on a file of `/proc/PID` into the reason a person can act on.
pub(super) fn failure(pid: i32, what: &str, error: &io::Error) -> SampleError {
    match error.raw_os_error() {
        Some(libc::ENOENT | libc::ESRCH) => SampleError::NoSuchProcess { pid },
        Some(libc::EACCES | libc::EPERM) => crate::diagnose::access::not_permitted(pid),
        _ => SampleError::Io { pid, what: what.to_owned(), reason: error.to_string() },
    }
}

/// The threads of a process that are alive now, ascending.
pub(super) fn threads(pid: i32) -> io::Result<Vec<i32>> {
    let mut tids: Vec<i32> = fs::read_dir(format!("/proc/{pid}/task"))?
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .collect();
    tids.sort_unstable();
    Ok(tids)
}

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

/// Reads what can be read about these threads, side by side where they are many: the kernel takes longer to write a
/// thread's files than everything else about it does.
pub(super) fn tasks(pid: i32, tids: &[i32]) -> Vec<(i32, Task)> {
    /// Fewer are read before another reader has started.
    const WORTH_A_READER: usize = 64;
    let read = move |tids: &[i32]| tids.iter().map(|&tid| (tid, task(pid, tid))).collect::<Vec<_>>();
    let readers = std::thread::available_parallelism().map_or(1, |n| n.get().min(tids.len() / WORTH_A_READER));
    if readers < 2 {
        return read(tids);
    }
    std::thread::scope(|scope| {
        let parts = tids.chunks(tids.len().div_ceil(readers));
        let running: Vec<_> = parts.map(|part| (part, scope.spawn(move || read(part)))).collect();
        // A reader that failed leaves its part to this thread.
        running.into_iter().flat_map(|(part, reader)| reader.join().unwrap_or_else(|_| read(part))).collect()
    })
}

/// Reads what can be read about a thread; whatever cannot stays empty.
pub(super) fn task(pid: i32, tid: i32) -> Task {
    let mut buffer = Vec::new();
    let mut text = |file: &str| read_small(&format!("/proc/{pid}/task/{tid}/{file}"), &mut buffer);
    let mut task = Task { state: '?', ..Task::default() };
    parse_stat(&text("stat"), &mut task);
    let wchan = text("wchan");
    task.wchan = (!wchan.is_empty() && wchan != "0").then_some(wchan);
    // Nanoseconds, where the kernel offers them; ticks of 10 ms from `stat` otherwise.
    if let Some(ns) = text("schedstat").split(' ').next().and_then(|field| field.parse::<u64>().ok()) {
        task.cpu_us = ns / 1000;
    }
    for line in text("status").lines().rev() {
        if let Some(count) = line.strip_prefix("voluntary_ctxt_switches:") {
            task.voluntary_switches = count.trim().parse().unwrap_or(0);
            break;
        }
    }
    task
}

/// A file of `/proc` as text without its last line break: thousands of them are read, and the kernel gives each in one
/// piece if there is room.
fn read_small(path: &str, buffer: &mut Vec<u8>) -> String {
    const ROOM: usize = 1 << 13;
    buffer.resize(ROOM, 0);
    let Ok(mut file) = fs::File::open(path) else { return String::new() };
    let mut length = file.read(buffer).unwrap_or(0);
    if length == ROOM {
        buffer.truncate(length);
        length += file.take(MAX_TEXT).read_to_end(buffer).unwrap_or(0);
    }
    String::from_utf8_lossy(&buffer[..length]).trim_end().to_owned()
}

/// Takes name, state, CPU time and start time from a `stat` line.
pub(super) fn parse_stat(stat: &str, task: &mut Task) {
    // The name in parentheses may contain anything, also parentheses.
    let Some((start, rest)) = stat.rsplit_once(") ") else { return };
    task.name = start.split_once('(').map_or("", |(_, name)| name).to_owned();
    let fields: Vec<&str> = rest.split(' ').collect();
    let number = |index: usize| fields.get(index).and_then(|f| f.parse::<u64>().ok()).unwrap_or(0);
    task.state = fields.first().and_then(|f| f.chars().next()).unwrap_or('?');
    // SAFETY: sysconf has no preconditions.
    let ticks = u64::try_from(unsafe { libc::sysconf(libc::_SC_CLK_TCK) }).unwrap_or(100).max(1);
    task.cpu_us = number(11).saturating_add(number(12)).saturating_mul(1_000_000) / ticks;
    task.started = number(19);
}

/// The process that traces this one, if any does.
pub(super) fn tracer(pid: i32) -> Option<i32> {
    let field = |pid: i32, name: &str| -> Option<i32> {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        status.lines().find_map(|line| line.strip_prefix(name))?.trim().parse().ok()
    };
    let thread = field(pid, "TracerPid:").filter(|tracer| *tracer != 0)?;
    // The kernel names the thread that attached; people know the process.
    Some(field(thread, "Tgid:").unwrap_or(thread))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_maps_with_a_space_in_its_path() {
        let m = parse_mapping("7f00-8f00 r-xp 00001000 08:01 42                   /a b/c (deleted)").unwrap();
        assert_eq!((m.start, m.end, m.offset, m.path.as_str()), (0x7f00, 0x8f00, 0x1000, "/a b/c (deleted)"));
        assert!(m.executable && m.readable && !m.writable);
        assert_eq!(parse_mapping("7f00-8f00 rw-p 00000000 00:00 0").unwrap().path, "");
        assert_eq!(parse_mapping("8f00-7f00 rw-p 0 0 0"), None);
        assert_eq!(parse_mapping("nonsense"), None);
        assert_eq!(parse_mapping("7f00-8f00 r-xp 0 0 0 /a\\012b").unwrap().path, "/a\nb");
    }

    #[test]
    fn every_thread_is_read_once_and_in_order_by_one_reader_or_by_many() {
        let own = i32::try_from(std::process::id()).unwrap();
        for count in [1, 7, 300] {
            // What is no thread of this process has no state, and is listed all the same.
            let tids: Vec<i32> = std::iter::once(own).chain((2..).map(|n| -n)).take(count).collect();
            let read = tasks(own, &tids);
            assert_eq!(read.iter().map(|(tid, _)| *tid).collect::<Vec<_>>(), tids, "{count}");
            assert!(read[0].1.state != '?' && read[1..].iter().all(|(_, task)| task.state == '?'), "{count}");
        }
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
}
