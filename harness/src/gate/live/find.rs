//! Which process answers a URL: the one that accepted the connection, or that listens for it.

use crate::diagnose::{Process, examine};
use crate::model::{Gap, OtherProcess, ServerSide};
use crate::probe::HttpUrl;
use crate::probe::socket::{self, Owner};
use std::fs::{DirEntry, read_dir, read_link};
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::Duration;

/// Programs that listen on behalf of a process elsewhere.
const FORWARDERS: [&str; 8] =
    ["docker-proxy", "rootlessport", "slirp4netns", "pasta", "pasta.avx2", "kubectl", "ssh", "socat"];

/// How often who holds a listener is asked again where several do, and how long after the last time.
const AGAIN: usize = 10;
const BETWEEN: Duration = Duration::from_millis(25);

/// What was found of the server's side.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// Its side of the connection, where it is in this network namespace.
    pub(super) side: Option<ServerSide>,
    /// The process.
    pub(super) process: Option<Process>,
    /// The process, where it is not the given one.
    pub(super) other: Option<OtherProcess>,
    /// Why it was not found, or is in doubt.
    pub(super) gap: Option<Gap>,
}

/// Looks for the process behind `url`. `ends` are the two ends of the connection, if it stands.
pub(super) fn server(url: &HttpUrl, ends: Option<(SocketAddr, SocketAddr)>, given: Option<&Process>) -> Found {
    let addresses = url.resolve().unwrap_or_default();
    let Some((side, inodes)) = socket::server_side(&addresses, ends) else {
        let gap = (given.is_none()).then(|| {
            gap(format!(
                "nothing in this network namespace listens on port {}: the service runs in a container or on another \
                 machine. Run this where it runs (docker run --pid=container:NAME --network=container:NAME), or give --pid",
                url.port()
            ))
        });
        return Found { gap, ..Found::default() };
    };
    let mut owners = socket::owners(&inodes);
    owners.found = lasting(owners.found, || {
        std::thread::sleep(BETWEEN);
        socket::owners(&inodes).found
    });
    if let Some(given) = given {
        let other = other(given.pid, &owners.found, is_shown(given.pid));
        let gap = match &other {
            Some(OtherProcess { named, pid, name }) => {
                Some(gap(format!("the URL is served by process {pid} (`{name}`), not by process {named}")))
            }
            None if owners.found.is_empty() && owners.hidden > 0 => Some(Gap {
                uncovers: false,
                ..gap(format!(
                    "that process {} serves it is taken on trust: who does is not shown to this user",
                    given.pid
                ))
            }),
            None => None,
        };
        return Found { other, side: Some(side), gap, process: None };
    }
    let (process, why) = match owners.found.as_slice() {
        [owner] if FORWARDERS.contains(&owner.name.as_str()) => (
            None,
            Some(format!(
                "port {} is listened on by `{}` (process {}), which only forwards it: the service runs elsewhere, as in a \
                 container. Give the process of the service with --pid, or run this inside its namespaces (docker run \
                 --pid=container:NAME --network=container:NAME)",
                url.port(),
                owner.name,
                owner.pid
            )),
        ),
        [owner] => match examine(owner.pid) {
            Ok(process) => (Some(process), None),
            Err(error) => (None, Some(error.to_string())),
        },
        [] if owners.hidden > 0 => (
            None,
            Some(format!(
                "{} not show this user what they listen on: run it as the user of the service, or with sudo (in a container: \
                 --cap-add SYS_PTRACE), or give --pid",
                match owners.hidden {
                    1 => "1 process does".to_string(),
                    n => format!("{n} processes do"),
                }
            )),
        ),
        [] => (
            None,
            Some(format!(
                "port {} is listened on by a process that this pid namespace does not show: run this on the host, or in \
                 the container's pid namespace (docker run --pid=container:NAME)",
                url.port()
            )),
        ),
        several => {
            let names: Vec<String> = several.iter().take(8).map(|o| format!("{} (`{}`)", o.pid, o.name)).collect();
            let why = format!("several processes hold the listener: {}; give one with --pid", names.join(", "));
            (None, Some(why))
        }
    };
    Found { side: Some(side), process, gap: why.map(gap), other: None }
}

/// Those that hold it every time they are asked for: from `fork` to `exec` a child holds what its parent holds.
fn lasting(mut owners: Vec<Owner>, mut again: impl FnMut() -> Vec<Owner>) -> Vec<Owner> {
    for _ in 0..AGAIN {
        if owners.len() < 2 {
            break;
        }
        let now = again();
        owners.retain(|owner| now.iter().any(|other| other.pid == owner.pid));
        if owners.is_empty() {
            owners = now;
        }
    }
    owners
}

/// The process that serves the URL in place of the `given` one, whose descriptors are all `shown`. Of what listens for a
/// service that runs elsewhere it cannot be said.
fn other(given: i32, owners: &[Owner], shown: bool) -> Option<OtherProcess> {
    let in_doubt = |owner: &Owner| owner.pid == given || FORWARDERS.contains(&owner.name.as_str());
    if !shown || owners.iter().any(in_doubt) {
        return None;
    }
    owners.first().map(|owner| OtherProcess { named: given, pid: owner.pid, name: owner.name.clone() })
}

/// Whether this user may see what all descriptors of the process are.
fn is_shown(pid: i32) -> bool {
    let hidden = |entry: DirEntry| read_link(entry.path()).is_err_and(|e| e.kind() == ErrorKind::PermissionDenied);
    read_dir(format!("/proc/{pid}/fd")).is_ok_and(|mut entries| !entries.any(|entry| entry.is_ok_and(hidden)))
}

fn gap(why: String) -> Gap {
    Gap { what: "the process behind the URL".to_string(), why, uncovers: true }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_between_fork_and_exec_is_no_owner() {
        let owners =
            |pids: &[i32]| -> Vec<Owner> { pids.iter().map(|pid| Owner { pid: *pid, name: String::new() }).collect() };
        let lasting = |first: &[i32], later: &[&[i32]]| {
            let mut asked = 0;
            let again = || {
                asked += 1;
                owners(later[(asked - 1).min(later.len() - 1)])
            };
            let pids: Vec<i32> = super::lasting(owners(first), again).iter().map(|owner| owner.pid).collect();
            (pids, asked)
        };
        assert_eq!(lasting(&[7], &[&[]]), (vec![7], 0));
        assert_eq!(lasting(&[7, 8], &[&[7, 8], &[7]]), (vec![7], 2));
        assert_eq!(lasting(&[7, 8], &[&[7, 9], &[7]]), (vec![7], 1));
        // Those that share it for good, and one that took over from others.
        assert_eq!(lasting(&[7, 8], &[&[7, 8]]), (vec![7, 8], AGAIN));
        assert_eq!(lasting(&[7, 8], &[&[9]]), (vec![9], 1));
    }

    #[test]
    fn a_process_is_called_another_one_only_where_that_is_known() {
        let owners = |found: &[(i32, &str)]| -> Vec<Owner> {
            found.iter().map(|(pid, name)| Owner { pid: *pid, name: (*name).to_string() }).collect()
        };
        let svc = OtherProcess { named: 7, pid: 8, name: "svc".into() };
        assert_eq!(other(7, &owners(&[(8, "svc")]), true), Some(svc));
        // Near misses: it may share the listener unseen, it does share it, the port is only forwarded, nobody is seen.
        assert_eq!(other(7, &owners(&[(8, "svc")]), false), None);
        assert_eq!(other(7, &owners(&[(8, "svc"), (7, "svc")]), true), None);
        assert_eq!(other(7, &owners(&[(8, "docker-proxy")]), true), None);
        assert_eq!(other(7, &[], true), None);
        assert!(is_shown(std::process::id().cast_signed()) && !is_shown(0));
    }
}
