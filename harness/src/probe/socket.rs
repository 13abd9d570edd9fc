//! What the kernel says of TCP sockets in a network namespace: who listens on a port, whether a connection was accepted,
//! and what lies unread in it.
//!
//! The files are `/proc/net/tcp` and `tcp6`; whose a socket is stands in `/proc/PID/fd`. On other systems than Linux
//! there are none, and nothing is found.

use crate::model::ServerSide;
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

/// The states that matter, as the kernel numbers them.
const ESTABLISHED: u8 = 1;
const LISTEN: u8 = 10;
/// More lines than this are not looked at.
const MOST_SOCKETS: usize = 1 << 17;

/// One TCP socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Socket {
    /// Its own end.
    pub local: SocketAddr,
    /// The other end; port 0 for a listener.
    pub peer: SocketAddr,
    state: u8,
    /// Unread bytes; for a listener, connections that wait to be accepted.
    pub unread: u64,
    /// Its inode; 0 for a connection that was not accepted yet.
    pub inode: u64,
}

/// A process that holds a socket.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Owner {
    /// The process.
    pub pid: i32,
    /// Its name, at most 15 bytes; untrusted.
    pub name: String,
}

/// Who holds some sockets, and whether somebody may have been overlooked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Owners {
    /// Ascending by pid.
    pub found: Vec<Owner>,
    /// Processes whose descriptors may not be listed.
    pub hidden: usize,
}

/// The TCP sockets of this process's network namespace.
///
/// # Errors
/// When neither table can be read: no Linux, or `/proc` is not mounted.
pub fn sockets() -> io::Result<Vec<Socket>> {
    let mut all = Vec::new();
    let mut failed = None;
    for table in ["tcp", "tcp6"] {
        match fs::read_to_string(format!("/proc/self/net/{table}")) {
            Ok(text) => all.extend(text.lines().skip(1).take(MOST_SOCKETS).filter_map(parse)),
            // A kernel without IPv6 has no second table.
            Err(error) => failed = failed.or(Some(error)),
        }
    }
    match failed {
        Some(error) if all.is_empty() => Err(error),
        _ => Ok(all),
    }
}

/// The sockets that listen on `port` and would take a connection to one of `addresses`.
pub fn listeners(all: &[Socket], addresses: &[SocketAddr]) -> Vec<Socket> {
    let takes = |listener: &Socket, wanted: &SocketAddr| {
        let (own, wanted_ip) = (listener.local.ip(), wanted.ip().to_canonical());
        let any = own.is_unspecified() && (own.is_ipv6() || wanted_ip.is_ipv4());
        listener.local.port() == wanted.port() && (any || own.to_canonical() == wanted_ip)
    };
    all.iter().filter(|s| s.state == LISTEN && addresses.iter().any(|wanted| takes(s, wanted))).copied().collect()
}

/// The server's end of a connection whose client's end is known; `None` if it is in another namespace or machine.
pub fn server_end(all: &[Socket], client: SocketAddr, server: SocketAddr) -> Option<Socket> {
    let same = |a: SocketAddr, b: SocketAddr| a.port() == b.port() && a.ip().to_canonical() == b.ip().to_canonical();
    all.iter().find(|s| s.state == ESTABLISHED && same(s.local, server) && same(s.peer, client)).copied()
}

/// What is seen of the server's side of a connection, or of its listener where the connection does not stand yet. `None`
/// where neither is in this network namespace.
pub fn server_side(addresses: &[SocketAddr], ends: Option<(SocketAddr, SocketAddr)>) -> Option<(ServerSide, Vec<u64>)> {
    let all = sockets().ok()?;
    let listeners = listeners(&all, addresses);
    let end = ends.and_then(|(client, server)| server_end(&all, client, server));
    if listeners.is_empty() && end.is_none() {
        return None;
    }
    let backlog = (!listeners.is_empty()).then(|| listeners.iter().map(|listener| listener.unread).sum());
    let side = ServerSide {
        accepted: match (end, ends) {
            (Some(end), _) => Some(end.inode != 0),
            // Not even the handshake is through: the queue is full.
            (None, None) => Some(false),
            (None, Some(_)) => None,
        },
        unread_bytes: end.map(|end| end.unread),
        backlog,
    };
    // Who accepted the connection is the process; until then it is whoever listens.
    let accepted = end.map(|end| end.inode).filter(|inode| *inode != 0);
    let inodes =
        accepted.map_or_else(|| listeners.iter().map(|listener| listener.inode).collect(), |inode| vec![inode]);
    Some((side, inodes))
}

/// The processes that hold one of these sockets.
pub fn owners(inodes: &[u64]) -> Owners {
    let wanted: Vec<String> = inodes.iter().map(|inode| format!("socket:[{inode}]")).collect();
    let mut owners = Owners::default();
    let mut found: BTreeMap<i32, String> = BTreeMap::new();
    let Ok(processes) = fs::read_dir("/proc") else { return owners };
    for pid in processes.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok()) {
        let Ok(descriptors) = fs::read_dir(format!("/proc/{pid}/fd")) else {
            // Gone meanwhile, or not ours to see.
            owners.hidden += usize::from(fs::symlink_metadata(format!("/proc/{pid}")).is_ok());
            continue;
        };
        // Root without `CAP_SYS_PTRACE` may list the descriptors of others, and not see what they are.
        let mut unseen = false;
        let holds = descriptors.flatten().any(|descriptor| match fs::read_link(descriptor.path()) {
            Ok(link) => wanted.iter().any(|wanted| link.as_os_str() == wanted.as_str()),
            Err(error) => {
                unseen |= error.kind() == io::ErrorKind::PermissionDenied;
                false
            }
        });
        owners.hidden += usize::from(unseen && !holds);
        if holds {
            let name = fs::read(format!("/proc/{pid}/comm")).unwrap_or_default();
            found.insert(pid, String::from_utf8_lossy(&name).trim_end().to_string());
        }
    }
    owners.found = found.into_iter().map(|(pid, name)| Owner { pid, name }).collect();
    owners
}

/// One line of a table: `sl local remote state tx:rx … inode`.
fn parse(line: &str) -> Option<Socket> {
    let fields: Vec<&str> = line.split_ascii_whitespace().collect();
    let (_, unread) = fields.get(4)?.split_once(':')?;
    Some(Socket {
        local: address(fields.get(1)?)?,
        peer: address(fields.get(2)?)?,
        state: u8::from_str_radix(fields.get(3)?, 16).ok()?,
        unread: u64::from_str_radix(unread, 16).ok()?,
        inode: fields.get(9)?.parse().ok()?,
    })
}

/// `0100007F:1F90` => `127.0.0.1:8080`; the kernel prints addresses as words in its own byte order.
fn address(field: &str) -> Option<SocketAddr> {
    let (digits, port) = field.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let words: Vec<[u8; 4]> = (0..digits.len())
        .step_by(8)
        .map(|at| Some(u32::from_str_radix(digits.get(at..at + 8)?, 16).ok()?.to_ne_bytes()))
        .collect::<Option<_>>()?;
    let ip = match words.as_slice() {
        [word] => IpAddr::from(*word),
        [_, _, _, _] => IpAddr::from(Ipv6Addr::from(<[u8; 16]>::try_from(words.concat()).ok()?)),
        _ => return None,
    };
    Some(SocketAddr::new(ip, port))
}

/// Reads a text as a table of sockets, and how many it holds.
#[cfg(test)]
pub(crate) fn fuzzed(text: &[u8]) -> usize {
    String::from_utf8_lossy(text).lines().filter_map(parse).count()
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};

    #[test]
    fn a_connection_is_seen_from_the_queue_to_the_last_byte() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let server = listener.local_addr().unwrap();
        let mut client = TcpStream::connect(server).unwrap();
        let ends = Some((client.local_addr().unwrap(), server));
        client.write_all(b"GET /metrics").unwrap();
        let me = std::process::id() as i32;

        // In the queue; the kernel takes the bytes all the same.
        let (side, inodes) = server_side(&[server], ends).unwrap();
        assert_eq!((side.accepted, side.backlog), (Some(false), Some(1)));
        assert!(owners(&inodes).found.iter().any(|owner| owner.pid == me));

        let (mut accepted, _) = listener.accept().unwrap();
        let (side, inodes) = server_side(&[server], ends).unwrap();
        assert_eq!(side, ServerSide { accepted: Some(true), unread_bytes: Some(12), backlog: Some(0) });
        assert!(owners(&inodes).found.iter().any(|owner| owner.pid == me));

        accepted.read_exact(&mut [0; 12]).unwrap();
        assert_eq!(server_side(&[server], ends).unwrap().0.unread_bytes, Some(0));
    }

    #[test]
    fn a_listener_on_every_address_takes_what_its_family_takes() {
        let socket = |local: &str| Socket {
            local: local.parse().unwrap(),
            peer: "0.0.0.0:0".parse().unwrap(),
            state: LISTEN,
            unread: 0,
            inode: 1,
        };
        let takes = |local: &str, wanted: &str| !listeners(&[socket(local)], &[wanted.parse().unwrap()]).is_empty();
        assert!(
            takes("0.0.0.0:80", "127.0.0.1:80") && takes("[::]:80", "127.0.0.1:80") && takes("[::]:80", "[::1]:80")
        );
        assert!(takes("[::ffff:127.0.0.1]:80", "127.0.0.1:80") && takes("10.0.0.1:80", "10.0.0.1:80"));
        assert!(!takes("0.0.0.0:80", "[::1]:80") && !takes("127.0.0.1:80", "127.0.0.1:81"));
        assert!(!takes("127.0.0.2:80", "127.0.0.1:80"));
    }

    #[test]
    fn lines_of_the_tables_are_read_as_the_kernel_writes_them() {
        let listener =
            "   0: 0100007F:1F90 00000000:0000 0A 00000000:00000003 00:00000000 00000000  1000        0 4711 1 0 100";
        let seen = parse(listener).unwrap();
        assert_eq!(seen.local, "127.0.0.1:8080".parse().unwrap());
        assert_eq!((seen.state, seen.unread, seen.inode), (LISTEN, 3, 4711));
        let six = "1: 00000000000000000000000001000000:0050 00000000000000000000000000000000:0000 0A 0:0 0:0 0 0 0 7";
        assert_eq!(parse(six).unwrap().local, "[::1]:80".parse().unwrap());
    }

    proptest! {
        #[test]
        fn no_line_makes_it_panic(line in "[0-9A-Fa-f: ]{0,120}|.{0,80}") {
            let _ = parse(&line);
        }
    }
}
