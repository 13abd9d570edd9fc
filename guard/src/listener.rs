//! A small HTTP server for one endpoint, on threads of its own: it answers although the application's runtime is starved.
//!
//! Strict on purpose: HTTP/1.0 and 1.1, one request a connection, a small head, no body, GET and HEAD of one path. Each
//! connection has a thread for as long as it lasts, their number is bounded, and each phase of a connection has an end.

mod connection;

use crate::endpoint::Endpoint;
use crate::thread;
use connection::Limits;
use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, TcpListener, TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

/// Serves an [`Endpoint`] at `/metrics` on an address of its own, until it is dropped. Dropping closes the port and waits
/// for nothing; connections that are being answered get their answers.
///
/// ```
/// use gatherlock_guard::{Endpoint, Listener};
/// use std::io::{Read, Write};
///
/// let endpoint = Endpoint::new(|| Ok::<_, std::io::Error>("up 1\n"))?;
/// let listener = Listener::bind("127.0.0.1:0", &endpoint)?;
/// let mut stream = std::net::TcpStream::connect(listener.local_addr())?;
/// stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")?;
/// let mut answer = String::new();
/// stream.read_to_string(&mut answer)?;
/// assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Listener {
    address: SocketAddr,
    socket: Arc<TcpListener>,
    closed: Arc<AtomicBool>,
}

/// How many connections are answered at once. Those beyond get 503 at once.
const CONNECTIONS: usize = 64;

/// How many of those that got 503 are kept open, the latest: a request that is still on its way when its connection is
/// closed would reset it, and the peer lose the answer. So a listener has at most 321 file descriptors.
const TURNED_AWAY: usize = 256;

/// How many connections may wait to be accepted. The standard library asks for 128, and what is beyond that has to ask
/// again a second later; the kernel cuts this down to its own limit (`net.core.somaxconn`, usually 4096).
const BACKLOG: i32 = 4096;

impl Listener {
    /// Binds the address and starts the accepting thread.
    ///
    /// # Errors
    /// If the address cannot be bound or the thread not started.
    pub fn bind(address: impl ToSocketAddrs, endpoint: &Endpoint) -> io::Result<Listener> {
        let socket = TcpListener::bind(address)?;
        // Listening again on a socket that listens only changes how long its queue may be.
        socket2::SockRef::from(&socket).listen(BACKLOG)?;
        let address = socket.local_addr()?;
        let closed = Arc::new(AtomicBool::new(false));
        let socket = Arc::new(socket);
        let listener = Listener { address, socket: Arc::clone(&socket), closed: Arc::clone(&closed) };
        let endpoint = endpoint.clone();
        thread::start("guard-accept".to_string(), move || accept(&socket, &endpoint, &closed))
            .map_err(io::Error::other)?;
        Ok(listener)
    }

    /// Where it listens; of use if the port given was 0.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.closed.store(true, Ordering::SeqCst);
        // From here on nobody can connect, and the port is free for another; the accepting thread is told.
        if socket2::SockRef::from(&*self.socket).shutdown(Shutdown::Both).is_ok() {
            return;
        }
        // Where a socket that listens cannot be shut down, the thread looks at the flag when somebody connects.
        let ip = match self.address.ip() {
            IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
            IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
            ip => ip,
        };
        let _woken = TcpStream::connect_timeout(&SocketAddr::new(ip, self.address.port()), Duration::from_millis(500));
    }
}

fn accept(socket: &TcpListener, endpoint: &Endpoint, closed: &AtomicBool) {
    let open = Arc::new(AtomicUsize::new(0));
    let mut turned_away = VecDeque::with_capacity(TURNED_AWAY);
    loop {
        let accepted = socket.accept();
        if closed.load(Ordering::SeqCst) {
            return;
        }
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                // Out of file descriptors, mostly: a short rest keeps this from becoming a busy loop.
                if !matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::Interrupted) {
                    std::thread::park_timeout(Duration::from_millis(50));
                }
                continue;
            }
        };
        if open.fetch_add(1, Ordering::SeqCst) >= CONNECTIONS {
            open.fetch_sub(1, Ordering::SeqCst);
            while turned_away.len() >= TURNED_AWAY {
                let Some(oldest) = turned_away.pop_front() else { break };
                connection::let_go(oldest);
            }
            turned_away.extend(connection::turn_away(stream));
            continue;
        }
        // Served again: the crowd is over.
        turned_away.drain(..).for_each(connection::let_go);
        let slot = Slot(Arc::clone(&open));
        let endpoint = endpoint.clone();
        // Without a thread the connection is dropped, and so is its slot.
        let _started = thread::start("guard-scrape".to_string(), move || {
            let _slot = slot;
            connection::serve(stream, &endpoint, Limits::default());
        });
    }
}

/// One of the connections that are answered at once.
struct Slot(Arc<AtomicUsize>);

impl Drop for Slot {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}
