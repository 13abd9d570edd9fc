//! `atomics`: the second proposed fix. Values live in atomics, a function writes the text by hand, and no registry exists.
//!
//! What it gives up is the registry's work: nothing checks names, nothing escapes labels, and a metric that nobody wrote
//! into the text is missing without an error.

use axum::Router;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use axum::routing::get;
use std::fmt::{Display, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The text of the page, written by the application.
type Page = Arc<dyn Fn(&mut String) + Send + Sync>;

/// `/metrics` from `page`, and what bumps the canary, which stands first on it.
pub(crate) fn routes(page: impl Fn(&mut String) + Send + Sync + 'static) -> (Router, impl FnMut() + 'static) {
    let canary = Arc::new(AtomicU64::new(0));
    let bumped = canary.clone();
    let page: Page = Arc::new(move |text| {
        let value = canary.load(Ordering::Relaxed);
        write_metric(text, "gatherlock_canary_total", "counter", "Bumped before each judged scrape", value);
        page(text);
    });
    let handler = async move || {
        let mut text = String::new();
        page(&mut text);
        ([(CONTENT_TYPE, "text/plain; version=0.0.4")], text).into_response()
    };
    (Router::new().route("/metrics", get(handler)), move || {
        bumped.fetch_add(1, Ordering::Relaxed);
    })
}

/// Writes a metric without labels: help, type, value.
pub(crate) fn write_metric(text: &mut String, name: &str, kind: &str, help: &str, value: impl Display) {
    // Writing to a String cannot fail.
    let _ = write!(text, "# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}\n");
}
