//! The endpoint: groups of sources, each with a thread of its own, and the scrapes that share what they collect.

use crate::answer::{self, Answer, Facts, Request};
use crate::budget;
use crate::build_error::BuildError;
use crate::clock::Clock;
use crate::flight::{Flights, Landing};
use crate::inner::{Group, Inner, Settings};
use crate::own::{Counts, Ended};
use crate::source::Source;
use crate::thread;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};

/// A `/metrics` endpoint that answers within its bound whatever its sources do.
///
/// Each group of sources is collected by one thread of its own, never by the caller's. Scrapes that come while a
/// collection runs share the next one. A scrape that is not served by its deadline is refused with a reason, or gets
/// the groups that did answer. Clones are handles of the same endpoint; when the last one is dropped its threads end,
/// except one that is stuck, which ends when its collector returns. Dropping waits for none.
///
/// ```
/// use gatherlock_guard::{Endpoint, Request};
///
/// let endpoint = Endpoint::new(|| Ok::<_, std::io::Error>("jobs_total 3\n"))?;
/// let answer = endpoint.answer(&Request::get());
/// assert_eq!(answer.status, 200);
/// assert!(answer.to_bytes().starts_with(b"jobs_total 3\n"));
/// # Ok::<(), gatherlock_guard::BuildError>(())
/// ```
#[derive(Clone)]
pub struct Endpoint {
    owner: Arc<Owner>,
}

/// What the handles share and the threads do not: when it goes, the endpoint closes.
struct Owner {
    inner: Arc<Inner>,
}

impl Drop for Owner {
    fn drop(&mut self) {
        self.inner.close();
    }
}

/// Settings and groups of an [`Endpoint`] to be.
#[must_use]
pub struct Builder {
    settings: Settings,
    groups: Vec<(String, Box<dyn Source>)>,
}

impl Builder {
    /// Adds a group: it gets a thread, and is missing from an answer alone if that thread is stuck. Groups must not
    /// have families in common, since their bodies are only put one behind the other.
    pub fn group(mut self, name: impl Into<String>, source: impl Source) -> Builder {
        self.groups.push((name.into(), Box::new(source)));
        self
    }

    /// The time within which a scrape is answered, 10 s if not set (Prometheus' own default). An answer that takes 0.8
    /// of it is given up, or sooner if the scraper's `X-Prometheus-Scrape-Timeout-Seconds` says so.
    pub fn bound(mut self, bound: Duration) -> Builder {
        self.settings.bound = bound;
        self
    }

    /// Lets a group that is stuck or fails be represented by its last good body, if that is no older than `limit`. The
    /// answer then has the header `x-gatherlock-stale` with the age in seconds. Without this such a group is missing.
    pub fn serve_stale(mut self, limit: Duration) -> Builder {
        self.settings.stale = Some(limit);
        self
    }

    /// Whether answers end with the endpoint's own metrics, `gatherlock_guard_…`; they do unless switched off.
    pub fn own_metrics(mut self, on: bool) -> Builder {
        self.settings.own_metrics = on;
        self
    }

    /// Starts the threads: one for each group, and one that watches the deadlines.
    ///
    /// # Errors
    /// See [`BuildError`]. Threads that were started already end.
    pub fn build(self) -> Result<Endpoint, BuildError> {
        if self.groups.is_empty() {
            return Err(BuildError::NoGroup);
        }
        if self.settings.bound.is_zero() {
            return Err(BuildError::Bound);
        }
        let mut groups: Vec<Group> = Vec::new();
        for (name, source) in self.groups {
            let plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-');
            if !plain || name.is_empty() || name.len() > 64 {
                return Err(BuildError::Name(name));
            }
            if groups.iter().any(|group| group.name == name) {
                return Err(BuildError::Twice(name));
            }
            groups.push(Group { name, source, progress: Arc::default(), size: AtomicUsize::new(0) });
        }
        let flights = Flights::new(groups.len());
        let (clock, counts) = (Clock::default(), Counts::default());
        let inner = Arc::new(Inner {
            settings: self.settings,
            groups,
            flights,
            counts,
            clock,
            #[cfg(feature = "gzip")]
            wanted: crate::gzip::Wanted::default(),
        });
        // From here on a failure drops the owner, which ends what was started.
        let endpoint = Endpoint { owner: Arc::new(Owner { inner: Arc::clone(&inner) }) };
        let watched = Arc::clone(&inner);
        thread::start("guard-clock".to_string(), move || watched.clock.run(|number| watched.flights.expire(number)))?;
        for at in 0..inner.groups.len() {
            let inner = Arc::clone(&inner);
            thread::start(inner.groups[at].thread_name(), move || thread::collect(&inner, at))?;
        }
        Ok(endpoint)
    }
}

impl Endpoint {
    /// An endpoint with one group, called `default`, and default settings.
    ///
    /// # Errors
    /// If a thread cannot be started.
    pub fn new(source: impl Source) -> Result<Endpoint, BuildError> {
        Endpoint::builder().group("default", source).build()
    }

    /// Settings to choose and groups to add.
    pub fn builder() -> Builder {
        let settings = Settings { bound: Duration::from_secs(10), stale: None, own_metrics: true };
        Builder { settings, groups: Vec::new() }
    }

    /// Begins a scrape. The future needs no particular runtime; dropping it ends the scrape.
    pub fn scrape(&self, request: &Request<'_>) -> Scrape {
        if let Some(refused) = answer::wrong_method(request) {
            return Scrape { state: State::Ready(Box::new(refused)) };
        }
        let inner = &self.owner.inner;
        let begun = Instant::now();
        let budget = budget::deadline(inner.settings.bound, request.scrape_timeout);
        let facts = Facts::new(request, begun, budget);
        let number = inner.flights.arrive(facts.compressed);
        let deadline = (begun.checked_add(budget).unwrap_or(begun), number);
        inner.clock.set(deadline);
        Scrape { state: State::Waiting(Waiting { endpoint: self.clone(), deadline, facts }) }
    }

    /// Scrapes and blocks this thread until there is an answer; not for use on an async runtime.
    pub fn answer(&self, request: &Request<'_>) -> Answer {
        struct Unpark(std::thread::Thread);
        impl Wake for Unpark {
            fn wake(self: Arc<Unpark>) {
                self.0.unpark();
            }
        }
        let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
        let mut scrape = self.scrape(request);
        loop {
            match Pin::new(&mut scrape).poll(&mut Context::from_waker(&waker)) {
                Poll::Ready(answer) => return answer,
                Poll::Pending => std::thread::park(),
            }
        }
    }

    /// Ends the endpoint now, although handles remain: scrapes that wait and scrapes to come are refused with the reason
    /// that it is shut down. Waits for nothing.
    pub fn shut_down(&self) {
        self.owner.inner.close();
    }
}

impl std::fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let groups: Vec<&str> = self.owner.inner.groups.iter().map(|group| group.name.as_str()).collect();
        f.debug_struct("Endpoint").field("groups", &groups).finish_non_exhaustive()
    }
}

/// A scrape under way: a future of its [`Answer`].
#[must_use = "a scrape that is dropped is not answered"]
pub struct Scrape {
    state: State,
}

enum State {
    Ready(Box<Answer>),
    Waiting(Waiting),
    Done,
}

struct Waiting {
    endpoint: Endpoint,
    /// With the scrape's number.
    deadline: (Instant, u64),
    facts: Facts,
}

impl Future for Scrape {
    type Output = Answer;

    /// # Panics
    /// If it is polled again after its answer.
    fn poll(mut self: Pin<&mut Scrape>, context: &mut Context<'_>) -> Poll<Answer> {
        if let State::Waiting(Waiting { endpoint, deadline, facts }) = &self.state {
            let inner = &endpoint.owner.inner;
            let Some(landing) = inner.flights.poll(deadline.1, context.waker()) else { return Poll::Pending };
            inner.clock.clear(*deadline);
            let (answer, ended) = match landing {
                Landing::Arrived(arrivals) => answer::assemble(inner, &arrivals, facts),
                Landing::Closed => (answer::closed(facts), Ended::Refused),
            };
            inner.counts.count(ended);
            self.state = State::Ready(Box::new(answer));
        }
        match std::mem::replace(&mut self.state, State::Done) {
            State::Ready(answer) => Poll::Ready(*answer),
            State::Waiting(_) | State::Done => panic!("a scrape was polled after its answer"),
        }
    }
}

impl Drop for Scrape {
    fn drop(&mut self) {
        if let State::Waiting(Waiting { endpoint, deadline, .. }) = &self.state {
            let inner = &endpoint.owner.inner;
            inner.flights.cancel(deadline.1);
            inner.clock.clear(*deadline);
            inner.counts.count(Ended::Gone);
        }
    }
}
