//! Fuzzing: damaged real input into everything that reads what a target or a stranger wrote.
//!
//! Each case is one number: seed and case lead to the same damage everywhere. A case may not panic, may not take more than
//! [`PATIENCE`] of processor time, which a second thread watches, and may not hold more memory than its area is allowed,
//! which the allocator counts. The tests here run a few thousand cases of a fixed seed; `cargo xtask fuzz` runs as many as
//! wanted, and says how to run one of them again.

mod areas;
mod limits;
mod mutate;
mod small;

use areas::{AREAS, Area};
use limits::Watch;
use mutate::Random;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

/// Processor time of one case; the slowest take some hundredths of it.
const PATIENCE: Duration = Duration::from_secs(10);
/// The seed of the tests, so that they say the same everywhere.
const SEED: u64 = 20_261_123;

/// What the cases of an area came to.
struct Ran {
    cases: u64,
    findings: Vec<u64>,
    slowest: Duration,
    largest: usize,
}

/// Runs cases of one area from `first` on, until `done` says that it is enough.
fn run(area: &Area, seed: u64, first: u64, mut done: impl FnMut(u64) -> bool) -> Ran {
    let mut ran = Ran { cases: 0, findings: Vec::new(), slowest: Duration::ZERO, largest: 0 };
    let watch = Watch::start(PATIENCE);
    let mut body = (area.prepare)();
    for case in first.. {
        if done(ran.cases) {
            break;
        }
        let again = format!("cargo xtask fuzz --area {} --seed {seed} --case {case}", area.name);
        let mut random = Random::of(seed, area.name, case);
        let watched = watch.case(again.clone(), area.memory);
        let result = catch_unwind(AssertUnwindSafe(|| body(&mut random)));
        let (took, most) = watched.end();
        ran.cases += 1;
        ran.slowest = ran.slowest.max(took);
        ran.largest = ran.largest.max(most);
        if result.is_err() || most > area.memory {
            eprintln!(
                "fuzz: {} of case {case} in area {}; again: {again}",
                if result.is_err() { "panic" } else { "too much memory" },
                area.name
            );
            ran.findings.push(case);
            // What a panic left behind may not be whole.
            body = (area.prepare)();
            if ran.findings.len() >= 10 {
                break;
            }
        }
    }
    ran
}

fn say(area: &Area, ran: &Ran) {
    println!(
        "fuzz: {:<10} {:>9} cases, {} findings, slowest {:.1} ms, most memory {:.1} MiB",
        area.name,
        ran.cases,
        ran.findings.len(),
        ran.slowest.as_secs_f64() * 1000.0,
        ran.largest as f64 / f64::from(1 << 20)
    );
}

/// The cases of one area that every test run does.
fn short(name: &str) {
    let area = AREAS.iter().find(|area| area.name == name).unwrap();
    println!("fuzz: area {name}, seed {SEED}");
    let ran = run(area, SEED, 0, |cases| cases >= area.cases);
    say(area, &ran);
    assert_eq!((ran.cases, ran.findings), (area.cases, Vec::new()));
}

#[test]
fn damaged_executables() {
    short("elf");
}

#[test]
fn damaged_unwinding_tables() {
    short("unwind");
}

#[test]
fn damaged_debug_information() {
    short("dwarf");
}

#[test]
fn damaged_debug_information_of_a_large_executable() {
    short("dwarf-large");
}

#[test]
fn damaged_texts_of_the_kernel() {
    short("procfs");
}

#[test]
fn damaged_samples() {
    short("sample");
}

#[test]
fn damaged_recordings() {
    short("recording");
}

/// Not a test: what `cargo xtask fuzz` runs.
#[test]
#[ignore = "runs as long as it is told to"]
fn long() {
    let setting = |name: &str| std::env::var(format!("GATHERLOCK_FUZZ_{name}")).ok();
    let number = |name: &str| setting(name).map(|text| text.parse::<u64>().expect("a number"));
    let seed = number("SEED").unwrap_or(SEED);
    let wanted = setting("AREA");
    let areas: Vec<&Area> = AREAS.iter().filter(|area| wanted.as_ref().is_none_or(|name| name == area.name)).collect();
    assert!(!areas.is_empty(), "no such area; there are {:?}", AREAS.iter().map(|area| area.name).collect::<Vec<_>>());
    println!("fuzz: seed {seed}");
    let mut found = 0;
    for area in &areas {
        let share = number("SECONDS").map(|seconds| Duration::from_secs(seconds) / areas.len() as u32);
        let begun = Instant::now();
        let ran = match (number("CASE"), number("CASES"), share) {
            (Some(case), ..) => run(area, seed, case, |cases| cases >= 1),
            (None, Some(count), _) => run(area, seed, 0, |cases| cases >= count),
            (None, None, Some(share)) => run(area, seed, 0, |_| begun.elapsed() >= share),
            (None, None, None) => run(area, seed, 0, |cases| cases >= area.cases),
        };
        say(area, &ran);
        found += ran.findings.len();
    }
    assert_eq!(found, 0, "findings");
}

/// The limits are limits: what they are for is noticed.
#[test]
fn a_panic_and_a_waste_of_memory_are_findings() {
    let panics =
        Area { name: "panics", cases: 3, memory: 1 << 20, prepare: || Box::new(|random| assert!(!random.once_in(1))) };
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let ran = run(&panics, 1, 0, |cases| cases >= 3);
    std::panic::set_hook(hook);
    assert_eq!(ran.findings, [0, 1, 2]);
    let wastes = Area {
        name: "wastes",
        cases: 2,
        memory: 1 << 20,
        prepare: || Box::new(|_| drop(std::hint::black_box(vec![1u8; 2 << 20]))),
    };
    assert_eq!(run(&wastes, 1, 0, |cases| cases >= 2).findings, [0, 1]);
}
