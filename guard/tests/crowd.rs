//! Ten thousand scrapes at once: each gets the right answer, nothing is lost, and memory, threads and file descriptors stay
//! bounded, measured. Alone in its process, because it measures the process.

use gatherlock_guard::{Endpoint, Listener, Request};
use std::convert::Infallible;
use std::future::Future;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

const CROWD: usize = 10_000;
/// The size of a body: ten thousand copies of it would be ten gigabytes.
const BODY: usize = 1 << 20;

/// An endpoint whose source is stuck while the lock is held, and how often it was asked.
fn behind_a_lock() -> (Endpoint, Arc<Mutex<()>>, Arc<AtomicUsize>) {
    let (lock, calls) = (Arc::new(Mutex::new(())), Arc::new(AtomicUsize::new(0)));
    let (wanted, counted) = (Arc::clone(&lock), Arc::clone(&calls));
    let source = move || {
        counted.fetch_add(1, Ordering::SeqCst);
        drop(wanted.lock().unwrap());
        Ok::<_, Infallible>("requests_total 1\n".repeat(BODY / 17))
    };
    // No deadline shall pass however long it takes to get ten thousand connections.
    let patient = Endpoint::builder().bound(Duration::from_secs(600));
    (patient.group("app", source).own_metrics(false).build().unwrap(), lock, calls)
}

/// Resident memory of this process, in bytes.
fn resident() -> usize {
    let pages: usize = std::fs::read_to_string("/proc/self/statm").unwrap().split(' ').nth(1).unwrap().parse().unwrap();
    pages * 4096
}

fn entries(folder: &str) -> usize {
    std::fs::read_dir(folder).unwrap().count()
}

#[test]
fn ten_thousand_scrapes_at_once_share_one_collection_and_one_body() {
    let (endpoint, lock, calls) = behind_a_lock();
    let held = lock.lock().unwrap();
    let (memory, threads) = (resident(), entries("/proc/self/task"));
    let mut context = Context::from_waker(Waker::noop());
    let mut scrapes: Vec<_> = (0..CROWD).map(|_| Box::pin(endpoint.scrape(&Request::get()))).collect();
    for scrape in &mut scrapes {
        assert!(scrape.as_mut().poll(&mut context).is_pending());
    }
    assert_eq!(entries("/proc/self/task"), threads, "no thread for any of them");
    drop(held);
    let mut bodies = Vec::new();
    for mut scrape in scrapes {
        let answer = loop {
            match Pin::new(&mut scrape).poll(&mut context) {
                Poll::Ready(answer) => break answer,
                Poll::Pending => std::thread::yield_now(),
            }
        };
        assert_eq!(answer.status, 200);
        bodies.push(answer.body);
    }
    let grown = resident().saturating_sub(memory);
    println!("{CROWD} scrapes at once, a body of {BODY} bytes: {} KiB more resident memory", grown / 1024);
    let sizes: Vec<usize> = bodies.iter().map(|pieces| pieces.iter().map(|piece| piece.len()).sum()).collect();
    assert!(sizes.iter().all(|size| *size == BODY / 17 * 17), "nothing is lost");
    assert!(calls.load(Ordering::SeqCst) <= 2, "one collection was in the air, the next is shared by all");
    assert!(grown < 64 << 20, "{grown} bytes");

    // Over sockets: 64 are answered, the others are told at once that they are too many.
    let (endpoint, lock, _) = behind_a_lock();
    let listener = Listener::bind("127.0.0.1:0", &endpoint).unwrap();
    let held = lock.lock().unwrap();
    let (memory, files) = (resident(), entries("/proc/self/fd"));
    let mut streams = Vec::new();
    let mut most = (0, 0);
    for _ in 0..CROWD {
        let mut stream = TcpStream::connect(listener.local_addr()).unwrap();
        stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
        streams.push(stream);
        if streams.len() % 2_500 == 0 {
            // Accepted in turn: once this one is turned away, so are all before it, and all that is open on the other side
            // is the server's.
            let mut last = TcpStream::connect(listener.local_addr()).unwrap();
            last.read_to_string(&mut String::new()).unwrap();
            let server = entries("/proc/self/fd") - files - streams.len();
            most = (most.0.max(server), most.1.max(entries("/proc/self/task") - threads));
        }
    }
    drop(held);
    let (mut served, mut refused) = (0, 0);
    for mut stream in streams {
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let length = answer.split_once("\r\n\r\n").map_or(0, |(_, body)| body.len());
        if answer.starts_with("HTTP/1.1 200 OK\r\n") {
            assert_eq!(length, BODY / 17 * 17);
            served += 1;
        } else {
            assert!(answer.starts_with("HTTP/1.1 503 ") && answer.contains("64 connections"), "{answer}");
            refused += 1;
        }
    }
    let grown = resident().saturating_sub(memory);
    println!(
        "{CROWD} connections at once: {served} served, {refused} refused, {} file descriptors and {} threads at most, {} KiB more",
        most.0,
        most.1,
        grown / 1024
    );
    assert_eq!(served, 64);
    assert!(most.0 <= 64 + 256 + 1 && most.1 <= 64 + 4, "{most:?}");
    assert!(grown < 64 << 20, "{grown} bytes");
}
