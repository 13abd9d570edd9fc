//! Splits a growing journal into lines and says what is wrong with those that are no records.

use serde::de::DeserializeOwned;

/// A stretch of a journal that is no record. The records around it stay readable.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("journal line {line} (byte {offset}) {fault}; it begins \"{excerpt}\"")]
pub struct JournalProblem {
    /// The line's number, counted from 1.
    pub line: u64,
    /// Where it begins, in bytes from the start of the file.
    pub offset: u64,
    /// What is wrong.
    pub fault: JournalFault,
    /// Its first bytes, with everything but printable ASCII escaped; safe to print.
    pub excerpt: String,
}

/// What can be wrong with a journal.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JournalFault {
    /// The file ends in the middle of a line: the writer died, or the disk is full.
    #[error("is cut off after {bytes} bytes")]
    CutOff {
        /// Bytes of it that are there.
        bytes: u64,
    },
    /// Longer than any record; it was skipped.
    #[error("is {bytes} bytes long, the most is {most}")]
    TooLong {
        /// Its length.
        bytes: u64,
        /// The longest line that is read.
        most: u64,
    },
    /// Not UTF-8.
    #[error("is not UTF-8 from its byte {at} on")]
    NotUtf8 {
        /// The first bad byte, counted from the line's start.
        at: u64,
    },
    /// Not JSON, or not the JSON of a record.
    #[error("is no record: {why}")]
    NoRecord {
        /// The parser's words.
        why: String,
    },
    /// The file became shorter than what had been read.
    #[error("is gone: the file shrank to {to} bytes, a journal only grows")]
    Shrank {
        /// Its new length.
        to: u64,
    },
    /// The journal is larger than is read of any; the rest is ignored.
    #[error("is past the {most} bytes that are read of a journal; the rest is ignored")]
    TooMuch {
        /// The most that is read.
        most: u64,
    },
    /// The file could not be read.
    #[error("cannot be read: {why}")]
    Unreadable {
        /// The system's words.
        why: String,
    },
}

/// How much of a bad line is quoted, in bytes before escaping.
const EXCERPT: usize = 80;

/// The first bytes of a line, escaped.
pub(super) fn excerpt(line: &[u8]) -> String {
    line[..line.len().min(EXCERPT)].escape_ascii().to_string()
}

/// Splits bytes that arrive in pieces of any size into lines of bounded length.
#[derive(Debug)]
pub(super) struct Splitter {
    /// The line that has not ended yet, at most `most` bytes of it.
    pending: Vec<u8>,
    /// Bytes of the unfinished line, including those that were not kept.
    length: u64,
    /// Number of the unfinished line.
    line: u64,
    /// Offset of the unfinished line.
    offset: u64,
    most: usize,
}

impl Splitter {
    /// Splits into lines of at most `most` bytes each.
    pub(super) fn new(most: usize) -> Splitter {
        Splitter { pending: Vec::new(), length: 0, line: 1, offset: 0, most }
    }

    /// Takes the next bytes and gives each line that ends in them to `take`.
    pub(super) fn feed<T: DeserializeOwned>(
        &mut self,
        mut bytes: &[u8],
        mut take: impl FnMut(Result<T, JournalProblem>),
    ) {
        while let Some(end) = bytes.iter().position(|&b| b == b'\n') {
            self.keep(&bytes[..end]);
            bytes = &bytes[end + 1..];
            if let Some(record) = self.record() {
                take(record);
            }
            self.offset += self.length + 1;
            self.line += 1;
            self.length = 0;
            self.pending.clear();
        }
        self.keep(bytes);
    }

    /// Where the unfinished line begins, as a problem of that line.
    pub(super) fn problem(&self, fault: JournalFault) -> JournalProblem {
        JournalProblem { line: self.line, offset: self.offset, fault, excerpt: excerpt(&self.pending) }
    }

    /// The end of the file: an unfinished line is a problem.
    pub(super) fn finish(&mut self) -> Option<JournalProblem> {
        let cut = (self.length > 0).then(|| self.problem(JournalFault::CutOff { bytes: self.length }));
        self.pending.clear();
        self.length = 0;
        cut
    }

    /// The file was cut back to `offset`: what was pending is gone.
    pub(super) fn restart_at(&mut self, offset: u64) {
        self.pending.clear();
        self.length = 0;
        self.offset = offset;
    }

    fn keep(&mut self, bytes: &[u8]) {
        let room = self.most - self.pending.len();
        self.pending.extend_from_slice(&bytes[..bytes.len().min(room)]);
        self.length += bytes.len() as u64;
    }

    /// The pending line as a record; `None` for an empty line, which a writer leaves when it goes on after a failed write.
    fn record<T: DeserializeOwned>(&self) -> Option<Result<T, JournalProblem>> {
        if self.length > self.most as u64 {
            let fault = JournalFault::TooLong { bytes: self.length, most: self.most as u64 };
            return Some(Err(self.problem(fault)));
        }
        if self.pending.trim_ascii().is_empty() {
            return None;
        }
        let parsed = match std::str::from_utf8(&self.pending) {
            Err(e) => Err(JournalFault::NotUtf8 { at: e.valid_up_to() as u64 }),
            Ok(text) => serde_json::from_str(text).map_err(|e| JournalFault::NoRecord { why: e.to_string() }),
        };
        Some(parsed.map_err(|fault| self.problem(fault)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn split(bytes: &[u8], pieces: &[usize], most: usize) -> Vec<Result<u32, JournalProblem>> {
        let mut splitter = Splitter::new(most);
        let mut found = Vec::new();
        let mut rest = bytes;
        for &piece in pieces {
            let (now, later) = rest.split_at(piece.min(rest.len()));
            splitter.feed(now, |record| found.push(record));
            rest = later;
        }
        splitter.feed(rest, |record| found.push(record));
        found.extend(splitter.finish().map(Err));
        found
    }

    #[test]
    fn names_line_offset_and_fault() {
        let problem =
            |line, offset, fault, excerpt: &str| Err(JournalProblem { line, offset, fault, excerpt: excerpt.into() });
        let found = split(b"1\n\n  \n22\nabcdefghi\n\xff\n\"a\n3\r\n4", &[], 8);
        let no_record = |line: usize| match &found[line] {
            Err(JournalProblem { fault: JournalFault::NoRecord { why }, .. }) => {
                JournalFault::NoRecord { why: why.clone() }
            }
            other => panic!("{other:?}"),
        };
        let expected = [
            Ok(1),
            Ok(22),
            problem(5, 9, JournalFault::TooLong { bytes: 9, most: 8 }, "abcdefgh"),
            problem(6, 19, JournalFault::NotUtf8 { at: 0 }, r"\xff"),
            problem(7, 21, no_record(4), "\\\"a"),
            Ok(3),
            problem(9, 27, JournalFault::CutOff { bytes: 1 }, "4"),
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn a_line_of_any_length_takes_bounded_memory() {
        let mut splitter = Splitter::new(8);
        for _ in 0..1000 {
            splitter.feed::<u32>(&[b'1'; 1000], |_| panic!("the line has not ended"));
        }
        assert!(splitter.pending.capacity() <= 16);
        let mut found = Vec::new();
        splitter.feed::<u32>(b"\n7\n", |record| found.push(record));
        let fault = JournalFault::TooLong { bytes: 1_000_000, most: 8 };
        let problem = JournalProblem { line: 1, offset: 0, fault, excerpt: "11111111".into() };
        assert_eq!(found, [Err(problem), Ok(7)]);
    }

    proptest! {
        #[test]
        fn how_the_bytes_are_cut_changes_nothing(bytes in prop::collection::vec(prop_oneof![Just(b'\n'), Just(b'1'), any::<u8>()], 0..200),
                                                 pieces in prop::collection::vec(0usize..20, 0..40)) {
            prop_assert_eq!(split(&bytes, &pieces, 16), split(&bytes, &[], 16));
        }

        #[test]
        fn every_line_is_accounted_for(bytes in prop::collection::vec(prop_oneof![Just(b'\n'), Just(b'1'), any::<u8>()], 0..200)) {
            let lines = bytes.split(|&b| b == b'\n').filter(|line| !line.trim_ascii().is_empty()).count();
            let found = split(&bytes, &[], 1000);
            // A last line of nothing but spaces is cut off all the same.
            let last = bytes.rsplit(|&b| b == b'\n').next().unwrap_or_default();
            let blank_rest = usize::from(!last.is_empty() && last.trim_ascii().is_empty());
            prop_assert_eq!(found.len(), lines + blank_rest);
        }
    }
}
