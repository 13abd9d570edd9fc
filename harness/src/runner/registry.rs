//! All children of a run, so that one call can end them from wherever an interrupt is noticed.

use super::process::{Exit, KillError, Life};
use std::collections::BTreeMap;
use std::io;
use std::process::{Child, Command};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The processes that a run has started and not yet ended. Clones share one list.
#[derive(Clone, Debug, Default)]
pub struct Registry {
    inner: Arc<Mutex<Inner>>,
}

#[derive(Debug, Default)]
struct Inner {
    closed: bool,
    lives: BTreeMap<i32, Arc<Life>>,
}

impl Registry {
    /// An empty list.
    pub fn new() -> Registry {
        Registry::default()
    }

    /// Sends SIGKILL to every process group in the list and lets no new one start. Returns how many there were.
    ///
    /// To be called from an ordinary thread (it takes a lock), e.g. one that waits for signals, not from a signal
    /// handler. The owners of the children still see them end, and reap them; where the process exits without that,
    /// the system does.
    pub fn kill_all(&self) -> usize {
        let mut inner = self.lock();
        inner.closed = true;
        for life in inner.lives.values() {
            // A group that cannot be signalled is already gone, or not ours any more.
            let _ = life.kill();
        }
        inner.lives.len()
    }

    /// Whether [`Registry::kill_all`] was called.
    pub fn is_closed(&self) -> bool {
        self.lock().closed
    }

    /// The pids of the living, in ascending order.
    pub fn pids(&self) -> Vec<i32> {
        self.lock().lives.keys().copied().collect()
    }

    /// Starts `command` as the leader of a process group of its own that dies with the calling *thread*, under the list's
    /// lock: `kill_all` sees it, or it does not start. `nice` is added to its nice value.
    pub(super) fn start(&self, command: Command, nice: i32) -> io::Result<(Child, Arc<Life>)> {
        let mut inner = self.lock();
        if inner.closed {
            return Err(io::Error::new(
                io::ErrorKind::Interrupted,
                "the run was interrupted, no child is started any more",
            ));
        }
        let (child, life) = Life::start(command, nice)?;
        let life = Arc::new(life);
        inner.lives.insert(life.pid(), Arc::clone(&life));
        Ok((child, life))
    }

    /// Kills the group, waits until none of it is left, reaps the leader, and takes it off the list.
    pub(super) fn end(&self, life: &Life) -> Result<Exit, KillError> {
        let ended = life.end();
        if life.is_reaped() {
            self.lock().lives.remove(&life.pid());
        }
        ended
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Stdio;

    fn idle() -> Command {
        let mut command = Command::new("cat");
        command.stdin(Stdio::piped()).stdout(Stdio::null());
        command
    }

    #[test]
    fn a_process_is_listed_until_it_is_ended() {
        let registry = Registry::new();
        let (_child, life) = registry.start(idle(), 0).unwrap();
        assert_eq!(registry.pids(), [life.pid()]);
        assert!(registry.end(&life).unwrap().by_runner);
        assert!(registry.pids().is_empty());
    }

    #[test]
    fn nothing_starts_once_all_were_killed() {
        let registry = Registry::new();
        let (_child, life) = registry.start(idle(), 0).unwrap();
        assert_eq!(registry.kill_all(), 1);
        assert!(registry.start(idle(), 0).is_err());
        assert_eq!(registry.end(&life).unwrap().signal, Some(9));
    }
}
