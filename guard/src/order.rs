//! The order of series within a family, which is that of `prometheus`.

use prometheus::proto::Metric;
use std::cmp::Ordering;

/// By number of labels, then by the labels' values in their order, then by timestamp.
pub(crate) fn compare(one: &Metric, other: &Metric) -> Ordering {
    let (ours, theirs) = (one.get_label(), other.get_label());
    let values = || ours.iter().map(|pair| pair.value()).cmp(theirs.iter().map(|pair| pair.value()));
    ours.len().cmp(&theirs.len()).then_with(values).then_with(|| one.timestamp_ms().cmp(&other.timestamp_ms()))
}

/// Sorts in place; equal series keep their order.
pub(crate) fn sort(metrics: &mut [Metric]) {
    // A family is often sorted already, and always if it has one series.
    if !metrics.is_sorted_by(|one, other| compare(one, other).is_le()) {
        metrics.sort_by(compare);
    }
}
