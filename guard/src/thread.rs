//! The threads of an endpoint: one that collects each group, for as long as the endpoint lives.

use crate::build_error::BuildError;
use crate::flight::Departure;
use crate::format::Format;
#[cfg(feature = "gzip")]
use crate::gzip::Compressed;
use crate::inner::{Group, Inner};
use crate::openmetrics;
use crate::page::{Body, Content, Landed, Page};
use crate::panic::message;
use bytes::Bytes;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

/// Starts a thread of this name.
pub(crate) fn start(name: String, run: impl FnOnce() + Send + 'static) -> Result<(), BuildError> {
    let started = std::thread::Builder::new().name(name.clone()).spawn(run);
    started.map(drop).map_err(|error| BuildError::Thread { name, error })
}

/// Collects the group whenever a scrape wants it, until the endpoint is closed.
pub(crate) fn collect(inner: &Inner, at: usize) {
    let group = &inner.groups[at];
    while let Some(departure) = inner.flights.depart(at) {
        let begun = Instant::now();
        group.progress.begin(begun);
        let size = group.size.load(Ordering::Relaxed);
        // A little more than last time, so that a growing body is not copied at its end.
        let mut page = Page::new(size + size / 16, Arc::clone(&group.progress));
        let content = caught(|| fill(inner, group, &mut page, &departure));
        group.progress.end();
        let panics = std::mem::take(&mut page.panics);
        let good = content.is_ok();
        let old = inner.flights.land(at, Landed { begun, took: begun.elapsed(), panics, content }, good);
        // Only now, when the scrapes have their answers.
        old.into_iter().for_each(let_go);
        page.take_leftovers().into_iter().for_each(let_go);
        let_go(page);
    }
}

/// Drops what a source left or handed over, which may panic as it goes.
fn let_go(left: impl Sized) {
    let _dropped = caught(|| {
        drop(left);
        Ok(())
    });
}

/// A panic becomes an error that says so.
fn caught<T>(run: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|payload| {
        let said = message(payload.as_ref());
        // The payload's own drop may panic as well.
        let _dropped = catch_unwind(AssertUnwindSafe(|| drop(payload)));
        Err(format!("panicked: {said}"))
    })
}

fn fill(inner: &Inner, group: &Group, page: &mut Page, departure: &Departure) -> Result<Content, String> {
    group.source.write(page).map_err(|error| error.to_string())?;
    let mut body = match std::mem::replace(&mut page.body, Body::Written(Vec::new())) {
        Body::Written(body) => Bytes::from(body),
        Body::Whole(body) => body,
    };
    group.size.store(body.len(), Ordering::Relaxed);
    let format = page.format;
    let mut text = None;
    if format == Format::OpenMetrics {
        body = body.slice_ref(openmetrics::without_eof(&body));
        let read = std::str::from_utf8(&body).map_err(|error| format!("wrote a body that is not UTF-8: {error}"))?;
        text = Some(Bytes::from(openmetrics::to_text(read)));
    }
    if body.last().is_some_and(|last| *last != b'\n') {
        body = [&body[..], b"\n"].concat().into();
    }
    #[cfg(feature = "gzip")]
    let compressed = departure.compressed.then(|| Compressed::of(&inner.wanted, &body, text.as_ref()));
    #[cfg(not(feature = "gzip"))]
    let _uncompressed = (inner, departure.compressed);
    Ok(Content {
        format,
        body,
        text,
        missing: std::mem::take(&mut page.missing),
        #[cfg(feature = "gzip")]
        compressed,
    })
}
