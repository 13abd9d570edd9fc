//! The runner against children that misbehave in every way a child can.

mod catalogues;
mod checkers;
mod fixture;

use gatherlock::model::{CaseId, ChildEvent, ChildLine, Command};
use gatherlock::runner::{
    Child, CommandError, Exit, JournalFault, JournalProblem, Registry, Said, SpawnError, SpawnOptions,
};
use std::io::Read;
use std::os::fd::{FromRawFd, OwnedFd};
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;
use tempfile::TempDir;

/// Long enough for the slowest machine; a test that needs it has failed.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running fixture and what is heard of it.
struct Run {
    child: Child,
    heard: Receiver<Said>,
    registry: Registry,
    folder: TempDir,
}

impl Run {
    fn of(scenario: &str) -> Run {
        let folder = tempfile::tempdir().unwrap();
        let registry = Registry::new();
        let (tell, heard) = channel();
        let options = options(scenario, folder.path().join("journal"), &registry);
        let child = Child::spawn(&options, move |said| _ = tell.send(said)).unwrap();
        assert_eq!(registry.pids(), [child.pid()]);
        Run { child, heard, registry, folder }
    }

    fn next(&self) -> Said {
        self.heard.recv_timeout(PATIENCE).expect("the child says something more")
    }

    fn event(&self) -> ChildEvent {
        match self.next() {
            Said::Line(ChildLine { event, .. }) => event,
            other => panic!("expected a line, heard {other:?}"),
        }
    }

    fn problem(&self) -> JournalProblem {
        match self.next() {
            Said::Problem(problem) => problem,
            other => panic!("expected a problem, heard {other:?}"),
        }
    }

    fn ready(&self) {
        let event = self.event();
        assert!(matches!(event, ChildEvent::Ready { .. }), "{event:?}");
    }

    fn exited(&self) -> Exit {
        match self.next() {
            Said::Exited(exit) => exit,
            other => panic!("expected the end, heard {other:?}"),
        }
    }

    /// Another process that the child has told of, by a descriptor that cannot come to mean another one.
    fn other(&self) -> OwnedFd {
        match self.event() {
            ChildEvent::Count { name, value } if name == "pid" => pidfd(value as i32),
            other => panic!("expected a pid, heard {other:?}"),
        }
    }

    /// Ends it, and checks that nothing is left: no process of its group, no entry, no file but the journal.
    fn end(mut self) -> Exit {
        let exit = self.child.kill_group().unwrap();
        assert_eq!(self.child.kill_group().unwrap(), exit, "ending it again changes nothing");
        assert!(self.registry.pids().is_empty());
        assert!(living_in_group(self.child.pid()).is_empty());
        let files: Vec<_> = self.folder.path().read_dir().unwrap().map(|file| file.unwrap().file_name()).collect();
        assert_eq!(files, ["journal"]);
        exit
    }
}

fn options(scenario: &str, journal: PathBuf, registry: &Registry) -> SpawnOptions {
    let exe = std::env::current_exe().unwrap();
    SpawnOptions::new(exe, CaseId::new(scenario, "fixture"), 42, journal, registry)
}

fn pidfd(pid: i32) -> OwnedFd {
    // SAFETY: pidfd_open takes two numbers and returns a new descriptor or -1.
    let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) };
    assert!(fd >= 0, "process {pid} is not there");
    // SAFETY: the descriptor is new and nobody else's.
    unsafe { OwnedFd::from_raw_fd(fd as i32) }
}

/// Whether the process behind `fd` has ended, waiting up to `timeout`.
fn has_ended(fd: &OwnedFd, timeout: Duration) -> bool {
    use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
    use std::os::fd::AsFd;
    let mut fds = [PollFd::new(fd.as_fd(), PollFlags::POLLIN)];
    poll(&mut fds, PollTimeout::try_from(timeout).unwrap()).unwrap() > 0
}

/// Pids of the processes in a group that are no zombies.
fn living_in_group(group: i32) -> Vec<i32> {
    let mut living = Vec::new();
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        let mut stat = Vec::new();
        let _ = std::fs::File::open(entry.path().join("stat")).and_then(|mut file| file.read_to_end(&mut stat));
        let stat = String::from_utf8_lossy(&stat).into_owned();
        let Some((_, rest)) = stat.rsplit_once(')') else { continue };
        let fields: Vec<&str> = rest.split_whitespace().collect();
        if fields[2] == group.to_string() && fields[0] != "Z" {
            living.push(pid);
        }
    }
    living
}

const KILLED: Exit = Exit { code: None, signal: Some(libc::SIGKILL), by_runner: true };

#[test]
fn a_child_that_obeys_is_told_what_to_do_and_finishes() {
    let mut run = Run::of("obeys");
    assert_eq!(run.event(), ChildEvent::Count { name: "seed".into(), value: 42 });
    run.ready();
    for command in [Command::Bump, Command::Arm, Command::Release] {
        run.child.command(command).unwrap();
        assert_eq!(run.event(), ChildEvent::Done { command, problem: None });
    }
    let exit = run.child.finish(PATIENCE).unwrap();
    assert_eq!(exit, Exit { code: Some(0), signal: None, by_runner: false });
    assert_eq!(run.event(), ChildEvent::Done { command: Command::Finish, problem: None });
    assert_eq!(run.exited(), exit);
    assert_eq!(run.end(), exit);
}

#[test]
fn a_child_that_hangs_is_killed() {
    let run = Run::of("hangs");
    run.ready();
    assert_eq!(run.end(), KILLED);
}

#[test]
fn a_child_that_is_never_ready_is_killed() {
    let run = Run::of("never-ready");
    assert_eq!(run.child.wait_exit(Duration::ZERO), None);
    assert_eq!(run.end(), KILLED);
}

#[test]
fn a_child_that_dies_at_the_start_leaves_its_last_words() {
    let run = Run::of("dies-at-start");
    let exit = Exit { code: Some(3), signal: None, by_runner: false };
    assert_eq!(run.exited(), exit);
    assert_eq!(run.child.stderr().last_words().as_deref(), Some("port 9101 is taken"));
    assert_eq!(run.end(), exit);
}

#[test]
fn a_child_that_aborts_midway_is_not_taken_for_a_killed_one() {
    let mut run = Run::of("dies-midway");
    run.ready();
    run.child.command(Command::Arm).unwrap();
    let exit = Exit { code: None, signal: Some(libc::SIGABRT), by_runner: false };
    assert_eq!(run.exited(), exit);
    let error = run.child.command(Command::Release).unwrap_err();
    assert!(matches!(error, CommandError::Gone { command: Command::Release }), "{error}");
    assert_eq!(run.end(), exit);
}

#[test]
fn a_child_that_exits_early_and_leaves_half_a_line() {
    let run = Run::of("exits-early");
    run.ready();
    let problem = run.problem();
    assert_eq!(problem.fault, JournalFault::CutOff { bytes: 9 });
    assert_eq!(problem.line, 2);
    let exit = Exit { code: Some(0), signal: None, by_runner: false };
    assert_eq!(run.exited(), exit);
    assert_eq!(run.end(), exit);
}

#[test]
fn a_child_that_floods_its_output_neither_blocks_nor_fills_memory() {
    let run = Run::of("floods");
    run.ready();
    // Many times what a pipe holds: it is being emptied.
    while run.child.stdout().total < 8 << 20 || run.child.stderr().total < 8 << 20 {
        std::thread::yield_now();
    }
    for captured in [run.child.stdout(), run.child.stderr()] {
        assert_eq!(captured.bytes.len(), 64 << 10);
        assert!(captured.bytes.iter().all(|&b| b == b'#'));
    }
    assert_eq!(run.end(), KILLED);
}

#[test]
fn a_child_that_floods_its_journal_is_read_no_further() {
    let run = Run::of("floods-its-journal");
    run.ready();
    let problem = run.problem();
    assert_eq!(problem.fault, JournalFault::TooMuch { most: 16 << 20 });
    assert_eq!(run.end(), KILLED);
}

#[test]
fn a_child_that_ignores_sigterm_and_finish_is_killed() {
    let mut run = Run::of("ignores-sigterm");
    run.ready();
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(run.child.pid()), nix::sys::signal::SIGTERM).unwrap();
    assert_eq!(run.child.finish(Duration::ZERO).unwrap(), KILLED);
    assert_eq!(run.end(), KILLED);
}

#[test]
fn grandchildren_are_killed_with_the_child() {
    let run = Run::of("forks");
    let grandchild = run.other();
    run.ready();
    assert_eq!(run.end(), KILLED);
    assert!(has_ended(&grandchild, Duration::ZERO));
}

#[test]
fn grandchildren_that_outlive_the_child_are_killed() {
    let run = Run::of("forks-and-exits");
    let grandchild = run.other();
    run.ready();
    let exit = Exit { code: Some(0), signal: None, by_runner: false };
    assert_eq!(run.exited(), exit);
    assert!(!has_ended(&grandchild, Duration::ZERO), "it lives until the group is ended");
    assert_eq!(run.end(), exit);
    assert!(has_ended(&grandchild, Duration::ZERO));
}

#[test]
fn garbage_in_the_journal_is_named_and_what_follows_is_read() {
    let mut run = Run::of("garbage");
    let problems: Vec<JournalProblem> = (0..6).map(|_| run.problem()).collect();
    run.ready();
    run.child.command(Command::Finish).unwrap();
    assert!(matches!(run.event(), ChildEvent::Done { .. }));
    run.exited();
    run.end();

    assert_eq!(problems.iter().map(|problem| problem.line).collect::<Vec<_>>(), [1, 2, 3, 4, 5, 6]);
    assert!(matches!(&problems[0].fault, JournalFault::NoRecord { .. }));
    assert_eq!(problems[0].excerpt, "Segmentation fault (core dumped)");
    assert_eq!(problems[1].offset, 33);
    assert_eq!(problems[1].fault, JournalFault::NotUtf8 { at: 35 });
    assert_eq!(problems[2].excerpt, r"\x00\x00\x00\x00");
    assert!(problems[3].to_string().contains("unknown variant `exploded`"), "{}", problems[3]);
    assert!(matches!(&problems[4].fault, JournalFault::NoRecord { .. }));
    assert_eq!(problems[5].fault, JournalFault::TooLong { bytes: 200_000, most: 64 << 10 });
}

#[test]
fn a_child_that_is_killed_from_outside_is_reported_as_such() {
    let run = Run::of("hangs");
    run.ready();
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(run.child.pid()), nix::sys::signal::SIGKILL).unwrap();
    let exit = Exit { code: None, signal: Some(libc::SIGKILL), by_runner: false };
    assert_eq!(run.exited(), exit);
    assert_eq!(exit.to_string(), "killed by SIGKILL");
    assert_eq!(run.end(), exit);
}

#[test]
fn a_real_time_signal_is_a_signal_too() {
    let run = Run::of("dies-of-a-realtime-signal");
    run.ready();
    let exit = run.exited();
    assert_eq!(exit, Exit { code: None, signal: Some(libc::SIGRTMIN() + 1), by_runner: false });
    assert_eq!(run.end(), exit);
}

#[test]
fn a_child_that_reads_no_commands_does_not_block_the_parent() {
    let mut run = Run::of("hangs");
    run.ready();
    let error = loop {
        if let Err(error) = run.child.command(Command::Bump) {
            break error;
        }
    };
    assert!(matches!(error, CommandError::Unread { command: Command::Bump }), "{error}");
    assert_eq!(run.end(), KILLED);
}

#[test]
fn dropping_a_child_ends_it() {
    let Run { child, heard, registry, folder: _folder } = Run::of("forks");
    let pid = child.pid();
    drop(child);
    assert!(registry.pids().is_empty());
    assert!(living_in_group(pid).is_empty());
    assert_eq!(heard.iter().last(), Some(Said::Exited(KILLED)));
}

#[test]
fn a_child_dies_with_the_thread_that_started_it() {
    let thread = std::thread::spawn(|| {
        let run = Run::of("hangs");
        run.ready();
        let fd = pidfd(run.child.pid());
        std::mem::forget(run);
        fd
    });
    assert!(has_ended(&thread.join().unwrap(), PATIENCE));
}

#[test]
fn a_child_dies_with_its_parent_however_that_dies() {
    let run = Run::of("is-a-parent");
    let child_of_child = run.other();
    run.ready();
    // The child of the child is in a group of its own: only the kernel can tell it.
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(run.child.pid()), nix::sys::signal::SIGKILL).unwrap();
    assert!(has_ended(&child_of_child, PATIENCE));
    run.end();
}

#[test]
fn one_call_ends_all_children_and_lets_none_start() {
    let run = Run::of("forks");
    let grandchild = run.other();
    run.ready();
    let registry = run.registry.clone();
    assert_eq!(std::thread::spawn(move || registry.kill_all()).join().unwrap(), 1);
    assert_eq!(run.exited(), KILLED);
    assert!(has_ended(&grandchild, PATIENCE));
    let late = options("hangs", run.folder.path().join("late"), &run.registry);
    assert!(matches!(Child::spawn(&late, |_| {}), Err(SpawnError::Interrupted)));
    std::fs::remove_file(late.journal).unwrap();
    assert_eq!(run.end(), KILLED);
}

#[test]
fn what_cannot_be_started_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let registry = Registry::new();
    let mut options = options("hangs", folder.path().join("none/journal"), &registry);
    let error = Child::spawn(&options, |_| {}).unwrap_err();
    assert!(matches!(error, SpawnError::Journal { .. }), "{error}");

    options.journal = folder.path().join("journal");
    options.exe = folder.path().join("missing");
    let error = Child::spawn(&options, |_| {}).unwrap_err();
    assert!(matches!(error, SpawnError::Exe { .. }), "{error}");

    let error = Child::spawn(&options, |_| {}).unwrap_err();
    assert!(matches!(error, SpawnError::Journal { .. }), "a journal of another trial is not overwritten: {error}");
    assert!(registry.pids().is_empty());
}
