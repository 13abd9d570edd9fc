//! Grading as an exhaustive table: every outcome against every expectation, with every grade of limits.

use super::*;
use std::collections::BTreeSet;

/// One row for each `must`, one column for each outcome seen, both in the order of [`Outcome::ALL`]:
/// `=` held, `<` vanished, `!` violated.
const MUST: [&str; 11] = [
    "=!!!!!!!!!!", // served
    "<=!!!!!!!!!", // contained
    "<<=!!!!!!!!", // late
    "<<<=!!!!!!!", // busy
    "<<<!=!!!!!!", // deadlocked
    "<<<!!=!!!!!", // livelocked
    "<<<!!!=!!!!", // starved
    "<<<!!!!=!!!", // stalled
    "<<<!!!!!=!!", // invalid
    "<<<!!!!!!=!", // crashed
    "<<<!!!!!!!=", // unreachable
];

fn verdict_of(mark: char) -> Verdict {
    match mark {
        '=' => Verdict::Held,
        '<' => Verdict::Vanished,
        '!' => Verdict::Violated,
        other => panic!("{other} is no mark"),
    }
}

/// Expected and measured limits for each grade, and the verdict where the outcome itself is as expected.
fn limits() -> Vec<(LimitsGrade, ExpectedLimits, Limits, Verdict)> {
    let one = ExpectedLimits { app_threads_stuck: Some(Range::exactly(1.0)), ..ExpectedLimits::default() };
    let measured = |n| Limits { app_threads_stuck: Some(n), ..Limits::default() };
    vec![
        (LimitsGrade::Within, ExpectedLimits::default(), measured(7), Verdict::Held),
        (LimitsGrade::Within, one, measured(1), Verdict::Held),
        (LimitsGrade::Unmeasured, one, Limits::default(), Verdict::Inconclusive),
        (LimitsGrade::Better, one, measured(0), Verdict::Vanished),
        (LimitsGrade::Worse, one, measured(2), Verdict::Violated),
    ]
}

#[test]
fn every_outcome_against_every_must_with_every_grade_of_limits() {
    for (must, row) in Outcome::ALL.into_iter().zip(MUST) {
        for (seen, mark) in Outcome::ALL.into_iter().zip(row.chars()) {
            for (grade, expected, measured, if_held) in limits() {
                assert_eq!(expected.grade(&measured), grade);
                let by_outcome = verdict_of(mark);
                // Limits are looked at only where the outcome is what it must be.
                let wanted = if by_outcome == Verdict::Held { if_held } else { by_outcome };
                let expectation = Expectation::must(must, "").with_limits(expected);
                let got = grade_trial(&expectation, &Graded::Seen { outcome: seen, limits: measured });
                assert_eq!(got, wanted, "must {must}, saw {seen}, limits {grade:?}");
            }
        }
    }
}

#[test]
fn every_outcome_against_every_may_set_with_every_grade_of_limits() {
    for set in 1_u32..1 << Outcome::ALL.len() {
        let may: BTreeSet<Outcome> =
            Outcome::ALL.into_iter().enumerate().filter(|(at, _)| set & (1 << at) != 0).map(|(_, o)| o).collect();
        for (grade, expected, measured, if_held) in limits() {
            let expectation = Expectation::may(may.iter().copied(), "").with_limits(expected);
            for seen in Outcome::ALL {
                let got = grade_trial(&expectation, &Graded::Seen { outcome: seen, limits: measured.clone() });
                // A set promises nothing: better than all of it is outside of it, too.
                let wanted = if may.contains(&seen) { if_held } else { Verdict::Violated };
                assert_eq!(got, wanted, "may {may:?}, saw {seen}, limits {grade:?}");
            }
        }
    }
}

#[test]
fn what_says_nothing_is_inconclusive_whatever_was_expected() {
    for outcome in Outcome::ALL {
        for expectation in [Expectation::must(outcome, ""), Expectation::may([outcome], "")] {
            assert_eq!(grade_trial(&expectation, &Graded::Void), Verdict::Inconclusive);
            assert_eq!(grade_trial(&expectation, &Graded::Uncovered), Verdict::Inconclusive);
        }
    }
}

#[test]
fn the_worst_trial_decides() {
    let expectation = Expectation::must(Outcome::Deadlocked, "");
    let seen = |outcome| Graded::Seen { outcome, limits: Limits::default() };
    let trials = [
        (seen(Outcome::Deadlocked), 0),
        (Graded::Void, 1),
        (Graded::Uncovered, 1),
        (seen(Outcome::Served), 2),
        (seen(Outcome::Stalled), 3),
    ];
    let by_rank = [Verdict::Held, Verdict::Inconclusive, Verdict::Vanished, Verdict::Violated];
    for (first, one) in &trials {
        for (second, other) in &trials {
            let got = grade(&expectation, &[first.clone(), second.clone()]);
            assert_eq!(got, by_rank[*one.max(other)], "{first:?}, {second:?}");
        }
    }
    assert_eq!(grade(&expectation, &[]), Verdict::Inconclusive, "no trial holds nothing");
}

#[test]
fn exit_codes() {
    use Verdict::{Held, Inconclusive, Vanished, Violated};
    for (verdicts, code) in [
        (&[][..], 2),
        (&[Held, Held][..], 0),
        (&[Held, Inconclusive][..], 2),
        (&[Held, Inconclusive, Vanished][..], 1),
        (&[Inconclusive, Violated][..], 1),
        (&[Vanished][..], 1),
    ] {
        assert_eq!(exit_code(verdicts.iter().copied()), code, "{verdicts:?}");
    }
}

#[test]
fn each_limit_is_graded_at_both_ends_and_the_worst_counts() {
    use LimitsGrade::{Better, Unmeasured, Within, Worse};
    let range = Range { min: Some(1.0), max: Some(2.0) };
    let measured = |n: u32| Limits {
        threads_leaked_per_scrape: Some(f64::from(n)),
        app_threads_stuck: Some(n),
        lost_updates: Some(u64::from(n)),
        ..Limits::default()
    };
    let named = [
        ExpectedLimits { threads_leaked_per_scrape: Some(range), ..ExpectedLimits::default() },
        ExpectedLimits { app_threads_stuck: Some(range), ..ExpectedLimits::default() },
        ExpectedLimits { lost_updates: Some(range), ..ExpectedLimits::default() },
    ];
    for expected in named {
        for (n, grade) in [(0, Better), (1, Within), (2, Within), (3, Worse)] {
            assert_eq!(expected.grade(&measured(n)), grade, "{expected:?}, {n}");
        }
        assert_eq!(expected.grade(&Limits::default()), Unmeasured);
    }
    for (want, got, grade) in [
        (true, Some(true), Within),
        (true, Some(false), Worse),
        (false, Some(true), Better),
        (false, Some(false), Within),
        (true, None, Unmeasured),
    ] {
        let expected = ExpectedLimits { recovers: Some(want), ..ExpectedLimits::default() };
        assert_eq!(expected.grade(&Limits { recovers: got, ..Limits::default() }), grade, "{want}, {got:?}");
    }
    let all = ExpectedLimits {
        threads_leaked_per_scrape: Some(Range::at_least(1.0)),
        app_threads_stuck: Some(Range::at_most(1.0)),
        lost_updates: None,
        recovers: Some(true),
    };
    let mixed = Limits { threads_leaked_per_scrape: Some(0.0), app_threads_stuck: Some(2), ..Limits::default() };
    assert_eq!(all.grade(&mixed), Worse, "worse beats better beats unmeasured");
    let better = Limits { app_threads_stuck: Some(1), ..mixed };
    assert_eq!(all.grade(&better), Better);
}

#[test]
fn an_expectation_is_read_back_and_never_both_or_neither() {
    let limits = ExpectedLimits { recovers: Some(true), ..ExpectedLimits::default() };
    for expectation in [
        Expectation::must(Outcome::Late, "why").with_limits(limits),
        Expectation::may([Outcome::Served, Outcome::Late], "why"),
    ] {
        let text = serde_json::to_string(&expectation).unwrap();
        assert_eq!(serde_json::from_str::<Expectation>(&text).unwrap(), expectation, "{text}");
    }
    for text in [r#"{"must":null,"may":[]}"#, r#"{"must":"late","may":["late"]}"#, r#"{"may":["slow"]}"#] {
        assert!(serde_json::from_str::<Expectation>(text).is_err(), "{text}");
    }
}
