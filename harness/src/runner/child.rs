//! One trial's process, held by its strings: commands in, journal lines out, and an end that leaves nothing behind.

use super::attendant::{Attendant, Heard, set_nonblocking};
use super::cpus;
use super::lines::JournalProblem;
use super::output::{Captured, Keep};
use super::process::{Exit, KillError, Life};
use super::registry::Registry;
use super::tail::{JournalTail, Tailed};
use crate::model::{CaseId, ChildLine, Command};
use std::ffi::OsString;
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::marker::PhantomData;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::process::{ChildStdin, Command as Program, Stdio};
use std::sync::Arc;
use std::time::Duration;

/// The nice value of a child with a low priority: a tenth of what others get.
const LOW_PRIORITY: i32 = 10;
/// How much of stdout is kept.
const KEPT: usize = 64 << 10;

/// How to start a trial's child.
#[derive(Clone, Debug)]
pub struct SpawnOptions {
    /// The catalogue executable.
    pub exe: PathBuf,
    /// The case to run.
    pub case: CaseId,
    /// The trial's seed.
    pub seed: u64,
    /// The file the child writes its journal to. It must not exist; the caller removes it.
    pub journal: PathBuf,
    /// Environment variables added to the parent's own.
    pub env: Vec<(OsString, OsString)>,
    /// The child leaves one CPU to this process: for children that would otherwise make it late.
    pub leaves_a_cpu: bool,
    /// The child runs at a low priority: for children that spin.
    pub low_priority: bool,
    /// The list that the child stands in while it lives.
    pub registry: Registry,
}

impl SpawnOptions {
    /// The options without additional environment.
    pub fn new(
        exe: impl Into<PathBuf>,
        case: CaseId,
        seed: u64,
        journal: impl Into<PathBuf>,
        registry: &Registry,
    ) -> SpawnOptions {
        let registry = registry.clone();
        SpawnOptions {
            exe: exe.into(),
            case,
            seed,
            journal: journal.into(),
            env: Vec::new(),
            leaves_a_cpu: false,
            low_priority: false,
            registry,
        }
    }
}

/// Why a child was not started.
#[derive(Debug, thiserror::Error)]
pub enum SpawnError {
    /// The journal could not be created.
    #[error("cannot create the journal {}: {source}", path.display())]
    Journal {
        /// The file.
        path: PathBuf,
        /// The system's words.
        source: io::Error,
    },
    /// The executable could not be started.
    #[error("cannot start the catalogue {}: {source}", exe.display())]
    Exe {
        /// The executable.
        exe: PathBuf,
        /// The system's words.
        source: io::Error,
    },
    /// The run was interrupted; see [`Registry::kill_all`].
    #[error("the run was interrupted, no child is started any more")]
    Interrupted,
    /// The parent has no thread or descriptor left to attend a child.
    #[error("cannot attend a child: {source}; lower `--jobs` or raise `ulimit -n` and `ulimit -u`")]
    Attendant {
        /// The system's words.
        source: io::Error,
    },
}

/// Why a command did not reach the child.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// The child has ended or closed its stdin.
    #[error("cannot give the command `{}`: the child has closed its command pipe", command.word())]
    Gone {
        /// The command.
        command: Command,
    },
    /// The pipe is full: thousands of commands have not been read.
    #[error("cannot give the command `{}`: the child does not read its command pipe", command.word())]
    Unread {
        /// The command.
        command: Command,
    },
    /// The system refused.
    #[error("cannot give the command `{}`: {source}", command.word())]
    System {
        /// The command.
        command: Command,
        /// The system's words.
        source: io::Error,
    },
}

/// What is heard of a child.
#[derive(Clone, Debug, PartialEq)]
pub enum Said {
    /// A line of its journal.
    Line(ChildLine),
    /// A stretch of its journal that is no record. [`JournalFault::CutOff`](super::JournalFault::CutOff) is normal for
    /// a child that was killed.
    Problem(JournalProblem),
    /// It ended. Comes once, after everything that it wrote to its journal, and nothing comes after it.
    Exited(Exit),
}

/// A running child: the leader of a process group of its own, which dies with the parent.
///
/// The system kills the child when the *thread* that spawned it ends (`PR_SET_PDEATHSIG`), so a `Child` cannot leave
/// that thread: it is neither `Send` nor `Sync`. Dropping it kills and reaps the whole group.
///
/// What escapes: a descendant that leaves the process group (`setsid`), and descendants of a child whose parent was
/// killed by SIGKILL (only the child itself is bound to the parent; it is expected to end what it started, or not to
/// start anything).
#[derive(Debug)]
pub struct Child {
    life: Arc<Life>,
    stdin: Option<ChildStdin>,
    attendant: Attendant,
    registry: Registry,
    ended: Option<Exit>,
    /// Bound to its thread, see above.
    thread: PhantomData<*const ()>,
}

impl Child {
    /// Starts `EXE child CASE --seed S --journal FILE`.
    ///
    /// `hear` is called on a thread that belongs to the child, for everything in [`Said`]; it must not block (send to
    /// an unbounded channel), because the child's output is emptied by the same thread.
    ///
    /// # Errors
    /// See [`SpawnError`]; nothing is left running, but the journal may have been created.
    pub fn spawn(options: &SpawnOptions, mut hear: impl FnMut(Said) + Send + 'static) -> Result<Child, SpawnError> {
        let journal_error = |source| SpawnError::Journal { path: options.journal.clone(), source };
        OpenOptions::new().write(true).create_new(true).open(&options.journal).map_err(journal_error)?;
        let tail = JournalTail::open(&options.journal).map_err(journal_error)?;
        let mut program = Program::new(&options.exe);
        program.arg("child").arg(options.case.to_string());
        program.arg("--seed").arg(options.seed.to_string()).arg("--journal").arg(&options.journal);
        program.envs(options.env.iter().map(|(name, value)| (name, value)));
        program.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let nice = if options.low_priority { LOW_PRIORITY } else { 0 };
        let start = || options.registry.start(program, nice);
        let started = if options.leaves_a_cpu { cpus::all_but_one(start) } else { start() };
        let (mut process, life) = started.map_err(|source| {
            if options.registry.is_closed() {
                SpawnError::Interrupted
            } else {
                SpawnError::Exe { exe: options.exe.clone(), source }
            }
        })?;
        let stdin = process.stdin.take();
        let prepared = stdin.as_ref().map_or(Ok(()), |pipe| set_nonblocking(pipe.as_fd()));
        let attendant = prepared.and_then(|()| {
            Attendant::start(&mut process, Keep::Last(KEPT), Arc::clone(&life), Some(tail), move |heard| {
                hear(match heard {
                    Heard::Journal(Tailed::Line(line)) => Said::Line(line),
                    Heard::Journal(Tailed::Problem(problem)) => Said::Problem(problem),
                    Heard::Exited(exit) => Said::Exited(exit),
                })
            })
        });
        match attendant {
            Ok(attendant) => {
                let registry = options.registry.clone();
                Ok(Child { life, stdin, attendant, registry, ended: None, thread: PhantomData })
            }
            Err(source) => {
                // The first error is the one to tell; a group that cannot be ended here stays in the registry.
                let _ = options.registry.end(&life);
                Err(SpawnError::Attendant { source })
            }
        }
    }

    /// The child's pid, which is its process group as well.
    pub fn pid(&self) -> i32 {
        self.life.pid()
    }

    /// Writes one command to the child's stdin; never blocks. The child answers with `ChildEvent::Done`.
    ///
    /// # Errors
    /// See [`CommandError`].
    pub fn command(&mut self, command: Command) -> Result<(), CommandError> {
        let Some(stdin) = &mut self.stdin else { return Err(CommandError::Gone { command }) };
        // Shorter than PIPE_BUF, so it is written whole or not at all.
        let line = format!("{}\n", command.word());
        stdin.write_all(line.as_bytes()).map_err(|source| match source.kind() {
            io::ErrorKind::BrokenPipe => CommandError::Gone { command },
            io::ErrorKind::WouldBlock => CommandError::Unread { command },
            _ => CommandError::System { command, source },
        })
    }

    /// Waits up to `timeout` for the child to end by itself.
    pub fn wait_exit(&self, timeout: Duration) -> Option<Exit> {
        self.life.wait_exit(timeout)
    }

    /// What it printed to stdout so far: the last 64 KiB.
    pub fn stdout(&self) -> Captured {
        self.attendant.stdout()
    }

    /// What it printed to stderr so far: the last 64 KiB.
    pub fn stderr(&self) -> Captured {
        self.attendant.stderr()
    }

    /// Tells the child to finish, waits up to `grace` for it to exit, then kills what is left of its group.
    ///
    /// # Errors
    /// See [`KillError`].
    pub fn finish(&mut self, grace: Duration) -> Result<Exit, KillError> {
        // A child that does not take the command is killed below all the same.
        let _ = self.command(Command::Finish);
        self.stdin = None;
        self.wait_exit(grace);
        self.kill_group()
    }

    /// Kills the whole process group with SIGKILL, waits until none of it is left, and reaps the child. When it
    /// returns, everything has been heard and the output is complete. Calling it again returns the same.
    ///
    /// # Errors
    /// See [`KillError`].
    pub fn kill_group(&mut self) -> Result<Exit, KillError> {
        if let Some(exit) = self.ended {
            return Ok(exit);
        }
        self.stdin = None;
        let exit = self.registry.end(&self.life);
        self.attendant.stop();
        self.ended = exit.as_ref().ok().copied();
        exit
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // There is nobody to tell; a group that survives SIGKILL stays in the registry.
        let _ = self.kill_group();
    }
}
