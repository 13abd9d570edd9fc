//! A process group that is ours: started so that it dies with us, watched, and ended whole.

use super::watch::{TICK, poll_timeout};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, poll};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use rustix::io::retry_on_intr;
#[cfg(target_os = "linux")]
use rustix::process::PidfdFlags;
use rustix::process::{WaitId, WaitIdOptions, waitid};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exit {
    /// Its exit code, if it exited.
    pub code: Option<i32>,
    /// The signal that ended it, if one did.
    pub signal: Option<i32>,
    /// Whether the runner sent that signal.
    pub by_runner: bool,
}

impl std::fmt::Display for Exit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (self.code, self.signal) {
            (Some(code), _) => write!(f, "exit code {code}"),
            (None, Some(signal)) => {
                match Signal::try_from(signal) {
                    Ok(name) => write!(f, "killed by {name}")?,
                    Err(_) => write!(f, "killed by signal {signal}")?,
                }
                f.write_str(if self.by_runner { " from the runner" } else { "" })
            }
            (None, None) => f.write_str("ended in an unknown way"),
        }
    }
}

/// Why a process group could not be ended.
#[derive(Debug, thiserror::Error)]
pub enum KillError {
    /// It was sent SIGKILL and is still there: it is stuck in the kernel, or a debugger holds it.
    #[error("process group {group} survived SIGKILL for {seconds} s; `cat /proc/{group}/stack` may say why")]
    Survives {
        /// The group, which is also the leader's pid.
        group: i32,
        /// How long was waited.
        seconds: u64,
    },
    /// The system refused to send the signal or to wait.
    #[error("cannot end process group {group}: {source}")]
    System {
        /// The group.
        group: i32,
        /// The system's words.
        source: io::Error,
    },
}

/// How long a killed process may take to be gone; what takes longer is stuck in the kernel.
const DYING: Duration = Duration::from_secs(10);

/// The life of a process group: shared between its owner, its attendant thread and the registry.
#[derive(Debug)]
pub(super) struct Life {
    group: Pid,
    /// Readable once the leader has ended; `None` where the system has no pidfd.
    pidfd: Option<OwnedFd>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// SIGKILL was sent while the leader was alive.
    killed: bool,
    /// How the leader ended, once known.
    exit: Option<Exit>,
    /// The leader's pid was given back to the system: it must not be signalled any more.
    reaped: bool,
}

impl Life {
    /// Starts `command` as the leader of a new process group that is killed when the calling *thread* ends. `nice` is
    /// added to its nice value. To be called through the registry, which must know of it from its first moment.
    pub(super) fn start(mut command: Command, nice: i32) -> io::Result<(Child, Life)> {
        command.process_group(0);
        let parent = std::process::id();
        // SAFETY: between fork and exec only async-signal-safe calls are made: prctl, getppid, setrlimit, nice; nothing
        // allocates, an error is a plain number.
        unsafe { command.pre_exec(move || bind_to_parent(parent, nice)) };
        let child = command.spawn()?;
        let pid = child.id() as i32;
        let life = Life { group: Pid::from_raw(pid), pidfd: pidfd_open(pid), state: Mutex::default() };
        Ok((child, life))
    }

    /// The leader's pid, which is the group's id as well.
    pub(super) fn pid(&self) -> i32 {
        self.group.as_raw()
    }

    /// What becomes readable when the leader has ended; `None`: ask [`Life::exit`] again after [`TICK`].
    pub(super) fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.pidfd.as_ref().map(|fd| fd.as_fd())
    }

    /// How the leader ended, if it has. It stays a zombie, so that its pid cannot come to mean another process.
    pub(super) fn exit(&self) -> Option<Exit> {
        self.look(&mut self.state())
    }

    /// Waits up to `timeout` for the leader to end.
    pub(super) fn wait_exit(&self, timeout: Duration) -> Option<Exit> {
        let end = Instant::now() + timeout;
        loop {
            let exit = self.exit();
            let left = end.saturating_duration_since(Instant::now());
            if exit.is_some() || left.is_zero() {
                return exit;
            }
            wait_readable(self.fd(), left);
        }
    }

    /// Sends SIGKILL to the whole group. Members that left it (`setsid`, `setpgid`) are out of reach.
    pub(super) fn kill(&self) -> io::Result<()> {
        let mut state = self.state();
        state.killed |= self.look(&mut state).is_none();
        if state.reaped {
            return Ok(());
        }
        match killpg(self.group, Signal::SIGKILL) {
            // A group of which only the zombie leader is left.
            Ok(()) | Err(Errno::ESRCH | Errno::EPERM) => Ok(()),
            Err(e) => Err(e.into()),
        }
    }

    /// Kills the group, waits until none of it is left, and reaps the leader.
    pub(super) fn end(&self) -> Result<Exit, KillError> {
        let system = |source| KillError::System { group: self.pid(), source };
        let survives = || KillError::Survives { group: self.pid(), seconds: DYING.as_secs() };
        self.kill().map_err(system)?;
        let end = Instant::now() + DYING;
        let exit = self.wait_exit(DYING).ok_or_else(survives)?;
        {
            let mut state = self.state();
            if !state.reaped {
                wait_id(self.pid(), WaitIdOptions::EXITED);
                state.reaped = true;
            }
        }
        // Orphans of the group die on their own time; whoever asks for the port or the file they held must find it free.
        while killpg(self.group, None).is_ok() {
            let Some(member) = living_member(self.group) else { break };
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(survives());
            }
            let fd = pidfd_open(member);
            wait_readable(fd.as_ref().map(|fd| fd.as_fd()), left);
        }
        Ok(exit)
    }

    /// Whether the leader's pid was given back to the system, and may come to mean another process.
    pub(super) fn is_reaped(&self) -> bool {
        self.state().reaped
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn look(&self, state: &mut State) -> Option<Exit> {
        if state.exit.is_none() {
            let ended = match wait_id(self.pid(), WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT)
            {
                Waited::Runs => return None,
                Waited::Ended { code, signal } => (code, signal),
                Waited::Lost => {
                    // Its pid, and its group's id with it, may mean somebody else by now.
                    state.reaped = true;
                    (None, None)
                }
            };
            let by_runner = state.killed && ended.1 == Some(libc::SIGKILL);
            state.exit = Some(Exit { code: ended.0, signal: ended.1, by_runner });
        }
        state.exit
    }
}

/// Between fork and exec: die with the parent, leave no core file.
fn bind_to_parent(parent: u32, nice: i32) -> io::Result<()> {
    let no_core = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: setrlimit reads one struct that lives on this stack.
    unsafe { libc::setrlimit(libc::RLIMIT_CORE, &no_core) };
    if nice != 0 {
        // SAFETY: nice takes a number. That it is refused is no reason not to run: the child is only less courteous.
        unsafe { libc::nice(nice) };
    }
    #[cfg(target_os = "linux")]
    {
        // SAFETY: prctl with this option takes a number and no pointer.
        if unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) } != 0 {
            return Err(io::Error::last_os_error());
        }
    }
    // The parent may have died before the line above: then nobody would ever send the signal.
    // SAFETY: getppid has no arguments and cannot fail.
    if unsafe { libc::getppid() } as u32 != parent {
        return Err(io::Error::from_raw_os_error(libc::ESRCH));
    }
    Ok(())
}

/// Waits until `fd` is readable or `left` has passed; without an fd, one [`TICK`].
fn wait_readable(fd: Option<BorrowedFd<'_>>, left: Duration) {
    let left = if fd.is_none() { left.min(TICK) } else { left };
    let mut fds: Vec<PollFd<'_>> = fd.map(|fd| PollFd::new(fd, PollFlags::POLLIN)).into_iter().collect();
    // A wait that was interrupted or failed only means that the caller looks again.
    let _ = poll(&mut fds, poll_timeout(left));
}

/// What waitid says of a process.
enum Waited {
    Runs,
    Ended {
        code: Option<i32>,
        signal: Option<i32>,
    },
    /// Somebody else in this process has reaped it, or SIGCHLD is ignored: how it ended cannot be known.
    Lost,
}

fn wait_id(pid: i32, options: WaitIdOptions) -> Waited {
    let Some(pid) = rustix::process::Pid::from_raw(pid) else { return Waited::Lost };
    match retry_on_intr(|| waitid(WaitId::Pid(pid), options)) {
        Ok(Some(status)) => Waited::Ended { code: status.exit_status(), signal: status.terminating_signal() },
        Ok(None) => Waited::Runs,
        Err(_) => Waited::Lost,
    }
}

/// A descriptor that becomes readable when the process ends; `None` where there is no such thing.
#[cfg(target_os = "linux")]
fn pidfd_open(pid: i32) -> Option<OwnedFd> {
    rustix::process::pidfd_open(rustix::process::Pid::from_raw(pid)?, PidfdFlags::empty()).ok()
}

/// A descriptor that becomes readable when the process ends; `None` where there is no such thing.
#[cfg(not(target_os = "linux"))]
fn pidfd_open(_: i32) -> Option<OwnedFd> {
    None
}

/// A process of the group that is not a zombie.
#[cfg(target_os = "linux")]
fn living_member(group: Pid) -> Option<i32> {
    std::fs::read_dir("/proc").ok()?.flatten().find_map(|entry| {
        let pid: i32 = entry.file_name().to_str()?.parse().ok()?;
        let stat = std::fs::read(entry.path().join("stat")).ok()?;
        // `pid (comm) state ppid pgrp …`; comm may hold anything, also `)`.
        let rest = &stat[stat.iter().rposition(|&b| b == b')')? + 1..];
        let mut fields = rest.split(|&b| b == b' ').filter(|field| !field.is_empty());
        let state = fields.next()?;
        let pgrp = std::str::from_utf8(fields.nth(1)?).ok()?;
        (pgrp.parse() == Ok(group.as_raw()) && state != b"Z" && state != b"X").then_some(pid)
    })
}

/// A process of the group that is not a zombie; nobody can tell here.
#[cfg(not(target_os = "linux"))]
fn living_member(_: Pid) -> Option<i32> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Stdio;

    /// Long enough for the slowest machine.
    const PATIENCE: Duration = Duration::from_secs(60);

    /// A process that does nothing until its stdin ends.
    fn idle() -> (Child, Life) {
        let mut command = Command::new("cat");
        command.stdin(Stdio::piped()).stdout(Stdio::null());
        Life::start(command, 0).unwrap()
    }

    #[test]
    fn a_kill_that_comes_too_late_is_not_taken_for_the_cause() {
        let (_child, life) = idle();
        nix::sys::signal::kill(life.group, Signal::SIGKILL).unwrap();
        // Nobody has asked how it ended before the group is killed.
        if let Some(fd) = life.fd() {
            let mut fds = [PollFd::new(fd, PollFlags::POLLIN)];
            assert_eq!(poll(&mut fds, poll_timeout(PATIENCE)), Ok(1));
        }
        let exit = life.end().unwrap();
        assert_eq!(exit, Exit { code: None, signal: Some(libc::SIGKILL), by_runner: false });
        assert!(life.is_reaped());
    }

    #[test]
    fn without_a_pidfd_the_end_is_seen_all_the_same() {
        let (mut child, _) = idle();
        let life = Life { group: Pid::from_raw(child.id() as i32), pidfd: None, state: Mutex::default() };
        assert_eq!(life.wait_exit(Duration::ZERO), None);
        drop(child.stdin.take());
        let exit = Exit { code: Some(0), signal: None, by_runner: false };
        assert_eq!(life.wait_exit(PATIENCE), Some(exit));
        assert_eq!(life.end().unwrap(), exit);
    }

    #[test]
    fn a_process_that_somebody_else_reaped_ended_in_an_unknown_way() {
        let (mut child, life) = idle();
        drop(child.stdin.take());
        child.wait().unwrap();
        let exit = life.end().unwrap();
        assert_eq!(exit, Exit { code: None, signal: None, by_runner: false });
        assert_eq!(exit.to_string(), "ended in an unknown way");
    }
}
