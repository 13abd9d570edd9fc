//! One connection of the listener: one request, one answer, an end to everything.

use crate::accept::joined;
use crate::answer::{Answer, Request};
use crate::endpoint::Endpoint;
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

/// What a peer may cost.
pub(crate) struct Limits {
    /// Until the whole head of the request is there.
    pub(crate) head: Duration,
    /// For the whole answer to be taken.
    pub(crate) body: Duration,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits { head: Duration::from_secs(5), body: Duration::from_secs(30) }
    }
}

/// The longest head; Prometheus sends about 600 bytes.
const HEAD: usize = 8192;
const HEADERS: usize = 64;

/// Reads a request and answers it. What goes wrong with the peer is the peer's to see.
pub(crate) fn serve(mut stream: TcpStream, endpoint: &Endpoint, limits: Limits) {
    let mut head = Vec::new();
    let answer = match read_head(&mut stream, &mut head, limits.head) {
        Ok(()) => respond(&head, endpoint),
        Err(Unread::TooLong) => plain(431, "the head of the request is longer than 8 KiB\n"),
        Err(Unread::TooSlow) => plain(408, "the head of the request took longer than 5 s\n"),
        Err(Unread::Gone) => return,
    };
    let _gone = write(&mut stream, &answer, limits.body).and_then(|()| finish(&mut stream));
}

/// Answers a connection too many, without waiting for anything it says, and returns it if it is worth keeping for a while.
pub(crate) fn turn_away(mut stream: TcpStream) -> Option<TcpStream> {
    let answer = plain(503, "no metrics: 64 connections are being answered already\n");
    // What does not fit into the socket's buffer at once is not worth waiting for.
    let sent = stream.set_nonblocking(true).and_then(|()| stream.write_all(&bytes(&answer)));
    sent.and_then(|()| stream.shutdown(Shutdown::Write)).ok().map(|()| stream)
}

/// Lets go of a connection that was turned away: a request that is there unread would reset it, and the peer lose the
/// answer.
pub(crate) fn let_go(mut stream: TcpStream) {
    let _rest = stream.read(&mut [0_u8; HEAD]);
}

enum Unread {
    TooLong,
    TooSlow,
    Gone,
}

/// Reads up to the empty line, whatever arrives in whatever pieces.
fn read_head(stream: &mut TcpStream, head: &mut Vec<u8>, limit: Duration) -> Result<(), Unread> {
    let end = Instant::now() + limit;
    let mut chunk = [0_u8; 2048];
    loop {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(Unread::TooSlow);
        }
        stream.set_read_timeout(Some(left)).map_err(|_| Unread::Gone)?;
        match stream.read(&mut chunk) {
            Ok(0) => return Err(Unread::Gone),
            Ok(count) => {
                let seen = head.len().saturating_sub(3);
                head.extend_from_slice(&chunk[..count]);
                if head.len() > HEAD {
                    return Err(Unread::TooLong);
                }
                if head[seen..].windows(4).any(|window| window == b"\r\n\r\n") {
                    return Ok(());
                }
            }
            Err(error) => match error.kind() {
                io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::Interrupted => {}
                _ => return Err(Unread::Gone),
            },
        }
    }
}

fn respond(head: &[u8], endpoint: &Endpoint) -> Answer {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS];
    let mut request = httparse::Request::new(&mut headers);
    match request.parse(head) {
        Ok(httparse::Status::Complete(_)) => {}
        Err(httparse::Error::TooManyHeaders) => return plain(431, "the request has more than 64 header lines\n"),
        Ok(httparse::Status::Partial) | Err(_) => return plain(400, "this is no HTTP/1 request\n"),
    }
    let method = request.method.unwrap_or("");
    // The answer to HEAD is that to GET without its body.
    let refused = |status, text| {
        let mut answer = plain(status, text);
        if method == "HEAD" {
            answer.body.clear();
        }
        answer
    };
    let lines = |name: &'static str| {
        let named = request.headers.iter().filter(move |header| header.name.eq_ignore_ascii_case(name));
        named.filter_map(|header| std::str::from_utf8(header.value).ok())
    };
    let text = |name| lines(name).next();
    if path(request.path.unwrap_or("")) != "/metrics" {
        return refused(404, "the metrics are at /metrics\n");
    }
    let has_body =
        || text("transfer-encoding").is_some() || text("content-length").is_some_and(|length| length.trim() != "0");
    if matches!(method, "GET" | "HEAD") && has_body() {
        return refused(413, "a scrape has no body\n");
    }
    endpoint.answer(&Request {
        method,
        accept: joined(lines("accept")).as_deref(),
        accept_encoding: joined(lines("accept-encoding")).as_deref(),
        scrape_timeout: text("x-prometheus-scrape-timeout-seconds"),
    })
}

/// The path of a request's target, which may be a whole URL (RFC 9112, 3.2.2).
fn path(target: &str) -> &str {
    let behind_scheme = ["http://", "https://"].iter().find_map(|scheme| {
        let (start, rest) = target.split_at_checked(scheme.len())?;
        start.eq_ignore_ascii_case(scheme).then_some(rest)
    });
    let path = match behind_scheme {
        Some(rest) => rest.find('/').map_or("/", |at| &rest[at..]),
        None => target,
    };
    path.split_once('?').map_or(path, |(path, _)| path)
}

fn plain(status: u16, text: &'static str) -> Answer {
    let headers =
        vec![("content-type", "text/plain; charset=utf-8".to_string()), ("content-length", text.len().to_string())];
    Answer { status, headers, body: vec![text.into()] }
}

fn head_of(answer: &Answer) -> String {
    let reason = match answer.status {
        200 => "OK",
        400 => "Bad Request",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        413 => "Content Too Large",
        431 => "Request Header Fields Too Large",
        _ => "Service Unavailable",
    };
    let mut head = format!("HTTP/1.1 {} {reason}\r\nconnection: close\r\n", answer.status);
    for (name, value) in &answer.headers {
        head.extend([name, ": ", value.as_str(), "\r\n"]);
    }
    head + "\r\n"
}

fn bytes(answer: &Answer) -> Vec<u8> {
    [head_of(answer).into_bytes(), answer.to_bytes()].concat()
}

/// Writes the answer; a reader that has not taken it in time is left.
fn write(stream: &mut TcpStream, answer: &Answer, limit: Duration) -> io::Result<()> {
    let end = Instant::now() + limit;
    let head = head_of(answer);
    let pieces = std::iter::once(head.as_bytes()).chain(answer.body.iter().map(|piece| &piece[..]));
    for mut piece in pieces {
        while !piece.is_empty() {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(io::ErrorKind::TimedOut.into());
            }
            stream.set_write_timeout(Some(left))?;
            match stream.write(piece) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => piece = &piece[count..],
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
    Ok(())
}

/// Closes our side and reads what is left of the peer's: a socket that is closed with unread bytes in it resets the
/// connection, and the peer may lose the answer.
fn finish(stream: &mut TcpStream) -> io::Result<()> {
    stream.shutdown(Shutdown::Write)?;
    stream.set_read_timeout(Some(Duration::from_millis(500)))?;
    let mut rest = [0_u8; 2048];
    for _ in 0..16 {
        if stream.read(&mut rest)? == 0 {
            break;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{Limits, serve};
    use crate::endpoint::Endpoint;
    use std::convert::Infallible;
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};
    use std::time::Duration;

    const SHORT: Limits = Limits { head: Duration::from_millis(100), body: Duration::from_millis(100) };

    /// Serves one connection with short limits; the peer does as `peer` says. Returns when the connection is done with.
    fn one(body: &'static str, times: usize, peer: impl FnOnce(&mut TcpStream)) -> TcpStream {
        let endpoint = Endpoint::new(move || Ok::<_, Infallible>(body.repeat(times))).expect("threads");
        let socket = TcpListener::bind("127.0.0.1:0").expect("a port");
        let mut stream = TcpStream::connect(socket.local_addr().expect("its address")).expect("it listens");
        peer(&mut stream);
        let (accepted, _) = socket.accept().expect("it is there");
        serve(accepted, &endpoint, SHORT);
        stream
    }

    #[test]
    fn a_request_that_never_ends_is_told_so() {
        let mut stream = one("up 1\n", 1, |stream| stream.write_all(b"GET /metrics HTTP/1.1\r\nHost:").expect("sent"));
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        assert!(answer.starts_with("HTTP/1.1 408 Request Timeout\r\n"), "{answer}");
    }

    /// The status line and what follows the head.
    fn answer_to(request: &str) -> (String, String) {
        let mut stream = one("up 1\n", 1, |stream| stream.write_all(request.as_bytes()).expect("sent"));
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
        (head.lines().next().expect("a status").to_string(), body.to_string())
    }

    #[test]
    fn what_is_refused_is_refused_as_http_says() {
        let headers = |count| "X: y\r\n".repeat(count);
        let cases = [
            ("GET http://localhost:9101/metrics HTTP/1.1\r\n\r\n".to_string(), "200 OK", true),
            ("GET HTTPS://x/metrics?a=b HTTP/1.1\r\n\r\n".to_string(), "200 OK", true),
            ("GET http://x HTTP/1.1\r\n\r\n".to_string(), "404 Not Found", true),
            ("GET /metrics HTTP/1.1\r\nContent-Length: 1\r\n\r\nx".to_string(), "413 Content Too Large", true),
            ("POST /metrics HTTP/1.1\r\nContent-Length: 1\r\n\r\nx".to_string(), "405 Method Not Allowed", true),
            ("HEAD /metrics HTTP/1.1\r\n\r\n".to_string(), "200 OK", false),
            ("HEAD /x HTTP/1.1\r\n\r\n".to_string(), "404 Not Found", false),
            ("HEAD /metrics HTTP/1.1\r\nContent-Length: 1\r\n\r\nx".to_string(), "413 Content Too Large", false),
            (format!("GET /metrics HTTP/1.1\r\n{}\r\n", headers(64)), "200 OK", true),
            (format!("GET /metrics HTTP/1.1\r\n{}\r\n", headers(65)), "431 Request Header Fields Too Large", true),
            ("GET\r\n\r\n".to_string(), "400 Bad Request", true),
        ];
        for (request, status, has_body) in cases {
            let (line, body) = answer_to(&request);
            assert_eq!((line, !body.is_empty()), (format!("HTTP/1.1 {status}"), has_body), "{request}");
        }
    }

    #[test]
    fn a_reader_that_takes_nothing_is_left_at_the_limit() {
        // Fits into no socket's buffers, so it ends only because there is an end to everything.
        let request = b"GET /metrics HTTP/1.1\r\n\r\n";
        drop(one("requests_total 1\n", 4 << 20, |stream| stream.write_all(request).expect("sent")));
    }
}
