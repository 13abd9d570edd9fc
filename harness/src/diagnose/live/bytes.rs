//! The bytes of a file that may be hundreds of megabytes large, of which a few are needed.
//!
//! They are read and not mapped: a file that shrinks under a mapping would kill this process. Each part is read when it is
//! first asked for, into its place in a room as large as the file, of which the kernel gives what is filled. A file that is
//! changed meanwhile gives nothing more.

use memmap2::{Advice, MmapOptions, MmapRaw};
use object::ReadRef;
use std::fs::File;
use std::io::{self, ErrorKind};
use std::ops::Range;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

/// What is read at once at least.
const BLOCK: usize = 1 << 12;
/// What is read at once where one block after the other is asked for.
const AHEAD: usize = 1 << 14;
/// From this on, memory is asked for in one go: the kernel takes longer to find pages one by one than to fill them.
const SEVERAL: usize = 1 << 14;
/// From this on, it is asked for in large pages.
const MANY: usize = 8 << 20;

/// See the module's documentation.
pub(super) enum Bytes {
    /// Small, or made by a test.
    Heap(Vec<u8>),
    /// A file.
    File(Paged),
}

impl Bytes {
    /// The bytes of an open file.
    pub(super) fn of(file: File) -> io::Result<Bytes> {
        let id = Id::of(&file)?;
        let length = usize::try_from(id.length).map_err(io::Error::other)?;
        if length == 0 {
            return Ok(Bytes::Heap(Vec::new()));
        }
        let room = MmapRaw::from(MmapOptions::new().len(length).no_reserve_swap().map_anon()?);
        let blocks = length.div_ceil(BLOCK);
        let filled = (0..blocks.div_ceil(64)).map(|_| AtomicU64::new(0)).collect();
        Ok(Bytes::File(Paged { file, id, room, length, filled, filling: Mutex::new(()), lost: AtomicBool::new(false) }))
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        match self {
            Bytes::Heap(bytes) => bytes.len(),
            Bytes::File(file) => file.length,
        }
    }

    /// Those of a range; `None` if it does not lie in the file, or cannot be read.
    pub(super) fn get(&self, range: Range<usize>) -> Option<&[u8]> {
        match self {
            Bytes::Heap(bytes) => bytes.get(range),
            Bytes::File(file) => file.get(range),
        }
    }

    /// Those from a place on that are got with little reading: at least `least`, and none behind `end`.
    pub(super) fn some(&self, start: usize, least: usize, end: usize) -> Option<&[u8]> {
        let follows = match self {
            Bytes::File(file) => (BLOCK..=file.length).contains(&start) && file.has(start / BLOCK - 1),
            Bytes::Heap(_) => true,
        };
        let much = if follows { least.max(AHEAD) } else { least };
        let to = start.checked_add(much)?.checked_next_multiple_of(BLOCK)?.min(end).min(self.len());
        self.get(start..to).filter(|bytes| bytes.len() >= least)
    }

    /// Whether the file was changed while it was being read, so that it gives no more.
    pub(super) fn is_lost(&self) -> bool {
        match self {
            Bytes::Heap(_) => false,
            Bytes::File(file) => file.lost.load(Ordering::Relaxed),
        }
    }
}

impl From<Vec<u8>> for Bytes {
    fn from(bytes: Vec<u8>) -> Bytes {
        Bytes::Heap(bytes)
    }
}

impl<'a> ReadRef<'a> for &'a Bytes {
    fn len(self) -> Result<u64, ()> {
        Ok(Bytes::len(self) as u64)
    }

    fn read_bytes_at(self, offset: u64, size: u64) -> Result<&'a [u8], ()> {
        if size == 0 {
            return Ok(&[]);
        }
        let start = usize::try_from(offset).map_err(drop)?;
        let end = start.checked_add(usize::try_from(size).map_err(drop)?).ok_or(())?;
        self.get(start..end).ok_or(())
    }

    fn read_bytes_at_until(self, range: Range<u64>, delimiter: u8) -> Result<&'a [u8], ()> {
        let bytes = self.read_bytes_at(range.start, range.end.checked_sub(range.start).ok_or(())?)?;
        let length = bytes.iter().position(|byte| *byte == delimiter).ok_or(())?;
        Ok(&bytes[..length])
    }
}

/// What tells that a file is as it was when it was opened.
#[derive(PartialEq, Eq)]
struct Id {
    length: u64,
    changed: (i64, i64),
}

impl Id {
    fn of(file: &File) -> io::Result<Id> {
        let meta = file.metadata()?;
        Ok(Id { length: meta.len(), changed: (meta.mtime(), meta.mtime_nsec()) })
    }
}

/// A file, read in blocks.
pub(super) struct Paged {
    file: File,
    id: Id,
    room: MmapRaw,
    length: usize,
    /// A bit for each block that is there.
    filled: Box<[AtomicU64]>,
    filling: Mutex<()>,
    lost: AtomicBool,
}

impl Paged {
    fn get(&self, range: Range<usize>) -> Option<&[u8]> {
        if range.start > range.end || range.end > self.length {
            return None;
        }
        if range.is_empty() {
            return Some(&[]);
        }
        let blocks = range.start / BLOCK..range.end.div_ceil(BLOCK);
        if !blocks.clone().all(|block| self.has(block)) {
            self.fill(blocks)?;
        }
        // SAFETY: the range lies in the room, all its blocks have been filled, and a filled block is never written again.
        Some(unsafe { std::slice::from_raw_parts(self.room.as_ptr().add(range.start), range.len()) })
    }

    fn has(&self, block: usize) -> bool {
        self.filled[block / 64].load(Ordering::Acquire) & 1 << (block % 64) != 0
    }

    /// Reads what is missing of these blocks.
    fn fill(&self, blocks: Range<usize>) -> Option<()> {
        let _alone = self.filling.lock().unwrap_or_else(PoisonError::into_inner);
        let mut next = blocks.start;
        while let Some(first) = (next..blocks.end).find(|block| !self.has(*block)) {
            let end = (first..blocks.end).find(|block| self.has(*block)).unwrap_or(blocks.end);
            self.read(first..end)?;
            for block in first..end {
                self.filled[block / 64].fetch_or(1 << (block % 64), Ordering::Release);
            }
            next = end;
        }
        Some(())
    }

    /// Reads blocks of which none is there; the caller is the only one who does.
    fn read(&self, blocks: Range<usize>) -> Option<()> {
        let (start, end) = (blocks.start * BLOCK, (blocks.end * BLOCK).min(self.length));
        // Wishes only.
        let _ = match end - start {
            ..SEVERAL => Ok(()),
            SEVERAL..MANY => self.room.advise_range(Advice::PopulateWrite, start, end - start),
            MANY.. => self.room.advise_range(Advice::HugePage, start, end - start),
        };
        // SAFETY: the range lies in the room; nobody has been given a part of it, because none of its blocks is marked as
        // filled, and nobody else writes to it, because of the lock.
        let room = unsafe { std::slice::from_raw_parts_mut(self.room.as_mut_ptr().add(start), end - start) };
        let mut done = 0;
        while done < room.len() && !self.lost.load(Ordering::Relaxed) {
            match self.file.read_at(&mut room[done..], (start + done) as u64) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Ok(0) | Err(_) => self.lost.store(true, Ordering::Relaxed),
                Ok(read) => done += read,
            }
        }
        // Asked after the reading, so that nothing is taken from between two changes.
        if !Id::of(&self.file).is_ok_and(|id| id == self.id) {
            self.lost.store(true, Ordering::Relaxed);
        }
        (!self.lost.load(Ordering::Relaxed)).then_some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn content() -> Vec<u8> {
        (0..13 * BLOCK / 2).map(|n| (n / 7) as u8).collect()
    }

    fn file(content: &[u8]) -> (File, Bytes) {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(content).unwrap();
        let bytes = Bytes::of(file.try_clone().unwrap()).unwrap();
        (file, bytes)
    }

    #[test]
    fn any_part_is_read_when_it_is_asked_for() {
        let content = content();
        let (_file, bytes) = file(&content);
        let length = content.len();
        assert_eq!(bytes.len(), length);
        let at = BLOCK;
        for range in [length - 1..length, at - 3..at + 3, 0..1, at - 1..at, 7..7, length..length, 0..length] {
            assert_eq!(bytes.get(range.clone()), content.get(range.clone()), "{range:?}");
        }
        assert_eq!(bytes.get(0..length + 1), None);
        assert_eq!(bytes.some(5, 2, 9), Some(&content[5..9]));
        let (_file, bytes) = super::tests::file(&content);
        assert_eq!(bytes.some(5, 2, usize::MAX), Some(&content[5..BLOCK]));
        assert_eq!(bytes.some(BLOCK, 2, usize::MAX), Some(&content[BLOCK..BLOCK + AHEAD]));
        assert_eq!(bytes.some(5, 2, 6), None);
        for beyond in [length, length + 1, length + 99 * BLOCK, usize::MAX] {
            assert_eq!(bytes.some(beyond, 1, usize::MAX), None);
        }
        assert!(Bytes::of(tempfile::tempfile().unwrap()).unwrap().get(0..0).is_some());
    }

    #[test]
    fn a_file_that_shrinks_or_changes_gives_no_more_than_it_gave() {
        let content = content();
        let shrink = |file: &mut File| file.set_len(1).unwrap();
        let change = |file: &mut File| {
            // A time stamp may be as coarse as a tick.
            let before = file.metadata().unwrap().modified().unwrap();
            while file.metadata().unwrap().modified().unwrap() == before {
                file.write_all_at(b"x", 3 * BLOCK as u64 / 2).unwrap();
            }
        };
        for damage in [&shrink as &dyn Fn(&mut File), &change] {
            let (mut file, bytes) = file(&content);
            assert_eq!(bytes.get(0..9), Some(&content[..9]));
            assert!(!bytes.is_lost());
            damage(&mut file);
            assert_eq!(bytes.get(BLOCK..BLOCK + 9), None);
            assert!(bytes.is_lost());
            assert_eq!(bytes.get(2 * BLOCK..2 * BLOCK + 1), None);
            assert_eq!(bytes.get(0..9), Some(&content[..9]));
        }
    }

    #[test]
    fn two_readers_of_the_same_part_see_the_same() {
        let content = content();
        let (_file, bytes) = file(&content);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for start in (0..content.len() - 999).step_by(997) {
                        assert_eq!(bytes.get(start..start + 999), content.get(start..start + 999));
                    }
                });
            }
        });
    }
}
