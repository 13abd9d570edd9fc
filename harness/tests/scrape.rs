//! Scrapes of servers that misbehave in every way a server can.

use gatherlock::model::{Exchange, ExchangeError};
use gatherlock::probe::scrape::{ScrapeRequest, Scraper, scrape};
use gatherlock::probe::{HttpUrl, health};
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::mpsc::channel;
use std::thread::JoinHandle;
use std::time::Duration;

/// Long enough for the slowest machine; a scrape that runs into it has failed its test.
const PATIENCE: Duration = Duration::from_secs(60);
/// For scrapes that are meant to run into it: nothing depends on its length.
const SHORT: Duration = Duration::from_millis(50);

/// A server that does `act` with one connection; the thread gives back what `act` does.
fn server<T: Send + 'static>(act: impl FnOnce(TcpStream) -> T + Send + 'static) -> (HttpUrl, JoinHandle<T>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/metrics", listener.local_addr().unwrap()).parse().unwrap();
    (url, std::thread::spawn(move || act(listener.accept().unwrap().0)))
}

/// Reads the request up to its empty line.
fn read_request(stream: &mut TcpStream) -> String {
    let mut request = Vec::new();
    let mut byte = [0];
    while !request.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).unwrap();
        request.push(byte[0]);
    }
    String::from_utf8(request).unwrap()
}

/// The exchange with a server that reads the request, sends `answer` and closes.
fn answered_with(answer: &'static [u8]) -> Exchange {
    let (url, server) = server(move |mut stream| {
        read_request(&mut stream);
        // The peer may have given up before the end, which is what some tests are about.
        let _ = stream.write_all(answer);
    });
    let exchange = scrape(&ScrapeRequest::new(url, PATIENCE)).unwrap();
    server.join().unwrap();
    exchange
}

/// The exchange with a server that reads the request, sends `answer` and then nothing until the client goes away.
fn left_hanging_after(answer: &'static [u8]) -> Exchange {
    let (url, server) = server(move |mut stream| {
        read_request(&mut stream);
        stream.write_all(answer).unwrap();
        // The client closes, and not before the hang limit.
        stream.read(&mut [0]).unwrap()
    });
    let exchange = scrape(&ScrapeRequest::new(url, SHORT)).unwrap();
    assert_eq!(server.join().unwrap(), 0);
    assert!(exchange.total_us >= SHORT.as_micros() as u64, "the connection is kept open to the hang limit");
    assert_eq!(exchange.error, Some(ExchangeError::HangLimit));
    assert!(exchange.connected_us.is_some() && exchange.sent_us.is_some());
    exchange
}

#[test]
fn an_answer_is_taken_with_its_phases() {
    let (url, server) = server(|mut stream| {
        let request = read_request(&mut stream);
        stream
            .write_all(
                b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/plain; version=0.0.4\r\nRetry-After: 1\r\n\
                  X-Gatherlock-Reason: stuck\r\nServer: x\r\nWarning: 110 - stale\r\nContent-Length: 5\r\n\r\nup 1\nignored",
            )
            .unwrap();
        request
    });
    let authority = url.authority();
    let request = ScrapeRequest::new(url, PATIENCE).bounded(Duration::from_millis(1500));
    let exchange = scrape(&request).unwrap();
    let request = server.join().unwrap();
    let expected = format!(
        "GET /metrics HTTP/1.1\r\nHost: {authority}\r\nUser-Agent: gatherlock/0.1.0\r\n\
         Accept: text/plain;version=0.0.4;q=0.9,*/*;q=0.1\r\nAccept-Encoding: identity\r\n\
         X-Prometheus-Scrape-Timeout-Seconds: 1.5\r\nConnection: close\r\n\r\n"
    );
    assert_eq!(request, expected);
    assert_eq!(exchange.error, None);
    assert_eq!(exchange.status, Some(503));
    assert_eq!(exchange.content_type.as_deref(), Some("text/plain; version=0.0.4"));
    assert_eq!((exchange.bytes, exchange.body.as_deref()), (5, Some("up 1\n")));
    let headers: Vec<(&str, &str)> = exchange.headers.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
    assert_eq!(headers, [("retry-after", "1"), ("x-gatherlock-reason", "stuck"), ("warning", "110 - stale")]);
    let phases = [exchange.connected_us, exchange.sent_us, exchange.first_byte_us, Some(exchange.total_us)];
    assert!(phases.iter().all(Option::is_some) && phases.is_sorted(), "{phases:?}");
}

#[test]
fn a_server_that_never_answers() {
    let exchange = left_hanging_after(b"");
    assert_eq!((exchange.first_byte_us, exchange.status, exchange.bytes), (None, None, 0));
}

#[test]
fn a_server_that_sends_half_a_head_and_hangs() {
    let exchange = left_hanging_after(b"HTTP/1.1 200 OK\r\nContent-");
    assert!(exchange.first_byte_us.is_some());
    assert_eq!(exchange.status, None);
}

#[test]
fn a_server_that_sends_half_a_body_and_hangs() {
    let exchange = left_hanging_after(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf");
    assert_eq!((exchange.status, exchange.bytes, exchange.body), (Some(200), 4, None));
}

#[test]
fn a_chunked_body_without_its_end() {
    let exchange = left_hanging_after(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n");
    assert_eq!((exchange.status, exchange.bytes, exchange.body), (Some(200), 4, None));
}

#[test]
fn a_server_that_closes_at_once_or_in_between() {
    for (answer, so_far) in [
        (&b""[..], "no byte of an answer had arrived"),
        (b"HTTP/1.1 200", "12 bytes of the head had arrived"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf", "4 of 10 bytes of body had arrived"),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nhal",
            "3 bytes of a body without its end had arrived",
        ),
    ] {
        let reason = format!("the peer closed the connection: {so_far}");
        assert_eq!(answered_with(answer).error, Some(ExchangeError::Closed { reason }));
    }
}

#[test]
fn a_server_that_resets() {
    let (url, server) = server(|stream| {
        // With the request unread, closing sends a reset.
        stream.peek(&mut [0]).unwrap();
        drop(stream);
    });
    let exchange = scrape(&ScrapeRequest::new(url, PATIENCE)).unwrap();
    server.join().unwrap();
    let Some(ExchangeError::Closed { reason }) = &exchange.error else { panic!("{exchange:?}") };
    assert!(reason.contains("no byte of an answer had arrived"), "{reason}");
    assert!(exchange.connected_us.is_some());
}

#[test]
fn a_port_that_nobody_listens_on() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url: HttpUrl = format!("http://{}/metrics", listener.local_addr().unwrap()).parse().unwrap();
    drop(listener);
    let exchange = scrape(&ScrapeRequest::new(url, PATIENCE)).unwrap();
    let Some(ExchangeError::Unreachable { reason }) = &exchange.error else { panic!("{exchange:?}") };
    assert!(reason.contains("refused"), "{reason}");
    assert_eq!(exchange.connected_us, None);
}

#[test]
fn a_name_with_several_addresses_is_tried_to_the_end() {
    // `localhost` may be ::1 first; this listens on the other one only.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://localhost:{}/", listener.local_addr().unwrap().port()).parse().unwrap();
    let server = std::thread::spawn(move || {
        let mut stream = listener.accept().unwrap().0;
        read_request(&mut stream);
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").unwrap();
    });
    let exchange = scrape(&ScrapeRequest::new(url, PATIENCE)).unwrap();
    server.join().unwrap();
    assert_eq!((exchange.error, exchange.status), (None, Some(200)));
}

#[test]
fn a_host_that_does_not_exist_is_no_exchange() {
    let url = "http://does-not-exist.invalid/metrics".parse().unwrap();
    let error = scrape(&ScrapeRequest::new(url, PATIENCE)).unwrap_err();
    assert!(error.to_string().contains("`does-not-exist.invalid`"), "{error}");
}

#[test]
fn what_is_no_http_is_malformed() {
    for (answer, problem) in [
        (&b"SSH-2.0-OpenSSH_9.2\r\n"[..], "it begins with \"SSH-2.0"),
        (b"\x16\x03\x01", r#"it begins with "\x16\x03\x01""#),
        (b"HTTP/1.1 abc\r\n\r\n", "its head cannot be parsed"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", "its Content-Length is \"-1\""),
        (b"HTTP/1.1 200 OK\r\nContent-Length: +1\r\n\r\n", "its Content-Length is \"+1\""),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", "two different Content-Lengths"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n", "its Transfer-Encoding is \"gzip\""),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", r#""zz\r\n" is no chunk size"#),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n", "a chunk is longer than its size"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n", "is no chunk size"),
    ] {
        let Some(ExchangeError::Malformed { reason }) = answered_with(answer).error else { panic!("{problem}") };
        assert!(reason.contains(problem), "{reason}");
    }
}

#[test]
fn huge_heads_are_refused() {
    let answer: &'static [u8] =
        Box::leak(format!("HTTP/1.1 200 OK\r\nX: {}\r\n\r\n", "x".repeat(1 << 20)).into_bytes().into());
    let Some(ExchangeError::Malformed { reason }) = answered_with(answer).error else { panic!() };
    assert_eq!(reason, "its head is longer than 65536 bytes");

    let answer = format!("HTTP/1.1 200 OK\r\n{}\r\n", "X: y\r\n".repeat(1000)).into_bytes();
    let Some(ExchangeError::Malformed { reason }) = answered_with(Box::leak(answer.into())).error else { panic!() };
    assert_eq!(reason, "its head has more than 128 lines");
}

#[test]
fn every_way_to_end_a_body() {
    for answer in [
        &b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nup 1\n"[..],
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nup 1\n",
        b"HTTP/1.0 200 OK\r\n\r\nup 1\n",
        b"HTTP/1.1 200 OK\nContent-Length: 5\n\nup 1\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nup\r\n3;ext=1\r\n 1\n\r\n0\r\nTrailer: x\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nup 1\n",
    ] {
        let exchange = answered_with(answer);
        assert_eq!((exchange.error, exchange.status), (None, Some(200)));
        assert_eq!((exchange.bytes, exchange.body.as_deref()), (5, Some("up 1\n")), "{}", answer.escape_ascii());
    }
    let nothing = answered_with(b"HTTP/1.1 204 No Content\r\n\r\n");
    assert_eq!((nothing.error, nothing.bytes, nothing.body.as_deref()), (None, 0, Some("")));
}

#[test]
fn one_byte_at_a_time() {
    let (url, server) = server(|mut stream| {
        stream.set_nodelay(true).unwrap();
        read_request(&mut stream);
        for byte in b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nup\r\n3\r\n 1\n\r\n0\r\n\r\n" {
            stream.write_all(&[*byte]).unwrap();
        }
    });
    let exchange = scrape(&ScrapeRequest::new(url, PATIENCE)).unwrap();
    server.join().unwrap();
    assert_eq!((exchange.error, exchange.body.as_deref()), (None, Some("up 1\n")));
}

#[test]
fn bodies_that_are_no_text_or_too_large_are_counted_only() {
    let exchange = answered_with(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n\xff\xfe\xfd");
    assert_eq!((exchange.error, exchange.bytes, exchange.body), (None, 3, None));

    let body = 5 << 20;
    let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {body}\r\n\r\n{}", "x".repeat(body)).into_bytes();
    let answer: &'static [u8] = Box::leak(answer.into());
    let exchange = answered_with(answer);
    assert_eq!((exchange.error, exchange.bytes, exchange.body), (None, body as u64, None));

    let (url, server) = server(move |mut stream| {
        read_request(&mut stream);
        let _ = stream.write_all(answer);
    });
    let exchange = scrape(&ScrapeRequest { most_bytes: 1 << 20, ..ScrapeRequest::new(url, PATIENCE) }).unwrap();
    server.join().unwrap();
    let Some(ExchangeError::Malformed { reason }) = exchange.error else { panic!() };
    assert_eq!(reason, "the body is larger than 1048576 bytes, the most that is read");
}

#[test]
fn a_health_check_is_counted_and_not_kept() {
    let (url, server) = server(|mut stream| {
        let request = read_request(&mut stream);
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").unwrap();
        request
    });
    let exchange = scrape(&health::request(url, PATIENCE)).unwrap();
    assert!(!server.join().unwrap().contains("X-Prometheus"));
    assert_eq!((exchange.bytes, exchange.body.as_deref()), (2, None));
    assert!(health::answered(&exchange, PATIENCE));
}

#[test]
fn dropping_the_handle_closes_the_connection() {
    let (tell, told) = channel();
    let (url, server) = server(move |mut stream| {
        read_request(&mut stream);
        tell.send(()).unwrap();
        stream.read(&mut [0])
    });
    let scraper = Scraper::start().unwrap();
    let (deliver, delivered) = channel();
    let flight = scraper.begin(&ScrapeRequest::new(url, PATIENCE), move |exchange| _ = deliver.send(exchange)).unwrap();
    told.recv().unwrap();
    drop(flight);
    assert_eq!(server.join().unwrap().unwrap(), 0, "the server sees the end of input");
    assert!(delivered.recv().is_err(), "nothing is delivered of an aborted scrape");
}

#[test]
fn dropping_the_scraper_aborts_what_is_in_flight() {
    let (tell, told) = channel();
    let (url, server) = server(move |mut stream| {
        read_request(&mut stream);
        tell.send(()).unwrap();
        stream.read(&mut [0])
    });
    let scraper = Scraper::start().unwrap();
    let flight = scraper.begin(&ScrapeRequest::new(url, PATIENCE), |_| panic!("aborted")).unwrap();
    told.recv().unwrap();
    drop(scraper);
    assert_eq!(server.join().unwrap().unwrap(), 0);
    drop(flight);
}

#[test]
fn a_storm_is_driven_by_one_thread() {
    const STORM: usize = 512;
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url: HttpUrl = format!("http://{}/metrics", listener.local_addr().unwrap()).parse().unwrap();
    // All are in flight at once: none is answered before the last has been accepted.
    let server = std::thread::spawn(move || {
        let mut streams: Vec<TcpStream> = (0..STORM).map(|_| listener.accept().unwrap().0).collect();
        for stream in &mut streams {
            read_request(stream);
        }
        for (i, mut stream) in streams.into_iter().enumerate() {
            match i % 2 {
                0 => stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nup 1\n").unwrap(),
                _ => stream.shutdown(Shutdown::Both).unwrap(),
            }
        }
    });
    let scraper = Scraper::start().unwrap();
    let (deliver, delivered) = channel();
    let request = ScrapeRequest { keep_body: false, ..ScrapeRequest::new(url, PATIENCE) };
    let flights: Vec<_> = (0..STORM)
        .map(|_| {
            let deliver = deliver.clone();
            scraper.begin(&request, move |exchange| deliver.send(exchange).unwrap()).unwrap()
        })
        .collect();
    drop(deliver);
    let exchanges: Vec<Exchange> = delivered.iter().collect();
    server.join().unwrap();
    drop(flights);
    assert_eq!(exchanges.len(), STORM);
    assert_eq!(exchanges.iter().filter(|exchange| exchange.error.is_none()).count(), STORM / 2);
    assert!(exchanges.iter().all(|exchange| exchange.body.is_none()));
}
