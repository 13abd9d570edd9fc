//! The bytes of a file that may be tens of megabytes large.
//!
//! They are read and not mapped: a file that shrinks under a mapping would kill this process. What they are read into is
//! asked for in large pages, because the kernel takes longer to find ten thousand small ones than to copy the file.

use memmap2::{Advice, MmapMut};
use std::io::{self, ErrorKind, Read};
use std::ops::Deref;

/// See the module's documentation.
pub(super) enum Bytes {
    /// Small, or made by a test.
    Heap(Vec<u8>),
    /// A file: so many bytes of the room were there to be read.
    Pages(MmapMut, usize),
}

impl Bytes {
    /// Reads up to `length` bytes.
    pub(super) fn read(file: &mut impl Read, length: usize) -> io::Result<Bytes> {
        if length == 0 {
            return Ok(Bytes::Heap(Vec::new()));
        }
        let mut room = MmapMut::map_anon(length)?;
        // Only a wish.
        let _ = room.advise(Advice::HugePage);
        let mut filled = 0;
        while filled < length {
            match file.read(&mut room[filled..]) {
                Ok(0) => break,
                Ok(read) => filled += read,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(Bytes::Pages(room, filled))
    }
}

impl Deref for Bytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Bytes::Heap(bytes) => bytes,
            Bytes::Pages(room, filled) => &room[..*filled],
        }
    }
}

impl From<Vec<u8>> for Bytes {
    fn from(bytes: Vec<u8>) -> Bytes {
        Bytes::Heap(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_there_is_read_and_no_more() {
        let text = b"0123456789";
        assert_eq!(&*Bytes::read(&mut &text[..], 10).unwrap(), text);
        assert_eq!(&*Bytes::read(&mut &text[..], 4).unwrap(), b"0123");
        assert_eq!(&*Bytes::read(&mut &text[..], 100).unwrap(), text, "a file that has shrunk");
        assert!(Bytes::read(&mut &text[..], 0).unwrap().is_empty());
    }
}
