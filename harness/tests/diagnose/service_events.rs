//! The part of the target process that hangs on what is no lock, or does not hang at all.

use super::{Gate, gauge, named, on_collect, scrape};
use prometheus::{IntCounterVec, Opts, Registry};
use std::io::Read;
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, OnceLock, mpsc};
use std::time::Duration;

/// Opened when somebody asks for `/health`.
static ASKED: OnceLock<Gate> = OnceLock::new();

/// Whether that route blocks its worker.
static ROUTE_TAKEN: AtomicBool = AtomicBool::new(false);

const CASES: [&str; 10] = [
    "sleep",
    "std-channel",
    "tokio-channel",
    "condvar-with-opener",
    "join",
    "tcp-connect",
    "busy-encoder",
    "late",
    "sound",
    "wrong",
];

pub(super) fn prepares(case: &str) -> bool {
    CASES.contains(&case)
}

/// Where it matters that no worker is left: which of several a request comes to is the runtime's affair.
pub(super) fn has_one_worker(case: &str) -> bool {
    ["hook-without-page", "route-taken"].contains(&case)
}

/// Somebody who accepts and says nothing.
fn silent_peer() -> SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let peer = listener.local_addr().unwrap();
    named("silent-peer", move || drop(listener.incoming().collect::<Vec<_>>()));
    peer
}

#[inline(never)]
fn ask(peer: SocketAddr) {
    let _ = TcpStream::connect(peer).unwrap().read(&mut [0; 16]);
}

/// Owns a channel's sender, and never sends.
#[inline(never)]
fn never_sends<T>(sender: &T, other: &Gate) {
    other.pass();
    std::hint::black_box(sender);
}

pub(super) fn prepare(case: &str, registry: &Registry) {
    match case {
        "sleep" => on_collect(registry, |_| std::thread::sleep(Duration::from_secs(3600))),
        "std-channel" => {
            let (sender, receiver) = mpsc::channel::<u64>();
            let receiver = Mutex::new(receiver);
            named("actor", move || never_sends(&sender, &Gate::default()));
            on_collect(registry, move |gauge| gauge.set(receiver.lock().unwrap().recv().unwrap_or(0) as f64));
        }
        "tokio-channel" => {
            let (sender, receiver) = tokio::sync::mpsc::channel::<u64>(1);
            let receiver = Mutex::new(receiver);
            named("actor", move || never_sends(&sender, &Gate::default()));
            on_collect(registry, move |gauge| gauge.set(receiver.lock().unwrap().blocking_recv().unwrap_or(0) as f64));
        }
        "condvar-with-opener" => {
            let (gate, other) = (Gate::default(), Gate::default());
            let opens = gate.clone();
            named("opener", move || {
                never_sends(&*opens.0, &other);
                opens.open();
            });
            on_collect(registry, move |_| gate.pass());
        }
        "join" => {
            on_collect(registry, |_| {
                let worker = std::thread::Builder::new().name("part-worker".into());
                worker.spawn(|| Gate::default().pass()).unwrap().join().unwrap();
            });
        }
        "tcp-connect" => {
            // A queue that is full: the kernel leaves further connections unanswered.
            let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
            // SAFETY: listening again with another length of the queue is allowed.
            assert_eq!(unsafe { libc::listen(std::os::fd::AsRawFd::as_raw_fd(&listener), 0) }, 0);
            let peer = listener.local_addr().unwrap();
            let first = TcpStream::connect(peer).unwrap();
            on_collect(registry, move |_| {
                std::hint::black_box((&listener, &first));
                drop(TcpStream::connect_timeout(&peer, Duration::from_secs(3600)));
            });
        }
        "busy-encoder" => {
            let vector = IntCounterVec::new(Opts::new("requests_total", "help"), &["path"]).unwrap();
            (0..500).for_each(|n| vector.with_label_values(&[&n.to_string()]).inc());
            registry.register(Box::new(vector)).unwrap();
        }
        "late" => on_collect(registry, |_| ASKED.get_or_init(Gate::default).pass()),
        "sound" => registry.register(Box::new(gauge("sound"))).unwrap(),
        _ => {}
    }
}

/// Takes threads away before anybody scrapes.
pub(super) fn occupy(case: &str) {
    ROUTE_TAKEN.store(case == "route-taken", Ordering::SeqCst);
    match case {
        "workers-taken" => {
            let peer = silent_peer();
            (0..3).for_each(|_| drop(tokio::spawn(async move { ask(peer) })));
        }
        "pool-taken" => {
            let peer = silent_peer();
            (0..2).for_each(|_| drop(tokio::task::spawn_blocking(move || ask(peer))));
        }
        "pool-half-taken" => {
            let peer = silent_peer();
            drop(tokio::task::spawn_blocking(move || ask(peer)));
        }
        _ => {}
    }
}

pub(super) fn asked() -> &'static str {
    if ROUTE_TAKEN.load(Ordering::SeqCst) {
        ask(silent_peer());
    }
    ASKED.get_or_init(Gate::default).open();
    "ok"
}

/// What `/metrics` does in these cases.
pub(super) async fn handle(case: &str, registry: Registry) -> String {
    match case {
        "pool-taken" | "tokio-channel" | "late" => {
            tokio::task::spawn_blocking(move || scrape(&registry)).await.unwrap()
        }
        "suspended" | "pool-half-taken" => std::future::pending().await,
        // As if there were no end of series.
        "busy-encoder" => loop {
            std::hint::black_box(scrape(&registry));
        },
        // Before it gathers, or with no page to follow: nothing of a registry is on the stack in either.
        "hook-before-page" => {
            ask(silent_peer());
            scrape(&registry)
        }
        "hook-without-page" => {
            ask(silent_peer());
            String::new()
        }
        "wrong" => "# HELP a b\nnot an exposition {{{\n".to_owned(),
        _ => scrape(&registry),
    }
}
