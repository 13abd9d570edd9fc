//! An HTTP/1.1 response taken apart as its bytes arrive, in pieces of any size; no socket in sight.

/// The longest head that is read, in bytes.
const MOST_HEAD: usize = 64 << 10;
/// The most header lines that are read.
const MOST_HEADERS: usize = 128;
/// The longest line between chunks, in bytes.
const MOST_CHUNK_LINE: usize = 4 << 10;
/// The largest body that is kept, in bytes; a larger one is only counted.
pub(super) const MOST_KEPT: usize = 4 << 20;

/// A response, as far as it has arrived.
#[derive(Debug)]
pub(super) struct Response {
    pub(super) status: Option<u16>,
    pub(super) content_type: Option<String>,
    pub(super) headers: Vec<(String, String)>,
    pub(super) location: Option<String>,
    /// Bytes of body, after dechunking.
    pub(super) bytes: u64,
    state: State,
    /// The head, or the line between chunks, as far as it has arrived.
    line: Vec<u8>,
    kept: Option<Vec<u8>>,
    most_bytes: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Head,
    /// A body of known length.
    Sized {
        left: u64,
        of: u64,
    },
    /// A body that ends with the connection.
    UntilClose,
    /// Before a chunk: its size.
    ChunkSize,
    Chunk {
        left: u64,
    },
    /// Behind a chunk: an empty line.
    ChunkEnd,
    /// Behind the last chunk: header lines up to an empty one.
    Trailer,
    Complete,
}

impl Response {
    /// `keep`: whether the body is kept (up to [`MOST_KEPT`]); `most_bytes`: the body at which one gives up.
    pub(super) fn new(keep: bool, most_bytes: u64) -> Response {
        Response {
            status: None,
            content_type: None,
            headers: Vec::new(),
            location: None,
            bytes: 0,
            state: State::Head,
            line: Vec::new(),
            kept: keep.then(Vec::new),
            most_bytes,
        }
    }

    pub(super) fn is_complete(&self) -> bool {
        self.state == State::Complete
    }

    /// Takes the next bytes; what comes behind a complete response is ignored.
    ///
    /// # Errors
    /// What is wrong, in words, if this is no HTTP.
    pub(super) fn feed(&mut self, mut bytes: &[u8]) -> Result<(), String> {
        while !bytes.is_empty() && self.state != State::Complete {
            let used = match self.state {
                State::Head => self.head(bytes)?,
                State::Sized { left, of } => {
                    let (used, left) = self.body(bytes, left)?;
                    self.state = if left == 0 { State::Complete } else { State::Sized { left, of } };
                    used
                }
                State::UntilClose => self.body(bytes, u64::MAX)?.0,
                State::Chunk { left } => {
                    let (used, left) = self.body(bytes, left)?;
                    self.state = if left == 0 { State::ChunkEnd } else { State::Chunk { left } };
                    used
                }
                State::ChunkSize | State::ChunkEnd | State::Trailer => self.chunk_line(bytes)?,
                State::Complete => bytes.len(),
            };
            bytes = &bytes[used..];
        }
        Ok(())
    }

    /// The peer has closed: whether that completes the response.
    ///
    /// # Errors
    /// What had arrived by then, in words.
    pub(super) fn close(&mut self) -> Result<(), String> {
        match self.state {
            State::Complete => Ok(()),
            State::UntilClose => {
                self.state = State::Complete;
                Ok(())
            }
            _ => Err(self.so_far()),
        }
    }

    /// What has arrived, in words.
    pub(super) fn so_far(&self) -> String {
        match self.state {
            State::Head if self.line.is_empty() => "no byte of an answer had arrived".into(),
            State::Head => format!("{} bytes of the head had arrived", self.line.len()),
            State::Sized { of, .. } => format!("{} of {of} bytes of body had arrived", self.bytes),
            State::Complete => format!("the answer was complete ({} bytes of body)", self.bytes),
            _ => format!("{} bytes of a body without its end had arrived", self.bytes),
        }
    }

    /// The kept body if it is complete and text.
    pub(super) fn into_body(self) -> Option<String> {
        if self.state == State::Complete { self.kept.and_then(|body| String::from_utf8(body).ok()) } else { None }
    }

    /// Takes body bytes, at most `left`; how many, and how many are then left.
    fn body(&mut self, bytes: &[u8], left: u64) -> Result<(usize, u64), String> {
        let used = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
        self.bytes += used as u64;
        if self.bytes > self.most_bytes {
            return Err(format!("the body is larger than {} bytes, the most that is read", self.most_bytes));
        }
        if let Some(kept) = &mut self.kept {
            kept.extend_from_slice(&bytes[..used]);
        }
        if self.kept.as_ref().is_some_and(|kept| kept.len() > MOST_KEPT) {
            self.kept = None;
        }
        Ok((used, left - used as u64))
    }

    /// Takes bytes of the head; how many.
    fn head(&mut self, bytes: &[u8]) -> Result<usize, String> {
        let before = self.line.len();
        let room = MOST_HEAD - before;
        self.line.extend_from_slice(&bytes[..bytes.len().min(room)]);
        let known = self.line.len().min(5);
        if self.line[..known] != b"HTTP/"[..known] {
            // An alert of TLS.
            if self.line.starts_with(&[0x15, 3]) {
                return Err("it answers in TLS: the port wants https://".to_string());
            }
            return Err(format!(
                "it begins with \"{}\", not with HTTP/",
                self.line[..self.line.len().min(24)].escape_ascii()
            ));
        }
        let Some(end) = head_end(&self.line, before) else {
            return if self.line.len() >= MOST_HEAD {
                Err(format!("its head is longer than {MOST_HEAD} bytes"))
            } else {
                Ok(bytes.len())
            };
        };
        let head = self.line[..end].to_vec();
        self.line.clear();
        self.parse_head(&head)?;
        Ok(end - before)
    }

    fn parse_head(&mut self, head: &[u8]) -> Result<(), String> {
        let mut headers = [httparse::EMPTY_HEADER; MOST_HEADERS];
        let mut parsed = httparse::Response::new(&mut headers);
        match parsed.parse(head) {
            Ok(httparse::Status::Complete(_)) => {}
            Ok(httparse::Status::Partial) => return Err("its head is incomplete".into()),
            Err(httparse::Error::TooManyHeaders) => return Err(format!("its head has more than {MOST_HEADERS} lines")),
            Err(e) => return Err(format!("its head cannot be parsed: {e}")),
        }
        let status = parsed.code.unwrap_or(0);
        // Interim answers (100 Continue, 103 Early Hints) come before the answer.
        if (100..200).contains(&status) && status != 101 {
            return Ok(());
        }
        self.status = Some(status);
        let mut length = None;
        let mut chunked = false;
        for header in parsed.headers.iter() {
            let name = header.name.to_ascii_lowercase();
            let value = String::from_utf8_lossy(header.value).trim().to_string();
            match name.as_str() {
                "content-type" => self.content_type = Some(value),
                "content-length" => {
                    let digits = !value.is_empty() && value.bytes().all(|b| b.is_ascii_digit());
                    let given = value.parse::<u64>().ok().filter(|_| digits);
                    let given = given.ok_or_else(|| format!("its Content-Length is \"{}\"", value.escape_debug()))?;
                    if length.is_some_and(|other| other != given) {
                        return Err("it has two different Content-Lengths".into());
                    }
                    length = Some(given);
                }
                "transfer-encoding" => {
                    let last = value.rsplit(',').next().unwrap_or_default().trim().to_ascii_lowercase();
                    if last != "chunked" {
                        return Err(format!("its Transfer-Encoding is \"{}\"", value.escape_debug()));
                    }
                    chunked = true;
                }
                "location" => self.location = Some(value),
                "warning" | "retry-after" | "content-encoding" => self.headers.push((name, value)),
                _ if name.starts_with("x-gatherlock-") => self.headers.push((name, value)),
                _ => {}
            }
        }
        self.state = match (status, chunked, length) {
            (204 | 304, ..) | (_, false, Some(0)) => State::Complete,
            (_, true, _) => State::ChunkSize,
            (_, false, Some(of)) => State::Sized { left: of, of },
            (_, false, None) => State::UntilClose,
        };
        Ok(())
    }

    /// Takes bytes of a line that belongs to the chunked coding; how many.
    fn chunk_line(&mut self, bytes: &[u8]) -> Result<usize, String> {
        let end = bytes.iter().position(|&b| b == b'\n');
        let used = end.map_or(bytes.len(), |end| end + 1);
        if self.line.len() + used > MOST_CHUNK_LINE {
            return Err(format!("a line between its chunks is longer than {MOST_CHUNK_LINE} bytes"));
        }
        self.line.extend_from_slice(&bytes[..used]);
        if end.is_none() {
            return Ok(used);
        }
        let line = std::mem::take(&mut self.line);
        let empty = matches!(line.as_slice(), b"\r\n" | b"\n");
        self.state = match self.state {
            State::ChunkSize => match httparse::parse_chunk_size(&line) {
                Ok(httparse::Status::Complete((_, 0))) => State::Trailer,
                Ok(httparse::Status::Complete((_, left))) => State::Chunk { left },
                _ => return Err(format!("\"{}\" is no chunk size", line[..line.len().min(24)].escape_ascii())),
            },
            State::ChunkEnd if empty => State::ChunkSize,
            State::ChunkEnd => return Err("a chunk is longer than its size".into()),
            State::Trailer if empty => State::Complete,
            other => other,
        };
        Ok(used)
    }
}

/// Where the head ends, behind its empty line; `before` bytes have been searched already.
fn head_end(head: &[u8], before: usize) -> Option<usize> {
    let from = before.saturating_sub(3);
    (from..head.len())
        .find(|&i| head[i] == b'\n' && (head[..i].ends_with(b"\n\r") || head[..i].ends_with(b"\n")))
        .map(|i| i + 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Feeds `bytes` cut at `pieces`: whether it was HTTP, whether it was complete, and the body.
    fn fed(bytes: &[u8], pieces: &[usize]) -> (bool, bool, u64, Option<String>) {
        let mut response = Response::new(true, 1 << 20);
        let mut rest = bytes;
        for piece in pieces.iter().copied().chain([usize::MAX]) {
            let (now, later) = rest.split_at(piece.min(rest.len()));
            if response.feed(now).is_err() {
                return (false, false, 0, None);
            }
            rest = later;
        }
        let complete = response.close().is_ok();
        (true, complete, response.bytes, response.into_body())
    }

    fn chunked(chunks: &[String]) -> Vec<u8> {
        let mut bytes = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
        for chunk in chunks {
            bytes.extend(format!("{:X}\r\n{chunk}\r\n", chunk.len()).into_bytes());
        }
        bytes.extend(b"0\r\n\r\n");
        bytes
    }

    proptest! {
        #[test]
        fn a_chunked_body_is_put_together_however_it_arrives(chunks in prop::collection::vec("[a-z\n\u{e4}]{1,20}", 0..6),
                                                             pieces in prop::collection::vec(0usize..12, 0..60)) {
            let body = chunks.concat();
            prop_assert_eq!(fed(&chunked(&chunks), &pieces), (true, true, body.len() as u64, Some(body)));
        }

        #[test]
        fn a_chunked_body_cut_anywhere_is_incomplete(chunks in prop::collection::vec("[a-z]{1,20}", 0..4), cut in any::<prop::sample::Index>()) {
            let bytes = chunked(&chunks);
            let (http, complete, _, body) = fed(&bytes[..cut.index(bytes.len())], &[]);
            prop_assert_eq!((http, complete, body), (true, false, None));
        }

        #[test]
        fn how_the_bytes_are_cut_changes_nothing(head in "HTTP/1.[01] 20[04] OK\r?\n(Content-Length: [0-9]{1,2}\r?\n|Transfer-Encoding: chunked\r\n)?\r?\n",
                                                 rest in prop::collection::vec(prop_oneof![Just(b'\r'), Just(b'\n'), Just(b'3'), Just(b'0'), any::<u8>()], 0..60),
                                                 pieces in prop::collection::vec(0usize..12, 0..40)) {
            let bytes = [head.as_bytes(), &rest].concat();
            prop_assert_eq!(fed(&bytes, &pieces), fed(&bytes, &[]));
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), http in any::<bool>()) {
            let bytes = if http { [b"HTTP/1.1 ", bytes.as_slice()].concat() } else { bytes };
            fed(&bytes, &[]);
        }
    }
}
