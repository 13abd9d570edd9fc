//! Health checks: the same client as scrapes, without what only Prometheus sends.

use super::HttpUrl;
use super::scrape::ScrapeRequest;
use crate::model::Exchange;
use std::time::Duration;

/// A health check of `url`, given up after `hang_limit`. Its body is counted, not kept.
pub fn request(url: HttpUrl, hang_limit: Duration) -> ScrapeRequest {
    ScrapeRequest { keep_body: false, ..ScrapeRequest::new(url, hang_limit) }
}

/// Whether a health check was answered with a 2xx within `bound`. This is counted, never graded.
pub fn answered(exchange: &Exchange, bound: Duration) -> bool {
    exchange.error.is_none()
        && exchange.status.is_some_and(|status| (200..300).contains(&status))
        && u128::from(exchange.total_us) <= bound.as_micros()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ExchangeError;

    #[test]
    fn answered_means_ok_and_within_the_bound() {
        let bound = Duration::from_millis(1);
        let ok = Exchange { total_us: 1000, status: Some(204), ..Exchange::default() };
        assert!(answered(&ok, bound));
        assert!(!answered(&Exchange { total_us: 1001, ..ok.clone() }, bound));
        assert!(!answered(&Exchange { status: Some(503), ..ok.clone() }, bound));
        assert!(!answered(&Exchange { status: None, ..ok.clone() }, bound));
        assert!(!answered(&Exchange { error: Some(ExchangeError::HangLimit), ..ok }, bound));
    }
}
