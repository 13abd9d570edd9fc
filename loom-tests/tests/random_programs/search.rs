//! The long search: `cargo xtask model --search SECONDS`.
//!
//! Draws programs from a seed, compares each verdict with the prediction, and keeps a smallest program for each way to hang
//! that it meets: which operations wait on what, inside `collect()` or not.

use crate::program::Program;
use crate::{check, difference, programs};
use gatherlock_loom_tests::counterexample::{Counterexample, Waits};
use gatherlock_loom_tests::explore::{Exploration, Finding};
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// How long to search, and from which seed; `cargo xtask model` sets them.
const SECONDS: &str = "GATHERLOCK_SEARCH_SECONDS";
const SEED: &str = "GATHERLOCK_SEARCH_SEED";

/// The most attempts at making one program smaller.
const SHRINKS: usize = 300;

/// One way to hang: the waits without numbers and names.
fn way(trace: &Counterexample) -> String {
    let wait = |wait: &Waits| {
        let lock = wait.lock.split_once(" no. ").map_or(wait.lock.as_str(), |(lock, _)| lock);
        let collects = wait.stack.iter().any(|frame| frame.function.ends_with("Collector>::collect"));
        format!("{} {lock}{}", wait.operation, if collects { " in collect()" } else { "" })
    };
    let mut waits: Vec<String> = trace.waits.iter().filter(|wait| wait.operation != "join").map(wait).collect();
    waits.sort();
    waits.join(" | ")
}

/// What is told of a program: that it differs from the prediction, or how it hangs.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Told {
    Differs,
    Hangs(&'static str, String),
    Ends,
    TooLarge,
}

fn tell(program: &Program) -> Told {
    let Some(Exploration { finding: found, .. }) = check(program) else { return Told::TooLarge };
    if difference(program, &found).is_some() {
        return Told::Differs;
    }
    match &found {
        Finding::Deadlock(trace) | Finding::Blocked(trace) => Told::Hangs(found.word(), way(trace)),
        _ => Told::Ends,
    }
}

/// The smallest program that is reached from this one and of which the same is told.
fn smallest(tree: &mut impl ValueTree<Value = Program>, told: &Told) -> Program {
    let mut best = tree.current();
    for _ in 0..SHRINKS {
        if tell(&tree.current()) == *told {
            best = tree.current();
            if !tree.simplify() {
                break;
            }
        } else if !tree.complicate() {
            break;
        }
    }
    best
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|text| text.parse().ok())
}

#[test]
#[ignore = "runs as long as it is told to: cargo xtask model --search SECONDS"]
fn search() {
    let seconds = number(SECONDS).unwrap_or(60);
    let seed = number(SEED).unwrap_or(1);
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    let mut ways: BTreeMap<Told, (u64, Program)> = BTreeMap::new();
    let mut verdicts: BTreeMap<&str, u64> = BTreeMap::new();
    let (begun, mut drawn, mut shown) = (Instant::now(), 0u64, Instant::now());
    while begun.elapsed() < Duration::from_secs(seconds) {
        let mut tree = programs().new_tree(&mut runner).expect("a program");
        drawn += 1;
        let told = tell(&tree.current());
        let word = match &told {
            Told::Differs => "differs",
            Told::Hangs(word, _) => word,
            Told::Ends => "none",
            Told::TooLarge => "too large",
        };
        *verdicts.entry(word).or_default() += 1;
        if matches!(told, Told::Differs | Told::Hangs(..)) && !ways.contains_key(&told) {
            let program = smallest(&mut tree, &told);
            eprintln!("program {drawn}: {told:?}\n    {program:?}");
            ways.insert(told, (drawn, program));
        }
        if shown.elapsed() > Duration::from_secs(10) {
            shown = Instant::now();
            eprintln!("… {drawn} programs in {} s, {} ways to hang", begun.elapsed().as_secs(), ways.len());
        }
    }
    println!("// seed {seed}, {drawn} programs in {seconds} s: {verdicts:?}");
    for (told, (at, program)) in &ways {
        let (word, how) = match told {
            Told::Differs => ("?", "DIFFERS FROM THE PREDICTION"),
            Told::Hangs(word, how) => (*word, how.as_str()),
            Told::Ends | Told::TooLarge => continue,
        };
        println!("// program {at}: {how}\n({program:?}, {word:?}),");
    }
    assert!(!ways.contains_key(&Told::Differs), "a verdict differs from the prediction: see above");
}
