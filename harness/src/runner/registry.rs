//! All children of a run, so that one call can end them from wherever an interrupt is noticed.

use super::process::Life;
use std::collections::BTreeMap;
use std::io;
use std::process::Child;
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

    /// Starts a process under the list's lock: `kill_all` sees it, or it does not start.
    pub(super) fn start(
        &self,
        start: impl FnOnce() -> io::Result<(Child, Arc<Life>)>,
    ) -> io::Result<(Child, Arc<Life>)> {
        let mut inner = self.lock();
        if inner.closed {
            return Err(io::Error::new(
                io::ErrorKind::Interrupted,
                "the run was interrupted, no child is started any more",
            ));
        }
        let (child, life) = start()?;
        inner.lives.insert(life.pid(), Arc::clone(&life));
        Ok((child, life))
    }

    pub(super) fn forget(&self, pid: i32) {
        self.lock().lives.remove(&pid);
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
