//! The report as JUnit XML: a suite for each scenario, a test case for each case.
//!
//! Violated and vanished are failures, inconclusive is an error, a skip is skipped with its reason.

use super::{digest, interleaving, matrix::Matrix, text};
use crate::model::{Agreement, CaseReport, Diagnosis, ModelReport, Reality, Report, Verdict};
// From `core`, which has spans of time and no clock.
use core::time::Duration;
use quick_junit::{NonSuccessKind, Property, TestCase, TestCaseStatus, TestSuite};

/// The report as one XML document.
pub fn render(report: &Report) -> String {
    let mut xml = quick_junit::Report::new("gatherlock");
    xml.set_time(Duration::from_millis(report.duration_ms));
    for row in Matrix::of(report).rows() {
        let mut suite = TestSuite::new(shown(&row.name));
        let mut total = Duration::ZERO;
        for case in row.cells.iter().flatten() {
            let test = test_case(case);
            total += test.time.unwrap_or_default();
            suite.add_test_case(test);
        }
        suite.set_time(total);
        suite.add_property(Property::new("seed", report.seed.to_string()));
        suite.add_property(Property::new("started", shown(&report.started)));
        xml.add_test_suite(suite);
    }
    if let Some(found) = &report.diagnosis {
        let mut suite = TestSuite::new("diagnose");
        suite.add_test_case(diagnosed(found, report.exit_code));
        xml.add_test_suite(suite);
    }
    if !report.models.is_empty() {
        let mut suite = TestSuite::new("models");
        suite.add_test_cases(report.models.iter().map(model));
        xml.add_test_suite(suite);
    }
    if !report.reality.is_empty() {
        let mut suite = TestSuite::new("model against reality");
        suite.add_test_cases(report.reality.iter().map(reality));
        xml.add_test_suite(suite);
    }
    xml.to_string().expect("XML written to memory cannot fail")
}

/// Names are cleaned here, so that the XML writer, which drops what XML cannot say, has nothing to drop.
fn shown(name: &str) -> String {
    text::name(name)
}

fn status(verdict: Option<Verdict>, skip: Option<&str>, message: &str, details: &str) -> TestCaseStatus {
    let kind = match verdict {
        Some(Verdict::Held) => return TestCaseStatus::success(),
        None => {
            let mut status = TestCaseStatus::skipped();
            status.set_message(skip.map_or("not run; no reason recorded".to_string(), text::sentence));
            return status;
        }
        Some(Verdict::Violated | Verdict::Vanished) => NonSuccessKind::Failure,
        Some(Verdict::Inconclusive) => NonSuccessKind::Error,
    };
    let mut status = TestCaseStatus::non_success(kind);
    status.set_type(verdict.map_or("", Verdict::word)).set_message(message).set_description(details);
    status
}

fn test_case(case: &CaseReport) -> TestCase {
    let mut facts = Vec::new();
    if let Some(expectation) = &case.expectation {
        facts.push(format!("expected: {}", digest::expected_in_words(expectation)));
        for limit in digest::expected_limits(expectation) {
            facts.push(format!("expected: {limit}"));
        }
        facts.push(format!("because: {}", text::sentence(&expectation.because)));
    }
    facts.push(format!("seen: {}", digest::seen_in_words(case)));
    let figures = digest::figures(case);
    if !figures.is_empty() {
        facts.push(format!("limits: {}", figures.join(", ")));
    }
    if let Some(trial) = digest::telling(case) {
        facts.push(format!("evidence: {}", digest::reason(trial)));
        facts.push(format!("replay: {}", text::line(&trial.replay, text::STORY)));
    }
    let message = match (&case.expectation, case.verdict) {
        (Some(expectation), Some(verdict)) => {
            let (seen, expected) = (digest::seen_in_words(case), digest::expected_in_words(expectation));
            format!("{verdict}: {seen}; {expected}")
        }
        _ => digest::seen_in_words(case),
    };
    let details = facts.join("\n");
    let mut test =
        TestCase::new(shown(&case.id.to_string()), status(case.verdict, case.skip.as_deref(), &message, &details));
    test.set_classname(shown(&case.scenario));
    test.set_time(Duration::from_millis(case.trials.iter().map(|trial| trial.duration_ms).sum()));
    if case.verdict == Some(Verdict::Held) {
        test.set_system_out(details);
    }
    test
}

fn diagnosed(found: &Diagnosis, exit_code: u8) -> TestCase {
    let verdict = match exit_code {
        0 => Verdict::Held,
        1 => Verdict::Violated,
        _ => Verdict::Inconclusive,
    };
    let summary = text::sentence(&found.summary);
    let name = found.target.url.as_deref().or(found.target.exe.as_deref()).unwrap_or("process");
    TestCase::new(shown(name), status(Some(verdict), None, &summary, &summary))
}

fn model(model: &ModelReport) -> TestCase {
    let message = format!(
        "{}: expected {}, found {}; {}",
        model.verdict,
        shown(&model.expectation),
        shown(&model.outcome),
        interleaving::strength(model)
    );
    let mut facts = vec![message.clone()];
    facts.extend(model.why.as_deref().map(text::sentence));
    facts.push(format!("executions: {}", model.strength.executions));
    facts.push(format!("memory model: {}", shown(&model.memory)));
    if let Some(trace) = &model.counterexample {
        facts.push(interleaving::headline(trace));
        facts.extend(interleaving::sentences(trace));
    }
    facts.extend(model.replay.as_deref().map(|replay| format!("replay: {}", text::line(replay, text::STORY))));
    let details = facts.join("\n");
    let name = format!("{} ({}, prometheus {})", shown(&model.name), shown(&model.engine), shown(&model.crate_version));
    let mut test = TestCase::new(name, status(Some(model.verdict), None, &message, &details));
    test.set_classname("models");
    test.set_time(Duration::try_from_secs_f64(model.strength.seconds).unwrap_or_default());
    if model.verdict == Verdict::Held {
        test.set_system_out(details);
    }
    test
}

/// A live scenario beside its models. What is outside every model, or was not run, is skipped with its reason.
fn reality(row: &Reality) -> TestCase {
    let verdict = match row.agreement {
        Agreement::Held => Some(Verdict::Held),
        Agreement::Refuted => Some(Verdict::Violated),
        Agreement::Outside | Agreement::Alone | Agreement::Open => None,
    };
    let details = format!("live: {}\nmodel: {}", interleaving::live(row), interleaving::modelled(row));
    let mut test =
        TestCase::new(shown(&row.scenario), status(verdict, Some(&row.says), &text::sentence(&row.says), &details));
    test.set_classname("model against reality");
    test
}
