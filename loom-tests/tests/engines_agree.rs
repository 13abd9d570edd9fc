//! loom and shuttle know nothing of each other, and visit the same behaviours: the test of the shim, and of the reduction
//! that lets loom get by with a hundredth of the executions.

use gatherlock_loom_tests::explore::{Explorer, Finding, Limits, Search, Strength, every_schedule};
use gatherlock_loom_tests::models::VERSIONS;
use std::collections::BTreeSet;
use std::sync::Arc;

/// Models small enough for all schedules of shuttle, with the number of distinct behaviours.
const SMALL: [(&str, usize); 7] = [
    ("gather-in-collect-no-writer", 20),
    ("register-under-app-lock[worker=gathers]", 5),
    ("inc-during-gather[metric=counter]", 14),
    ("inc-during-gather[metric=gauge]", 2),
    ("new-series-during-gather", 8),
    ("reset-during-gather", 2),
    ("two-gathers", 42),
];

#[test]
fn both_engines_visit_the_same_behaviours() {
    let mut wrong = Vec::new();
    for version in VERSIONS {
        for (name, distinct) in SMALL {
            let model = (version.models)().into_iter().find(|model| model.name == name).expect("a model of that name");
            let loom = Explorer::new(Search::Loom { preemptions: None })
                .limits(Limits::patient())
                .behaviours()
                .run(model.body);
            assert_eq!(loom.strength, Strength::Exhausted, "{name}: {:?}", loom.finding);
            let shuttle = every_schedule(Arc::new(model.body), Limits::patient()).expect("small enough");
            assert!(shuttle.hung.is_empty(), "{name}");
            let only = |one: &BTreeSet<_>, other: &BTreeSet<_>| one.difference(other).cloned().collect::<Vec<_>>();
            let differ = (only(&loom.behaviours, &shuttle.finished), only(&shuttle.finished, &loom.behaviours));
            assert_eq!(differ, (Vec::new(), Vec::new()), "{name} on {}: loom only, shuttle only", version.number);
            if loom.behaviours.len() != distinct {
                wrong.push(format!("{name} on {}: {} behaviours", version.number, loom.behaviours.len()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The two depth-first searches of shuttle, its own and the one that goes on after a hang, are the same search.
#[test]
fn every_schedule_is_every_schedule() {
    let model = (VERSIONS[1].models)().into_iter().find(|model| model.name == "reset-during-gather").expect("a model");
    let own = Explorer::new(Search::Dfs).limits(Limits::patient()).behaviours().run(model.body);
    let every = every_schedule(Arc::new(model.body), Limits::patient()).expect("small enough");
    assert!(matches!(own.finding, Finding::None));
    assert_eq!((own.behaviours, own.executions), (every.finished, every.executions));
}

/// After a hang there is more to see: executions of the same model that end.
#[test]
fn a_search_goes_on_after_a_hang() {
    let model = (VERSIONS[1].models)().into_iter().find(|model| model.name == "gather-in-collect").expect("a model");
    let every = every_schedule(Arc::new(model.body), Limits::patient()).expect("small enough");
    assert!(!every.hung.is_empty() && !every.finished.is_empty());
}
