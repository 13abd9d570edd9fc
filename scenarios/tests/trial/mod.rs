//! A case of the catalogue as a child process that a test drives by hand.

#![allow(dead_code, reason = "each test takes of it what it needs")]

use gatherlock::catalogue::BOUND_VARIABLE;
use gatherlock::model::{ChildEvent, ChildLine, Command, Endpoint};
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

/// For what should take milliseconds: longer than any load can stretch it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A case as a child process, until it is dropped.
pub(crate) struct Trial {
    pub(crate) child: Child,
    journal: BufReader<File>,
    _folder: tempfile::TempDir,
}

impl Trial {
    /// Starts the case.
    pub(crate) fn start(case: &str) -> Trial {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        let journal = BufReader::new(File::create_new(&path).map(|_| File::open(&path).unwrap()).unwrap());
        let child = std::process::Command::new(env!("CARGO_BIN_EXE_gatherlock-scenarios"))
            .args(["child", case, "--seed", "1", "--journal"])
            .arg(&path)
            .env(BOUND_VARIABLE, "2000")
            .stdin(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Trial { child, journal, _folder: folder }
    }

    /// The next event that `pick` takes; panics if the child ends or is silent instead.
    pub(crate) fn event<T>(&mut self, pick: impl Fn(ChildEvent) -> Option<T>) -> T {
        let started = Instant::now();
        let mut line = String::new();
        loop {
            let ended = self.child.try_wait().unwrap();
            while self.journal.read_line(&mut line).unwrap() > 0 && line.ends_with('\n') {
                let event = serde_json::from_str::<ChildLine>(&line).unwrap().event;
                if let Some(picked) = pick(event) {
                    return picked;
                }
                line.clear();
            }
            assert!(ended.is_none(), "the child ended: {ended:?}");
            assert!(started.elapsed() < PATIENCE, "the child says nothing more");
            std::thread::yield_now();
        }
    }

    /// Its endpoints and the series of its canary, once it is up.
    pub(crate) fn ready(&mut self) -> (Vec<Endpoint>, String) {
        self.event(|event| match event {
            ChildEvent::Ready { endpoints, canary, .. } => Some((endpoints, canary.expect("every case has a canary"))),
            ChildEvent::Failed { problem } => panic!("the child cannot run: {problem}"),
            _ => None,
        })
    }

    /// Sends a command and waits until it was carried out.
    pub(crate) fn command(&mut self, command: Command) {
        writeln!(self.child.stdin.as_ref().unwrap(), "{}", command.word()).unwrap();
        let problem = self.event(|event| match event {
            ChildEvent::Done { command: done, problem } if done == command => Some(problem),
            ChildEvent::Failed { problem } => panic!("{problem}"),
            _ => None,
        });
        assert_eq!(problem, None, "{}", command.word());
    }

    /// How it ended, by itself.
    pub(crate) fn exit_code(&mut self) -> Option<i32> {
        let started = Instant::now();
        while started.elapsed() < PATIENCE {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code();
            }
            std::thread::yield_now();
        }
        panic!("the child goes on although it was told to end");
    }
}

impl Drop for Trial {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
