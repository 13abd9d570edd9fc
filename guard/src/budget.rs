//! How long a scrape may take: the endpoint's bound, shortened by what the scraper says it will wait.

use std::time::Duration;

/// The share of the bound that is used, so that an answer at the deadline still arrives within the bound.
const SHARE: f64 = 0.8;
/// What is left of the scraper's own timeout for the way: a tenth, but at least this many seconds.
const LEAST_MARGIN: f64 = 0.05;

/// A clock can be asked for a moment that is so far away; for all time it cannot.
const LONGEST: Duration = Duration::from_hours(24 * 365);

/// `min(0.8 × bound, header − max(50 ms, 10 % of header))`, where the header is `X-Prometheus-Scrape-Timeout-Seconds`. A
/// header below 100 ms leaves half of itself. One that is no positive, finite number says nothing and is ignored.
pub(crate) fn deadline(bound: Duration, header: Option<&str>) -> Duration {
    let own = bound.mul_f64(SHARE).min(LONGEST);
    let said = header.and_then(|text| text.trim().parse::<f64>().ok()).filter(|said| said.is_finite() && *said > 0.0);
    let theirs = said.map(|said| said - (said * 0.1).max(LEAST_MARGIN).min(said / 2.0));
    // A number too large for a duration is far beyond any bound.
    theirs.and_then(|theirs| Duration::try_from_secs_f64(theirs).ok()).map_or(own, |theirs| own.min(theirs))
}

#[cfg(test)]
mod tests {
    use super::deadline;
    use std::time::Duration;

    fn with(header: &str) -> Duration {
        deadline(Duration::from_secs(10), Some(header))
    }

    #[test]
    fn the_smaller_of_the_two_wins() {
        assert_eq!(deadline(Duration::from_secs(10), None), Duration::from_secs(8));
        assert_eq!(with("10"), Duration::from_secs(8));
        assert_eq!(with("5"), Duration::from_millis(4500));
        assert_eq!(with("0.2"), Duration::from_millis(150));
        assert_eq!(with(" 1e0 "), Duration::from_millis(900));
    }

    #[test]
    fn a_bound_without_end_is_a_year() {
        assert_eq!(deadline(Duration::MAX, None), Duration::from_hours(24 * 365));
        assert_eq!(deadline(Duration::MAX, Some("5")), Duration::from_millis(4500));
    }

    #[test]
    fn a_tiny_header_leaves_half_of_itself() {
        assert_eq!(with("0.05"), Duration::from_millis(25));
        assert!(with("1e-300") < Duration::from_millis(1));
    }

    #[test]
    fn what_is_no_duration_is_ignored() {
        for header in ["", "abc", "-1", "-0", "0", "NaN", "inf", "-inf", "1e309", "1e308", "1,5", "5s", "0x10"] {
            assert_eq!(with(header), Duration::from_secs(8), "{header}");
        }
    }
}
