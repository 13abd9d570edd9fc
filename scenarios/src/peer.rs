//! A remote party that a collector asks over TCP: it answers at once, until it falls silent.
//!
//! It runs on a thread of this process, so that a trial needs no second one. To the collector it is as remote as any.

use crate::stage::Stage;
use gatherlock::catalogue::Problem;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A peer that knows how far it is behind.
#[derive(Clone, Debug)]
pub(crate) struct Peer {
    address: SocketAddr,
    connections: Arc<Mutex<Connections>>,
}

#[derive(Debug, Default)]
struct Connections {
    silent: bool,
    unanswered: Vec<TcpStream>,
}

impl Peer {
    /// Starts it.
    pub(crate) fn start(stage: &Stage) -> Result<Peer, Problem> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let peer = Peer { address: listener.local_addr()?, connections: Arc::default() };
        let accepting = peer.clone();
        stage.actor("peer", move || {
            loop {
                let (connection, _) = listener.accept()?;
                let mut connections = accepting.connections();
                if connections.silent {
                    connections.unanswered.push(connection);
                } else {
                    answer(connection);
                }
            }
        })?;
        Ok(peer)
    }

    /// From now on it accepts connections and says nothing on them.
    pub(crate) fn fall_silent(&self) {
        self.connections().silent = true;
    }

    /// It answers new connections again, and also the ones it left unanswered, unless it has forgotten them. A forgotten
    /// connection stays open and silent, as one does whose other end was lost without a word.
    pub(crate) fn recover(&self, forgotten: bool) {
        let mut connections = self.connections();
        connections.silent = false;
        if !forgotten {
            connections.unanswered.drain(..).for_each(answer);
        }
    }

    /// Asks it how far it is behind. Blocks until it answers.
    pub(crate) fn lag(&self) -> std::io::Result<u64> {
        let mut text = String::new();
        TcpStream::connect(self.address)?.read_to_string(&mut text)?;
        text.trim().parse().map_err(std::io::Error::other)
    }

    fn connections(&self) -> MutexGuard<'_, Connections> {
        self.connections.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn answer(mut connection: TcpStream) {
    // Whoever asked may have gone away.
    let _ = connection.write_all(b"42\n");
}
