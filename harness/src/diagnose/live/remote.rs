//! Reads the memory of another process, and never writes to it.

use nix::errno::Errno;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io::ErrorKind;
use std::os::unix::fs::FileExt;

/// Reads up to `buffer.len()` bytes at `address` of process `pid`; returns how many were read.
pub(super) fn read_process(pid: i32, address: u64, buffer: &mut [u8]) -> usize {
    let Ok(base) = usize::try_from(address) else { return 0 };
    let remote = [nix::sys::uio::RemoteIoVec { base, len: buffer.len() }];
    let mut local = [std::io::IoSliceMut::new(&mut *buffer)];
    match nix::sys::uio::process_vm_readv(nix::unistd::Pid::from_raw(pid), &mut local, &remote) {
        Ok(read) => read,
        Err(Errno::EPERM | Errno::ENOSYS) => read_file(pid, address, buffer),
        Err(_) => 0,
    }
}

/// The same through the file that the kernel offers, for which it asks the same right. The filter of system calls that
/// Docker sets around a container without `SYS_PTRACE` forbids the call and not the file.
fn read_file(pid: i32, address: u64, buffer: &mut [u8]) -> usize {
    let Ok(file) = std::fs::File::open(format!("/proc/{pid}/mem")) else { return 0 };
    let mut done = 0;
    while done < buffer.len() {
        match file.read_at(&mut buffer[done..], address.saturating_add(done as u64)) {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Ok(0) | Err(_) => break,
            Ok(read) => done += read,
        }
    }
    done
}

/// Whether the memory of `pid` at a mapped address may be read.
pub(super) fn is_readable(pid: i32, address: u64) -> bool {
    read_process(pid, address, &mut [0]) == 1
}

/// One word of a live process.
pub(super) fn read_word(pid: i32, address: u64) -> Option<u64> {
    let mut bytes = [0; 8];
    (read_process(pid, address, &mut bytes) == 8).then(|| u64::from_le_bytes(bytes))
}

/// The words of a live process at these addresses, those that can be read: many in one call.
pub(super) fn read_words(pid: i32, addresses: &BTreeSet<u64>) -> BTreeMap<u64, u64> {
    /// What the kernel takes at once.
    const MOST: usize = 1024;
    let addresses: Vec<u64> = addresses.iter().copied().collect();
    let mut words = BTreeMap::new();
    let mut rest = addresses.as_slice();
    while !rest.is_empty() {
        let now = &rest[..rest.len().min(MOST)];
        let remote: Vec<_> =
            now.iter().map(|at| nix::sys::uio::RemoteIoVec { base: *at as usize, len: size_of::<u64>() }).collect();
        let mut buffer = vec![0; size_of_val(now)];
        let mut local = [std::io::IoSliceMut::new(&mut buffer)];
        let read = match nix::sys::uio::process_vm_readv(nix::unistd::Pid::from_raw(pid), &mut local, &remote) {
            Err(Errno::EPERM | Errno::ENOSYS) => {
                return addresses.iter().filter_map(|at| Some((*at, read_word(pid, *at)?))).collect();
            }
            read => read.unwrap_or(0),
        };
        let (read, _) = buffer[..read.min(buffer.len())].as_chunks();
        words.extend(now.iter().copied().zip(read.iter().map(|word| u64::from_le_bytes(*word))));
        // It ends in front of the first word that cannot be read.
        let done = if read.len() < now.len() { read.len() + 1 } else { now.len() };
        rest = &rest[done..];
    }
    words
}

const PAGE: u64 = 4096;
/// Pages kept of a live process: bounds what one explanation may read (32 MiB).
const MAX_PAGES: usize = 8192;

/// The memory of a live process, read a page at a time.
pub(super) struct Live {
    pid: i32,
    pages: RefCell<HashMap<u64, Option<Box<[u8]>>>>,
}

impl Live {
    /// The memory of `pid`, nothing of it read yet.
    pub(super) fn new(pid: i32) -> Live {
        Live { pid, pages: RefCell::default() }
    }

    /// The word at an address that is a multiple of eight.
    pub(super) fn aligned(&self, address: u64) -> Option<u64> {
        let (page, offset) = (address & !(PAGE - 1), (address % PAGE) as usize);
        let mut pages = self.pages.borrow_mut();
        if pages.len() >= MAX_PAGES && !pages.contains_key(&page) {
            return None;
        }
        let bytes = pages.entry(page).or_insert_with(|| {
            let mut buffer = vec![0; PAGE as usize];
            (page != 0 && read_process(self.pid, page, &mut buffer) == buffer.len()).then(|| buffer.into_boxed_slice())
        });
        Some(u64::from_le_bytes(bytes.as_ref()?.get(offset..offset + 8)?.try_into().ok()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_that_cannot_be_read_are_left_out() {
        let words: Vec<u64> = (7..3007).collect();
        let good = words.iter().map(|word| (std::ptr::from_ref(word) as u64, *word));
        let bad = [0, 8, u64::MAX - 7, words.as_ptr() as u64 ^ 1 << 63].map(|address| (address, 0));
        let addresses: BTreeSet<u64> = good.clone().chain(bad).map(|(address, _)| address).collect();
        let pid = i32::try_from(std::process::id()).unwrap();
        assert_eq!(read_words(pid, &addresses), good.collect());
        assert!(read_words(pid, &BTreeSet::new()).is_empty());
    }
}
