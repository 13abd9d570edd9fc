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
