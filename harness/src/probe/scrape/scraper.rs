//! One thread that drives all scrapes: a poll loop over their sockets.

use super::begin_error::BeginError;
use super::connection::Connection;
use super::request::ScrapeRequest;
use crate::model::Exchange;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::collections::BTreeMap;
use std::io::{self, PipeReader, PipeWriter, Read, Write};
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;
use std::time::Instant;

/// The buffer that all sockets of a loop share.
const BUFFER: usize = 64 << 10;

/// Where a result goes.
type Deliver = Box<dyn FnOnce(Exchange) + Send>;

enum Order {
    Begin { id: u64, connection: Box<Connection>, deliver: Deliver },
    Abort { id: u64 },
    GiveUp { id: u64 },
    Stop,
}

/// A connection and where its result goes.
struct Flight<D> {
    connection: Box<Connection>,
    deliver: D,
}

/// Drives scrapes and health checks on a thread of its own. Dropping it aborts what is in flight.
#[derive(Debug)]
pub struct Scraper {
    mailbox: Mailbox,
    next: AtomicU64,
    thread: Option<JoinHandle<()>>,
}

/// The way to the thread: orders, and a byte in a pipe to wake it.
#[derive(Clone, Debug)]
struct Mailbox {
    orders: Sender<Order>,
    wake: Arc<PipeWriter>,
}

impl Mailbox {
    fn send(&self, order: Order) {
        // Fails only if the thread is gone, and then there is nothing to order.
        if self.orders.send(order).is_ok() {
            // A full pipe wakes as well as one byte more would.
            let _ = self.wake.as_ref().write(&[0]);
        }
    }
}

/// A scrape in flight; dropping it closes the connection and gives up the result.
#[derive(Debug)]
#[must_use = "dropping it aborts the scrape"]
pub struct InFlight {
    id: u64,
    mailbox: Mailbox,
    ends: Arc<OnceLock<(SocketAddr, SocketAddr)>>,
}

impl InFlight {
    /// Ends it now, as if its hang limit had passed; the exchange is delivered.
    pub fn give_up(&self) {
        self.mailbox.send(Order::GiveUp { id: self.id });
    }

    /// Our end of the connection and the server's; `None` while there is none.
    pub fn ends(&self) -> Option<(SocketAddr, SocketAddr)> {
        self.ends.get().copied()
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.mailbox.send(Order::Abort { id: self.id });
    }
}

impl Scraper {
    /// Starts the thread.
    ///
    /// # Errors
    /// When the system grants no thread or no pipe.
    pub fn start() -> io::Result<Scraper> {
        let (awake, wake) = io::pipe()?;
        for end in [awake.as_fd(), wake.as_fd()] {
            let flags = OFlag::from_bits_retain(fcntl(end, FcntlArg::F_GETFL)?);
            fcntl(end, FcntlArg::F_SETFL(flags | OFlag::O_NONBLOCK))?;
        }
        let (orders, inbox) = channel();
        let thread = std::thread::Builder::new().name("scraper".into()).spawn(move || run(&inbox, awake))?;
        let mailbox = Mailbox { orders, wake: Arc::new(wake) };
        Ok(Scraper { mailbox, next: AtomicU64::new(0), thread: Some(thread) })
    }

    /// Begins a scrape: the connect is under way when this returns. `deliver` is called once, on the scraper's thread,
    /// when the exchange has ended, at the hang limit at the latest; it must not block. It is not called for a scrape
    /// that is aborted by dropping the returned handle (unless it had just ended).
    ///
    /// # Errors
    /// See [`BeginError`]; a peer that refuses is no error here but an exchange.
    pub fn begin(
        &self,
        request: &ScrapeRequest,
        deliver: impl FnOnce(Exchange) + Send + 'static,
    ) -> Result<InFlight, BeginError> {
        let connection = Box::new(Connection::begin(request)?);
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let mailbox = self.mailbox.clone();
        let ends = connection.ends();
        mailbox.send(Order::Begin { id, connection, deliver: Box::new(deliver) });
        Ok(InFlight { id, mailbox, ends })
    }
}

impl Drop for Scraper {
    fn drop(&mut self) {
        self.mailbox.send(Order::Stop);
        if let Some(thread) = self.thread.take() {
            // It panics only if a `deliver` does, and that panic has been printed.
            let _ = thread.join();
        }
    }
}

fn run(inbox: &Receiver<Order>, mut awake: PipeReader) {
    let mut flights: BTreeMap<u64, Flight<Deliver>> = BTreeMap::new();
    let mut buffer = vec![0; BUFFER];
    loop {
        turn(&mut flights, Some(&awake), &mut buffer, |deliver, exchange| deliver(exchange));
        // The pipe first: an order is sent before its byte, so none is left behind unseen.
        while awake.read(&mut [0; 64]).is_ok_and(|got| got > 0) {}
        loop {
            match inbox.try_recv() {
                Ok(Order::Begin { id, connection, deliver }) => _ = flights.insert(id, Flight { connection, deliver }),
                Ok(Order::Abort { id }) => _ = flights.remove(&id),
                Ok(Order::GiveUp { id }) => {
                    if let Some(Flight { mut connection, deliver }) = flights.remove(&id) {
                        let exchange = connection.give_up();
                        drop(connection);
                        deliver(exchange);
                    }
                }
                Err(TryRecvError::Empty) => break,
                Ok(Order::Stop) | Err(TryRecvError::Disconnected) => return,
            }
        }
    }
}

/// Waits for something to happen, does what can be done, and delivers what has ended.
fn turn<D>(
    flights: &mut BTreeMap<u64, Flight<D>>,
    awake: Option<&PipeReader>,
    buffer: &mut [u8],
    mut deliver: impl FnMut(D, Exchange),
) {
    let mut fds: Vec<PollFd<'_>> =
        flights.values().map(|flight| PollFd::new(flight.connection.fd(), flight.connection.interest())).collect();
    fds.extend(awake.map(|pipe| PollFd::new(pipe.as_fd(), PollFlags::POLLIN)));
    // A wait that was interrupted or failed only means that everything is looked at again.
    let _ = poll(&mut fds, timeout(flights));
    let ready: Vec<bool> = fds.iter().map(|fd| fd.any().unwrap_or(false)).collect();
    drop(fds);
    let mut ended = Vec::new();
    for ((id, flight), ready) in flights.iter_mut().zip(ready) {
        let connection = &mut flight.connection;
        let exchange = if ready || connection.is_refused() { connection.ready(buffer) } else { None };
        let exchange = exchange.or_else(|| (Instant::now() >= connection.deadline()).then(|| connection.give_up()));
        ended.extend(exchange.map(|exchange| (*id, exchange)));
    }
    for (id, exchange) in ended {
        // The connection is closed before anybody hears of its end.
        if let Some(Flight { connection, deliver: to }) = flights.remove(&id) {
            drop(connection);
            deliver(to, exchange);
        }
    }
}

/// Until the first hang limit, rounded up: a wait must not end before its time and spin.
fn timeout<D>(flights: &BTreeMap<u64, Flight<D>>) -> PollTimeout {
    if flights.values().any(|flight| flight.connection.is_refused()) {
        return PollTimeout::ZERO;
    }
    let Some(first) = flights.values().map(|flight| flight.connection.deadline()).min() else {
        return PollTimeout::NONE;
    };
    let left = first.saturating_duration_since(Instant::now()).as_nanos().div_ceil(1_000_000);
    i32::try_from(left).ok().and_then(|ms| PollTimeout::try_from(ms).ok()).unwrap_or(PollTimeout::MAX)
}

/// Scrapes on the calling thread and waits for the end.
///
/// # Errors
/// See [`BeginError`].
pub fn scrape(request: &ScrapeRequest) -> Result<Exchange, BeginError> {
    let mut flights = BTreeMap::new();
    let mut ended = None;
    flights.insert(0, Flight { connection: Box::new(Connection::begin(request)?), deliver: () });
    let mut buffer = vec![0; BUFFER];
    loop {
        turn(&mut flights, None, &mut buffer, |(), exchange| ended = Some(exchange));
        if let Some(exchange) = ended {
            return Ok(exchange);
        }
    }
}
