//! Random programs over the real registry: an independent prediction says how one can end, the checker decides, and any
//! difference is minimised and printed as a program to paste into `regressions.rs`.
//!
//! `cargo xtask model --search SECONDS` searches for longer, and prints a smallest program for each way to hang that it
//! meets. What it found is in `regressions.rs` and is checked first, every time.

mod oracle;
mod program;
mod regressions;
mod search;

use gatherlock_loom_tests::explore::{Exploration, Explorer, Finding, Limits, Search};
use oracle::ends;
use program::{APP_LOCKS, Act, CHANNELS, Program, body};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use std::collections::BTreeMap;
use std::sync::Mutex;

/// A program with more executions than this is given up: no verdict, and no comparison.
const TOO_MANY: u64 = 20_000;

/// What the checker finds: up to 3 preemptions, and without a bound if the prediction says that there must be more. `None`
/// if the program is too large to say.
fn check(program: &Program) -> Option<Exploration> {
    let limits = Limits { executions: TOO_MANY, ..Limits::patient() };
    let explore = |preemptions| Explorer::new(Search::Loom { preemptions }).limits(limits).run_body(body(program));
    let bounded = explore(Some(3));
    let more = matches!(bounded.finding, Finding::None) && !ends(program).admit("none");
    let explored = if more { explore(None) } else { bounded };
    (explored.executions < TOO_MANY || explored.finding.counterexample().is_some()).then_some(explored)
}

/// How the checker's finding differs from the prediction, as a line to paste.
fn difference(program: &Program, found: &Finding) -> Option<String> {
    let predicted = ends(program);
    let says = || {
        let reason = if let Finding::Inconclusive { reason } = found { reason.as_str() } else { "" };
        format!("predicted {predicted:?}; paste into regressions: ({program:?}, {:?}) {reason}", found.word())
    };
    (!predicted.admit(found.word())).then(says)
}

fn act() -> impl Strategy<Value = Act> {
    let plain = prop_oneof![
        3 => Just(Act::Register),
        1 => Just(Act::Unregister),
        1 => Just(Act::Inc),
        1 => Just(Act::Observe),
        1 => Just(Act::NewSeries),
        1 => Just(Act::Remove),
        3 => Just(Act::Gather),
        1 => Just(Act::Encode),
        1 => (0..CHANNELS).prop_map(Act::Send),
        1 => (0..CHANNELS).prop_map(Act::Receive),
    ];
    let locked = |inner: BoxedStrategy<Act>| {
        (0..APP_LOCKS, prop::collection::vec(inner, 0..=1)).prop_map(|(lock, inside)| Act::Locked(lock, inside))
    };
    let plain = plain.boxed();
    prop_oneof![2 => plain.clone(), 1 => locked(prop_oneof![plain.clone(), locked(plain)].boxed())]
}

fn programs() -> impl Strategy<Value = Program> {
    let thread = prop::collection::vec(act(), 1..=2);
    (prop::collection::vec(act(), 0..=1), prop::collection::vec(thread, 1..=3))
        .prop_map(|(collect, threads)| Program { collect, threads })
}

#[test]
fn known_programs() {
    let mut wrong = Vec::new();
    for (program, expected) in regressions::all() {
        let found = check(&program).expect("small enough").finding;
        if found.word() != expected {
            wrong.push(format!("({program:?}, {:?}), expected {expected}", found.word()));
        }
        wrong.extend(difference(&program, &found));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_checker_agrees_with_the_prediction() {
    static FOUND: Mutex<BTreeMap<&str, u32>> = Mutex::new(BTreeMap::new());
    let config = ProptestConfig { cases: 60, failure_persistence: None, max_shrink_iters: 500, ..Default::default() };
    let mut runner = proptest::test_runner::TestRunner::new(config);
    let searched = runner.run(&programs(), |program| {
        let Some(Exploration { finding: found, .. }) = check(&program) else {
            *FOUND.lock().expect("not poisoned").entry("too large").or_default() += 1;
            return Ok(());
        };
        if let Some(difference) = difference(&program, &found) {
            return Err(TestCaseError::fail(difference));
        }
        *FOUND.lock().expect("not poisoned").entry(found.word()).or_default() += 1;
        Ok(())
    });
    searched.unwrap_or_else(|difference| panic!("{difference}"));
    // A generator whose programs all hang, or never do, would agree with anything.
    let found = FOUND.lock().expect("not poisoned").clone();
    for word in ["none", "deadlock"] {
        assert!(found.contains_key(word), "no program with the verdict `{word}` among {found:?}");
    }
    assert!(found.get("too large").is_none_or(|given_up| *given_up <= 10), "hardly any verdict: {found:?}");
}

/// The generator makes every act, in `collect()` too: what it does not make is not searched.
#[test]
fn every_act_is_generated_inside_and_outside_of_collect() {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let (mut inside, mut outside) = (BTreeMap::new(), BTreeMap::new());
    for _ in 0..2_000 {
        let program = programs().new_tree(&mut runner).expect("a program").current();
        program.collect.iter().for_each(|act| count(act, &mut inside));
        program.threads.iter().flatten().for_each(|act| count(act, &mut outside));
    }
    let expected = [
        "Encode",
        "Gather",
        "Inc",
        "Locked",
        "NewSeries",
        "Observe",
        "Receive",
        "Register",
        "Remove",
        "Send",
        "Unregister",
    ];
    assert_eq!(inside.into_keys().collect::<Vec<_>>(), expected);
    assert_eq!(outside.into_keys().collect::<Vec<_>>(), expected);
}

fn count(act: &Act, acts: &mut BTreeMap<String, u32>) {
    let name: String = format!("{act:?}").chars().take_while(char::is_ascii_alphabetic).collect();
    *acts.entry(name).or_default() += 1;
    if let Act::Locked(_, inside) = act {
        inside.iter().for_each(|act| count(act, acts));
    }
}
