//! A section of a file as `gimli` reads it: no more of it is read than what is looked at.

use super::bytes::Bytes;
use gimli::{Error, LittleEndian, Reader, ReaderOffsetId};
use std::borrow::Cow;

type Result<T> = gimli::Result<T>;

/// Bytes of a file from a place on.
#[derive(Clone, Copy)]
pub(super) struct Window<'a> {
    bytes: &'a Bytes,
    at: usize,
    end: usize,
    /// The first of them, which have been read; they may be none.
    ready: &'a [u8],
}

impl<'a> Window<'a> {
    /// A part of a file; what lies behind its end is left out.
    pub(super) fn new(bytes: &'a Bytes, at: usize, end: usize) -> Window<'a> {
        let end = end.min(bytes.len());
        Window { bytes, at: at.min(end), end, ready: &[] }
    }

    /// All that is left, if it can be read.
    fn all(&self) -> Result<&'a [u8]> {
        if self.ready.len() == self.end - self.at {
            return Ok(self.ready);
        }
        self.bytes.get(self.at..self.end).ok_or_else(|| self.over())
    }

    #[cold]
    fn over(&self) -> Error {
        Error::UnexpectedEof(self.offset_id())
    }

    #[inline]
    fn holds(&self, length: usize) -> Result<()> {
        if length <= self.end - self.at { Ok(()) } else { Err(self.over()) }
    }

    /// Makes so many bytes ready.
    #[cold]
    fn read(&mut self, length: usize) -> Result<()> {
        self.holds(length)?;
        self.ready = self.bytes.some(self.at, length, self.end).ok_or_else(|| self.over())?;
        Ok(())
    }

    #[inline]
    fn advance(&mut self, length: usize) {
        self.at += length;
        self.ready = self.ready.get(length..).unwrap_or_default();
    }
}

impl std::fmt::Debug for Window<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Window({}..{})", self.at, self.end)
    }
}

impl Reader for Window<'_> {
    type Endian = LittleEndian;
    type Offset = usize;

    fn endian(&self) -> LittleEndian {
        LittleEndian
    }

    #[inline]
    fn len(&self) -> usize {
        self.end - self.at
    }

    fn empty(&mut self) {
        self.end = self.at;
        self.ready = &[];
    }

    fn truncate(&mut self, length: usize) -> Result<()> {
        self.holds(length)?;
        self.end = self.at + length;
        self.ready = &self.ready[..self.ready.len().min(length)];
        Ok(())
    }

    fn offset_from(&self, base: &Self) -> usize {
        self.at.saturating_sub(base.at)
    }

    fn offset_id(&self) -> ReaderOffsetId {
        ReaderOffsetId(self.at as u64)
    }

    fn lookup_offset_id(&self, id: ReaderOffsetId) -> Option<usize> {
        let at = usize::try_from(id.0).ok()?;
        (self.at..=self.end).contains(&at).then(|| at - self.at)
    }

    fn find(&self, byte: u8) -> Result<usize> {
        let mut rest = *self;
        loop {
            if let Some(at) = rest.ready.iter().position(|b| *b == byte) {
                return Ok(rest.at + at - self.at);
            }
            rest.advance(rest.ready.len());
            rest.read(1)?;
        }
    }

    #[inline]
    fn skip(&mut self, length: usize) -> Result<()> {
        self.holds(length)?;
        self.advance(length);
        Ok(())
    }

    fn split(&mut self, length: usize) -> Result<Self> {
        let mut first = *self;
        first.truncate(length)?;
        self.advance(length);
        Ok(first)
    }

    fn to_slice(&self) -> Result<Cow<'_, [u8]>> {
        self.all().map(Cow::Borrowed)
    }

    fn to_string(&self) -> Result<Cow<'_, str>> {
        std::str::from_utf8(self.all()?).map(Cow::Borrowed).map_err(|_| Error::BadUtf8)
    }

    fn to_string_lossy(&self) -> Result<Cow<'_, str>> {
        self.all().map(String::from_utf8_lossy)
    }

    /// Most of what is read is one byte long.
    #[inline]
    fn read_u8(&mut self) -> Result<u8> {
        if self.ready.is_empty() {
            self.read(1)?;
        }
        let (byte, rest) = self.ready.split_first().ok_or_else(|| self.over())?;
        self.at += 1;
        self.ready = rest;
        Ok(*byte)
    }

    #[inline]
    fn read_slice(&mut self, buffer: &mut [u8]) -> Result<()> {
        if self.ready.len() < buffer.len() {
            self.read(buffer.len())?;
        }
        let (wanted, rest) = self.ready.split_at_checked(buffer.len()).ok_or_else(|| self.over())?;
        buffer.copy_from_slice(wanted);
        self.at += buffer.len();
        self.ready = rest;
        Ok(())
    }
}
