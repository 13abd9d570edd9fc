//! Readers of `/proc/PID`: what the kernel says about a process without stopping it.

use crate::diagnose::SampleError;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;

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

/// How many threads a process has, by the links of their folder: it takes a fraction of what reading the folder does.
pub(super) fn count(pid: i32) -> Option<usize> {
    let links = fs::metadata(format!("/proc/{pid}/task")).ok()?.nlink();
    usize::try_from(links.checked_sub(2)?).ok()
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
    fn threads_are_as_many_as_are_listed() {
        let mut child = std::process::Command::new("sleep").arg("600").spawn().unwrap();
        let pid = i32::try_from(child.id()).unwrap();
        let counted = (count(pid), threads(pid).map(|tids| tids.len()).ok());
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(counted, (Some(1), Some(1)));
        assert_eq!(count(pid), None);
    }

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
}
