//! Scrapes that were answered: late, contained, invalid, served.

use super::*;

fn judged(exchange: Exchange) -> Detected {
    Trial::armed().scrape(Purpose::Judged, exchange).detect()
}

#[test]
fn served_contained_late_and_invalid() {
    let detected = judged(answer(200, &body(1), BOUND));
    assert_eq!((detected.void.clone(), detected.outcome, detected.covered), (None, Outcome::Served, true));
    assert_eq!(detected.canary_moved, CanaryMoved::Yes);
    assert_eq!(judged(answer(503, "gather is stuck", 10)).outcome, Outcome::Contained);
    assert_eq!(judged(answer(200, &body(1), BOUND + 1)).outcome, Outcome::Late);
    assert_eq!(judged(answer(200, "", 10)).outcome, Outcome::Invalid);
}
