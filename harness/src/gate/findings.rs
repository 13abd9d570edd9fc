//! Sentences that follow from several cases together, each with the strength of what it rests on.

use crate::model::{CaseReport, Claim, Finding, Strength, TrialReport, Verdict};

/// States every claim of which at least one case was run: as held if all its cases held, as broken otherwise. A claim
/// whose cases were not all selected is not stated at all, because the run says nothing about it.
pub(crate) fn findings(claims: &[Claim], cases: &[CaseReport]) -> Vec<Finding> {
    claims.iter().filter_map(|claim| finding(claim, cases)).collect()
}

fn finding(claim: &Claim, cases: &[CaseReport]) -> Option<Finding> {
    let rests_on: Vec<&CaseReport> =
        claim.cases.iter().map(|id| cases.iter().find(|case| case.id == *id)).collect::<Option<_>>()?;
    let n: u32 = rests_on.iter().map(|case| counted(&case.trials)).sum();
    let held = !rests_on.is_empty() && rests_on.iter().all(|case| case.verdict == Some(Verdict::Held));
    let says = if held {
        claim.held.clone()
    } else {
        let not: Vec<String> = rests_on
            .iter()
            .filter(|case| case.verdict != Some(Verdict::Held))
            .map(|case| format!("{}: {}", case.id, case.verdict.map_or("skipped", Verdict::word)))
            .collect();
        format!("{} ({})", claim.broken, not.join(", "))
    };
    Some(Finding { says, strength: Strength::Trials { n }, cases: claim.cases.clone(), models: Vec::new() })
}

/// Trials that count: those that are not void.
pub(crate) fn counted(trials: &[TrialReport]) -> u32 {
    u32::try_from(trials.iter().filter(|trial| trial.void.is_none()).count()).unwrap_or(u32::MAX)
}
