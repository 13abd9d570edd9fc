//! The variants side by side, counted from the cases of a report: what becomes of the rows that hang under `naive`.

use super::{CanaryMoved, CaseReport, CostFigures, Exchange, Outcome, Purpose, TrialReport, VariantInfo};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// The handler that the others are to better.
const REFERENCE: &str = "naive";

/// The comparison.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Fixes {
    /// The variant whose hangs the others are measured by.
    pub reference: String,
    /// The rows of the matrix, `scenario[param=value]`, that hung under it in at least one trial.
    pub hang: Vec<String>,
    /// One for each variant of which a trial ran in those rows.
    pub variants: Vec<FixReport>,
}

/// What one variant does in the rows that hang under the reference, except where a field says otherwise.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct FixReport {
    /// The variant.
    pub variant: String,
    /// The incident's proposed fix that it renders, if any.
    pub fix: Option<String>,
    /// Rows of which a trial counts.
    pub rows: u32,
    /// Rows that have no counterpart with it.
    pub skipped_rows: u32,
    /// Trials that count.
    pub trials: u32,
    /// Trials that were served.
    pub served: u32,
    /// Trials that were refused honestly, or answered with a page that says what is stale or missing.
    pub contained: u32,
    /// Trials whose judged scrape was answered within the bound, and wrong.
    pub wrong: u32,
    /// The most threads that a scrape took and kept, per scrape sent, in any trial that scraped an endpoint more than once:
    /// with one scrape, a thread for each of them looks like one for all. `None`: measured in none.
    pub threads_leaked_per_scrape: Option<f64>,
    /// Trials that served again after the cause was released.
    pub recovered: u32,
    /// Trials whose cause was released.
    pub released: u32,
    /// The most updates that were lost in a trial of any row; `None`: measured in none.
    pub lost_updates: Option<u64>,
    /// Trials in which the canary moved.
    pub canary_moved: u32,
    /// Trials in which there was an answer to look for it.
    pub canary_checked: u32,
    /// Time until the answer of one scrape, as a multiple of the reference's; `None`: not measured here.
    pub cost: Option<f64>,
}

impl FixReport {
    /// Trials that were answered within the bound, rightly or wrongly.
    pub fn answered(&self) -> u32 {
        self.served + self.contained + self.wrong
    }

    fn count(&mut self, trial: &TrialReport) {
        self.trials += 1;
        match trial.outcome {
            Some(Outcome::Served) => self.served += 1,
            Some(Outcome::Contained) => self.contained += 1,
            Some(Outcome::Invalid) if answered(trial) => self.wrong += 1,
            _ => {}
        }
        let leaked = trial.limits.threads_leaked_per_scrape.filter(|_| scraped_again(trial));
        self.threads_leaked_per_scrape = self.threads_leaked_per_scrape.into_iter().chain(leaked).reduce(f64::max);
        if let Some(recovers) = trial.limits.recovers {
            self.released += 1;
            self.recovered += u32::from(recovers);
        }
        if trial.canary_moved != CanaryMoved::NotChecked {
            self.canary_checked += 1;
            self.canary_moved += u32::from(trial.canary_moved == CanaryMoved::Yes);
        }
    }
}

/// Whether the judged scrape got a whole answer within the bound, whatever was in it.
fn answered(trial: &TrialReport) -> bool {
    let judged = || trial.probes.requests.iter().filter(|request| request.purpose == Purpose::Judged);
    let in_time = |exchange: &Exchange| {
        exchange.error.is_none() && exchange.status.is_some() && exchange.total_us <= trial.bound_ms * 1_000
    };
    judged().next().is_some() && judged().all(|request| in_time(&request.exchange))
}

/// Whether an endpoint got a second scrape while the mistake was armed.
fn scraped_again(trial: &TrialReport) -> bool {
    let mut scraped = BTreeSet::new();
    let mut scrapes = trial.probes.requests.iter().filter(|request| request.purpose.is_armed());
    !scrapes.all(|request| scraped.insert(&request.endpoint))
}

/// The trials of a case that are not void.
fn counted(case: &CaseReport) -> impl Iterator<Item = &TrialReport> {
    case.trials.iter().filter(|trial| trial.void.is_none() && trial.outcome.is_some())
}

/// Compares the variants; `None` where nothing of the reference hung or nothing stands beside it.
pub fn compare_fixes(cases: &[CaseReport], variants: &[VariantInfo], cost: Option<&CostFigures>) -> Option<Fixes> {
    let hung = |case: &&CaseReport| counted(case).any(|trial| trial.outcome.is_some_and(Outcome::is_hang));
    let hang: Vec<String> =
        cases.iter().filter(|case| case.variant == REFERENCE).filter(hung).map(|case| case.id.row()).collect();
    let rows: BTreeSet<&str> = hang.iter().map(String::as_str).collect();
    let report = |info: &VariantInfo| {
        let cost = cost.and_then(|cost| cost.of.iter().find(|of| of.variant == info.id)).map(|of| of.answer);
        let mut report = FixReport { variant: info.id.clone(), fix: info.fix.clone(), cost, ..FixReport::default() };
        for case in cases.iter().filter(|case| case.variant == info.id) {
            let lost = counted(case).filter_map(|trial| trial.limits.lost_updates);
            report.lost_updates = report.lost_updates.into_iter().chain(lost).max();
            if rows.contains(case.id.row().as_str()) {
                report.skipped_rows += u32::from(case.skip.is_some());
                report.rows += u32::from(counted(case).next().is_some());
                counted(case).for_each(|trial| report.count(trial));
            }
        }
        (report.trials > 0).then_some(report)
    };
    let compared: Vec<FixReport> = variants.iter().filter_map(report).collect();
    (compared.len() > 1).then(|| Fixes { reference: REFERENCE.to_string(), hang, variants: compared })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{CaseId, CostOf, Limits, RequestReport, Void};

    fn case(id: &str, trials: Vec<TrialReport>) -> CaseReport {
        let id: CaseId = id.parse().unwrap();
        CaseReport {
            scenario: id.scenario.clone(),
            variant: id.variant.clone(),
            family: String::new(),
            story: String::new(),
            skip: trials.is_empty().then(|| "no counterpart".to_string()),
            params: id.params.clone(),
            expectation: None,
            verdict: None,
            strength: None,
            id,
            trials,
        }
    }

    fn trial(outcome: Outcome, limits: Limits, canary_moved: CanaryMoved) -> TrialReport {
        TrialReport {
            bound_ms: 1_000,
            outcome: Some(outcome),
            limits,
            canary_moved,
            covered: true,
            ..TrialReport::default()
        }
    }

    fn judged(mut trial: TrialReport, status: Option<u16>, total_us: u64) -> TrialReport {
        let exchange = Exchange { status, total_us, ..Exchange::default() };
        trial.probes.requests.push(RequestReport {
            request: 1,
            purpose: Purpose::Judged,
            endpoint: String::new(),
            at_us: 0,
            exchange,
            class: None,
            wrong: Vec::new(),
        });
        trial
    }

    fn scraped(mut trial: TrialReport, endpoints: &[&str]) -> TrialReport {
        for endpoint in endpoints {
            trial = judged(trial, None, 1_000_000);
            trial.probes.requests.last_mut().unwrap().endpoint = endpoint.to_string();
        }
        trial
    }

    fn leaked(threads: f64) -> Limits {
        Limits { threads_leaked_per_scrape: Some(threads), ..Limits::default() }
    }

    fn recovers(recovers: bool) -> Limits {
        Limits { recovers: Some(recovers), ..Limits::default() }
    }

    fn variants(ids: &[&str]) -> Vec<VariantInfo> {
        let info =
            |id: &&str| VariantInfo { id: id.to_string(), title: String::new(), fix: Some(format!("fix of {id}")) };
        ids.iter().map(info).collect()
    }

    #[test]
    fn rows_that_hang_under_naive_are_counted_for_every_variant() {
        use CanaryMoved::{No, NotChecked, Yes};
        use Outcome::*;
        let plain = Limits::default;
        let again = |trial| scraped(trial, &["", ""]);
        let mut void = trial(Served, plain(), Yes);
        void.void = Some(Void::because("the machine was busy"));
        let cases = [
            case("a/naive", vec![again(trial(Deadlocked, leaked(1.0), NotChecked)), trial(Served, plain(), Yes)]),
            case("a/fixed", vec![again(trial(Contained, leaked(0.5), NotChecked)), void]),
            case("b[x=1]/naive", vec![trial(Stalled, recovers(true), NotChecked)]),
            case("b[x=1]/fixed", vec![judged(trial(Invalid, recovers(false), No), Some(200), 900_000)]),
            case("b[x=2]/naive", vec![trial(Starved, plain(), NotChecked)]),
            case("b[x=2]/fixed", vec![]),
            // It does not hang under naive: only what it says of lost updates counts.
            case("c/naive", vec![trial(Served, Limits { lost_updates: Some(0), ..plain() }, Yes)]),
            case("c/fixed", vec![trial(Served, Limits { lost_updates: Some(7), ..plain() }, Yes)]),
            case("c/unused", vec![trial(Served, plain(), Yes)]),
        ];
        let cost = CostFigures {
            measured: String::new(),
            cpus: 2,
            series: 10_000,
            reference: "naive".into(),
            reference_ms: 8.0,
            of: vec![CostOf { variant: "fixed".into(), answer: 0.5, processors: 0.6 }],
        };
        let fixes = compare_fixes(&cases, &variants(&["naive", "fixed", "unused"]), Some(&cost)).unwrap();
        assert_eq!(fixes.hang, ["a", "b[x=1]", "b[x=2]"]);
        let naive = FixReport {
            variant: "naive".into(),
            fix: Some("fix of naive".into()),
            rows: 3,
            trials: 4,
            served: 1,
            threads_leaked_per_scrape: Some(1.0),
            recovered: 1,
            released: 1,
            lost_updates: Some(0),
            canary_moved: 1,
            canary_checked: 1,
            ..FixReport::default()
        };
        let fixed = FixReport {
            variant: "fixed".into(),
            fix: Some("fix of fixed".into()),
            rows: 2,
            skipped_rows: 1,
            trials: 2,
            contained: 1,
            wrong: 1,
            threads_leaked_per_scrape: Some(0.5),
            released: 1,
            lost_updates: Some(7),
            canary_checked: 1,
            cost: Some(0.5),
            ..FixReport::default()
        };
        assert_eq!(fixes.variants, [naive, fixed]);
    }

    #[test]
    fn a_thread_for_each_scrape_is_told_from_one_for_all_by_a_second_scrape_of_the_same_endpoint() {
        let stuck = |threads| trial(Outcome::Deadlocked, leaked(threads), CanaryMoved::NotChecked);
        let compared = |fixed: Vec<TrialReport>| {
            let cases = [case("a/naive", vec![stuck(1.0)]), case("a/fixed", fixed)];
            let fixes = compare_fixes(&cases, &variants(&["naive", "fixed"]), None).unwrap();
            fixes.variants[1].threads_leaked_per_scrape
        };
        let nodes = scraped(stuck(1.0), &["a", "b", "c"]);
        assert_eq!(compared(vec![nodes.clone()]), None);
        assert_eq!(compared(vec![nodes, scraped(stuck(0.25), &["a", "b", "a"])]), Some(0.25));
        let mut after = scraped(stuck(1.0), &["a", "a"]);
        after.probes.requests[1].purpose = Purpose::After;
        assert_eq!(compared(vec![after]), None);
    }

    #[test]
    fn a_wrong_answer_after_the_bound_or_none_at_all_is_no_answer() {
        let wrong = || trial(Outcome::Invalid, Limits::default(), CanaryMoved::NotChecked);
        let naive = || case("a/naive", vec![trial(Outcome::Busy, Limits::default(), CanaryMoved::NotChecked)]);
        for (fixed, answered) in [
            (judged(wrong(), Some(200), 1_000_000), 1),
            (judged(wrong(), Some(200), 1_000_001), 0),
            (judged(wrong(), None, 10), 0),
            (wrong(), 0),
        ] {
            let cases = [naive(), case("a/fixed", vec![fixed])];
            let fixes = compare_fixes(&cases, &variants(&["naive", "fixed"]), None).unwrap();
            assert_eq!(fixes.variants[1].answered(), answered);
        }
    }

    #[test]
    fn nothing_is_compared_where_naive_did_not_hang_or_stands_alone() {
        let served = |id| case(id, vec![trial(Outcome::Served, Limits::default(), CanaryMoved::Yes)]);
        let hung = |id| case(id, vec![trial(Outcome::Deadlocked, Limits::default(), CanaryMoved::NotChecked)]);
        let all = variants(&["naive", "fixed"]);
        assert_eq!(compare_fixes(&[served("a/naive"), served("a/fixed")], &all, None), None);
        assert_eq!(compare_fixes(&[hung("a/naive")], &all, None), None);
        assert_eq!(compare_fixes(&[served("a/fixed")], &all, None), None);
        assert!(compare_fixes(&[hung("a/naive"), served("a/fixed")], &all, None).is_some());
    }
}
