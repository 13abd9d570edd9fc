//! What a case is expected to show, written from the mechanism before the run.

use super::{ExpectedLimits, Outcome};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// Either one outcome that every trial must show, or a set that is measured and not promised; never both.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expected {
    /// Every trial shows exactly this.
    Must(Outcome),
    /// Every trial shows one of these; which one is measured. The matrix marks such cells.
    May(BTreeSet<Outcome>),
}

/// A case's expectation: outcome, limits, and the reason that was written down before the run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "RawExpectation", into = "RawExpectation")]
pub struct Expectation {
    /// The outcome or outcomes.
    pub outcome: Expected,
    /// The figures that are graded beside it.
    pub limits: ExpectedLimits,
    /// Why, from the mechanism, in a sentence or two.
    pub because: String,
}

impl Expectation {
    /// Every trial shows `outcome`.
    pub fn must(outcome: Outcome, because: impl Into<String>) -> Expectation {
        Expectation { outcome: Expected::Must(outcome), limits: ExpectedLimits::default(), because: because.into() }
    }

    /// Every trial shows one of `outcomes`.
    pub fn may(outcomes: impl IntoIterator<Item = Outcome>, because: impl Into<String>) -> Expectation {
        Expectation {
            outcome: Expected::May(outcomes.into_iter().collect()),
            limits: ExpectedLimits::default(),
            because: because.into(),
        }
    }

    /// The same expectation with these limits graded, too.
    pub fn with_limits(mut self, limits: ExpectedLimits) -> Expectation {
        self.limits = limits;
        self
    }
}

/// The JSON shape: `{must, may, limits, because}` with exactly one of `must` and `may` given.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
struct RawExpectation {
    must: Option<Outcome>,
    #[serde(default)]
    may: BTreeSet<Outcome>,
    #[serde(default)]
    limits: ExpectedLimits,
    #[serde(default)]
    because: String,
}

#[cfg(feature = "schema")]
impl schemars::JsonSchema for Expectation {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Expectation".into()
    }
    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        RawExpectation::json_schema(generator)
    }
}

impl TryFrom<RawExpectation> for Expectation {
    type Error = &'static str;
    fn try_from(raw: RawExpectation) -> Result<Expectation, &'static str> {
        let outcome = match (raw.must, raw.may.is_empty()) {
            (Some(must), true) => Expected::Must(must),
            (None, false) => Expected::May(raw.may),
            (Some(_), false) => return Err("an expectation has either `must` or `may`, not both"),
            (None, true) => return Err("an expectation has neither `must` nor `may`: nothing could fail it"),
        };
        Ok(Expectation { outcome, limits: raw.limits, because: raw.because })
    }
}

impl From<Expectation> for RawExpectation {
    fn from(e: Expectation) -> RawExpectation {
        let (must, may) = match e.outcome {
            Expected::Must(must) => (Some(must), BTreeSet::new()),
            Expected::May(may) => (None, may),
        };
        RawExpectation { must, may, limits: e.limits, because: e.because }
    }
}
