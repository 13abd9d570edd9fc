//! The text exposition format 0.0.4, byte for byte as `prometheus::TextEncoder` writes it, straight from what the
//! collectors returned: nothing is merged, moved or copied first.

use super::gather::FailedCollector;
use super::labels::{push_escaped, push_labels};
use super::memory::{Head, Memory};
use super::order::compare;
use prometheus::proto::{Counter, Gauge, LabelPair, Metric, MetricFamily, MetricType};
use std::io::Write;
use std::sync::Arc;

/// Reads a value whichever way `prometheus` was built: its plain structures have an own `get_value`, those generated
/// from protobuf an own `value`. A type's own methods come first, so of the two bodies below the one that is called ends
/// in the method that the type has, and one of the two goes unused.
#[allow(dead_code)]
trait Reading {
    fn value(&self) -> f64;
    fn get_value(&self) -> f64;
}

impl Reading for Counter {
    fn value(&self) -> f64 {
        self.get_value()
    }
    fn get_value(&self) -> f64 {
        self.value()
    }
}

impl Reading for Gauge {
    fn value(&self) -> f64 {
        self.get_value()
    }
    fn get_value(&self) -> f64 {
        self.value()
    }
}

/// Appends `families` to `body`, with `prefix` and `labels` applied. Families of one name are written as one, under the
/// first one's help and type. What the format cannot express is added to `failed`. With a memory, which must always be the
/// same for the same labels, large families take from it what they have in common with the last time.
pub(crate) fn encode(
    families: &[MetricFamily],
    prefix: Option<&str>,
    labels: &[LabelPair],
    memory: Option<&Memory>,
    body: &mut Vec<u8>,
    failed: &mut Vec<FailedCollector>,
) {
    let mut sorted: Vec<&MetricFamily> = families.iter().collect();
    sorted.sort_by(|one, other| one.name().cmp(other.name()));
    let mut common = Vec::new();
    push_labels(&mut common, labels, b"");
    let mut recall = memory.map(Memory::recall);
    let mut written = Vec::new();
    let mut writer = Writer { body, kind: MetricType::COUNTER, name: Vec::new(), bounds: Vec::new() };
    for same_name in sorted.chunk_by(|one, other| one.name() == other.name()) {
        let head = same_name[0];
        let refuse = |reason: &str| FailedCollector { name: Arc::from(head.name()), reason: reason.to_string() };
        // `prometheus` prunes and prefixes first, so with a prefix a nameless family has a name.
        if head.name().is_empty() && prefix.is_none() {
            failed.push(refuse("returned a family without a name"));
            continue;
        }
        if head.get_field_type() == MetricType::UNTYPED {
            failed.push(refuse("returned a family of untyped kind, which the text encoder does not know"));
            continue;
        }
        writer.head(prefix, head);
        let mut metrics: Vec<&Metric> = same_name.iter().flat_map(|family| family.get_metric()).collect();
        let value: Option<fn(&Metric) -> f64> = match writer.kind {
            MetricType::COUNTER => Some(|metric| metric.get_counter().value()),
            MetricType::GAUGE => Some(|metric| metric.get_gauge().value()),
            _ => None,
        };
        let known = recall.as_mut().and_then(|recall| {
            recall.family(&Head { key: head.name(), name: &writer.name, common: &common }, &metrics, value)
        });
        if let Some(known) = known {
            match known.lines() {
                Some(lines) => lines.for_each(|(line, value)| writer.line(line, value)),
                None => known.order().for_each(|place| writer.series(metrics[place], known.labels(place))),
            }
            continue;
        }
        if !metrics.is_sorted_by(|one, other| compare(one, other).is_le()) {
            metrics.sort_by(|one, other| compare(one, other));
        }
        for metric in metrics {
            written.clear();
            push_labels(&mut written, metric.get_label(), &common);
            writer.series(metric, &written);
        }
    }
}

/// Writes one family after the other.
struct Writer<'a> {
    body: &'a mut Vec<u8>,
    kind: MetricType,
    name: Vec<u8>,
    /// The bounds met so far at each place of a histogram or summary, as bits and as text: they repeat in every series.
    bounds: Vec<(u64, String)>,
}

impl Writer<'_> {
    fn head(&mut self, prefix: Option<&str>, family: &MetricFamily) {
        self.kind = family.get_field_type();
        self.name.clear();
        if let Some(prefix) = prefix {
            self.name.extend_from_slice(prefix.as_bytes());
            self.name.push(b'_');
        }
        self.name.extend_from_slice(family.name().as_bytes());
        if !family.help().is_empty() {
            self.body.extend_from_slice(b"# HELP ");
            self.body.extend_from_slice(&self.name);
            self.body.push(b' ');
            push_escaped(self.body, family.help(), false);
            self.body.push(b'\n');
        }
        self.body.extend_from_slice(b"# TYPE ");
        self.body.extend_from_slice(&self.name);
        self.body.extend_from_slice(match self.kind {
            MetricType::COUNTER => b" counter\n",
            MetricType::GAUGE => b" gauge\n",
            MetricType::SUMMARY => b" summary\n",
            MetricType::UNTYPED => b" untyped\n",
            MetricType::HISTOGRAM => b" histogram\n",
        });
    }

    /// One line whose text up to the value is known.
    fn line(&mut self, up_to_value: &[u8], value: f64) {
        self.body.extend_from_slice(up_to_value);
        push_value(self.body, value);
        self.body.push(b'\n');
    }

    /// One series; its labels are written out, without braces.
    fn series(&mut self, metric: &Metric, labels: &[u8]) {
        let timestamp = metric.timestamp_ms();
        match self.kind {
            MetricType::COUNTER => self.sample(b"", labels, None, metric.get_counter().value(), timestamp),
            MetricType::GAUGE => self.sample(b"", labels, None, metric.get_gauge().value(), timestamp),
            MetricType::HISTOGRAM => self.histogram(metric, labels, timestamp),
            MetricType::SUMMARY => {
                let summary = metric.get_summary();
                for (at, quantile) in summary.get_quantile().iter().enumerate() {
                    let bound = (&b"quantile=\""[..], at, quantile.quantile());
                    self.sample(b"", labels, Some(bound), quantile.value(), timestamp);
                }
                self.sample(b"_sum", labels, None, summary.sample_sum(), timestamp);
                self.sample(b"_count", labels, None, summary.sample_count() as f64, timestamp);
            }
            // Refused before its head was written.
            MetricType::UNTYPED => {}
        }
    }

    fn histogram(&mut self, metric: &Metric, labels: &[u8], timestamp: i64) {
        let histogram = metric.get_histogram();
        let buckets = histogram.get_bucket();
        let mut infinity = false;
        for (at, bucket) in buckets.iter().enumerate() {
            let bound = bucket.upper_bound();
            let count = bucket.cumulative_count() as f64;
            self.sample(b"_bucket", labels, Some((b"le=\"", at, bound)), count, timestamp);
            infinity |= bound == f64::INFINITY;
        }
        if !infinity {
            self.begin(b"_bucket");
            self.open_extra(b"le=\"", labels);
            self.body.extend_from_slice(b"+Inf");
            self.close_extra();
            self.end(histogram.get_sample_count() as f64, timestamp);
        }
        self.sample(b"_sum", labels, None, histogram.get_sample_sum(), timestamp);
        self.sample(b"_count", labels, None, histogram.get_sample_count() as f64, timestamp);
    }

    /// One line; `extra` is an additional label: its name up to the quote, its place in the series, its value.
    fn sample(&mut self, suffix: &[u8], labels: &[u8], extra: Option<(&[u8], usize, f64)>, value: f64, timestamp: i64) {
        self.begin(suffix);
        if let Some((name, at, bound)) = extra {
            self.open_extra(name, labels);
            let bits = bound.to_bits();
            match self.bounds.get_mut(at) {
                Some((known, text)) if *known == bits => self.body.extend_from_slice(text.as_bytes()),
                Some(other) => {
                    *other = (bits, bound.to_string());
                    self.body.extend_from_slice(other.1.as_bytes());
                }
                None => {
                    let text = bound.to_string();
                    self.body.extend_from_slice(text.as_bytes());
                    self.bounds.push((bits, text));
                }
            }
            self.close_extra();
        } else if !labels.is_empty() {
            self.body.push(b'{');
            self.body.extend_from_slice(labels);
            self.body.push(b'}');
        }
        self.end(value, timestamp);
    }

    fn begin(&mut self, suffix: &[u8]) {
        self.body.extend_from_slice(&self.name);
        self.body.extend_from_slice(suffix);
    }

    fn open_extra(&mut self, name: &[u8], labels: &[u8]) {
        self.body.push(b'{');
        if !labels.is_empty() {
            self.body.extend_from_slice(labels);
            self.body.push(b',');
        }
        self.body.extend_from_slice(name);
    }

    fn close_extra(&mut self) {
        self.body.extend_from_slice(b"\"}");
    }

    fn end(&mut self, value: f64, timestamp: i64) {
        self.body.push(b' ');
        push_value(self.body, value);
        if timestamp != 0 {
            self.body.push(b' ');
            self.body.extend_from_slice(itoa::Buffer::new().format(timestamp).as_bytes());
        }
        self.body.push(b'\n');
    }
}

/// As `f64`'s `Display` has it: the shortest digits that read back as the same number, never an exponent.
fn push_value(out: &mut Vec<u8>, value: f64) {
    /// Below this every integer is a value of its own, so its digits are the shortest.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    if value.fract() == 0.0 {
        if value.abs() < EXACT && !(value == 0.0 && value.is_sign_negative()) {
            out.extend_from_slice(itoa::Buffer::new().format(value as i64).as_bytes());
            return;
        }
    } else if value.is_finite() {
        // Several times as fast, with two differences: an exponent where `Display` writes zeros, and another choice where two
        // texts are as short and as near. Of up to 15 digits only one text can be near enough to read back as the number.
        let mut digits = zmij::Buffer::new();
        let digits = digits.format_finite(value).as_bytes();
        if digits.len() <= "123456789.012345".len() && !digits.contains(&b'e') {
            out.extend_from_slice(digits);
            return;
        }
    }
    // Writing to a Vec cannot fail.
    let _infallible = write!(out, "{value}");
}

#[cfg(test)]
mod tests {
    use super::push_value;
    use proptest::prelude::*;

    fn as_display_has_it(value: f64) {
        let mut out = Vec::new();
        push_value(&mut out, value);
        assert_eq!(String::from_utf8(out).unwrap(), value.to_string(), "{:x}", value.to_bits());
    }

    #[test]
    fn the_values_at_the_edges_are_written_as_display_has_them() {
        let powers = (-330..310).map(|power| format!("1e{power}").parse::<f64>().unwrap());
        let halves = (0..1075).map(|power| 0.5_f64.powi(power));
        for value in powers.chain(halves).chain([0.0, f64::NAN, f64::INFINITY, f64::MAX, f64::MIN_POSITIVE, 5e-324]) {
            for near in [value.next_down(), value, value.next_up()] {
                as_display_has_it(near);
                as_display_has_it(-near);
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(20_000))]

        #[test]
        fn every_value_is_written_as_display_has_it(bits in any::<u64>(), small in any::<i32>(), decimals in 0_i32..9) {
            as_display_has_it(f64::from_bits(bits));
            as_display_has_it(f64::from(small) / 10_f64.powi(decimals));
        }
    }
}
