//! Somebody's service, started by a shell command for the time of a run: it dies with the run, whatever it started.

use super::Registry;
use super::process::{Exit, KillError, Life};
use std::io;
use std::process::{Command, Stdio};
use std::sync::Arc;

/// A running service. Dropping it kills its process group. It dies with the thread that started it.
#[derive(Debug)]
pub struct Service {
    life: Arc<Life>,
    registry: Registry,
    ended: bool,
    /// Must stay on the thread that started it.
    thread: std::marker::PhantomData<*const ()>,
}

impl Service {
    /// Starts `command` with `sh -c`, as the leader of a process group of its own. What it prints goes to stderr.
    ///
    /// # Errors
    /// When the system starts no shell, or the run was interrupted.
    pub fn start(command: &str, registry: &Registry) -> io::Result<Service> {
        let mut shell = Command::new("sh");
        shell.args(["-c", command]).stdin(Stdio::null()).stdout(Stdio::from(io::stderr()));
        let (_, life) = registry.start(shell, 0)?;
        Ok(Service { life, registry: registry.clone(), ended: false, thread: std::marker::PhantomData })
    }

    /// How the shell ended, if it has.
    pub fn exit(&self) -> Option<Exit> {
        self.life.exit()
    }

    /// Kills the whole process group, and waits until none of it is left.
    ///
    /// # Errors
    /// See [`KillError`].
    pub fn end(&mut self) -> Result<(), KillError> {
        if self.ended {
            return Ok(());
        }
        self.ended = true;
        self.registry.end(&self.life).map(drop)
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // There is nobody to tell; a group that survives SIGKILL stays in the registry.
        let _ = self.end();
    }
}
