//! A gate: a named point in the code at which a thread waits until another thread, or the parent, lets it go on.
//!
//! It is made of two `eventfd`s (pipes where there are none) and `poll`, never of a futex. So it is no lock, a live engine
//! never takes it for one, and a thread that stands at a gate cannot be mistaken for a thread that is parked on a lock.

use super::Journal;
use super::platform::Event;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::io;
use std::sync::atomic::{AtomicU8, Ordering};

/// Lets everybody through because nobody has closed it yet.
const NEW: u8 = 0;
/// Holds whoever arrives.
const CLOSED: u8 = 1;
/// Lets everybody through for good.
const OPEN: u8 = 2;

/// A named point to wait at.
///
/// A new gate does nothing: [`pass`](Gate::pass) goes straight through, which is what the scrape before the trap needs.
/// [`close`](Gate::close) makes threads wait there, [`open`](Gate::open) lets them and all later ones through for good.
#[derive(Debug)]
pub struct Gate {
    name: &'static str,
    journal: Option<Journal>,
    state: AtomicU8,
    arrived: Event,
    opened: Event,
}

impl Gate {
    /// A gate whose arrivals are journalled under its name.
    ///
    /// # Errors
    /// If the process is out of file descriptors.
    pub fn new(name: &'static str, journal: &Journal) -> io::Result<Gate> {
        Ok(Gate { journal: Some(journal.clone()), ..Gate::silent(name)? })
    }

    /// A gate that journals nothing. Passing it makes only calls that are allowed in a signal handler.
    ///
    /// # Errors
    /// If the process is out of file descriptors.
    pub fn silent(name: &'static str) -> io::Result<Gate> {
        Ok(Gate { name, journal: None, state: AtomicU8::new(NEW), arrived: Event::new()?, opened: Event::new()? })
    }

    /// Its name: the point where it stands, as reports show it.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// From now on threads wait here. Without effect on a gate that was opened.
    pub fn close(&self) {
        let _ = self.state.compare_exchange(NEW, CLOSED, Ordering::SeqCst, Ordering::SeqCst);
    }

    /// Goes through, or, if the gate is closed, announces its arrival and waits until it is opened.
    pub fn pass(&self) {
        if self.state.load(Ordering::SeqCst) != CLOSED {
            return;
        }
        if let Some(journal) = &self.journal {
            journal.reached(self.name);
        }
        self.arrived.signal();
        wait(&self.opened);
    }

    /// Waits until a thread has arrived at the closed gate. Returns at once ever after.
    pub fn wait_for_arrival(&self) {
        wait(&self.arrived);
    }

    /// Waits until the gate is opened, without arriving at it: for a thread whose turn it is then.
    pub fn wait_until_open(&self) {
        wait(&self.opened);
    }

    /// Lets everybody through, now and later.
    pub fn open(&self) {
        self.state.store(OPEN, Ordering::SeqCst);
        self.opened.signal();
    }
}

fn wait(event: &Event) {
    let mut fds = [PollFd::new(event.descriptor(), PollFlags::POLLIN)];
    loop {
        match poll(&mut fds, PollTimeout::NONE) {
            Ok(_) => return,
            Err(Errno::EINTR) => {}
            Err(error) => panic!("poll on a gate failed: {error}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicU32;

    #[test]
    fn a_new_gate_lets_everybody_through() {
        Gate::silent("new").unwrap().pass();
    }

    #[test]
    fn a_closed_gate_holds_until_it_is_opened() {
        let gate = Gate::silent("closed").unwrap();
        gate.close();
        let through = AtomicU32::new(0);
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    gate.pass();
                    through.fetch_add(1, Ordering::SeqCst);
                });
            }
            gate.wait_for_arrival();
            assert_eq!(through.load(Ordering::SeqCst), 0);
            gate.open();
            gate.wait_until_open();
        });
        assert_eq!(through.load(Ordering::SeqCst), 3);
        gate.pass();
        gate.close();
        gate.pass();
    }
}
