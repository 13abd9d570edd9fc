//! One gzip stream from pieces that were compressed apart: each group's thread compresses its own page, once for all
//! scrapes, and an answer only strings the pieces together.

use crate::format::Format;
use bytes::Bytes;
use flate2::{Compress, Compression, Crc, FlushCompress};
use std::sync::atomic::{AtomicBool, Ordering};

/// A raw deflate stream that ends at a byte boundary and is not final, with the checksum of what it holds.
pub(crate) struct Pieces {
    deflated: Bytes,
    crc: Crc,
}

/// A page's body in the formats that answers are written in.
pub(crate) struct Compressed {
    text: Option<Pieces>,
    open: Option<Pieces>,
}

impl Compressed {
    /// Of a body, and of the same as text if it is OpenMetrics: that in the formats that are wanted, or in both as long as
    /// none is known to be.
    pub(crate) fn of(wanted: &Wanted, body: &[u8], as_text: Option<&Bytes>) -> Compressed {
        match as_text {
            None => Compressed { text: compress(body), open: None },
            Some(text) => {
                let [in_text, in_open] = [&wanted.text, &wanted.open].map(|flag| flag.load(Ordering::Relaxed));
                let none = !in_text && !in_open;
                Compressed {
                    text: (in_text || none).then(|| compress(text)).flatten(),
                    open: (in_open || none).then(|| compress(body)).flatten(),
                }
            }
        }
    }

    pub(crate) fn in_format(&self, format: Format) -> Option<&Pieces> {
        match format {
            Format::Text => self.text.as_ref(),
            Format::OpenMetrics => self.open.as_ref(),
        }
    }
}

/// In which formats compressed answers have been written.
#[derive(Default)]
pub(crate) struct Wanted {
    text: AtomicBool,
    open: AtomicBool,
}

impl Wanted {
    pub(crate) fn note(&self, format: Format) {
        let flag = match format {
            Format::Text => &self.text,
            Format::OpenMetrics => &self.open,
        };
        flag.store(true, Ordering::Relaxed);
    }
}

/// A header without name and time, from an unknown system.
const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
/// The most that a stored block holds.
const STORED: usize = 0xffff;

/// Compresses a body, or nothing if the compressor fails, which it does not with memory to spare.
pub(crate) fn compress(body: &[u8]) -> Option<Pieces> {
    let mut deflated = Vec::with_capacity(body.len() / 6 + 128);
    let mut compressor = Compress::new(Compression::fast(), false);
    loop {
        let done = usize::try_from(compressor.total_in()).ok()?;
        let room = deflated.capacity() - deflated.len();
        compressor.compress_vec(&body[done..], &mut deflated, FlushCompress::Sync).ok()?;
        // Room left over means that there was nothing more to write.
        if usize::try_from(compressor.total_in()).ok()? == body.len() && deflated.len() < deflated.capacity() {
            break;
        }
        deflated.reserve(room.max(4096));
    }
    let mut crc = Crc::new();
    crc.update(body);
    Some(Pieces { deflated: Bytes::from(deflated), crc })
}

/// A whole gzip stream of the pieces and a short tail, which is stored as it is.
pub(crate) fn string_together<'a>(pieces: impl IntoIterator<Item = &'a Pieces>, tail: &[u8]) -> Vec<Bytes> {
    let mut crc = Crc::new();
    let mut chunks = vec![Bytes::from_static(&HEADER)];
    for piece in pieces {
        crc.combine(&piece.crc);
        chunks.push(piece.deflated.clone());
    }
    crc.update(tail);
    let mut end = Vec::with_capacity(tail.len() + 32);
    let mut rest = tail;
    loop {
        let (block, after) = rest.split_at(rest.len().min(STORED));
        let length = u16::try_from(block.len()).unwrap_or(u16::MAX);
        end.push(u8::from(after.is_empty()));
        end.extend_from_slice(&length.to_le_bytes());
        end.extend_from_slice(&(!length).to_le_bytes());
        end.extend_from_slice(block);
        rest = after;
        if rest.is_empty() {
            break;
        }
    }
    end.extend_from_slice(&crc.sum().to_le_bytes());
    end.extend_from_slice(&crc.amount().to_le_bytes());
    chunks.push(Bytes::from(end));
    chunks
}

#[cfg(test)]
mod tests {
    use super::{compress, string_together};
    use proptest::prelude::*;
    use std::io::Read;

    proptest! {
        #[test]
        fn the_stream_is_one_member_that_holds_everything(
            bodies in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..5000), 0..4),
            repeat in 1_usize..40,
            tail in proptest::collection::vec(any::<u8>(), 0..200),
            long in any::<bool>(),
        ) {
            let bodies: Vec<Vec<u8>> = bodies.into_iter().map(|body| body.repeat(repeat)).collect();
            let tail = if long { tail.repeat(1000) } else { tail };
            let pieces: Vec<_> = bodies.iter().map(|body| compress(body).unwrap()).collect();
            let stream = string_together(&pieces, &tail).concat();
            let mut out = Vec::new();
            // Reads one member only, and checks its checksum and length.
            flate2::bufread::GzDecoder::new(&stream[..]).read_to_end(&mut out).unwrap();
            prop_assert_eq!(out, [bodies.concat(), tail].concat());
        }
    }
}
