//! Over real sockets: axum's routes, and the listener whose answers do not depend on the application's runtime.

use axum::Router;
use axum::routing::get;
use gatherlock_guard::{Endpoint, Listener, Registry};
use prometheus::IntCounter;
use std::convert::Infallible;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, Mutex, mpsc};

/// Sends `request` as it is and returns all that comes back.
fn exchange(address: SocketAddr, request: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(request).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    String::from_utf8(answer).unwrap()
}

fn scrape(address: SocketAddr, method: &str, path: &str, headers: &str) -> String {
    let request = format!("{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{headers}\r\n");
    exchange(address, request.as_bytes())
}

fn body(answer: &str) -> &str {
    answer.split_once("\r\n\r\n").unwrap().1
}

/// An axum server on a runtime with one worker; both end with the runtime.
fn serve(app: Router) -> (tokio::runtime::Runtime, SocketAddr) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
    let address = listener.local_addr().unwrap();
    runtime.spawn(async move { axum::serve(listener, app).await });
    (runtime, address)
}

/// An endpoint whose source is stuck until the lock that is returned is free.
fn behind_a_lock() -> (Endpoint, Arc<Mutex<()>>) {
    let lock = Arc::new(Mutex::new(()));
    let wanted = Arc::clone(&lock);
    let source = move || {
        drop(wanted.lock().unwrap());
        Ok::<_, Infallible>("up 1\n")
    };
    (Endpoint::new(source).unwrap(), lock)
}

const SOON: &str = "X-Prometheus-Scrape-Timeout-Seconds: 0.2\r\n";

#[test]
fn axum_serves_the_registry_and_answers_other_methods() {
    let registry = Registry::new();
    let jobs = IntCounter::new("jobs_total", "Jobs.").unwrap();
    registry.register(Box::new(jobs.clone())).unwrap();
    jobs.inc();
    let endpoint = Endpoint::new(registry.clone()).unwrap();
    let (_runtime, address) = serve(endpoint.router());
    let answer = scrape(address, "GET", "/metrics", "");
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(answer.contains("content-type: text/plain; version=0.0.4; charset=utf-8\r\n"));
    assert!(body(&answer).starts_with(&registry.encode_to_string()));
    let head = scrape(address, "HEAD", "/metrics", "");
    assert!(
        head.starts_with("HTTP/1.1 200 OK\r\n") && body(&head).is_empty() && !head.contains("content-length: 0\r\n")
    );
    assert!(scrape(address, "POST", "/metrics", "").starts_with("HTTP/1.1 405 "));
    assert!(scrape(address, "GET", "/other", "").starts_with("HTTP/1.1 404 "));
}

#[test]
fn a_stuck_collector_leaves_a_runtime_of_one_worker_alive() {
    let (endpoint, lock) = behind_a_lock();
    let app = Router::new().route("/health", get(|| async { "OK" })).route("/metrics", endpoint.method_router());
    let (_runtime, address) = serve(app);
    let held = lock.lock().unwrap();
    for _ in 0..4 {
        let answer = scrape(address, "GET", "/metrics", SOON);
        assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
        assert!(body(&answer).contains("group `default`: its collection has not returned for"), "{answer}");
        assert_eq!(body(&scrape(address, "GET", "/health", "")), "OK");
    }
    drop(held);
    assert!(body(&scrape(address, "GET", "/metrics", "")).starts_with("up 1\n"));
}

#[test]
fn a_scraper_that_goes_away_is_counted_and_leaves_nothing_waiting() {
    let (endpoint, lock) = behind_a_lock();
    let (_runtime, address) = serve(endpoint.router());
    let held = lock.lock().unwrap();
    for _ in 0..8 {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    }
    drop(held);
    // Every one of them is either served into a closed socket or gone; in the end none waits.
    loop {
        let answer = scrape(address, "GET", "/metrics", "");
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
        if body(&answer).contains("gatherlock_guard_scrapes_waiting 0\n") {
            break;
        }
    }
}

#[test]
fn the_listener_answers_while_every_worker_of_the_runtime_is_taken() {
    let endpoint = Endpoint::new(|| Ok::<_, Infallible>("up 1\n")).unwrap();
    let listener = Listener::bind("127.0.0.1:0", &endpoint).unwrap();
    let (runtime, address) = serve(endpoint.router());
    assert!(body(&scrape(address, "GET", "/metrics", "")).starts_with("up 1\n"));
    // `workers-eaten`: the one worker blocks in synchronous code inside a task.
    let (release, released) = mpsc::channel::<()>();
    let (taken, is_taken) = mpsc::channel();
    runtime.spawn(async move {
        taken.send(()).unwrap();
        let _released = released.recv();
    });
    is_taken.recv().unwrap();
    let answer = scrape(listener.local_addr(), "GET", "/metrics", "");
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && body(&answer).starts_with("up 1\n"), "{answer}");
    drop(release);
    assert!(body(&scrape(address, "GET", "/metrics", "")).starts_with("up 1\n"));
}

#[test]
#[allow(clippy::await_holding_lock, reason = "the mistake that is shown")]
fn the_listener_answers_while_a_lock_is_held_across_an_await() {
    let endpoint = Endpoint::new(|| Ok::<_, Infallible>("up 1\n")).unwrap();
    let listener = Listener::bind("127.0.0.1:0", &endpoint).unwrap();
    let (runtime, _address) = serve(endpoint.router());
    // `guard-across-await`: the first task is suspended with the lock, the second takes the one worker to wait for it.
    let lock = Arc::new(Mutex::new(()));
    let (resume, resumed) = tokio::sync::oneshot::channel::<()>();
    let (taken, is_taken) = mpsc::channel();
    let first = Arc::clone(&lock);
    std::thread::spawn(move || {
        // `block_on` lets a future that is not `Send` hold the guard across its await.
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async move {
            let held = first.lock().unwrap();
            taken.send(()).unwrap();
            let _resumed = resumed.await;
            drop(held);
        });
    });
    is_taken.recv().unwrap();
    let (entered, is_entered) = mpsc::channel();
    let second = runtime.spawn(async move {
        entered.send(()).unwrap();
        drop(lock.lock().unwrap());
    });
    is_entered.recv().unwrap();
    assert!(scrape(listener.local_addr(), "GET", "/metrics", "").starts_with("HTTP/1.1 200 OK\r\n"));
    resume.send(()).unwrap();
    runtime.block_on(second).unwrap();
}

#[test]
fn the_listener_is_strict_about_what_it_reads() {
    let endpoint = Endpoint::new(|| Ok::<_, Infallible>("up 1\n")).unwrap();
    let listener = Listener::bind("127.0.0.1:0", &endpoint).unwrap();
    let address = listener.local_addr();
    let status = |request: &[u8]| exchange(address, request)[9..12].to_string();
    assert_eq!(status(b"GET /metrics HTTP/1.0\r\n\r\n"), "200");
    assert_eq!(status(b"GET /metrics?debug=1 HTTP/1.1\r\nHost: x\r\n\r\n"), "200");
    assert_eq!(status(b"GET / HTTP/1.1\r\n\r\n"), "404");
    assert_eq!(status(b"DELETE /metrics HTTP/1.1\r\n\r\n"), "405");
    assert_eq!(status(b"GET /metrics HTTP/2.0\r\n\r\n"), "400");
    assert_eq!(status(b"\x16\x03\x01 hello\r\n\r\n"), "400");
    assert_eq!(status(b"GET /metrics HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello"), "413");
    assert_eq!(status(b"GET /metrics HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"), "413");
    assert_eq!(status(format!("GET /metrics HTTP/1.1\r\n{}\r\n", "A: b\r\n".repeat(65)).as_bytes()), "431");
    assert_eq!(status(format!("GET /metrics HTTP/1.1\r\nA: {}\r\n\r\n", "b".repeat(9000)).as_bytes()), "431");
    // A header that is a list, in two lines.
    let zipped = TcpStream::connect(address).and_then(|mut stream| {
        stream.write_all(b"GET /metrics HTTP/1.1\r\nAccept-Encoding: br\r\nAccept-Encoding: gzip\r\n\r\n")?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).map(|_| answer)
    });
    assert!(String::from_utf8_lossy(&zipped.unwrap()).contains("content-encoding: gzip\r\n"));
    let head = exchange(address, b"HEAD /metrics HTTP/1.1\r\n\r\n");
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n") && body(&head).is_empty());
}

#[test]
fn the_listener_takes_a_request_in_pieces_and_survives_peers_that_leave() {
    let big = "requests_total{path=\"/\"} 1\n".repeat(400_000);
    let endpoint =
        Endpoint::builder().group("big", move || Ok::<_, Infallible>(big.clone())).own_metrics(false).build().unwrap();
    let listener = Listener::bind("127.0.0.1:0", &endpoint).unwrap();
    let address = listener.local_addr();
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_nodelay(true).unwrap();
    for piece in b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n".chunks(3) {
        stream.write_all(piece).unwrap();
    }
    let mut whole = Vec::new();
    stream.read_to_end(&mut whole).unwrap();
    assert_eq!(body(std::str::from_utf8(&whole).unwrap()).lines().count(), 400_000);
    for _ in 0..100 {
        // Reads one byte of a body that fits into no buffer, and leaves.
        let mut stream = TcpStream::connect(address).unwrap();
        stream.write_all(b"GET /metrics HTTP/1.1\r\n\r\n").unwrap();
        stream.read_exact(&mut [0]).unwrap();
    }
    // Slow readers: they take nothing at all, and keep nobody else from an answer.
    let mut slow = Vec::new();
    for _ in 0..20 {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.write_all(b"GET /metrics HTTP/1.1\r\n\r\n").unwrap();
        slow.push(stream);
    }
    assert_eq!(body(&scrape(address, "GET", "/metrics", "")).lines().count(), 400_000);
    drop(slow);
    drop(TcpStream::connect(address).unwrap());
    assert!(scrape(address, "HEAD", "/metrics", "").starts_with("HTTP/1.1 200 OK\r\n"));
}

#[test]
fn the_listener_turns_away_what_is_too_much_and_serves_again() {
    let (endpoint, lock) = behind_a_lock();
    let listener = Listener::bind("127.0.0.1:0", &endpoint).unwrap();
    let address = listener.local_addr();
    let held = lock.lock().unwrap();
    let mut streams = Vec::new();
    for _ in 0..200 {
        let mut stream = TcpStream::connect(address).unwrap();
        // A connection that was turned away may be closed already.
        let _sent = stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n");
        streams.push(stream);
    }
    // The 201st is behind them all: once it is turned away, they have all been accepted.
    let last = exchange(address, b"");
    assert!(last.starts_with("HTTP/1.1 503 ") && last.contains("64 connections"), "{last}");
    drop(held);
    let served = |mut stream: TcpStream| {
        let mut answer = String::new();
        stream.read_to_string(&mut answer).is_ok() && answer.starts_with("HTTP/1.1 200 OK\r\n")
    };
    assert_eq!(streams.into_iter().map(served).filter(|served| *served).count(), 64);
    assert!(scrape(address, "GET", "/metrics", "").starts_with("HTTP/1.1 200 OK\r\n"));
}

#[test]
fn dropping_the_listener_closes_its_port() {
    let endpoint = Endpoint::new(|| Ok::<_, Infallible>("up 1\n")).unwrap();
    let listener = Listener::bind("127.0.0.1:0", &endpoint).unwrap();
    let address = listener.local_addr();
    drop(listener);
    assert_eq!(TcpStream::connect(address).unwrap_err().kind(), std::io::ErrorKind::ConnectionRefused);
    // Another may have it at once.
    for _ in 0..20 {
        assert!(
            scrape(Listener::bind(address, &endpoint).unwrap().local_addr(), "GET", "/metrics", "").contains(" 200 ")
        );
    }
}
