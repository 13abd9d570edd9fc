//! The text exposition format 0.0.4, byte for byte as `prometheus::TextEncoder` writes it, straight from what the
//! collectors returned: nothing is merged, moved or copied first.

use super::gather::FailedCollector;
use super::order::{Orders, compare};
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
/// first one's help and type. What the format cannot express is added to `failed`.
pub(crate) fn encode(
    families: &[MetricFamily],
    prefix: Option<&str>,
    labels: &[LabelPair],
    orders: &Orders,
    body: &mut Vec<u8>,
    failed: &mut Vec<FailedCollector>,
) {
    let mut sorted: Vec<&MetricFamily> = families.iter().collect();
    sorted.sort_by(|one, other| one.name().cmp(other.name()));
    let mut recall = orders.recall();
    let mut writer = Writer::new(body, labels);
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
        let metrics: Vec<&Metric> = same_name.iter().flat_map(|family| family.get_metric()).collect();
        if metrics.is_sorted_by(|one, other| compare(one, other).is_le()) {
            metrics.iter().for_each(|metric| writer.series(metric));
        } else {
            recall.order(head.name(), &metrics).iter().for_each(|place| writer.series(metrics[*place as usize]));
        }
    }
}

/// Writes one family after the other; its buffers are reused from series to series.
struct Writer<'a> {
    body: &'a mut Vec<u8>,
    /// The registry's own labels, written out.
    common: Vec<u8>,
    kind: MetricType,
    name: Vec<u8>,
    /// The labels of the series at hand, written out, without braces.
    labels: Vec<u8>,
    /// The bounds met so far at each place of a histogram or summary, as bits and as text: they repeat in every series.
    bounds: Vec<(u64, String)>,
}

impl<'a> Writer<'a> {
    fn new(body: &'a mut Vec<u8>, labels: &[LabelPair]) -> Writer<'a> {
        let mut common = Vec::new();
        push_labels(&mut common, labels);
        let (name, labels, bounds) = (Vec::new(), Vec::new(), Vec::new());
        Writer { body, common, kind: MetricType::COUNTER, name, labels, bounds }
    }

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

    fn series(&mut self, metric: &Metric) {
        self.labels.clear();
        push_labels(&mut self.labels, metric.get_label());
        if !self.common.is_empty() {
            if !self.labels.is_empty() {
                self.labels.push(b',');
            }
            self.labels.extend_from_slice(&self.common);
        }
        let timestamp = metric.timestamp_ms();
        match self.kind {
            MetricType::COUNTER => self.sample(b"", None, metric.get_counter().value(), timestamp),
            MetricType::GAUGE => self.sample(b"", None, metric.get_gauge().value(), timestamp),
            MetricType::HISTOGRAM => self.histogram(metric, timestamp),
            MetricType::SUMMARY => {
                let summary = metric.get_summary();
                for (at, quantile) in summary.get_quantile().iter().enumerate() {
                    self.sample(b"", Some((b"quantile=\"", at, quantile.quantile())), quantile.value(), timestamp);
                }
                self.sample(b"_sum", None, summary.sample_sum(), timestamp);
                self.sample(b"_count", None, summary.sample_count() as f64, timestamp);
            }
            // Refused before its head was written.
            MetricType::UNTYPED => {}
        }
    }

    fn histogram(&mut self, metric: &Metric, timestamp: i64) {
        let histogram = metric.get_histogram();
        let buckets = histogram.get_bucket();
        let mut infinity = false;
        for (at, bucket) in buckets.iter().enumerate() {
            let bound = bucket.upper_bound();
            self.sample(b"_bucket", Some((b"le=\"", at, bound)), bucket.cumulative_count() as f64, timestamp);
            infinity |= bound == f64::INFINITY;
        }
        if !infinity {
            self.begin(b"_bucket");
            self.open_extra(b"le=\"");
            self.body.extend_from_slice(b"+Inf");
            self.close_extra();
            self.end(histogram.get_sample_count() as f64, timestamp);
        }
        self.sample(b"_sum", None, histogram.get_sample_sum(), timestamp);
        self.sample(b"_count", None, histogram.get_sample_count() as f64, timestamp);
    }

    /// One line; `extra` is an additional label: its name up to the quote, its place in the series, its value.
    fn sample(&mut self, suffix: &[u8], extra: Option<(&[u8], usize, f64)>, value: f64, timestamp: i64) {
        self.begin(suffix);
        if let Some((name, at, bound)) = extra {
            self.open_extra(name);
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
        } else if !self.labels.is_empty() {
            self.body.push(b'{');
            self.body.extend_from_slice(&self.labels);
            self.body.push(b'}');
        }
        self.end(value, timestamp);
    }

    fn begin(&mut self, suffix: &[u8]) {
        self.body.extend_from_slice(&self.name);
        self.body.extend_from_slice(suffix);
    }

    fn open_extra(&mut self, name: &[u8]) {
        self.body.push(b'{');
        if !self.labels.is_empty() {
            self.body.extend_from_slice(&self.labels);
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

/// `name="value",…` without braces.
fn push_labels(out: &mut Vec<u8>, labels: &[LabelPair]) {
    for (at, pair) in labels.iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        out.extend_from_slice(pair.name().as_bytes());
        out.extend_from_slice(b"=\"");
        push_escaped(out, pair.value(), true);
        out.push(b'"');
    }
}

/// Backslash and line feed escaped, and the double quote where the text stands in quotes.
fn push_escaped(out: &mut Vec<u8>, text: &str, quoted: bool) {
    let mut rest = text.as_bytes();
    while let Some(at) = next_special(rest, quoted) {
        out.extend_from_slice(&rest[..at]);
        out.push(b'\\');
        out.push(if rest[at] == b'\n' { b'n' } else { rest[at] });
        rest = &rest[at + 1..];
    }
    out.extend_from_slice(rest);
}

fn next_special(text: &[u8], quoted: bool) -> Option<usize> {
    if quoted { memchr::memchr3(b'\\', b'\n', b'"', text) } else { memchr::memchr2(b'\\', b'\n', text) }
}

/// As `f64`'s `Display` has it: the shortest digits that read back as the same number, never an exponent.
fn push_value(out: &mut Vec<u8>, value: f64) {
    /// Below this every integer is a value of its own, so its digits are the shortest.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    if value.fract() == 0.0 && value.abs() < EXACT && !(value == 0.0 && value.is_sign_negative()) {
        out.extend_from_slice(itoa::Buffer::new().format(value as i64).as_bytes());
    } else {
        // Writing to a Vec cannot fail.
        let _infallible = write!(out, "{value}");
    }
}
