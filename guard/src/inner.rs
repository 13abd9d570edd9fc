//! What an endpoint consists of.

use crate::clock::Clock;
use crate::flight::Flights;
use crate::own::Counts;
use crate::page::{Landed, Progress};
use crate::source::Source;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

/// All that the handles and the threads of an endpoint share.
pub(crate) struct Inner {
    pub(crate) settings: Settings,
    pub(crate) groups: Vec<Group>,
    pub(crate) flights: Flights<Landed>,
    pub(crate) counts: Counts,
    pub(crate) clock: Clock,
    #[cfg(feature = "gzip")]
    pub(crate) wanted: crate::gzip::Wanted,
}

impl Inner {
    /// Lets its threads end, and every scrape.
    pub(crate) fn close(&self) {
        self.flights.close();
        self.clock.close();
    }
}

/// A group of sources.
pub(crate) struct Group {
    pub(crate) name: String,
    pub(crate) source: Box<dyn Source>,
    pub(crate) progress: Arc<Progress>,
    /// The size of the last body, from which the next one's is guessed.
    pub(crate) size: AtomicUsize,
}

impl Group {
    /// What its thread is called.
    pub(crate) fn thread_name(&self) -> String {
        format!("guard-{}", self.name)
    }
}

/// What was chosen when the endpoint was built.
pub(crate) struct Settings {
    pub(crate) bound: Duration,
    pub(crate) stale: Option<Duration>,
    pub(crate) own_metrics: bool,
}
