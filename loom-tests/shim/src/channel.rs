//! `std::sync::mpsc`, without time.

use crate::context;
use crate::event::{Action, Mode, ObjectKind};
use crate::monitor::{Look, Monitor};
use std::collections::VecDeque;
use std::fmt;
use std::panic::Location;
use std::sync::Arc;
pub use std::sync::mpsc::{RecvError, SendError, TryRecvError, TrySendError};

struct State<T> {
    queue: VecDeque<T>,
    capacity: Option<usize>,
    senders: usize,
    receiver: bool,
}

/// The sending half of an unbounded channel.
pub struct Sender<T>(End<T>);

/// The sending half of a bounded channel.
pub struct SyncSender<T>(End<T>);

/// The receiving half.
pub struct Receiver<T>(Arc<Monitor<State<T>>>);

struct End<T>(Arc<Monitor<State<T>>>);

/// An unbounded channel.
///
/// # Panics
/// Outside a model.
pub fn channel<T>() -> (Sender<T>, Receiver<T>) {
    let (end, receiver) = pair(None);
    (Sender(end), receiver)
}

/// A channel for at most `capacity` values.
///
/// # Panics
/// Outside a model, or if `capacity` is 0: a rendezvous is not modelled.
pub fn sync_channel<T>(capacity: usize) -> (SyncSender<T>, Receiver<T>) {
    assert!(capacity > 0, "a channel of capacity 0 (a rendezvous) is not modelled");
    let (end, receiver) = pair(Some(capacity));
    (SyncSender(end), receiver)
}

fn pair<T>(capacity: Option<usize>) -> (End<T>, Receiver<T>) {
    let object = context::new_object::<T>(ObjectKind::Channel);
    let state = State { queue: VecDeque::new(), capacity, senders: 1, receiver: true };
    let monitor = Arc::new(Monitor::new(object, state));
    (End(Arc::clone(&monitor)), Receiver(monitor))
}

impl<T> State<T> {
    fn is_full(&self) -> bool {
        self.capacity.is_some_and(|capacity| self.queue.len() >= capacity)
    }
}

impl<T> End<T> {
    fn send(&self, value: T, at: &'static Location<'static>) -> Result<(), SendError<T>> {
        let mut value = Some(value);
        let refused = self.0.wait_until(Mode::Send, at, |state| {
            if state.receiver && state.is_full() {
                return Look::Wait(Action::Blocked);
            }
            let value = value.take().expect("a value is sent once");
            if !state.receiver {
                return Look::Done(Some(value));
            }
            state.queue.push_back(value);
            Look::Done(None)
        });
        if let Some(value) = refused {
            return Err(SendError(value));
        }
        self.0.change(|_| true);
        Ok(())
    }
}

impl<T> Clone for End<T> {
    fn clone(&self) -> Self {
        self.0.change(|state| {
            state.senders += 1;
            false
        });
        End(Arc::clone(&self.0))
    }
}

impl<T> Drop for End<T> {
    fn drop(&mut self) {
        if context::is_torn_down() {
            return;
        }
        self.0.change(|state| {
            state.senders -= 1;
            state.senders == 0
        });
    }
}

impl<T> Sender<T> {
    /// Puts a value into the channel.
    ///
    /// # Errors
    /// If the receiver is gone.
    #[track_caller]
    pub fn send(&self, value: T) -> Result<(), SendError<T>> {
        self.0.send(value, Location::caller())
    }
}

impl<T> SyncSender<T> {
    /// Puts a value into the channel, once there is room.
    ///
    /// # Errors
    /// If the receiver is gone.
    #[track_caller]
    pub fn send(&self, value: T) -> Result<(), SendError<T>> {
        self.0.send(value, Location::caller())
    }

    /// Puts a value into the channel, if there is room.
    ///
    /// # Errors
    /// If there is none, or the receiver is gone.
    #[track_caller]
    pub fn try_send(&self, value: T) -> Result<(), TrySendError<T>> {
        let mut value = Some(value);
        let mut disconnected = false;
        let sent = self.0.0.attempt(Mode::Send, Location::caller(), |state| {
            disconnected = !state.receiver;
            if disconnected || state.is_full() {
                return None;
            }
            state.queue.extend(value.take());
            Some(())
        });
        match (sent, value) {
            (Some(()), _) => {
                self.0.0.change(|_| true);
                Ok(())
            }
            (None, Some(value)) if disconnected => Err(TrySendError::Disconnected(value)),
            (None, Some(value)) => Err(TrySendError::Full(value)),
            (None, None) => unreachable!("a value that was not sent is still here"),
        }
    }
}

impl<T> Receiver<T> {
    /// Takes the oldest value, once there is one.
    ///
    /// # Errors
    /// If the channel is empty and all senders are gone.
    #[track_caller]
    pub fn recv(&self) -> Result<T, RecvError> {
        let received = self.0.wait_until(Mode::Receive, Location::caller(), |state| match state.queue.pop_front() {
            Some(value) => Look::Done(Ok((value, state.capacity.is_some()))),
            None if state.senders == 0 => Look::Done(Err(RecvError)),
            None => Look::Wait(Action::Blocked),
        });
        let (value, made_room) = received?;
        if made_room {
            self.0.change(|_| true);
        }
        Ok(value)
    }

    /// Takes the oldest value, if there is one.
    ///
    /// # Errors
    /// If the channel is empty.
    #[track_caller]
    pub fn try_recv(&self) -> Result<T, TryRecvError> {
        let mut why = TryRecvError::Empty;
        let received = self.0.attempt(Mode::Receive, Location::caller(), |state| {
            if state.senders == 0 {
                why = TryRecvError::Disconnected;
            }
            state.queue.pop_front().map(|value| (value, state.capacity.is_some()))
        });
        let (value, made_room) = received.ok_or(why)?;
        if made_room {
            self.0.change(|_| true);
        }
        Ok(value)
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        if context::is_torn_down() {
            return;
        }
        self.0.change(|state| {
            state.receiver = false;
            true
        });
    }
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        Sender(self.0.clone())
    }
}

impl<T> Clone for SyncSender<T> {
    fn clone(&self) -> Self {
        SyncSender(self.0.clone())
    }
}

impl<T> fmt::Debug for Sender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sender { .. }")
    }
}

impl<T> fmt::Debug for SyncSender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SyncSender { .. }")
    }
}

impl<T> fmt::Debug for Receiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Receiver { .. }")
    }
}
