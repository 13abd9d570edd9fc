//! The rules that one family's lines keep among themselves: which samples its type has, no series twice, whole histograms.

use super::fault::Fault;
use super::samples::{Dialect, Kind, Sample};
use super::scan::{excerpt, parse_number};
use std::collections::{BTreeMap, HashSet};

/// Suffixes by which a sample may belong to a family of another name.
const SUFFIXES: [&str; 8] = ["_bucket", "_sum", "_count", "_total", "_created", "_gsum", "_gcount", "_info"];

/// The ways to cut a known suffix off a sample's name: the family's name and the suffix.
pub(super) fn stems(name: &str) -> impl Iterator<Item = (&str, &'static str)> {
    SUFFIXES.into_iter().filter_map(move |suffix| Some((name.strip_suffix(suffix)?, suffix)))
}

/// Whether a family of this type has samples whose names end so; `""` is the family's own name.
pub(super) fn has_suffix(kind: Kind, suffix: &str, dialect: Dialect) -> bool {
    let open_metrics = dialect == Dialect::OpenMetrics;
    match kind {
        Kind::Counter if open_metrics => matches!(suffix, "_total" | "_created"),
        Kind::Counter | Kind::Gauge | Kind::Untyped | Kind::StateSet => suffix.is_empty(),
        Kind::Histogram => matches!(suffix, "_bucket" | "_sum" | "_count") || (open_metrics && suffix == "_created"),
        Kind::Summary => matches!(suffix, "" | "_sum" | "_count") || (open_metrics && suffix == "_created"),
        Kind::GaugeHistogram => matches!(suffix, "_bucket" | "_gsum" | "_gcount"),
        Kind::Info => suffix == "_info",
    }
}

/// What is remembered of the family whose lines are being read.
#[derive(Default)]
pub(super) struct Open {
    /// Which of HELP, TYPE and UNIT were seen.
    pub(super) seen: Vec<&'static str>,
    series: HashSet<Vec<u8>>,
    /// The histograms in it, by their labels without `le`.
    histograms: BTreeMap<Vec<u8>, Histogram>,
}

struct Histogram {
    first_line: usize,
    last_bound: Option<f64>,
    everything: Option<f64>,
    count: Option<f64>,
}

impl Open {
    /// Checks a sample against the family and the samples before it. `suffix` is what its name adds to the family's.
    pub(super) fn add(
        &mut self,
        kind: Kind,
        suffix: &str,
        sample: &Sample<'_>,
        line: usize,
        dialect: Dialect,
    ) -> Result<(), Fault> {
        let mut labels: Vec<(&str, &str)> = sample.labels.iter().map(|(name, value)| (*name, value.as_ref())).collect();
        labels.sort_unstable();
        if let Some(twice) = labels.windows(2).find(|pair| pair[0].0 == pair[1].0) {
            return Err(Fault::DuplicateLabel(excerpt(twice[0].0)));
        }
        let mut key = key_of(sample.name, &labels);
        if dialect == Dialect::OpenMetrics {
            // OpenMetrics allows several points of one series, told apart by their timestamps.
            key.extend_from_slice(&sample.timestamp.map_or(0, f64::to_bits).to_le_bytes());
        }
        if !self.series.insert(key) {
            return Err(Fault::DuplicateSeries(describe(sample.name, &labels)));
        }
        match (kind, suffix) {
            (Kind::Summary, "") => bound(sample, "quantile").map(|_| ()),
            (Kind::Histogram | Kind::GaugeHistogram, _) => self.add_to_histogram(suffix, sample, &labels, line),
            _ => Ok(()),
        }
    }

    fn add_to_histogram(
        &mut self,
        suffix: &str,
        sample: &Sample<'_>,
        labels: &[(&str, &str)],
        line: usize,
    ) -> Result<(), Fault> {
        let others: Vec<(&str, &str)> = labels.iter().copied().filter(|(name, _)| *name != "le").collect();
        let histogram = self.histograms.entry(key_of("", &others)).or_insert(Histogram {
            first_line: line,
            last_bound: None,
            everything: None,
            count: None,
        });
        match suffix {
            "_bucket" => {
                let bound = bound(sample, "le")?;
                if histogram.last_bound.is_some_and(|last| bound <= last) {
                    return Err(Fault::BucketOrder(describe(sample.name, &others)));
                }
                histogram.last_bound = Some(bound);
                if bound == f64::INFINITY {
                    histogram.everything = Some(sample.value);
                }
            }
            "_count" | "_gcount" => histogram.count = Some(sample.value),
            _ => {}
        }
        Ok(())
    }

    /// What can only be said once all lines of the family are there: the line to blame, and the fault.
    pub(super) fn close(&self, family: &str) -> Result<(), (usize, Fault)> {
        let mut in_order: Vec<&Histogram> = self.histograms.values().collect();
        in_order.sort_by_key(|histogram| histogram.first_line);
        for histogram in in_order {
            match (histogram.everything, histogram.count) {
                (None, _) => return Err((histogram.first_line, Fault::NoInfBucket(excerpt(family)))),
                (Some(everything), Some(count)) if everything != count => {
                    return Err((histogram.first_line, Fault::CountDiffers(excerpt(family))));
                }
                _ => {}
            }
        }
        Ok(())
    }
}

/// A name and labels as one key that no other name and labels give: 0xFF ends each part and is in no UTF-8 text.
fn key_of(name: &str, sorted: &[(&str, &str)]) -> Vec<u8> {
    let parts = sorted.iter().flat_map(|(name, value)| [*name, *value]);
    let len = name.len() + 1 + parts.clone().map(|part| part.len() + 1).sum::<usize>();
    let mut key = Vec::with_capacity(len);
    for part in std::iter::once(name).chain(parts) {
        key.extend_from_slice(part.as_bytes());
        key.push(0xFF);
    }
    key
}

/// A series for an error message.
fn describe(name: &str, labels: &[(&str, &str)]) -> String {
    let labels: Vec<String> = labels
        .iter()
        .take(4)
        .map(|(name, value)| format!("{}={:?}", excerpt(name), excerpt(value)))
        .chain((labels.len() > 4).then(|| "…".to_string()))
        .collect();
    format!("{}{{{}}}", excerpt(name), labels.join(","))
}

fn bound(sample: &Sample<'_>, label: &'static str) -> Result<f64, Fault> {
    let text = sample.labels.iter().find(|(name, _)| *name == label).map(|(_, value)| value.as_ref());
    text.and_then(parse_number)
        .filter(|bound| !bound.is_nan())
        .ok_or_else(|| Fault::NoBound { name: excerpt(sample.name), label })
}
