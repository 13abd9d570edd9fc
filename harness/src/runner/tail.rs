//! Follows a child's journal while it is being written.

use super::lines::{JournalFault, JournalProblem, Splitter};
use super::watch::{TICK, Watch, poll_timeout};
use crate::model::ChildLine;
use nix::poll::{PollFd, PollFlags, poll};
use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;
use std::time::{Duration, Instant};

/// The longest line that is read of a child's journal, in bytes.
const MOST_LINE: usize = 64 << 10;
/// The most that is read of a child's journal, in bytes: a child that floods it must not occupy the parent for ever.
const MOST_TOTAL: u64 = 16 << 20;

/// What a journal yields.
#[derive(Clone, Debug, PartialEq)]
pub enum Tailed {
    /// A whole line.
    Line(ChildLine),
    /// Something that is none. What follows it is still read.
    Problem(JournalProblem),
}

/// Reads a child's journal as it grows: whole lines only, and never fails on what stands in it.
#[derive(Debug)]
pub struct JournalTail {
    file: File,
    watch: Watch,
    splitter: Splitter,
    /// Bytes read so far, which is where the next read begins.
    read: u64,
    /// Set once nothing more is read.
    deaf: bool,
    ready: VecDeque<Tailed>,
}

impl JournalTail {
    /// Follows the file at `path` from its beginning.
    ///
    /// # Errors
    /// When the file cannot be opened; it must exist.
    pub fn open(path: &Path) -> io::Result<JournalTail> {
        let watch = Watch::new(path);
        let file = File::open(path)?;
        let splitter = Splitter::new(MOST_LINE);
        Ok(JournalTail { file, watch, splitter, read: 0, deaf: false, ready: VecDeque::new() })
    }

    /// What has been written since the last call, without waiting.
    pub fn read_new(&mut self) -> Vec<Tailed> {
        self.fill();
        self.ready.drain(..).collect()
    }

    /// The next line or problem; waits for it up to `timeout`.
    pub fn next(&mut self, timeout: Duration) -> Option<Tailed> {
        let end = Instant::now() + timeout;
        loop {
            if self.ready.is_empty() {
                self.fill();
            }
            let left = end.saturating_duration_since(Instant::now());
            if !self.ready.is_empty() || left.is_zero() {
                return self.ready.pop_front();
            }
            let mut fds: Vec<PollFd<'_>> =
                self.watch.fd().map(|fd| PollFd::new(fd, PollFlags::POLLIN)).into_iter().collect();
            let left = if fds.is_empty() { left.min(TICK) } else { left };
            // An interrupted or failed wait only means that the file is looked at again.
            let _ = poll(&mut fds, poll_timeout(left));
        }
    }

    /// The writer is gone: reads the rest, and says so if the last line is cut off.
    pub fn finish(&mut self) -> Vec<Tailed> {
        self.fill();
        if !self.deaf {
            self.ready.extend(self.splitter.finish().map(Tailed::Problem));
        }
        self.ready.drain(..).collect()
    }

    /// The watch behind it, for a caller that waits for several things.
    pub(super) fn watch(&self) -> &Watch {
        &self.watch
    }

    fn fill(&mut self) {
        self.watch.clear();
        if let Err(e) = self.try_fill() {
            self.give_up(JournalFault::Unreadable { why: e.to_string() });
        }
    }

    fn try_fill(&mut self) -> io::Result<()> {
        if self.deaf {
            return Ok(());
        }
        let length = self.file.metadata()?.len();
        if length < self.read {
            self.ready.push_back(Tailed::Problem(self.splitter.problem(JournalFault::Shrank { to: length })));
            self.splitter.restart_at(length);
            self.read = self.file.seek(SeekFrom::Start(length))?;
        }
        let mut buffer = [0; 16 << 10];
        loop {
            let got = match self.file.read(&mut buffer) {
                Ok(0) => return Ok(()),
                Ok(got) => got,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                Err(e) => return Err(e),
            };
            self.read += got as u64;
            let ready = &mut self.ready;
            self.splitter.feed(&buffer[..got], |record| {
                ready.push_back(match record {
                    Ok(line) => Tailed::Line(line),
                    Err(problem) => Tailed::Problem(problem),
                });
            });
            if self.read > MOST_TOTAL {
                self.give_up(JournalFault::TooMuch { most: MOST_TOTAL });
                return Ok(());
            }
        }
    }

    fn give_up(&mut self, fault: JournalFault) {
        self.deaf = true;
        self.ready.push_back(Tailed::Problem(self.splitter.problem(fault)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ChildEvent;
    use std::fs::OpenOptions;
    use std::io::Write;

    /// Long enough for the slowest machine.
    const PATIENCE: Duration = Duration::from_secs(60);

    fn line(value: u64) -> Tailed {
        Tailed::Line(ChildLine { at_ns: value, event: ChildEvent::Count { name: "n".into(), value } })
    }

    fn text(value: u64) -> String {
        format!("{{\"at_ns\":{value},\"event\":\"count\",\"name\":\"n\",\"value\":{value}}}\n")
    }

    fn journal() -> (tempfile::TempDir, File, JournalTail) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        let file = OpenOptions::new().append(true).create_new(true).open(&path).unwrap();
        let tail = JournalTail::open(&path).unwrap();
        (folder, file, tail)
    }

    #[test]
    fn half_a_line_is_not_read_until_it_is_whole() {
        let (_folder, mut file, mut tail) = journal();
        let text = text(1);
        let (half, rest) = text.split_at(9);
        file.write_all(half.as_bytes()).unwrap();
        assert_eq!(tail.read_new(), []);
        assert_eq!(tail.next(Duration::ZERO), None);
        file.write_all(rest.as_bytes()).unwrap();
        assert_eq!(tail.next(Duration::ZERO), Some(line(1)));
        assert_eq!(tail.finish(), []);
    }

    #[test]
    fn a_waiting_reader_is_woken_by_the_writer() {
        let (_folder, mut file, mut tail) = journal();
        // The writer goes on only when the reader has what came before, so the reader has to wait for each line.
        let (tell, told) = std::sync::mpsc::channel::<()>();
        let writer = std::thread::spawn(move || {
            for value in 0..20 {
                file.write_all(text(value).as_bytes()).unwrap();
                told.recv().unwrap();
            }
        });
        for value in 0..20 {
            assert_eq!(tail.next(PATIENCE), Some(line(value)));
            tell.send(()).unwrap();
        }
        writer.join().unwrap();
    }

    #[test]
    fn a_journal_that_shrinks_is_a_problem_and_is_read_on() {
        let (_folder, mut file, mut tail) = journal();
        file.write_all((text(1) + "half").as_bytes()).unwrap();
        assert_eq!(tail.read_new(), [line(1)]);
        file.set_len(0).unwrap();
        let fault = JournalFault::Shrank { to: 0 };
        let problem = JournalProblem { line: 2, offset: text(1).len() as u64, fault, excerpt: "half".into() };
        assert_eq!(tail.read_new(), [Tailed::Problem(problem)]);
        file.write_all(text(2).as_bytes()).unwrap();
        assert_eq!(tail.read_new(), [line(2)]);
    }

    #[test]
    fn a_cut_off_end_is_told_once() {
        let (_folder, mut file, mut tail) = journal();
        file.write_all((text(1) + "{\"at").as_bytes()).unwrap();
        let found = tail.finish();
        assert_eq!(found[0], line(1));
        assert!(matches!(&found[1], Tailed::Problem(JournalProblem { fault: JournalFault::CutOff { bytes: 4 }, .. })));
        assert_eq!(found.len(), 2);
        assert_eq!(tail.finish(), []);
    }
}
