//! The thread beside each child: empties its output, follows its journal, and says when it has ended.

use super::output::{Capture, Captured, Keep};
use super::process::{Exit, Life};
use super::tail::{JournalTail, Tailed};
use super::watch::{TICK, poll_timeout};
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::fs::File;
use std::io::{self, PipeWriter, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

/// What the attendant tells, in the order in which it happened; [`Heard::Exited`] comes once, after the journal's end.
#[derive(Debug)]
pub(super) enum Heard {
    Journal(Tailed),
    Exited(Exit),
}

/// The most that is read from one stream before the others have their turn.
const TURN: usize = 64 << 10;
/// The most that is read from one stream after the child's end: what its pipe can still hold.
const REST: usize = 2 << 20;

/// A running attendant.
#[derive(Debug)]
pub(super) struct Attendant {
    /// Closing it ends the thread.
    stop: Option<PipeWriter>,
    thread: Option<JoinHandle<()>>,
    stdout: Arc<Mutex<Capture>>,
    stderr: Arc<Mutex<Capture>>,
}

/// One stream of the child.
struct Stream {
    pipe: Option<File>,
    capture: Arc<Mutex<Capture>>,
}

impl Attendant {
    /// Attends `child`, whose streams have not been taken yet; what it hears goes to `hear`, on its thread.
    pub(super) fn start(
        child: &mut std::process::Child,
        keep: Keep,
        life: Arc<Life>,
        journal: Option<JournalTail>,
        hear: impl FnMut(Heard) + Send + 'static,
    ) -> io::Result<Attendant> {
        let stdout = Stream::new(child.stdout.take().map(OwnedFd::from), keep)?;
        let stderr = Stream::new(child.stderr.take().map(OwnedFd::from), Keep::Last(LAST_WORDS))?;
        let (stop_read, stop) = io::pipe()?;
        let captures = (Arc::clone(&stdout.capture), Arc::clone(&stderr.capture));
        let thread = std::thread::Builder::new()
            .name("attendant".into())
            .spawn(move || attend([stdout, stderr], &stop_read.into(), &life, journal, hear))?;
        Ok(Attendant { stop: Some(stop), thread: Some(thread), stdout: captures.0, stderr: captures.1 })
    }

    pub(super) fn stdout(&self) -> Captured {
        self.stdout.lock().unwrap_or_else(PoisonError::into_inner).captured()
    }

    pub(super) fn stderr(&self) -> Captured {
        self.stderr.lock().unwrap_or_else(PoisonError::into_inner).captured()
    }

    /// Lets it read what is still there and waits for it to end.
    pub(super) fn stop(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take() {
            // It panics only if `hear` does; that panic has been printed, and the child must be ended all the same.
            let _ = thread.join();
        }
    }
}

/// How much of stderr is kept.
pub(super) const LAST_WORDS: usize = 64 << 10;

fn attend(
    mut streams: [Stream; 2],
    stop: &OwnedFd,
    life: &Life,
    mut journal: Option<JournalTail>,
    mut hear: impl FnMut(Heard),
) {
    let mut alive = true;
    loop {
        let stopped = wait(&streams, stop, life, journal.as_ref(), alive);
        if let Some(tail) = &mut journal {
            tail.read_new().into_iter().map(Heard::Journal).for_each(&mut hear);
        }
        // Asked after the journal was read: what the child wrote before it ended is in the rest.
        if alive && let Some(exit) = life.exit() {
            alive = false;
            if let Some(mut tail) = journal.take() {
                tail.finish().into_iter().map(Heard::Journal).for_each(&mut hear);
            }
            streams.iter_mut().for_each(|stream| stream.read(REST));
            hear(Heard::Exited(exit));
        }
        streams.iter_mut().for_each(|stream| stream.read(if stopped { REST } else { TURN }));
        if stopped || (!alive && streams.iter().all(|stream| stream.pipe.is_none())) {
            return;
        }
    }
}

/// Waits until there is something to do; whether it is to stop.
fn wait(streams: &[Stream; 2], stop: &OwnedFd, life: &Life, journal: Option<&JournalTail>, alive: bool) -> bool {
    fn open(fd: BorrowedFd<'_>) -> PollFd<'_> {
        PollFd::new(fd, PollFlags::POLLIN)
    }
    let mut fds = vec![open(stop.as_fd())];
    fds.extend(streams.iter().filter_map(|stream| stream.pipe.as_ref()).map(|pipe| open(pipe.as_fd())));
    let mut timeout = PollTimeout::NONE;
    let journal = journal.map(|tail| tail.watch().fd());
    for source in [journal, alive.then(|| life.fd())].into_iter().flatten() {
        match source {
            Some(fd) => fds.push(open(fd)),
            None => timeout = poll_timeout(TICK),
        }
    }
    // A wait that was interrupted or failed only means that everything is looked at again.
    let _ = poll(&mut fds, timeout);
    fds[0].any().unwrap_or(false)
}

impl Stream {
    fn new(pipe: Option<OwnedFd>, keep: Keep) -> io::Result<Stream> {
        if let Some(pipe) = &pipe {
            set_nonblocking(pipe.as_fd())?;
        }
        Ok(Stream { pipe: pipe.map(File::from), capture: Arc::new(Mutex::new(Capture::new(keep))) })
    }

    /// Reads what is there, at most `most` bytes.
    fn read(&mut self, most: usize) {
        let Some(pipe) = &mut self.pipe else { return };
        let mut buffer = [0; 16 << 10];
        let mut read = 0;
        while read < most {
            match pipe.read(&mut buffer) {
                Ok(got) if got > 0 => {
                    read += got;
                    self.capture.lock().unwrap_or_else(PoisonError::into_inner).push(&buffer[..got]);
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return,
                Ok(_) | Err(_) => {
                    self.pipe = None;
                    return;
                }
            }
        }
    }
}

/// Reads and writes on `fd` return at once from now on.
pub(super) fn set_nonblocking(fd: BorrowedFd<'_>) -> io::Result<()> {
    let flags = OFlag::from_bits_retain(fcntl(fd, FcntlArg::F_GETFL)?);
    fcntl(fd, FcntlArg::F_SETFL(flags | OFlag::O_NONBLOCK))?;
    Ok(())
}
