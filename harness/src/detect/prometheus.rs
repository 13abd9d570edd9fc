//! What Prometheus would have recorded of a scrape, had the bound been its timeout.

use crate::model::{Content, Exchange, PrometheusView};

/// The statuses at which Prometheus asks again elsewhere, if they say where.
pub(crate) const REDIRECTS: [u16; 5] = [301, 302, 303, 307, 308];

/// `up`, duration and samples of one exchange; `None` where it is not known what Prometheus makes of the answer. A scrape
/// that outlasts the bound is cut off there.
pub(super) fn view(exchange: Option<&Exchange>, content: &Content, bound_us: u64) -> Option<PrometheusView> {
    let in_time = exchange.filter(|exchange| exchange.total_us <= bound_us);
    let duration_us = in_time.map_or(bound_us, |exchange| exchange.total_us);
    let (taken, samples) = match in_time.filter(|exchange| exchange.error.is_none()) {
        Some(exchange) if exchange.status == Some(200) => content.prometheus?,
        // It would have gone on to where this leads.
        Some(exchange) if leads_elsewhere(exchange) => return None,
        _ => (false, 0),
    };
    Some(PrometheusView {
        up: u8::from(taken),
        scrape_duration_seconds: duration_us as f64 / 1e6,
        scrape_samples_scraped: samples,
    })
}

/// Whether it is a redirect that Prometheus follows, as it does by default, and that was not followed here.
fn leads_elsewhere(exchange: &Exchange) -> bool {
    let followed = exchange.redirects.len() < MOST_REDIRECTS;
    followed && exchange.location.is_some() && exchange.status.is_some_and(|status| REDIRECTS.contains(&status))
}

/// Prometheus gives up at the request after these.
pub(crate) const MOST_REDIRECTS: usize = 9;
