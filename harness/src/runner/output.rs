//! Keeps a bounded part of what a child prints.

use std::collections::VecDeque;

/// Which part of a stream is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Keep {
    /// The first bytes, at most this many.
    First(usize),
    /// The last bytes, at most this many.
    Last(usize),
}

/// What was kept of a stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Captured {
    /// The bytes kept; untrusted.
    pub bytes: Vec<u8>,
    /// How many bytes there were in all.
    pub total: u64,
}

impl Captured {
    /// The bytes as text, with U+FFFD for what is not UTF-8; control characters are still in it.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }

    /// The last line that is not empty, at most 200 characters of it, without control characters: what one quotes in an
    /// error.
    pub fn last_words(&self) -> Option<String> {
        let text = self.text();
        let line = text.lines().rev().map(str::trim).find(|line| !line.is_empty())?;
        Some(line.chars().filter(|c| !c.is_control()).take(200).collect())
    }
}

/// A stream being captured: memory stays within the limit however much is printed.
#[derive(Debug)]
pub(super) struct Capture {
    keep: Keep,
    kept: VecDeque<u8>,
    total: u64,
}

impl Capture {
    pub(super) fn new(keep: Keep) -> Capture {
        Capture { keep, kept: VecDeque::new(), total: 0 }
    }

    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.total += bytes.len() as u64;
        match self.keep {
            Keep::First(most) => {
                let room = most - self.kept.len();
                self.kept.extend(&bytes[..bytes.len().min(room)]);
            }
            Keep::Last(most) => {
                let bytes = &bytes[bytes.len().saturating_sub(most)..];
                let excess = (self.kept.len() + bytes.len()).saturating_sub(most);
                self.kept.drain(..excess);
                self.kept.extend(bytes);
            }
        }
    }

    pub(super) fn captured(&self) -> Captured {
        Captured { bytes: self.kept.iter().copied().collect(), total: self.total }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn keeps_exactly_the_asked_part(pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..12),
                                        most in 0usize..64) {
            let whole: Vec<u8> = pieces.concat();
            let mut first = Capture::new(Keep::First(most));
            let mut last = Capture::new(Keep::Last(most));
            for piece in &pieces {
                first.push(piece);
                last.push(piece);
            }
            let n = whole.len().min(most);
            prop_assert_eq!(first.captured(), Captured { bytes: whole[..n].to_vec(), total: whole.len() as u64 });
            prop_assert_eq!(last.captured(), Captured { bytes: whole[whole.len() - n..].to_vec(), total: whole.len() as u64 });
        }
    }

    #[test]
    fn last_words_are_safe_to_quote() {
        let captured = Captured { bytes: b"first\nport \x1b[31m9101\x07 taken\n\n".to_vec(), total: 0 };
        assert_eq!(captured.last_words().as_deref(), Some("port [31m9101 taken"));
        assert_eq!(Captured::default().last_words(), None);
    }
}
