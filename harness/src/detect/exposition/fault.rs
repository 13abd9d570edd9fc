//! What can be wrong with a body.

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
