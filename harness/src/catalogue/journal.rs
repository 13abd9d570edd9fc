//! The child's journal: one JSON object a line, each written with a single `write`, so that any thread may say something
//! at any time without taking a lock.

use crate::model::{ChildEvent, ChildLine};
use nix::time::{ClockId, clock_gettime};
use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;

/// Writes [`ChildEvent`]s to the file that the parent reads. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Journal {
    file: Arc<File>,
}

impl Journal {
    /// Opens the file for appending; it is created if it does not exist.
    ///
    /// # Errors
    /// Those of opening a file.
    pub fn open(path: &Path) -> io::Result<Journal> {
        let file = File::options().append(true).create(true).open(path)?;
        Ok(Journal { file: Arc::new(file) })
    }

    /// Writes one event, stamped with the time of the call.
    ///
    /// A child whose journal cannot be written has nothing left to say to its parent: it complains on stderr and exits.
    pub fn say(&self, event: ChildEvent) {
        let line = ChildLine { at_ns: monotonic_ns(), event };
        let written = serde_json::to_string(&line).map_err(io::Error::from).and_then(|mut text| {
            text.push('\n');
            (&*self.file).write_all(text.as_bytes())
        });
        if let Err(error) = written {
            eprintln!("cannot write the journal: {error}");
            super::exit::leave(3);
        }
    }

    /// Says that the calling thread reached a point of the story.
    pub fn reached(&self, point: &str) {
        self.say(ChildEvent::Reached { point: point.to_string(), tid: Some(super::this_thread()) });
    }
}

/// `CLOCK_MONOTONIC` in nanoseconds: the clock that the parent reads, too.
fn monotonic_ns() -> u64 {
    let now = clock_gettime(ClockId::CLOCK_MONOTONIC).expect("CLOCK_MONOTONIC exists on every Linux");
    now.tv_sec() as u64 * 1_000_000_000 + now.tv_nsec() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_from_many_threads_stay_whole() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal");
        let journal = Journal::open(&path).unwrap();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..200).for_each(|i| journal.reached(&format!("{i} \"quoted\"\nand broken"))));
            }
        });
        let text = std::fs::read_to_string(&path).unwrap();
        let lines: Vec<ChildLine> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines.len(), 800);
        assert!(lines.iter().all(|line| line.at_ns > 0));
    }
}
