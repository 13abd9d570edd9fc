//! One scrape on one socket: connect, send, receive, with the time of each step.

use super::begin_error::BeginError;
use super::request::ScrapeRequest;
use super::response::Response;
use super::wire::{Wire, about_trust, is_plain_http};
use crate::model::{Exchange, ExchangeError, NO_TLS};
use nix::errno::Errno;
use nix::poll::PollFlags;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, SockaddrStorage, connect, socket};
use std::collections::VecDeque;
use std::io;
use std::net::{SocketAddr, TcpStream};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

/// The most that is read from one socket before the others have their turn.
const TURN: usize = 256 << 10;

/// A scrape in flight.
#[derive(Debug)]
pub(super) struct Connection {
    socket: TcpStream,
    wire: Wire,
    /// Our end and the server's, once the connection stands.
    ends: Arc<OnceLock<(SocketAddr, SocketAddr)>>,
    /// Addresses to try if this one refuses.
    others: VecDeque<SocketAddr>,
    request: Vec<u8>,
    /// Bytes of the request handed to the kernel.
    sent: usize,
    response: Response,
    /// What came first, where TLS was awaited.
    first: Vec<u8>,
    began: Instant,
    deadline: Instant,
    times: Exchange,
    /// The connection failed before it could be waited for.
    refused: Option<io::Error>,
}

impl Connection {
    /// Begins to connect; the clock starts here.
    pub(super) fn begin(request: &ScrapeRequest) -> Result<Connection, BeginError> {
        let mut others: VecDeque<SocketAddr> = request
            .url
            .resolve()
            .map_err(|source| BeginError::Resolve { host: request.url.host().into(), source })?
            .into();
        let no_address = || io::Error::new(io::ErrorKind::NotFound, "the name has no address");
        let first = others
            .pop_front()
            .ok_or_else(|| BeginError::Resolve { host: request.url.host().into(), source: no_address() })?;
        let wire = Wire::new(&request.url, &request.trust)?;
        let began = Instant::now();
        let (socket, refused) = open(first).map_err(|source| BeginError::Local { source })?;
        Ok(Connection {
            socket,
            wire,
            ends: Arc::default(),
            others,
            request: request.bytes(),
            sent: 0,
            response: Response::new(request.keep_body, request.most_bytes),
            first: Vec::new(),
            began,
            deadline: began + request.hang_limit,
            times: Exchange::default(),
            refused,
        })
    }

    /// When it is given up.
    pub(super) fn deadline(&self) -> Instant {
        self.deadline
    }

    /// Where our end and the server's will stand, once there is a connection.
    pub(super) fn ends(&self) -> Arc<OnceLock<(SocketAddr, SocketAddr)>> {
        Arc::clone(&self.ends)
    }

    /// What to wait for.
    pub(super) fn interest(&self) -> PollFlags {
        if self.times.connected_us.is_none() {
            return PollFlags::POLLOUT;
        }
        self.wire.interest(self.sent < self.request.len())
    }

    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// Whether it ended in [`Connection::begin`] already and is not to be waited for.
    pub(super) fn is_refused(&self) -> bool {
        self.refused.is_some()
    }

    /// Does what can be done now that the socket is ready; `Some` when the exchange has ended.
    pub(super) fn ready(&mut self, buffer: &mut [u8]) -> Option<Exchange> {
        if self.times.connected_us.is_none() {
            let failed = self.refused.take().or_else(|| self.socket.take_error().unwrap_or_else(Some));
            if let Some(error) = failed {
                return self.next_address(&error);
            }
            self.times.connected_us = Some(self.now_us());
            if let (Ok(own), Ok(theirs)) = (self.socket.local_addr(), self.socket.peer_addr()) {
                let _ = self.ends.set((own, theirs));
            }
        }
        if self.wire.is_tls() && self.times.secured_us.is_none() {
            if let Err(error) = self.wire.shake(&mut self.socket, &mut self.first) {
                return Some(self.not_secured(&error));
            }
            if self.wire.is_handshaking() {
                return None;
            }
            self.times.secured_us = Some(self.now_us());
        }
        if self.sent < self.request.len()
            && let Err(error) = self.send()
        {
            return Some(self.closed(&error));
        }
        if self.sent < self.request.len() { None } else { self.receive(buffer) }
    }

    /// The hang limit has passed.
    pub(super) fn give_up(&mut self) -> Exchange {
        if self.times.connected_us.is_none() {
            let reason = "the connection was neither accepted nor refused by the hang limit".into();
            return self.end(Some(ExchangeError::Unreachable { reason }));
        }
        self.end(Some(ExchangeError::HangLimit))
    }

    fn next_address(&mut self, error: &io::Error) -> Option<Exchange> {
        if let Some(next) = self.others.pop_front()
            && let Ok((socket, refused)) = open(next)
        {
            self.socket = socket;
            self.refused = refused;
            return if self.refused.is_some() { self.ready(&mut []) } else { None };
        }
        Some(self.end(Some(ExchangeError::Unreachable { reason: error.to_string() })))
    }

    fn send(&mut self) -> io::Result<()> {
        while self.sent < self.request.len() {
            match self.wire.write(&mut self.socket, &self.request[self.sent..]) {
                Ok(sent) => self.sent += sent,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(e) => return Err(e),
            }
        }
        self.times.sent_us = Some(self.now_us());
        Ok(())
    }

    fn receive(&mut self, buffer: &mut [u8]) -> Option<Exchange> {
        let mut read = 0;
        while read < TURN {
            let got = match self.wire.read(&mut self.socket, buffer) {
                Ok(got) => got,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return None,
                Err(e) => return Some(self.closed(&e)),
            };
            if got == 0 {
                let error = self.response.close().err();
                let reason = |so_far| format!("the peer closed the connection: {so_far}");
                return Some(self.end(error.map(|so_far| ExchangeError::Closed { reason: reason(so_far) })));
            }
            let now = self.now_us();
            self.times.first_byte_us.get_or_insert(now);
            read += got;
            if let Err(reason) = self.response.feed(&buffer[..got]) {
                return Some(self.end(Some(ExchangeError::Malformed { reason })));
            }
            if self.response.is_complete() {
                return Some(self.end(None));
            }
        }
        None
    }

    /// The handshake of TLS failed.
    fn not_secured(&mut self, error: &io::Error) -> Exchange {
        let reason = error.to_string();
        if let Some(reason) = about_trust(error) {
            return self.end(Some(ExchangeError::Untrusted { reason }));
        }
        self.end(Some(match error.kind() {
            _ if is_plain_http(&self.first) => {
                ExchangeError::Malformed { reason: format!("{NO_TLS}: the port speaks plain HTTP") }
            }
            io::ErrorKind::InvalidData => ExchangeError::Malformed { reason: format!("{NO_TLS}: {reason}") },
            _ => ExchangeError::Closed { reason: format!("{reason}, before TLS was agreed on") },
        }))
    }

    fn closed(&mut self, error: &io::Error) -> Exchange {
        let reason = format!("{error}: {}", self.response.so_far());
        self.end(Some(ExchangeError::Closed { reason }))
    }

    fn now_us(&self) -> u64 {
        self.began.elapsed().as_micros() as u64
    }

    fn end(&mut self, error: Option<ExchangeError>) -> Exchange {
        let response = std::mem::replace(&mut self.response, Response::new(false, 0));
        Exchange {
            total_us: self.now_us(),
            status: response.status,
            content_type: response.content_type.clone(),
            bytes: response.bytes,
            headers: response.headers.clone(),
            location: response.location.clone(),
            body: response.into_body().filter(|_| error.is_none()),
            error,
            ..self.times.clone()
        }
    }
}

/// A socket that is connecting, and the error if the peer's side refused at once. `Err` is this machine's own lack.
fn open(address: SocketAddr) -> io::Result<(TcpStream, Option<io::Error>)> {
    let family = if address.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
    #[cfg(target_os = "linux")]
    let fd = socket(family, SockType::Stream, SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC, None)?;
    // Where a socket cannot be born like that, a child that is started in between inherits it, which ends with the child.
    #[cfg(not(target_os = "linux"))]
    let fd = {
        use nix::fcntl::{FcntlArg, FdFlag, OFlag, fcntl};
        let fd = socket(family, SockType::Stream, SockFlag::empty(), None)?;
        fcntl(&fd, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC))?;
        fcntl(&fd, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
        fd
    };
    let refused = match connect(fd.as_raw_fd(), &SockaddrStorage::from(address)) {
        Ok(()) | Err(Errno::EINPROGRESS | Errno::EINTR) => None,
        Err(
            own
            @ (Errno::EADDRNOTAVAIL | Errno::EAGAIN | Errno::ENOBUFS | Errno::ENOMEM | Errno::EPERM | Errno::EACCES),
        ) => {
            return Err(own.into());
        }
        Err(theirs) => Some(theirs.into()),
    };
    Ok((TcpStream::from(fd), refused))
}
