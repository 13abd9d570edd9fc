//! `gate`: holds live endpoints to their bound, for a CI job on one's own service.
//!
//! Each endpoint is a case whose expectation is `served`; each round of scrapes is one of its trials. The first breach
//! ends the case: what hangs is diagnosed by the same look as `diagnose`, and scraping on would only wait.

mod options;
mod round;
mod targets;

pub use options::GateOptions;
pub use targets::{BadTargets, Target, read_targets};

use super::environment::{environment, tool};
use super::findings::counted;
use super::live::{LookError, Looker};
use crate::model::{
    CaseId, CaseReport, Expectation, Outcome, REPORT_SCHEMA, Report, ScenarioInfo, Strength, Summary, TrialReport,
    VariantInfo, Verdict, exit_code,
};
use crate::probe::HttpUrl;
use options::millis;
use std::collections::BTreeMap;
use std::time::{Instant, SystemTime};

/// The scenario of every case of a gate.
const SCENARIO: &str = "live-endpoint";

/// Holds every endpoint to its bound, one after the other. `progress` hears a line for each endpoint that was judged.
///
/// # Errors
/// If nothing can be begun at all; that an endpoint fails is no error but a verdict.
pub fn gate(
    options: &GateOptions,
    interrupted: &dyn Fn() -> bool,
    progress: &dyn Fn(&CaseReport),
) -> Result<Report, LookError> {
    if options.targets.is_empty() {
        return Err(LookError::Nothing);
    }
    let (begun, started) = (Instant::now(), SystemTime::now());
    let looker = Looker::start()?;
    let mut cases = Vec::new();
    for (id, target) in names(&options.targets) {
        let case = case(&looker, options, id, target, interrupted);
        progress(&case);
        cases.push(case);
    }
    let variants = cases.iter().zip(&options.targets).map(|(case, target)| VariantInfo {
        id: case.variant.clone(),
        title: target.url.to_string(),
        fix: None,
    });
    let stopped = interrupted();
    let verdicts: Vec<Verdict> = cases.iter().filter_map(|case| case.verdict).collect();
    Ok(Report {
        schema: REPORT_SCHEMA.to_string(),
        tool: tool(),
        environment: environment(Vec::new()),
        command: options.command.clone(),
        seed: 0,
        bound_ms: millis(options.look.bound),
        hang_limit_ms: millis(options.look.hang_limit),
        started: humantime::format_rfc3339_seconds(started).to_string(),
        duration_ms: millis(begun.elapsed()),
        scenarios: vec![ScenarioInfo {
            id: SCENARIO.to_string(),
            family: "gate".to_string(),
            title: "A live endpoint answers within its bound, every time it is asked".to_string(),
            story: String::new(),
            origin: Vec::new(),
            advice: Vec::new(),
        }],
        variants: variants.collect(),
        summary: Summary::of(&cases),
        cases,
        models: Vec::new(),
        reality: Vec::new(),
        findings: Vec::new(),
        fixes: None,
        figures: None,
        diagnosis: None,
        interrupted: stopped,
        problems: Vec::new(),
        exit_code: if stopped { 2 } else { exit_code(verdicts) },
    })
}

/// One endpoint, round by round.
fn case(
    looker: &Looker,
    options: &GateOptions,
    id: CaseId,
    target: &Target,
    interrupted: &dyn Fn() -> bool,
) -> CaseReport {
    let expectation = expectation(options);
    let end = options.duration.map(|duration| Instant::now() + duration);
    let mut trials: Vec<TrialReport> = Vec::new();
    let goes_on = |trials: &[TrialReport]| match end {
        Some(end) => trials.is_empty() || Instant::now() < end,
        None => trials.len() < options.rounds.max(1) as usize,
    };
    while goes_on(&trials) {
        let trial = round::round(looker, options, &target.url, interrupted);
        let held = verdict_of(options, &trial) == Verdict::Held;
        trials.push(trial);
        if !held {
            break;
        }
    }
    let verdict = trials.iter().map(|trial| verdict_of(options, trial)).max().unwrap_or(Verdict::Inconclusive);
    CaseReport {
        scenario: id.scenario.clone(),
        variant: id.variant.clone(),
        id,
        family: "gate".to_string(),
        story: target.url.to_string(),
        skip: None,
        params: BTreeMap::new(),
        expectation: Some(expectation),
        verdict: Some(verdict),
        strength: Some(Strength::Trials { n: counted(&trials) }),
        trials,
    }
}

fn expectation(options: &GateOptions) -> Expectation {
    let bound = humantime::format_duration(options.look.bound);
    if options.allow_contained {
        let because = format!("an answer within {bound} is asked for; an honest refusal is one");
        return Expectation::may([Outcome::Served, Outcome::Contained], because);
    }
    Expectation::must(Outcome::Served, format!("a valid exposition within {bound} is asked for, every time"))
}

/// Here a hang needs no name to be a breach: that nothing came is enough.
fn verdict_of(options: &GateOptions, trial: &TrialReport) -> Verdict {
    match trial.outcome {
        None => Verdict::Inconclusive,
        Some(Outcome::Served) => Verdict::Held,
        Some(Outcome::Contained) if options.allow_contained => Verdict::Held,
        Some(_) => Verdict::Violated,
    }
}

/// A name for each endpoint that can stand in a case id, and is nobody else's.
fn names(targets: &[Target]) -> Vec<(CaseId, &Target)> {
    let mut taken: BTreeMap<String, u32> = BTreeMap::new();
    let named = targets.iter().map(|target| {
        let word = word(&target.url);
        let times = taken.entry(word.clone()).or_default();
        *times += 1;
        let word = if *times == 1 { word } else { format!("{word}.{times}") };
        (CaseId::new(SCENARIO, word), target)
    });
    named.collect()
}

/// `http://127.0.0.1:9101/metrics` => `127.0.0.1-9101-metrics`.
fn word(url: &HttpUrl) -> String {
    let text = format!("{}-{}{}", url.host(), url.port(), url.path());
    let mut word = String::new();
    for c in text.to_ascii_lowercase().chars() {
        let fits = c.is_ascii_lowercase() || c.is_ascii_digit() || c == '.';
        if fits {
            word.push(c);
        } else if !word.ends_with('-') {
            word.push('-');
        }
    }
    word.trim_matches('-').chars().take(80).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn two_endpoints_never_share_a_name() {
        let urls = ["http://h:1/a-b", "http://h:1/a/b", "http://h:1/a?b", "http://[::1]:1/"];
        let targets: Vec<Target> = urls.iter().map(|url| Target { url: url.parse().unwrap() }).collect();
        let names: Vec<String> = names(&targets).iter().map(|(id, _)| id.variant.clone()).collect();
        assert_eq!(names, ["h-1-a-b", "h-1-a-b.2", "h-1-a-b.3", "1-1"]);
    }

    proptest! {
        #[test]
        fn every_url_makes_a_case_id(path in "[!-~]{0,40}") {
            if let Ok(url) = format!("http://h:9/{path}").parse::<HttpUrl>() {
                let id = CaseId::new(SCENARIO, word(&url));
                prop_assert_eq!(id.to_string().parse::<CaseId>().unwrap(), id);
            }
        }
    }
}
