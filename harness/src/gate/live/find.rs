//! Which process answers a URL: the one that accepted the connection, or that listens for it.

use crate::diagnose::{Process, examine};
use crate::model::{Gap, ServerSide};
use crate::probe::HttpUrl;
use crate::probe::socket::{self, Owner};
use std::net::SocketAddr;

/// Programs that listen on behalf of a process elsewhere.
const FORWARDERS: [&str; 8] =
    ["docker-proxy", "rootlessport", "slirp4netns", "pasta", "pasta.avx2", "kubectl", "ssh", "socat"];

/// What was found of the server's side.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// Its side of the connection, where it is in this network namespace.
    pub(super) side: Option<ServerSide>,
    /// The process.
    pub(super) process: Option<Process>,
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
    let owners = socket::owners(&inodes);
    let known = |owner: &Owner| given.is_some_and(|process| process.pid == owner.pid);
    if let Some(given) = given {
        let other = owners.found.first().filter(|_| !owners.found.iter().any(known));
        let gap = other.map(|owner| {
            gap(format!("the URL is served by process {} (`{}`), not by process {}", owner.pid, owner.name, given.pid))
        });
        return Found { side: Some(side), process: None, gap };
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
    Found { side: Some(side), process, gap: why.map(gap) }
}

fn gap(why: String) -> Gap {
    Gap { what: "the process behind the URL".to_string(), why, uncovers: true }
}
