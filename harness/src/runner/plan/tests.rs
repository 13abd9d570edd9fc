//! Plans of a small catalogue.

use super::*;
use crate::model::{CATALOGUE_PROTOCOL, Drive, Expectation, Outcome, Release, Variant};
use std::collections::BTreeSet;

fn catalogue() -> Catalogue {
    let scenario = |id: &str, company, bound_ms| Scenario {
        id: id.into(),
        family: "f".into(),
        title: "t".into(),
        story: "s".into(),
        origin: vec![],
        company,
        bound_ms,
        drive: Drive::Scrapes { extra: 0 },
        release: Release::Never,
        advice: vec![],
    };
    let mut catalogue = Catalogue {
        protocol: CATALOGUE_PROTOCOL.into(),
        name: "ours".into(),
        version: "1".into(),
        prometheus: vec![],
        scenarios: vec![
            scenario("scrape-storm", Company::Alone, None),
            scenario("register-in-collect", Company::Together, None),
            scenario("register-under-app-lock", Company::Together, Some(250)),
        ],
        variants: vec![],
        claims: Vec::new(),
        cases: vec![],
    };
    for variant in ["naive", "try-lock", "official"] {
        catalogue.variants.push(Variant { id: variant.into(), title: "t".into(), fix: None });
        let locks =
            ["std", "parking-lot"].map(|lock| CaseId::new("register-under-app-lock", variant).with("lock", lock));
        for id in
            [CaseId::new("scrape-storm", variant), CaseId::new("register-in-collect", variant)].into_iter().chain(locks)
        {
            let skip = (id.to_string() == "scrape-storm/official").then(|| "has no such call".to_string());
            let expectation = skip.is_none().then(|| Expectation::must(Outcome::Served, ""));
            catalogue.cases.push(Case { id, skip, expectation });
        }
    }
    catalogue
}

fn options(globs: &[&str]) -> PlanOptions {
    PlanOptions { globs: globs.iter().map(|glob| glob.to_string()).collect(), ..PlanOptions::new(7) }
}

fn ids(plan: &Plan) -> Vec<String> {
    plan.trials.iter().map(|trial| trial.case.id.to_string()).collect()
}

fn planned(globs: &[&str]) -> Vec<String> {
    ids(&plan(&[catalogue()], &options(globs)).unwrap())
}

fn error(globs: &[&str]) -> String {
    plan(&[catalogue()], &options(globs)).unwrap_err().to_string()
}

#[test]
fn words_select_by_scenario_row_or_whole_id() {
    assert_eq!(planned(&["register-in-collect/naive"]), ["register-in-collect/naive"]);
    assert_eq!(planned(&["register-in-collect"]).len(), 3);
    assert_eq!(planned(&["register-under-app-lock"]).len(), 6);
    assert_eq!(planned(&["register-under-app-lock[lock=std]"]).len(), 3);
    assert_eq!(
        planned(&["register-under-app-lock[lock=std]/naive"]),
        ["register-under-app-lock[lock=std]/naive"],
        "brackets are themselves"
    );
    assert_eq!(planned(&["*[lock=std]/try-*"]), ["register-under-app-lock[lock=std]/try-lock"]);
    assert_eq!(planned(&["register-*"]).len(), 9);
    assert_eq!(planned(&["*/naive"]).len(), 4);
    assert_eq!(planned(&["*/nai?e"]).len(), 4);
    assert_eq!(planned(&["register-in-collect", "register-*/naive"]).len(), 5, "a case is taken once");
    assert_eq!(planned(&[]).len(), 11);
}

#[test]
fn a_word_that_means_nothing_is_refused_with_the_nearest_names() {
    assert_eq!(
        error(&["register-in-colect"]),
        "no scenario is called `register-in-colect`; did you mean `register-in-collect`, `register-under-app-lock` \
         or `register-under-app-lock[lock=std]`?"
    );
    let whole = error(&["register-in-collect/naiv"]);
    assert!(
        whole.starts_with("no case is called `register-in-collect/naiv`; did you mean `register-in-collect/naive`"),
        "{whole}"
    );
    assert_eq!(error(&["naive"]), "no scenario is called `naive`; did you mean `*/naive`?");
    assert_eq!(error(&["zzz*"]), "no scenario matches `zzz*`; `list` shows all");
    assert!(
        error(&["register-in-collect", "nothing/*"]).starts_with("no case matches `nothing/*`"),
        "one bad word is enough"
    );
    assert!(error(&["a**b"]).starts_with("`a**b` is no pattern"));
    assert!(error(&[""]).starts_with("no scenario is called ``"));
    assert_eq!(error(&["q\u{1b}[31m"]), "no scenario is called `q[31m`; `list` shows all");
}

#[test]
fn a_plan_without_a_trial_is_refused() {
    assert_eq!(
        error(&["scrape-storm/official"]),
        "no case is selected: all that match are skipped: `scrape-storm/official`: has no such call"
    );
    let none = Catalogue { cases: vec![], ..catalogue() };
    assert_eq!(plan(&[none], &options(&[])).unwrap_err().to_string(), "no case is selected: the catalogue offers none");
    assert_eq!(plan(&[], &options(&[])).unwrap_err().to_string(), "no case is selected: the catalogue offers none");
    let sharded = PlanOptions { shard: Shard::new(2, 2), ..options(&["register-in-collect/naive"]) };
    assert_eq!(
        plan(&[catalogue()], &sharded).unwrap_err().to_string(),
        "no case is selected: nothing of the 1 cases that match falls to shard 2/2; use fewer shards"
    );
    assert!(plan(&[catalogue()], &PlanOptions { trials: 0, ..options(&[]) }).is_err());
}

#[test]
fn a_catalogue_that_cannot_be_trusted_is_refused() {
    let refused = |change: fn(&mut Catalogue)| {
        let mut catalogue = catalogue();
        change(&mut catalogue);
        plan(&[catalogue], &options(&[])).unwrap_err().to_string()
    };
    assert_eq!(
        refused(|c| c.protocol = "gatherlock.catalogue/2".into()),
        "the catalogue `ours` cannot be used: it speaks `gatherlock.catalogue/2`, this runner speaks \
         `gatherlock.catalogue/1`; build both from the same version"
    );
    assert!(refused(|c| c.cases.push(c.cases[0].clone())).contains("two cases are called `scrape-storm/naive`"));
    assert!(
        refused(|c| c.scenarios[0].id = "other".into()).contains("case `scrape-storm/naive` belongs to no scenario")
    );
    assert!(refused(|c| c.variants.truncate(1)).contains("case `scrape-storm/try-lock` belongs to no variant"));
    assert!(refused(|c| c.cases[0].expectation = None).contains("has no expectation"));
    let other = Catalogue { name: "theirs".into(), ..catalogue() };
    assert_eq!(
        plan(&[catalogue(), other], &options(&[])).unwrap_err().to_string(),
        "the catalogues `ours` and `theirs` both offer `scrape-storm/naive`; leave one of them out"
    );
}

#[test]
fn side_by_side_first_then_alone_and_first_trials_before_second_ones() {
    let plan = plan(&[catalogue()], &PlanOptions { trials: 2, ..options(&["*/naive", "scrape-storm"]) }).unwrap();
    let order: Vec<(String, u32, bool)> =
        plan.trials.iter().map(|t| (t.case.id.to_string(), t.index, t.runs_alone())).collect();
    let shared = [
        "register-in-collect/naive",
        "register-under-app-lock[lock=std]/naive",
        "register-under-app-lock[lock=parking-lot]/naive",
    ];
    let alone = ["scrape-storm/naive", "scrape-storm/try-lock"];
    let mut expected = Vec::new();
    for (ids, runs_alone) in [(&shared[..], false), (&alone[..], true)] {
        for index in 0..2 {
            expected.extend(ids.iter().map(|id| (id.to_string(), index, runs_alone)));
        }
    }
    assert_eq!(order, expected);
    assert_eq!(plan.skipped.iter().map(|case| case.id.to_string()).collect::<Vec<_>>(), ["scrape-storm/official"]);
}

#[test]
fn bounds_come_from_the_user_the_scenario_or_the_default() {
    let bounds = |options: &PlanOptions| {
        let plan = plan(&[catalogue()], options).unwrap();
        plan.trials.iter().map(|t| (t.bound_ms, t.hang_limit_ms)).collect::<BTreeSet<_>>()
    };
    let all = options(&["register-in-collect/naive", "register-under-app-lock"]);
    assert_eq!(bounds(&all), BTreeSet::from([(1000, 3000), (250, 750)]));
    let bound = Some(Duration::from_millis(40));
    assert_eq!(bounds(&PlanOptions { bound, ..all.clone() }), BTreeSet::from([(40, 120)]));
    let hang_limit = Some(Duration::from_secs(2));
    assert_eq!(bounds(&PlanOptions { hang_limit, ..all.clone() }), BTreeSet::from([(1000, 2000), (250, 2000)]));
    let hang_limit = Some(Duration::from_millis(999));
    let error = plan(&[catalogue()], &PlanOptions { hang_limit, ..all.clone() }).unwrap_err().to_string();
    assert_eq!(
        error,
        "the hang limit (999 ms) is below the bound of `register-in-collect/naive` (1000 ms): nothing could be late"
    );
    assert!(plan(&[catalogue()], &PlanOptions { bound: Some(Duration::ZERO), ..all }).is_err());
}

#[test]
fn shards_are_disjoint_whole_and_keep_a_case_together() {
    for of in 1..=4 {
        let mut seen = Vec::new();
        for number in 1..=of {
            let sharded = PlanOptions { shard: Shard::new(number, of), trials: 3, ..options(&[]) };
            let plan = plan(&[catalogue()], &sharded).unwrap();
            let cases: BTreeSet<String> = ids(&plan).into_iter().collect();
            assert_eq!(plan.trials.len(), 3 * cases.len(), "all trials of a case are here");
            seen.extend(cases);
            seen.extend(plan.skipped.iter().map(|case| case.id.to_string()));
        }
        seen.sort();
        let mut all: Vec<String> = catalogue().cases.iter().map(|case| case.id.to_string()).collect();
        all.sort();
        assert_eq!(seen, all);
    }
}

#[test]
fn a_trials_seed_depends_on_nothing_but_run_case_and_index() {
    let all = plan(&[catalogue()], &PlanOptions { trials: 3, ..options(&[]) }).unwrap();
    let seeds: BTreeSet<u64> = all.trials.iter().map(|trial| trial.seed).collect();
    assert_eq!(seeds.len(), all.trials.len(), "no two trials share a seed");
    let one = PlanOptions { only_trial: Some(2), ..options(&["register-in-collect/naive"]) };
    let one = plan(&[catalogue()], &one).unwrap();
    let [replayed] = one.trials.as_slice() else { panic!("{one:?}") };
    let original = all.trials.iter().find(|t| t.index == 2 && t.case.id == replayed.case.id).unwrap();
    assert_eq!(replayed, original);
    assert_ne!(trial_seed(8, &replayed.case.id, 2), replayed.seed);
}
