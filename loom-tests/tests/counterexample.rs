//! The counterexample of a known deadlock, word for word, and its replay under both engines.

use gatherlock_loom_tests::counterexample::Counterexample;
use gatherlock_loom_tests::explore::{Body, Exploration, Explorer, Finding, Search};
use gatherlock_loom_tests::models::{Expect, Model, VERSIONS};
use gatherlock_loom_tests::replay::Replay;
use std::sync::Arc;

const SEARCHES: [Search; 4] = [
    Search::Loom { preemptions: Some(3) },
    Search::Dfs,
    Search::Random { schedules: 10_000, seed: 7 },
    Search::Pct { depth: 2, schedules: 10_000, seed: 7 },
];

fn model(version: &str, name: &str) -> Model {
    let version = VERSIONS.iter().find(|modelled| modelled.number == version).expect("a modelled version");
    (version.models)().into_iter().find(|model| model.name == name).expect("a model of that name")
}

fn deadlock(exploration: &Exploration) -> &Counterexample {
    match &exploration.finding {
        Finding::Deadlock(trace) => trace,
        other => panic!("{:?}: {other:?}", exploration.search),
    }
}

#[test]
fn the_picture_tells_the_story() {
    let exploration =
        Explorer::new(Search::Loom { preemptions: Some(3) }).run(model("0.14.0", "gather-in-collect").body);
    let trace = deadlock(&exploration);
    let told = [
        "Each waits for the next: main → register → main",
        "• register waits to write RwLock<RegistryCore> for main; new readers queue behind it",
        "• main holds RwLock<RegistryCore> (read) and waits to read RwLock<RegistryCore> for register",
        "",
        "main                                               register",
        "───────────────────────────────────────────────────────────────────────────────────────────────────────────",
        "5. read RwLock<RegistryCore>: has it",
        "                                                   8. write RwLock<RegistryCore>: claims it, waits for main",
        "9. read RwLock<RegistryCore>: waits for register",
        "",
    ];
    assert_eq!(trace.to_string().lines().take(told.len()).collect::<Vec<_>>(), told);
    assert_eq!(trace.cycle, ["register", "main"]);
    let lines: Vec<String> = trace
        .steps
        .iter()
        .map(|step| format!("{} {} {} {} {}", step.number, step.thread, step.operation, step.progress.word(), step.at))
        .collect();
    assert_eq!(
        lines,
        [
            "1 main write asks prometheus-0.14.0/src/registry.rs:261",
            "2 main write has it prometheus-0.14.0/src/registry.rs:261",
            "3 main write gives it back prometheus-0.14.0/src/registry.rs:261",
            "4 main read asks prometheus-0.14.0/src/registry.rs:276",
            "5 main read has it prometheus-0.14.0/src/registry.rs:276",
            "6 main read asks prometheus-0.14.0/src/registry.rs:276",
            "7 register write asks prometheus-0.14.0/src/registry.rs:261",
            "8 register write waits for readers prometheus-0.14.0/src/registry.rs:261",
            "9 main read waits prometheus-0.14.0/src/registry.rs:276",
        ]
    );
    assert!(trace.steps.iter().all(|step| step.lock == "RwLock<RegistryCore>"));
    assert_eq!(trace.replay, "loom:3:7");
}

#[test]
fn every_wait_comes_with_the_stack_that_waits() {
    for version in ["0.13.4", "0.14.0"] {
        for search in SEARCHES {
            let exploration = Explorer::new(search).run(model(version, "gather-in-collect").body);
            let trace = deadlock(&exploration);
            let main = trace.waits.iter().find(|waits| waits.thread == "main").expect("main waits");
            let functions: Vec<&str> = main.stack.iter().map(|frame| frame.function.as_str()).collect();
            assert_eq!(functions[0], "prometheus::registry::Registry::gather", "{functions:?}");
            assert_eq!(
                *functions.last().expect("frames"),
                on(version, "recursive::gather_in_collect"),
                "{functions:?}"
            );
            let path = format!("prometheus-{version}/src/registry.rs:");
            assert!(main.stack[0].at.starts_with(&path), "{}", main.stack[0].at);
        }
    }
}

fn on(version: &str, function: &str) -> String {
    format!("models::v{}::on_prometheus::{function}", version.replace('.', "_"))
}

/// The replay string, printed and read again, shows the same deadlock step by step.
#[test]
fn a_counterexample_replays_to_the_same_trace() {
    for name in ["gather-in-collect", "register-under-app-lock[lock=std]", "three-party-cycle", "app-lock-retaken"] {
        for search in SEARCHES {
            let single_threaded = name == "app-lock-retaken";
            let too_long = name == "three-party-cycle" && search == Search::Dfs;
            if too_long || (single_threaded && matches!(search, Search::Pct { .. })) {
                continue;
            }
            let body: Body = Arc::new(model("0.14.0", name).body);
            let explorer = Explorer::new(search);
            let exploration = explorer.run_body(Arc::clone(&body));
            let trace = deadlock(&exploration);
            let replay: Replay = trace.replay.parse().expect("a replay string");
            let (again, _) = explorer.replay(&body, &replay);
            let Finding::Deadlock(again) = again else { panic!("{name}, {search:?}: {again:?}") };
            assert_eq!(*again, *trace, "{name}, {search:?}");
        }
    }
}

/// And so does that of every other model that hangs, on both versions, under both engines.
#[test]
fn the_counterexample_of_every_model_replays_to_the_same_trace() {
    let mut replayed = 0;
    for version in VERSIONS {
        for model in (version.models)().into_iter().filter(|model| model.expect != Expect::None) {
            for search in [SEARCHES[0], SEARCHES[2]] {
                let name = format!("{} on {} under {search:?}", model.name, version.number);
                let body: Body = Arc::new(model.body);
                let explorer = Explorer::new(search);
                let found = explorer.run_body(Arc::clone(&body)).finding;
                let trace = found.counterexample().unwrap_or_else(|| panic!("{name}: {found:?}"));
                let replay: Replay = trace.replay.parse().expect("a replay string");
                let (again, _) = explorer.replay(&body, &replay);
                assert_eq!(again.word(), model.expect.word(), "{name}");
                assert_eq!(again.counterexample(), Some(trace), "{name}");
                assert!(trace.waits.iter().all(|wait| !wait.stack.is_empty()), "{name}: a wait without a stack");
                replayed += 1;
            }
        }
    }
    assert_eq!(replayed, 56, "14 models that hang, on two versions, under two engines");
}

#[test]
fn a_replay_string_of_another_model_is_refused_or_shows_nothing() {
    let explorer = Explorer::new(Search::Dfs);
    let body: Body = Arc::new(model("0.14.0", "two-gathers").body);
    for foreign in ["shuttle:0*2", "shuttle:3", "loom:3:7", "loom:3:999999"] {
        let (finding, _) = explorer.replay(&body, &foreign.parse().expect("a replay string"));
        assert!(matches!(finding, Finding::None | Finding::Inconclusive { .. }), "{foreign}: {finding:?}");
    }
}
