//! The hand-over between scrapes and the one collecting thread of each group: no clock, no runtime, no I/O.
//!
//! A *flight* is one collection by a group's thread. A scrape needs, of every group, a flight that started after the
//! scrape arrived, so that it never gets values from before; all scrapes that arrived during one flight share the next.
//! Each thread runs one flight at a time, so whatever its collectors wait for, it is one thread that waits. The deadline
//! is an event from outside ([`Flights::expire`]): a scrape that has given up gets what has arrived.
//!
//! The one lock is held to look things up and to move them: wakers are cloned, woken and dropped without it, and so are
//! pages.

use super::deadline;
use super::sync::{Condvar, Mutex, MutexGuard};
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, PoisonError};
use std::task::Waker;

/// All groups of an endpoint and the scrapes that wait for them; `P` is what a flight brings back.
pub(crate) struct Flights<P> {
    state: Mutex<State<P>>,
    /// Where each group's thread waits for somebody to want a flight.
    wanted: Vec<Condvar>,
}

struct State<P> {
    groups: Vec<Group<P>>,
    waiting: BTreeMap<u64, Waiting>,
    next_scrape: u64,
    closed: bool,
}

struct Group<P> {
    /// The number of the flight that started last, from 1.
    started: u64,
    /// The number of the flight that landed last; one less than `started` while one is in the air.
    landed: u64,
    /// What the last flight brought.
    page: Option<Arc<P>>,
    /// What the last good flight brought, and its number.
    good: Option<(u64, Arc<P>)>,
}

struct Waiting {
    /// For each group the first flight that is fresh enough.
    tickets: Vec<u64>,
    /// For each group the flight that had landed last when the scrape arrived.
    before: Vec<u64>,
    passed: bool,
    compressed: bool,
    waker: Option<Waker>,
}

/// What a group has for a scrape.
pub(crate) struct Arrival<P> {
    /// From a flight that started after the scrape arrived.
    pub(crate) fresh: Option<Arc<P>>,
    /// From the last good flight, if there is no fresh one or it was not good.
    pub(crate) good: Option<Arc<P>>,
    /// Whether `good` landed while the scrape was waiting.
    pub(crate) landed_meanwhile: bool,
}

/// What a group's thread is to do.
pub(crate) struct Departure {
    /// Whether a scrape that waits for this flight takes a compressed answer.
    pub(crate) compressed: bool,
}

/// What has come of a scrape.
pub(crate) enum Landing<P> {
    /// One for each group, in their order.
    Arrived(Vec<Arrival<P>>),
    /// The endpoint was shut down.
    Closed,
}

impl<P> Flights<P> {
    pub(crate) fn new(groups: usize) -> Flights<P> {
        let group = || Group { started: 0, landed: 0, page: None, good: None };
        let groups_state = std::iter::repeat_with(group).take(groups).collect();
        let state = State { groups: groups_state, waiting: BTreeMap::new(), next_scrape: 0, closed: false };
        Flights { state: Mutex::new(state), wanted: std::iter::repeat_with(Condvar::new).take(groups).collect() }
    }

    /// A scrape arrives. Its number is good until [`poll`](Flights::poll) has answered or it is cancelled.
    pub(crate) fn arrive(&self, compressed: bool) -> u64 {
        let mut state = self.lock();
        let number = state.next_scrape;
        state.next_scrape += 1;
        let tickets = state.groups.iter().map(|group| group.started + 1).collect();
        let before = state.groups.iter().map(|group| group.landed).collect();
        state.waiting.insert(number, Waiting { tickets, before, passed: false, compressed, waker: None });
        for (group, wanted) in state.groups.iter().zip(&self.wanted) {
            // A thread that is in the air looks for itself once it is back.
            if group.started == group.landed {
                wanted.notify_one();
            }
        }
        number
    }

    /// The answer, if there is one yet; `waker` is woken when it is worth asking again. Once answered, or if the number
    /// is not known, it is `Closed`.
    pub(crate) fn poll(&self, number: u64, waker: &Waker) -> Option<Landing<P>> {
        let waker = waker.clone();
        let mut state = self.lock();
        let State { groups, waiting, closed, .. } = &mut *state;
        if *closed {
            let _left = waiting.remove(&number);
            drop(state);
            return Some(Landing::Closed);
        }
        let Some(scrape) = waiting.get_mut(&number) else { return Some(Landing::Closed) };
        if scrape.is_complete(groups) || deadline::gives_up(scrape.passed) {
            let arrivals = scrape.arrivals(groups);
            let left = waiting.remove(&number);
            drop(state);
            drop(left);
            return Some(Landing::Arrived(arrivals));
        }
        let old = scrape.waker.replace(waker);
        drop(state);
        drop(old);
        None
    }

    /// The deadline of a scrape has passed. Nothing happens if it has been answered.
    pub(crate) fn expire(&self, number: u64) {
        let waker = self.lock().waiting.get_mut(&number).and_then(|scrape| {
            scrape.passed = true;
            scrape.waker.take()
        });
        waker.into_iter().for_each(wake);
    }

    /// Nobody waits for this scrape any more. Nothing happens if it has been answered.
    pub(crate) fn cancel(&self, number: u64) {
        let _left = self.lock().waiting.remove(&number);
    }

    /// Called by the thread of `group` only, and not between a departure and its landing: waits until a scrape wants a
    /// flight. `None` means that the endpoint is closed and the thread is to end.
    pub(crate) fn depart(&self, group: usize) -> Option<Departure> {
        let mut state = self.lock();
        loop {
            if state.closed {
                return None;
            }
            let State { groups, waiting, .. } = &mut *state;
            let next = groups[group].started + 1;
            let mut waiting = waiting.values().filter(|scrape| scrape.tickets[group] == next).peekable();
            if waiting.peek().is_some() {
                let compressed = waiting.any(|scrape| scrape.compressed);
                groups[group].started = next;
                return Some(Departure { compressed });
            }
            state = self.wanted[group].wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Ends the flight that [`depart`](Flights::depart) began; `good` is whether what it brought is worth keeping. What it
    /// takes the place of is the caller's to drop: it may be somebody else's, and panic as it goes.
    #[must_use = "what is dropped here may panic"]
    pub(crate) fn land(&self, group: usize, page: P, good: bool) -> Vec<Arc<P>> {
        let page = Arc::new(page);
        let mut state = self.lock();
        let State { groups, waiting, .. } = &mut *state;
        let at = &mut groups[group];
        at.landed = at.started;
        let old_page = at.page.replace(Arc::clone(&page));
        let old_good = if good { at.good.replace((at.landed, page)) } else { None };
        let complete = waiting.values_mut().filter(|scrape| scrape.is_complete(groups));
        let wakers: Vec<Waker> = complete.filter_map(|scrape| scrape.waker.take()).collect();
        drop(state);
        wakers.into_iter().for_each(wake);
        old_page.into_iter().chain(old_good.map(|(_, page)| page)).collect()
    }

    /// Ends the endpoint: every scrape is answered, every idle thread ends; one that is in the air ends after it lands.
    pub(crate) fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        let waiting = std::mem::take(&mut state.waiting);
        drop(state);
        self.wanted.iter().for_each(Condvar::notify_all);
        waiting.into_values().filter_map(|scrape| scrape.waker).for_each(wake);
    }

    /// How many scrapes wait for an answer.
    pub(crate) fn waiting(&self) -> usize {
        self.lock().waiting.len()
    }

    /// Nobody else's code runs under this lock, so it cannot be poisoned by any.
    fn lock(&self) -> MutexGuard<'_, State<P>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Wakes one of several: a waker is somebody else's, and its panic must not keep the others asleep.
fn wake(waker: Waker) {
    if let Err(payload) = catch_unwind(AssertUnwindSafe(|| waker.wake())) {
        // Its drop may panic as well.
        std::mem::forget(payload);
    }
}

impl Waiting {
    fn is_complete<P>(&self, groups: &[Group<P>]) -> bool {
        groups.iter().zip(&self.tickets).all(|(group, ticket)| group.landed >= *ticket)
    }

    fn arrivals<P>(&self, groups: &[Group<P>]) -> Vec<Arrival<P>> {
        let of = |(at, group): (usize, &Group<P>)| {
            let fresh = if group.landed >= self.tickets[at] { group.page.clone() } else { None };
            let landed_meanwhile = group.good.as_ref().is_some_and(|(number, _)| *number > self.before[at]);
            Arrival { fresh, good: group.good.as_ref().map(|(_, page)| Arc::clone(page)), landed_meanwhile }
        };
        groups.iter().enumerate().map(of).collect()
    }
}
