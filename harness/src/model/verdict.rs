//! Grading: a pure function from what was expected and what was seen to a verdict.

use super::{Expectation, Expected, Limits, LimitsGrade, Outcome};
use serde::{Deserialize, Serialize};

/// What a case's trials say about its expectation. Ordered by how bad it is; the worst trial decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Every trial showed what was expected.
    Held,
    /// A trial was void, or its evidence does not cover the case: nothing can be said.
    Inconclusive,
    /// A `must` was not seen although nothing got worse: the reproducer stopped reproducing.
    Vanished,
    /// A trial showed something that the expectation forbids.
    Violated,
}

impl Verdict {
    /// The word used in reports.
    pub fn word(self) -> &'static str {
        match self {
            Verdict::Held => "held",
            Verdict::Inconclusive => "inconclusive",
            Verdict::Vanished => "vanished",
            Verdict::Violated => "violated",
        }
    }
}

impl std::fmt::Display for Verdict {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.word())
    }
}

/// How strong a verdict is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Strength {
    /// Seen in `n` live trials; says nothing about schedules that did not happen.
    Trials {
        /// Trials that count (void ones do not).
        n: u32,
    },
    /// Seen in `n` sampled schedules of a model.
    Schedules {
        /// Schedules explored.
        n: u64,
    },
    /// Every schedule within `bounds`.
    Exhausted {
        /// What was bounded, in words.
        bounds: String,
    },
}

impl std::fmt::Display for Strength {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Strength::Trials { n: 1 } => write!(f, "1 trial"),
            Strength::Trials { n } => write!(f, "{n} trials"),
            Strength::Schedules { n } => write!(f, "{n} schedules"),
            Strength::Exhausted { bounds } => write!(f, "exhaustive ({bounds})"),
        }
    }
}

/// What grading needs to know of one trial.
#[derive(Clone, Debug, PartialEq)]
pub enum Graded {
    /// The trial says nothing: its set-up or its surroundings failed.
    Void,
    /// The trial has an outcome, but its evidence does not cover the case (see [`Graded::Seen`] for one that does).
    Uncovered,
    /// The trial has an outcome and these figures.
    Seen {
        /// Its outcome.
        outcome: Outcome,
        /// Its figures.
        limits: Limits,
    },
}

/// The verdict on one trial.
pub fn grade_trial(expectation: &Expectation, trial: &Graded) -> Verdict {
    let (outcome, limits) = match trial {
        Graded::Void | Graded::Uncovered => return Verdict::Inconclusive,
        Graded::Seen { outcome, limits } => (*outcome, limits),
    };
    let by_outcome = match &expectation.outcome {
        Expected::Must(must) if outcome == *must => Verdict::Held,
        Expected::Must(must) if outcome.is_better_than(*must) => Verdict::Vanished,
        Expected::Must(_) => Verdict::Violated,
        Expected::May(may) if may.contains(&outcome) => Verdict::Held,
        Expected::May(_) => Verdict::Violated,
    };
    if by_outcome != Verdict::Held {
        return by_outcome;
    }
    match expectation.limits.grade(limits) {
        LimitsGrade::Within => Verdict::Held,
        LimitsGrade::Unmeasured => Verdict::Inconclusive,
        LimitsGrade::Better => Verdict::Vanished,
        LimitsGrade::Worse => Verdict::Violated,
    }
}

/// The verdict on a case: that of its worst trial; a case without a trial is inconclusive, never held.
pub fn grade(expectation: &Expectation, trials: &[Graded]) -> Verdict {
    trials.iter().map(|trial| grade_trial(expectation, trial)).max().unwrap_or(Verdict::Inconclusive)
}

/// The exit code of a run: 1 if anything was violated or vanished, else 2 if anything is inconclusive or nothing was
/// graded at all, else 0.
pub fn exit_code(verdicts: impl IntoIterator<Item = Verdict>) -> u8 {
    match verdicts.into_iter().max() {
        Some(Verdict::Held) => 0,
        Some(Verdict::Violated | Verdict::Vanished) => 1,
        Some(Verdict::Inconclusive) | None => 2,
    }
}
