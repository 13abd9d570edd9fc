//! What an exposition says, and whether it says it correctly: a strict parser of Prometheus' text format.
//!
//! [`parse()`] takes a body and its [`Dialect`] and returns the families with their samples, or the first fault with its
//! line and column. It holds to the documented format, not to what some parser happens to let pass, and beyond syntax
//! it checks what the format demands: one group of lines a family, HELP and TYPE once and before the samples, no series
//! twice, buckets in order and in agreement with the count. It takes time linear in the body (times the logarithm of
//! the labels of one sample) and never panics, whatever the target sends.

mod content_type;
mod family;
mod parse;
mod scan;
#[cfg(test)]
mod tests;

pub use content_type::{BadContentType, ContentType, parse_content_type};
pub use parse::parse;
pub(super) use scan::excerpt;

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

/// The first fault of a body.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: {fault}")]
pub struct BadExposition {
    /// Counted from 1.
    pub line: usize,
    /// Counted from 1, in characters.
    pub column: usize,
    /// What is wrong there.
    pub fault: Fault,
}

/// What can be wrong with a body. Strings from the body are cut to a few words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// The last line has no line feed.
    #[error("the last line does not end with a line feed")]
    NoFinalNewline,
    /// A name begins or goes on with a character that no name may have.
    #[error("expected a {0}")]
    ExpectedName(&'static str),
    /// Something else stands where this should.
    #[error("expected {0}")]
    Expected(&'static str),
    /// A backslash before something that cannot be escaped.
    #[error("`\\{0}` is no escape: only `\\\\`, `\\n` and, in label values, `\\\"` are")]
    BadEscape(char),
    /// A label value that does not end on its line.
    #[error("the label value is not closed on this line")]
    OpenLabelValue,
    /// A label twice in one sample.
    #[error("label `{0}` is given twice")]
    DuplicateLabel(String),
    /// No number.
    #[error("`{0}` is no number")]
    BadNumber(String),
    /// No timestamp.
    #[error("`{0}` is no timestamp")]
    BadTimestamp(String),
    /// Text behind the end of a line's grammar.
    #[error("`{0}` is left over at the end of the line")]
    Trailing(String),
    /// A type that the dialect does not know.
    #[error("`{0}` is no metric type")]
    BadKind(String),
    /// HELP, TYPE or UNIT twice for one family.
    #[error("a second {1} line for `{0}`")]
    SecondMeta(String, &'static str),
    /// HELP or TYPE behind samples of the family.
    #[error("{1} of `{0}` comes after its samples")]
    LateMeta(String, &'static str),
    /// A family whose lines do not stand together.
    #[error("the lines of `{0}` do not stand together")]
    SplitFamily(String),
    /// A sample name that its family's type does not have.
    #[error("`{name}` is no sample of the {kind} `{family}`")]
    ForeignSample {
        /// The sample's name.
        name: String,
        /// The family's type.
        kind: &'static str,
        /// The family.
        family: String,
    },
    /// A bucket without `le`, or a summary's sample without `quantile`.
    #[error("`{name}` has no valid `{label}` label")]
    NoBound {
        /// The sample's name.
        name: String,
        /// `le` or `quantile`.
        label: &'static str,
    },
    /// A series twice.
    #[error("the series `{0}` is given twice")]
    DuplicateSeries(String),
    /// Buckets not in the order of their bounds.
    #[error("the buckets of `{0}` are not in increasing order of `le`")]
    BucketOrder(String),
    /// No bucket of everything.
    #[error("the histogram `{0}` has no `le=\"+Inf\"` bucket")]
    NoInfBucket(String),
    /// The bucket of everything differs from the count.
    #[error("the `le=\"+Inf\"` bucket of `{0}` differs from its count")]
    CountDiffers(String),
    /// OpenMetrics only: the end mark is missing.
    #[error("`# EOF` is missing at the end")]
    NoEof,
    /// OpenMetrics only: something stands behind the end mark.
    #[error("lines follow `# EOF`")]
    AfterEof,
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

    fn from_word(word: &str, dialect: Dialect) -> Option<Kind> {
        let text = [Kind::Counter, Kind::Gauge, Kind::Histogram, Kind::Summary, Kind::Untyped];
        let more = [Kind::GaugeHistogram, Kind::Info, Kind::StateSet];
        let known = text.into_iter().chain(more.into_iter().filter(|_| dialect == Dialect::OpenMetrics));
        known.into_iter().find(|kind| kind.word(dialect) == word)
    }
}
