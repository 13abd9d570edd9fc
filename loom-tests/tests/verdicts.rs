//! Every model, on every version, under both engines, has exactly the verdict it is expected to have.

use gatherlock::model::Verdict;
use gatherlock_loom_tests::explore::{Limits, Search, Strength};
use gatherlock_loom_tests::models::{Expect, Model, VERSIONS, Version};

/// Executions at preemption bound 3 and without a bound; of a deadlock, up to and including the one that shows it.
/// Exploration is deterministic, so a different number means that the shim, the model or the engine has changed.
/// `None`: takes too long without a bound for every run of the tests; `cargo xtask model --exhaustive` has no bound, and the
/// README says what it found.
const EXECUTIONS: [(&str, u64, Option<u64>); 34] = [
    ("register-in-collect", 1, Some(1)),
    ("unregister-in-collect", 1, Some(1)),
    ("gather-in-collect", 7, Some(7)),
    ("gather-in-collect-no-writer", 31, Some(60)),
    ("app-lock-retaken", 1, Some(1)),
    ("guard-in-expression", 1, Some(1)),
    ("signal-handler-updates", 1, Some(1)),
    ("register-under-app-lock[lock=parking-lot]", 9, Some(10)),
    ("register-under-app-lock[lock=std]", 9, Some(10)),
    ("register-under-app-lock[worker=gathers]", 21, Some(31)),
    ("register-under-app-lock[worker=gathers,writer=queued]", 383, Some(1793)),
    ("register-under-app-lock[collector=pulling-gauge]", 9, Some(10)),
    ("three-party-cycle", 314, Some(1911)),
    ("hot-app-lock", 372, Some(2341)),
    ("actor-cycle", 1, Some(1)),
    ("full-channel-under-lock[sent=capacity]", 34, Some(51)),
    ("full-channel-under-lock[sent=capacity+1]", 1, Some(1)),
    ("lost-wakeup", 20, Some(25)),
    ("inc-during-gather[metric=counter]", 19, Some(36)),
    ("inc-during-gather[metric=gauge]", 4, Some(4)),
    ("inc-during-gather[metric=histogram]", 47, Some(192)),
    ("inc-during-gather[metric=histogram,gathers=2]", 3216, None),
    ("inc-during-gather[metric=all]", 189, Some(3673)),
    ("new-series-during-gather", 18, Some(24)),
    ("new-series-during-gather[writers=2]", 952, None),
    ("new-series-during-gather[register]", 324, Some(2144)),
    ("new-series-during-gather[registry=default]", 85, Some(1249)),
    ("reset-during-gather", 9, Some(9)),
    ("remove-during-gather", 594, Some(24790)),
    ("two-gathers", 73, Some(496)),
    ("scrape-storm", 600, None),
    ("register-storm", 854, None),
    ("lost-updates", 10, Some(11)),
    ("poisoned-lock", 1, Some(1)),
];

fn hold(version: &Version, search: Search, models: impl Iterator<Item = (Model, Option<u64>)>) {
    let mut wrong = Vec::new();
    for (model, executions) in models {
        let checked = model.check(search, Limits::patient());
        let explored = checked.exploration.executions;
        let name = format!("{} on {} under {search:?}", model.name, version.number);
        if checked.verdict != Verdict::Held {
            wrong.push(format!("{name}: {}: {}", checked.verdict, checked.why.unwrap_or_default()));
        } else if executions.is_some_and(|expected| expected != explored) {
            wrong.push(format!("{name}: {explored} executions, expected {}", executions.unwrap_or_default()));
        }
        let strength = checked.exploration.strength;
        let fits = match (model.expect, search) {
            (Expect::Deadlock(_) | Expect::Blocked(_), _) => strength == Strength::Witness,
            (Expect::None, Search::Loom { preemptions: Some(bound) }) => {
                strength == Strength::Bounded { preemptions: bound }
            }
            (Expect::None, Search::Loom { preemptions: None } | Search::Dfs) => strength == Strength::Exhausted,
            (Expect::None, Search::Random { schedules, .. } | Search::Pct { schedules, .. }) => {
                strength == Strength::Sampled { schedules }
            }
        };
        if !fits {
            wrong.push(format!("{name}: the strength is {strength}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn expected(name: &str) -> (u64, Option<u64>) {
    let found = EXECUTIONS.iter().find(|(listed, ..)| *listed == name);
    found.map(|(_, bounded, unbounded)| (*bounded, *unbounded)).unwrap_or_else(|| panic!("{name} is not in EXECUTIONS"))
}

fn version(number: &str) -> Version {
    *VERSIONS.iter().find(|version| version.number == number).expect("the version is modelled")
}

fn bounded(number: &str) {
    let version = version(number);
    let models = (version.models)().into_iter().map(|model| (model, Some(expected(model.name).0)));
    hold(&version, Search::Loom { preemptions: Some(3) }, models);
}

fn unbounded(number: &str) {
    let version = version(number);
    let models = (version.models)().into_iter().map(|model| (model, expected(model.name).1));
    hold(&version, Search::Loom { preemptions: None }, models.filter(|(_, executions)| executions.is_some()));
}

fn sampled(number: &str) {
    let version = version(number);
    let models = || (version.models)().into_iter().map(|model| (model, None));
    hold(&version, Search::Random { schedules: 1000, seed: 1 }, models());
    // PCT refuses a program without a second thread.
    let concurrent = models().filter(|(model, _)| model.threads > 1);
    hold(&version, Search::Pct { depth: 3, schedules: 1000, seed: 1 }, concurrent);
}

#[test]
fn loom_up_to_three_preemptions_on_0_13_4() {
    bounded("0.13.4");
}

#[test]
fn loom_up_to_three_preemptions_on_0_14_0() {
    bounded("0.14.0");
}

#[test]
fn loom_without_a_bound_on_0_13_4() {
    unbounded("0.13.4");
}

#[test]
fn loom_without_a_bound_on_0_14_0() {
    unbounded("0.14.0");
}

#[test]
fn shuttle_samples_on_0_13_4() {
    sampled("0.13.4");
}

#[test]
fn shuttle_samples_on_0_14_0() {
    sampled("0.14.0");
}

/// Names are unique, both versions have the same ones, and every one has its counts.
#[test]
fn the_models_are_the_same_on_every_version() {
    let names = |version: &Version| (version.models)().iter().map(|model| model.name).collect::<Vec<_>>();
    let listed: Vec<&str> = EXECUTIONS.iter().map(|(name, ..)| *name).collect();
    for version in &VERSIONS {
        assert_eq!(names(version), listed, "{}", version.number);
    }
    let mut unique = listed.clone();
    unique.sort_unstable();
    unique.dedup();
    assert_eq!(unique.len(), listed.len());
}

/// The bound that a deadlock needs: none is found without a preemption at all, the two-thread ones need one, the
/// three-thread ones two. The default of 3 is one more than any model here needs.
#[test]
fn how_many_preemptions_a_deadlock_needs() {
    let needs = |name: &str| {
        let model = (version("0.14.0").models)().into_iter().find(|model| model.name == name).expect("a model");
        (0..=3).find(|bound| {
            let search = Search::Loom { preemptions: Some(*bound) };
            model.check(search, Limits::patient()).verdict == Verdict::Held
        })
    };
    assert_eq!(needs("register-in-collect"), Some(0), "one thread needs none");
    assert_eq!(needs("gather-in-collect"), Some(1));
    assert_eq!(needs("register-under-app-lock[lock=parking-lot]"), Some(1));
    assert_eq!(needs("register-under-app-lock[worker=gathers,writer=queued]"), Some(2));
    assert_eq!(needs("three-party-cycle"), Some(2));
}
