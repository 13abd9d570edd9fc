//! What Prometheus would have recorded of a scrape, had the bound been its timeout.

use crate::model::{Content, Exchange, PrometheusView};

/// `up`, duration and samples of one exchange. A scrape that outlasts the bound is cut off there.
pub(super) fn view(exchange: Option<&Exchange>, content: &Content, bound_us: u64) -> PrometheusView {
    let in_time = exchange.filter(|exchange| exchange.total_us <= bound_us && exchange.error.is_none());
    let failed_early = exchange.filter(|exchange| exchange.total_us <= bound_us);
    let duration_us = failed_early.map_or(bound_us, |exchange| exchange.total_us);
    // An exposition with nothing in it is a success to Prometheus: it has no opinion on what should be there.
    let readable = content.unreadable.is_none() && content.unchecked.is_none();
    let read = in_time.is_some_and(|exchange| exchange.status == Some(200)) && readable;
    PrometheusView {
        up: u8::from(read),
        scrape_duration_seconds: duration_us as f64 / 1e6,
        scrape_samples_scraped: if read { content.samples } else { 0 },
    }
}
