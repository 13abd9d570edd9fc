//! What one collection of one group brings back.

use crate::format::Format;
use crate::panic::add_panics;
use bytes::Bytes;
use std::any::Any;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

/// What a [`Source`](crate::Source) fills: a body, its format, and what is missing from it.
pub struct Page {
    pub(crate) body: Body,
    pub(crate) format: Format,
    /// Names of families that are missing although their group answered, and why.
    pub(crate) missing: Vec<(String, String)>,
    /// Collectors that ever panicked, and how often.
    pub(crate) panics: Vec<(Arc<str>, u64)>,
    leftovers: Vec<Box<dyn Any + Send>>,
    pub(crate) progress: Arc<Progress>,
}

/// The bytes of a page, either written here or handed over whole.
pub(crate) enum Body {
    Written(Vec<u8>),
    Whole(Bytes),
}

impl Page {
    pub(crate) fn new(capacity: usize, progress: Arc<Progress>) -> Page {
        let body = Body::Written(Vec::with_capacity(capacity));
        let (missing, panics, leftovers) = (Vec::new(), Vec::new(), Vec::new());
        Page { body, format: Format::Text, missing, panics, leftovers, progress }
    }

    /// The body, to append to.
    pub fn body(&mut self) -> &mut Vec<u8> {
        if let Body::Whole(bytes) = &self.body {
            self.body = Body::Written(bytes.to_vec());
        }
        match &mut self.body {
            Body::Written(body) => body,
            Body::Whole(_) => unreachable!("it was replaced above"),
        }
    }

    /// Appends a piece of the body; the first one is taken as it is, without a copy.
    pub fn push(&mut self, bytes: impl Into<Bytes>) {
        let empty = matches!(&self.body, Body::Written(body) if body.is_empty());
        if empty {
            self.body = Body::Whole(bytes.into());
        } else {
            self.body().extend_from_slice(&bytes.into());
        }
    }

    /// Says in which format the body is; [`Format::Text`] unless said.
    pub fn set_format(&mut self, format: Format) {
        self.format = format;
    }

    /// Says that a family is missing from the body, and why. The answer is then marked as partial and names it.
    pub fn missing(&mut self, family: impl Into<String>, reason: impl Into<String>) {
        self.missing.push((family.into(), reason.into()));
    }

    /// Hands over something that takes time to drop: it is dropped once the scrapes have been answered.
    pub fn drop_later(&mut self, leftover: impl Any + Send) {
        self.leftovers.push(Box::new(leftover));
    }

    /// What takes time to drop.
    pub(crate) fn take_leftovers(&mut self) -> Vec<Box<dyn Any + Send>> {
        std::mem::take(&mut self.leftovers)
    }

    /// An empty page for one of several sources, whose pages are put together by [`append`](Page::append).
    pub(crate) fn part(&self) -> Page {
        Page::new(0, Arc::clone(&self.progress))
    }

    /// Adds the page of one of several sources.
    pub(crate) fn append(&mut self, mut part: Page) {
        let unended = |body: &[u8]| body.last().is_some_and(|last| *last != b'\n');
        if part.format == Format::OpenMetrics {
            let end = crate::openmetrics::without_eof(part.bytes()).len();
            part.body().truncate(end);
        }
        if unended(part.bytes()) {
            part.body().push(b'\n');
        }
        match part.body {
            Body::Written(body) => self.push(body),
            Body::Whole(body) => self.push(body),
        }
        self.missing.append(&mut part.missing);
        part.panics.into_iter().for_each(|(name, count)| add_panics(&mut self.panics, name, count));
        self.leftovers.append(&mut part.leftovers);
    }

    fn bytes(&self) -> &[u8] {
        match &self.body {
            Body::Written(body) => body,
            Body::Whole(body) => body,
        }
    }

    /// Says what is being asked now; if it never returns, the refusal names it.
    pub fn entering(&self, collector: impl Into<Arc<str>>) {
        self.progress.enter(Some(collector.into()));
    }
}

/// A page that has landed, as the scrapes get it.
pub(crate) struct Landed {
    pub(crate) begun: Instant,
    pub(crate) took: Duration,
    pub(crate) panics: Vec<(Arc<str>, u64)>,
    /// Either the body with what is missing from it, or why there is none.
    pub(crate) content: Result<Content, String>,
}

/// The body of a good page.
pub(crate) struct Content {
    pub(crate) format: Format,
    /// In `format`. OpenMetrics without its final `# EOF` line.
    pub(crate) body: Bytes,
    /// The body rewritten as text, if it is OpenMetrics.
    pub(crate) text: Option<Bytes>,
    pub(crate) missing: Vec<(String, String)>,
    #[cfg(feature = "gzip")]
    pub(crate) compressed: Option<crate::gzip::Compressed>,
}

/// Where a group's thread is, as far as it has said.
#[derive(Default)]
pub(crate) struct Progress {
    at: Mutex<Option<Flying>>,
}

/// A flight in the air.
#[derive(Clone)]
pub(crate) struct Flying {
    pub(crate) since: Instant,
    pub(crate) since_wall: SystemTime,
    /// Which collector is being asked, if it is known, and since when.
    pub(crate) inside: Option<(Arc<str>, Instant)>,
}

impl Progress {
    pub(crate) fn begin(&self, now: Instant) {
        self.set(Some(Flying { since: now, since_wall: SystemTime::now(), inside: None }));
    }

    pub(crate) fn enter(&self, inside: Option<Arc<str>>) {
        if let Some(flying) = self.at.lock().unwrap_or_else(PoisonError::into_inner).as_mut() {
            flying.inside = inside.map(|inside| (inside, Instant::now()));
        }
    }

    pub(crate) fn end(&self) {
        self.set(None);
    }

    pub(crate) fn get(&self) -> Option<Flying> {
        self.at.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set(&self, at: Option<Flying>) {
        *self.at.lock().unwrap_or_else(PoisonError::into_inner) = at;
    }
}
