//! The run's own journal: one JSON record a line, appended as soon as it is known, readable after a kill.

use super::lines::{JournalFault, JournalProblem, Splitter};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// The longest record that is read back, in bytes.
const MOST_RECORD: usize = 64 << 20;

/// When records are forced to the disk. A killed *process* loses nothing under any policy; a crashed machine may lose
/// what was not forced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SyncPolicy {
    /// Left to the system.
    Never,
    /// With the first record after at least this time.
    Every(Duration),
    /// With each record.
    Each,
}

/// Why a record is not in the journal.
#[derive(Debug, thiserror::Error)]
pub enum RunJournalError {
    /// The file could not be created.
    #[error("cannot create the journal {}: {source}", path.display())]
    Create {
        /// The file.
        path: PathBuf,
        /// The system's words.
        source: io::Error,
    },
    /// The disk is full.
    #[error("the disk is full: {records} records are in the journal {}, the next is not; free some space or choose another `--out`", path.display())]
    DiskFull {
        /// The file.
        path: PathBuf,
        /// Records written before.
        records: u64,
    },
    /// The record could not be written.
    #[error("cannot write to the journal {}: {source}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// The system's words.
        source: io::Error,
    },
    /// The record is not representable in JSON.
    #[error("a record cannot be written as JSON: {source}")]
    Record {
        /// Why.
        source: serde_json::Error,
    },
}

/// An append-only journal of JSON lines. After an error the next record may be appended all the same.
#[derive(Debug)]
pub struct RunJournal<W: Write = File> {
    out: W,
    path: PathBuf,
    sync: SyncPolicy,
    synced: Instant,
    records: u64,
    /// The last write failed and may have left half a line.
    torn: bool,
}

impl RunJournal {
    /// Creates the file, or empties it.
    ///
    /// # Errors
    /// [`RunJournalError::Create`].
    pub fn create(path: impl Into<PathBuf>, sync: SyncPolicy) -> Result<RunJournal, RunJournalError> {
        let path = path.into();
        match OpenOptions::new().write(true).create(true).truncate(true).open(&path) {
            Ok(out) => Ok(RunJournal { out, path, sync, synced: Instant::now(), records: 0, torn: false }),
            Err(source) => Err(RunJournalError::Create { path, source }),
        }
    }
}

/// What a journal can be written to; a seam for tests that need a disk to fill up.
pub(super) trait Durable: Write {
    fn force(&mut self) -> io::Result<()>;
}

impl Durable for File {
    fn force(&mut self) -> io::Result<()> {
        self.sync_data()
    }
}

#[expect(private_bounds, reason = "journals are written to files; other writers exist in tests only")]
impl<W: Durable> RunJournal<W> {
    /// Appends one record.
    ///
    /// # Errors
    /// See [`RunJournalError`]; the record is then not, or not wholly, in the journal, and what was before it is.
    pub fn append<T: Serialize>(&mut self, record: &T) -> Result<(), RunJournalError> {
        let mut line = Vec::new();
        if self.torn {
            line.push(b'\n');
        }
        serde_json::to_writer(&mut line, record).map_err(|source| RunJournalError::Record { source })?;
        line.push(b'\n');
        self.torn = true;
        let written = self.out.write_all(&line).and_then(|()| self.out.flush());
        written.map_err(|source| self.failed(source))?;
        self.torn = false;
        self.records += 1;
        let due = match self.sync {
            SyncPolicy::Never => false,
            SyncPolicy::Every(time) => self.synced.elapsed() >= time,
            SyncPolicy::Each => true,
        };
        if due {
            self.out.force().map_err(|source| self.failed(source))?;
            self.synced = Instant::now();
        }
        Ok(())
    }

    /// Records appended so far.
    pub fn records(&self) -> u64 {
        self.records
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn failed(&self, source: io::Error) -> RunJournalError {
        let path = self.path.clone();
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
                RunJournalError::DiskFull { path, records: self.records }
            }
            _ => RunJournalError::Write { path, source },
        }
    }
}

/// What could be read back of a journal.
#[derive(Clone, Debug, PartialEq)]
pub struct Recovered<T> {
    /// The intact records, in order.
    pub records: Vec<T>,
    /// What stands between or behind them.
    pub problems: Vec<JournalProblem>,
}

/// Reads all intact records of a journal and names what is none; never fails, a reading error is a problem as well.
pub fn recover<T: DeserializeOwned>(mut journal: impl Read) -> Recovered<T> {
    let mut found = Recovered { records: Vec::new(), problems: Vec::new() };
    let mut splitter = Splitter::new(MOST_RECORD);
    let mut buffer = vec![0; 64 << 10];
    loop {
        match journal.read(&mut buffer) {
            Ok(0) => break,
            Ok(got) => splitter.feed(&buffer[..got], |record| match record {
                Ok(record) => found.records.push(record),
                Err(problem) => found.problems.push(problem),
            }),
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => {
                found.problems.push(splitter.problem(JournalFault::Unreadable { why: e.to_string() }));
                return found;
            }
        }
    }
    found.problems.extend(splitter.finish());
    found
}

/// [`recover`] from a file.
///
/// # Errors
/// When the file cannot be opened.
pub fn recover_file<T: DeserializeOwned>(path: &Path) -> io::Result<Recovered<T>> {
    Ok(recover(File::open(path)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde::Deserialize;

    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    struct Record {
        case: String,
        n: u64,
    }

    fn records(n: u64) -> Vec<Record> {
        (0..n).map(|n| Record { case: format!("a\n\u{1f980}/{n}"), n }).collect()
    }

    fn written(records: &[Record]) -> Vec<u8> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        let mut journal = RunJournal::create(&path, SyncPolicy::Never).unwrap();
        for record in records {
            journal.append(record).unwrap();
        }
        assert_eq!(journal.records(), records.len() as u64);
        std::fs::read(&path).unwrap()
    }

    #[test]
    fn what_was_appended_is_read_back() {
        for sync in [SyncPolicy::Never, SyncPolicy::Every(Duration::ZERO), SyncPolicy::Each] {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("journal");
            let mut journal = RunJournal::create(&path, sync).unwrap();
            for record in records(5) {
                journal.append(&record).unwrap();
            }
            assert_eq!(recover_file(&path).unwrap(), Recovered { records: records(5), problems: vec![] });
        }
    }

    #[test]
    fn cut_at_every_byte_all_records_before_the_cut_survive() {
        let all = records(4);
        let bytes = written(&all);
        for cut in 0..=bytes.len() {
            let whole = bytes[..cut].iter().filter(|&&b| b == b'\n').count();
            let found: Recovered<Record> = recover(&bytes[..cut]);
            assert_eq!(found.records, all[..whole], "cut at {cut}");
            let clean = cut == 0 || bytes[cut - 1] == b'\n';
            assert_eq!(found.problems.is_empty(), clean, "cut at {cut}: {:?}", found.problems);
        }
    }

    proptest! {
        #[test]
        fn records_that_were_not_touched_survive_any_corruption(n in 1u64..6, at in any::<prop::sample::Index>(),
                                                                garbage in prop::collection::vec(any::<u8>(), 1..40)) {
            let all = records(n);
            let mut bytes = written(&all);
            let at = at.index(bytes.len());
            let end = (at + garbage.len()).min(bytes.len());
            bytes[at..end].copy_from_slice(&garbage[..end - at]);
            let found: Recovered<Record> = recover(bytes.as_slice());
            // A record is untouched if neither its line nor the line end before it was.
            let original = written(&all);
            let before = original[..at].iter().filter(|&&b| b == b'\n').count();
            let after = original[end..].iter().filter(|&&b| b == b'\n').count().saturating_sub(1);
            prop_assert!(found.records.starts_with(&all[..before]), "{:?}", found);
            prop_assert!(found.records.ends_with(&all[all.len() - after..]), "{:?}", found);
        }

        #[test]
        fn nothing_makes_the_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            let found: Recovered<Record> = recover(bytes.as_slice());
            prop_assert!(found.records.len() + found.problems.len() <= bytes.iter().filter(|&&b| b == b'\n').count() + 1);
        }
    }

    /// A disk with room for so many bytes.
    struct SmallDisk<'a> {
        written: &'a mut Vec<u8>,
        room: &'a std::cell::Cell<usize>,
    }

    impl Write for SmallDisk<'_> {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if self.room.get() == 0 {
                return Err(io::ErrorKind::StorageFull.into());
            }
            let fits = bytes.len().min(self.room.get());
            self.room.set(self.room.get() - fits);
            self.written.extend_from_slice(&bytes[..fits]);
            Ok(fits)
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Durable for SmallDisk<'_> {
        fn force(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_full_disk_is_named_and_later_records_are_readable() {
        let all = records(3);
        let one = written(&all[..1]).len();
        for room in one..2 * one {
            let (mut bytes, room) = (Vec::new(), std::cell::Cell::new(room));
            let out = SmallDisk { written: &mut bytes, room: &room };
            let path = PathBuf::from("latest/journal");
            let mut journal =
                RunJournal { out, path, sync: SyncPolicy::Each, synced: Instant::now(), records: 0, torn: false };
            journal.append(&all[0]).unwrap();
            let error = journal.append(&all[1]).unwrap_err();
            assert_eq!(
                error.to_string(),
                "the disk is full: 1 records are in the journal latest/journal, the next is not; free some space or \
                 choose another `--out`"
            );
            // Somebody makes room.
            room.set(usize::MAX);
            journal.append(&all[2]).unwrap();
            assert_eq!(journal.records(), 2);
            let found: Recovered<Record> = recover(bytes.as_slice());
            assert_eq!(found.records.first(), Some(&all[0]));
            assert_eq!(found.records.last(), Some(&all[2]));
        }
    }

    #[test]
    fn a_journal_that_cannot_be_created_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let error = RunJournal::create(folder.path().join("none/journal"), SyncPolicy::Never).unwrap_err();
        assert!(error.to_string().contains("none/journal"), "{error}");
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_device_that_is_full_is_named_too() {
        let mut journal = RunJournal::create("/dev/full", SyncPolicy::Never).unwrap();
        let error = journal.append(&1).unwrap_err();
        assert!(matches!(error, RunJournalError::DiskFull { records: 0, .. }), "{error}");
    }
}
