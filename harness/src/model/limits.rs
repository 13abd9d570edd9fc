//! The figures that stand beside an outcome: measured by every trial, graded only where an expectation names them.

use serde::{Deserialize, Serialize};

/// What a trial measured. `None` is "not measured here", never zero.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Limits {
    /// Threads that a scrape has taken and still holds at the end of the *during* phase, per scrape sent.
    pub threads_leaked_per_scrape: Option<f64>,
    /// Application threads (no request runs on them) that wait in a cycle, for one, or for a request's lock.
    pub app_threads_stuck: Option<u32>,
    /// Updates that were made and are not in the exposition.
    pub lost_updates: Option<u64>,
    /// Whether a scrape is served again after the cause was released; `None` where it cannot be released.
    pub recovers: Option<bool>,
    /// Health checks answered within the bound, and how many were sent. Recorded, never graded.
    pub health: Option<HealthCount>,
}

/// Health checks: n of m. A stuck worker may take `/health` along or not, so this is never asserted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct HealthCount {
    /// Checks answered within the bound.
    pub answered: u32,
    /// Checks sent.
    pub sent: u32,
}

/// What an expectation says about one figure: both ends inclusive.
///
/// Falling short of `min` means that the defect did not show (`Vanished`); exceeding `max` means it got worse
/// (`Violated`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Range {
    /// The least that must be measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min: Option<f64>,
    /// The most that may be measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<f64>,
}

impl Range {
    /// Exactly `value`.
    pub fn exactly(value: f64) -> Range {
        Range { min: Some(value), max: Some(value) }
    }
    /// `value` or more.
    pub fn at_least(value: f64) -> Range {
        Range { min: Some(value), max: None }
    }
    /// `value` or less.
    pub fn at_most(value: f64) -> Range {
        Range { min: None, max: Some(value) }
    }
}

/// The limits an [`Expectation`](super::Expectation) names; what it does not name is shown and not graded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ExpectedLimits {
    /// Bounds on [`Limits::threads_leaked_per_scrape`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub threads_leaked_per_scrape: Option<Range>,
    /// Bounds on [`Limits::app_threads_stuck`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub app_threads_stuck: Option<Range>,
    /// Bounds on [`Limits::lost_updates`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lost_updates: Option<Range>,
    /// The value that [`Limits::recovers`] must have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recovers: Option<bool>,
}

/// How a trial's measured limits compare with the expected ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LimitsGrade {
    /// All within, or none named.
    Within,
    /// A named limit was not measured.
    Unmeasured,
    /// A defect that must show did not.
    Better,
    /// Worse than allowed.
    Worse,
}

impl ExpectedLimits {
    /// Whether no limit is named.
    pub fn is_empty(&self) -> bool {
        *self == ExpectedLimits::default()
    }

    /// The worst grade over all named limits.
    pub fn grade(&self, measured: &Limits) -> LimitsGrade {
        let range = |want: Option<Range>, got: Option<f64>| match (want, got) {
            (None, _) => LimitsGrade::Within,
            (Some(_), None) => LimitsGrade::Unmeasured,
            (Some(want), Some(got)) if want.max.is_some_and(|max| got > max) => LimitsGrade::Worse,
            (Some(want), Some(got)) if want.min.is_some_and(|min| got < min) => LimitsGrade::Better,
            _ => LimitsGrade::Within,
        };
        let recovers = match (self.recovers, measured.recovers) {
            (None, _) => LimitsGrade::Within,
            (Some(_), None) => LimitsGrade::Unmeasured,
            (Some(true), Some(false)) => LimitsGrade::Worse,
            (Some(false), Some(true)) => LimitsGrade::Better,
            _ => LimitsGrade::Within,
        };
        [
            range(self.threads_leaked_per_scrape, measured.threads_leaked_per_scrape),
            range(self.app_threads_stuck, measured.app_threads_stuck.map(f64::from)),
            range(self.lost_updates, measured.lost_updates.map(|n| n as f64)),
            recovers,
        ]
        .into_iter()
        .max()
        .unwrap_or(LimitsGrade::Within)
    }
}
