//! A parsed body: families and their samples.

use std::borrow::Cow;

/// Which grammar a body is held to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// The text format 0.0.4 (`text/plain`).
    Text,
    /// OpenMetrics 1.0 (`application/openmetrics-text`). Checked as far as a scrape depends on it: names, types,
    /// samples, exemplars' syntax and the closing `# EOF`.
    OpenMetrics,
}

/// A parsed body.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Exposition<'a> {
    /// The families in the order of the body.
    pub families: Vec<Family<'a>>,
}

impl<'a> Exposition<'a> {
    /// All samples, in the order of the body.
    pub fn samples(&self) -> impl Iterator<Item = &Sample<'a>> {
        self.families.iter().flat_map(|family| &family.samples)
    }

    /// How many samples there are.
    pub fn len(&self) -> u64 {
        self.families.iter().map(|family| family.samples.len() as u64).sum()
    }

    /// Whether there is no sample at all; comments and HELP lines are no samples.
    pub fn is_empty(&self) -> bool {
        self.families.iter().all(|family| family.samples.is_empty())
    }

    /// The sum over the series of `name` that carry at least `labels`; `None` if there is none.
    pub fn value(&self, name: &str, labels: &[(&str, Cow<'_, str>)]) -> Option<f64> {
        let of_it = |sample: &&Sample<'_>| {
            sample.name == name && labels.iter().all(|wanted| sample.labels.iter().any(|label| label == wanted))
        };
        self.samples().filter(of_it).map(|sample| sample.value).reduce(|sum, value| sum + value)
    }
}

/// The lines of one metric family.
#[derive(Clone, Debug, PartialEq)]
pub struct Family<'a> {
    /// As in HELP and TYPE, or the sample's name where there is neither.
    pub name: &'a str,
    /// `untyped` where no TYPE line says otherwise.
    pub kind: Kind,
    /// The HELP text, unescaped.
    pub help: Option<Cow<'a, str>>,
    /// Its samples.
    pub samples: Vec<Sample<'a>>,
}

/// The type of a family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// `counter`.
    Counter,
    /// `gauge`.
    Gauge,
    /// `histogram`.
    Histogram,
    /// `summary`.
    Summary,
    /// `untyped`, in OpenMetrics `unknown`.
    Untyped,
    /// `gaugehistogram`, OpenMetrics only.
    GaugeHistogram,
    /// `info`, OpenMetrics only.
    Info,
    /// `stateset`, OpenMetrics only.
    StateSet,
}

/// One series and its value.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample<'a> {
    /// As written, e.g. with `_bucket`.
    pub name: &'a str,
    /// As written, values unescaped.
    pub labels: Vec<(&'a str, Cow<'a, str>)>,
    /// May be NaN or infinite.
    pub value: f64,
    /// Milliseconds since the epoch in the text format, seconds in OpenMetrics; as written.
    pub timestamp: Option<f64>,
}

impl Kind {
    /// The word in a TYPE line.
    pub fn word(self, dialect: Dialect) -> &'static str {
        match self {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
            Kind::Summary => "summary",
            Kind::Untyped if dialect == Dialect::OpenMetrics => "unknown",
            Kind::Untyped => "untyped",
            Kind::GaugeHistogram => "gaugehistogram",
            Kind::Info => "info",
            Kind::StateSet => "stateset",
        }
    }

    pub(super) fn from_word(word: &str, dialect: Dialect) -> Option<Kind> {
        let text = [Kind::Counter, Kind::Gauge, Kind::Histogram, Kind::Summary, Kind::Untyped];
        let more = [Kind::GaugeHistogram, Kind::Info, Kind::StateSet];
        let known = text.into_iter().chain(more.into_iter().filter(|_| dialect == Dialect::OpenMetrics));
        known.into_iter().find(|kind| kind.word(dialect) == word)
    }
}
