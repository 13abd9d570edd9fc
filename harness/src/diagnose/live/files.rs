//! What the file descriptors are that threads are blocked on.
//!
//! A socket's ends are asked of the socket itself, through a copy of the descriptor that exists only while the process
//! stands still, so that it cannot notice: the kernel's tables of all connections take tens of milliseconds to read on a
//! machine that has room for many. They are read where a copy is refused.

use nix::sys::socket::{SockType, getsockopt, sockopt};
use rustix::process::{Pid, PidfdFlags, PidfdGetfdFlags, pidfd_getfd, pidfd_open};
use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::{IpAddr, Ipv6Addr, SocketAddr, TcpStream};
use std::os::fd::OwnedFd;

/// The kernel's tables of sockets, and what to call their lines.
const TABLES: [(&str, &str); 4] = [("tcp", "TCP"), ("tcp6", "TCP"), ("udp", "UDP"), ("udp6", "UDP")];

/// The sockets among `fds` with their ends, as far as they can be asked. Call it while the process stands still.
pub(super) fn sockets(pid: i32, fds: &BTreeSet<i32>) -> BTreeMap<i32, String> {
    let mut process = None;
    let mut found = BTreeMap::new();
    for &fd in fds {
        // Nothing but sockets: closing the copy of a file is an event for some file systems.
        if !link(pid, fd).is_some_and(|link| link.starts_with("socket:")) {
            continue;
        }
        let process = process.get_or_insert_with(|| pidfd_open(Pid::from_raw(pid)?, PidfdFlags::empty()).ok());
        let Some(copy) = process.as_ref().and_then(|process| pidfd_getfd(process, fd, PidfdGetfdFlags::empty()).ok())
        else {
            continue;
        };
        if let Some(described) = describe_socket(copy) {
            found.insert(fd, described);
        }
    }
    found
}

/// What each of `fds` is; `known` are those that are described already.
pub(super) fn describe(pid: i32, fds: &BTreeSet<i32>, mut known: BTreeMap<i32, String>) -> BTreeMap<i32, String> {
    let tables = Tables { pid, read: Default::default() };
    for &fd in fds {
        if !known.contains_key(&fd)
            && let Some(described) = link(pid, fd).map(|link| describe_link(&link, &tables))
        {
            known.insert(fd, described);
        }
    }
    known
}

fn link(pid: i32, fd: i32) -> Option<String> {
    Some(fs::read_link(format!("/proc/{pid}/fd/{fd}")).ok()?.to_string_lossy().into_owned())
}

fn describe_link(link: &str, tables: &Tables) -> String {
    if let Some(inode) = link.strip_prefix("socket:[").and_then(|rest| rest.strip_suffix(']')) {
        return tables.describe(inode).unwrap_or_else(|| "a socket".to_owned());
    }
    // A whole path names directories of the machine: the file's own name is what helps.
    match link.strip_prefix("pipe:") {
        Some(_) => "a pipe".to_owned(),
        None if link.starts_with('/') => format!("file `{}`", link.rsplit('/').next().unwrap_or_default()),
        None => link.trim_start_matches("anon_inode:").to_owned(),
    }
}

/// `None` for what has no internet address.
fn describe_socket(socket: OwnedFd) -> Option<String> {
    let protocol = match getsockopt(&socket, sockopt::SockType).ok()? {
        SockType::Stream => "TCP",
        SockType::Datagram => "UDP",
        _ => return None,
    };
    let listening = getsockopt(&socket, sockopt::AcceptConn).unwrap_or(false);
    // Only its addresses are asked, which any internet socket has.
    let socket = TcpStream::from(socket);
    let peer = socket.peer_addr().ok();
    if protocol == "TCP" && !listening && peer.is_none() {
        // A connection that is being made: whose it is to be, only the tables tell.
        return None;
    }
    Some(words(protocol, socket.local_addr().ok()?, peer, listening))
}

fn words(protocol: &str, local: SocketAddr, peer: Option<SocketAddr>, listening: bool) -> String {
    let shown = |address: SocketAddr| SocketAddr::new(address.ip().to_canonical(), address.port());
    let local = shown(local);
    match peer.filter(|peer| peer.port() != 0) {
        _ if listening => format!("{protocol} listener on {local}"),
        Some(peer) => format!("{protocol} peer {} (local {local})", shown(peer)),
        None => format!("{protocol} socket on {local}"),
    }
}

/// The tables of the process's network namespace, each read when it is first asked for.
struct Tables {
    pid: i32,
    read: [OnceCell<String>; TABLES.len()],
}

impl Tables {
    fn describe(&self, inode: &str) -> Option<String> {
        self.read.iter().zip(TABLES).find_map(|(read, (table, protocol))| {
            let path = || format!("/proc/{}/net/{table}", self.pid);
            let text = read.get_or_init(|| fs::read_to_string(path()).unwrap_or_default());
            text.lines().skip(1).find_map(|line| describe_line(line, inode, protocol))
        })
    }
}

/// One line of a table: `sl local remote state … inode …`; `None` for another socket than `inode`.
pub(super) fn describe_line(line: &str, inode: &str, protocol: &str) -> Option<String> {
    const LISTEN: &str = "0A";
    let fields: Vec<&str> = line.split_whitespace().collect();
    if fields.get(9) != Some(&inode) {
        return None;
    }
    Some(words(protocol, endpoint(fields[1])?, endpoint(fields[2]), protocol == "TCP" && fields[3] == LISTEN))
}

/// `0100007F:1F90` as in `/proc/net/tcp` => `127.0.0.1:8080`; the kernel prints addresses as native-endian words.
fn endpoint(field: &str) -> Option<SocketAddr> {
    let (address, port) = field.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let mut bytes = Vec::new();
    for start in (0..address.len()).step_by(8) {
        bytes.extend(u32::from_str_radix(address.get(start..start + 8)?, 16).ok()?.to_ne_bytes());
    }
    let ip: IpAddr = match bytes.len() {
        4 => <[u8; 4]>::try_from(bytes).ok()?.into(),
        16 => Ipv6Addr::from(<[u8; 16]>::try_from(bytes).ok()?).into(),
        _ => return None,
    };
    Some(SocketAddr::new(ip, port))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{TcpListener, UdpSocket};
    use std::os::fd::AsRawFd;

    #[test]
    fn addresses_of_sockets() {
        let shown = |field| endpoint(field).map(|address| words("TCP", address, Some(address), false));
        assert_eq!(shown("0100007F:1F90").as_deref(), Some("TCP peer 127.0.0.1:8080 (local 127.0.0.1:8080)"));
        let mapped = "0000000000000000FFFF00000100007F:0050";
        assert_eq!(shown(mapped).as_deref(), Some("TCP peer 127.0.0.1:80 (local 127.0.0.1:80)"));
        assert_eq!(endpoint("0100:1F90"), None);
        assert_eq!(endpoint(""), None);
    }

    #[test]
    fn a_socket_says_the_same_as_the_tables() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let datagram = UdpSocket::bind("127.0.0.1:0").unwrap();
        let (unix, _) = std::os::unix::net::UnixStream::pair().unwrap();
        let pid = i32::try_from(std::process::id()).unwrap();
        let fds = [listener.as_raw_fd(), stream.as_raw_fd(), datagram.as_raw_fd(), unix.as_raw_fd()];
        let fds = BTreeSet::from(fds);
        let asked = sockets(pid, &fds);
        let (at, from) = (listener.local_addr().unwrap(), stream.local_addr().unwrap());
        assert_eq!(asked[&listener.as_raw_fd()], format!("TCP listener on {at}"));
        assert_eq!(asked[&stream.as_raw_fd()], format!("TCP peer {at} (local {from})"));
        assert_eq!(asked[&datagram.as_raw_fd()], format!("UDP socket on {}", datagram.local_addr().unwrap()));
        assert!(!asked.contains_key(&unix.as_raw_fd()));
        let mut read = describe(pid, &fds, BTreeMap::new());
        assert_eq!(read.remove(&unix.as_raw_fd()).as_deref(), Some("a socket"));
        assert_eq!(read, asked, "what the tables say");
    }
}
