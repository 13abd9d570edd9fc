//! Live outcomes beside what models found: which can both be true, and what is compared with what.

use super::*;

fn agreement(seen: &[Outcome], found: &[&str]) -> Agreement {
    let seen = seen.iter().map(|outcome| (*outcome, 1)).collect();
    agree(&seen, found).0
}

#[test]
fn a_live_deadlock_needs_a_model_that_deadlocks() {
    use Agreement::{Held, Open, Refuted};
    use Outcome::{Contained, Deadlocked, Served, Stalled};
    assert_eq!(agreement(&[Deadlocked, Contained], &["deadlock", "none"]), Held);
    assert_eq!(agreement(&[Deadlocked], &["none", "none"]), Refuted);
    assert_eq!(agreement(&[Deadlocked], &["blocked"]), Refuted);
    assert_eq!(agreement(&[Deadlocked], &["none", "inconclusive"]), Open);
    // A live trial may miss the schedule.
    assert_eq!(agreement(&[Served], &["deadlock"]), Held);
    assert_eq!(agreement(&[Served], &["none"]), Held);
    assert_eq!(agreement(&[Stalled], &["none"]), Refuted);
}

#[test]
fn a_live_stall_and_a_blocked_model_need_each_other() {
    use Agreement::{Held, Open, Refuted};
    use Outcome::{Contained, Served, Stalled};
    assert_eq!(agreement(&[Stalled], &["blocked"]), Held);
    assert_eq!(agreement(&[Stalled], &["deadlock"]), Refuted);
    assert_eq!(agreement(&[Served], &["blocked"]), Refuted);
    assert_eq!(agreement(&[Contained], &["blocked"]), Held);
    assert_eq!(agreement(&[Served], &["blocked", "none"]), Held, "the control of the same mechanism is answered");
    assert_eq!(agreement(&[], &["blocked"]), Open);
    assert_eq!(agreement(&[Served], &[]), Open);
}

fn case(id: &str, outcomes: &[Outcome]) -> CaseReport {
    let id: CaseId = id.parse().expect("a case id");
    let trial = |outcome: &Outcome| TrialReport { outcome: Some(*outcome), covered: true, ..TrialReport::default() };
    CaseReport {
        scenario: id.scenario.clone(),
        variant: id.variant.clone(),
        params: id.params.clone(),
        id,
        family: String::new(),
        story: String::new(),
        skip: None,
        expectation: None,
        verdict: None,
        strength: None,
        trials: outcomes.iter().map(trial).collect(),
    }
}

fn model(name: &str, version: &str, outcome: &str) -> ModelReport {
    ModelReport {
        name: name.into(),
        lesson: String::new(),
        threads: 2,
        engine: "loom".into(),
        crate_version: version.into(),
        expectation: outcome.into(),
        outcome: outcome.into(),
        verdict: Verdict::Held,
        why: None,
        memory: "sc loads".into(),
        strength: ModelStrength { kind: "exhausted".into(), preemptions: None, executions: 9, seconds: 0.0 },
        counterexample: None,
        replay: None,
    }
}

fn rows(cases: &[CaseReport], models: &[ModelReport], checker: &Checker) -> Vec<(String, Agreement, String)> {
    let compared = compare(cases, models, checker, Some("0.14.0"));
    compared
        .into_iter()
        .map(|row| {
            let models: Vec<String> = row.models.into_iter().map(|(name, found)| format!("{name}: {found}")).collect();
            (row.scenario, row.agreement, models.join("; "))
        })
        .collect()
}

/// A hang that one version has and the other has not, the right way round and the wrong way round.
#[test]
fn a_row_is_compared_with_the_models_on_its_own_version() {
    let old = "a[prometheus=0.13.4]/naive";
    let models = [model("a", "0.13.4", "deadlock"), model("a", "0.14.0", "none")];
    let none = Checker::default();
    let cases = [case("a/naive", &[Outcome::Served]), case(old, &[Outcome::Deadlocked])];
    let right = rows(&cases, &models, &none);
    assert_eq!(right[0], ("a".into(), Agreement::Held, "a: none".into()));
    assert_eq!(right[1], ("a[prometheus=0.13.4]".into(), Agreement::Held, "a: deadlock".into()));
    let cases = [case("a/naive", &[Outcome::Deadlocked]), case(old, &[Outcome::Served])];
    let wrong = rows(&cases, &models, &none);
    assert_eq!(wrong[0].1, Agreement::Refuted, "0.13.4's deadlock is no excuse for 0.14.0");
    assert_eq!(wrong[1].1, Agreement::Held, "a live trial may miss the schedule");
    let other = rows(&[case("a[prometheus=0.12.0]/naive", &[Outcome::Deadlocked])], &models, &none);
    assert_eq!(other, [("a[prometheus=0.12.0]".into(), Agreement::Open, String::new())]);
    let unknown = compare(&cases[..1], &models, &none, None);
    assert_eq!(unknown[0].models["a"], "deadlock, none", "no version is known: all count");
}

#[test]
fn the_version_is_no_part_of_a_models_name() {
    let models = [model("a[lock=std]", "0.13.4", "deadlock"), model("a[lock=other]", "0.13.4", "none")];
    let cases = [case("a[lock=std,prometheus=0.13.4]/naive", &[Outcome::Deadlocked])];
    let row = &rows(&cases, &models, &Checker::default())[0];
    assert_eq!(*row, (row.0.clone(), Agreement::Held, "a[lock=std]: deadlock".into()));
    let cases = [case("a[prometheus=0.13.4,scrapes=2]/naive", &[Outcome::Deadlocked])];
    let row = &rows(&cases, &models, &Checker::default())[0];
    assert_eq!(row.2, "a[lock=other]: none; a[lock=std]: deadlock", "no model of that name: all of the scenario");
}

#[test]
fn what_is_outside_or_modelled_only_is_said_and_what_is_unlisted_is_open() {
    let entry = |id: &str, why: &str| Outside { id: id.into(), why: why.into() };
    let checker = Checker {
        outside: vec![entry("slow", "time")],
        alone: vec![entry("reset", "no gate holds it there")],
        other_variants: vec![entry("atomics", "another library")],
        ..Checker::default()
    };
    let cases = [
        case("slow/naive", &[Outcome::Stalled]),
        case("unlisted/naive", &[Outcome::Served]),
        case("a/atomics", &[Outcome::Deadlocked]),
        case("a/naive", &[Outcome::Served]),
    ];
    let models = [model("a", "0.14.0", "none"), model("reset", "0.14.0", "none"), model("gone", "0.14.0", "none")];
    let agreements: Vec<_> = rows(&cases, &models, &checker).into_iter().map(|(name, is, _)| (name, is)).collect();
    let expected = [
        ("slow", Agreement::Outside),
        ("unlisted", Agreement::Open),
        ("a", Agreement::Held),
        ("reset", Agreement::Alone),
        ("gone", Agreement::Open),
    ];
    assert_eq!(agreements, expected.map(|(name, is)| (name.to_string(), is)));
}
