//! The requests of one trial: which were sent, which are still open.

use crate::model::{Exchange, Purpose};
use crate::probe::scrape::{BeginError, InFlight, ScrapeRequest, Scraper};
use crate::runner::Said;
use std::collections::BTreeMap;
use std::sync::mpsc::Sender;
use std::time::{Duration, Instant};

/// What the parent hears while a trial runs.
pub(crate) enum Heard {
    /// From the child.
    Said(Said),
    /// The end of request number so and so.
    Ended(u32, Exchange),
}

/// A request that was sent.
#[derive(Debug)]
struct Sent {
    purpose: Purpose,
    at: Instant,
    answered: bool,
    total_us: u64,
    status: Option<u16>,
    /// Held so that the connection stays open.
    flight: Option<InFlight>,
}

/// The requests of one trial, by number.
pub(super) struct Requests {
    say: Sender<Heard>,
    sent: BTreeMap<u32, Sent>,
}

impl Requests {
    /// None yet; ends are told to `say`.
    pub(super) fn new(say: Sender<Heard>) -> Requests {
        Requests { say, sent: BTreeMap::new() }
    }

    /// Begins one and returns its number.
    pub(super) fn begin(
        &mut self,
        scraper: &Scraper,
        request: &ScrapeRequest,
        purpose: Purpose,
    ) -> Result<u32, BeginError> {
        let number = u32::try_from(self.sent.len()).unwrap_or(u32::MAX);
        let say = self.say.clone();
        let at = Instant::now();
        let flight = scraper.begin(request, move |exchange| drop(say.send(Heard::Ended(number, exchange))))?;
        self.sent
            .insert(number, Sent { purpose, at, answered: false, total_us: 0, status: None, flight: Some(flight) });
        Ok(number)
    }

    /// One has ended.
    pub(super) fn answered(&mut self, number: u32, exchange: &Exchange) {
        if let Some(sent) = self.sent.get_mut(&number) {
            sent.answered = exchange.error.is_none();
            sent.total_us = exchange.total_us;
            sent.status = exchange.status;
            sent.flight = None;
        }
    }

    /// Relabels a request.
    pub(super) fn relabel(&mut self, number: u32, purpose: Purpose) {
        if let Some(sent) = self.sent.get_mut(&number) {
            sent.purpose = purpose;
        }
    }

    /// Scrapes (not health checks) that are still open.
    pub(super) fn open(&self) -> usize {
        self.sent.values().filter(|sent| sent.flight.is_some() && sent.purpose != Purpose::Health).count()
    }

    /// Whether a judged scrape is still open, or ended without an answer.
    pub(super) fn judged_unanswered(&self) -> bool {
        self.sent.values().any(|sent| sent.purpose == Purpose::Judged && !sent.answered)
    }

    /// When the first judged scrape was sent.
    pub(super) fn judged_at(&self) -> Option<Instant> {
        self.sent.values().filter(|sent| sent.purpose == Purpose::Judged).map(|sent| sent.at).min()
    }

    /// Whether a request is still open.
    pub(super) fn is_open(&self, number: u32) -> bool {
        self.sent.get(&number).is_some_and(|sent| sent.flight.is_some())
    }

    /// Whether a request was answered with 200.
    pub(super) fn succeeded(&self, number: u32) -> bool {
        self.sent.get(&number).is_some_and(|sent| sent.answered && sent.status == Some(200))
    }

    /// How long a request took that was answered.
    pub(super) fn took(&self, number: u32) -> Option<Duration> {
        self.sent.get(&number).filter(|sent| sent.answered).map(|sent| Duration::from_micros(sent.total_us))
    }

    /// The shortest time in which a request of this purpose was answered.
    pub(super) fn quickest(&self, purpose: Purpose) -> Option<Duration> {
        let answered = self.sent.values().filter(|sent| sent.purpose == purpose && sent.answered);
        answered.map(|sent| Duration::from_micros(sent.total_us)).min()
    }
}
