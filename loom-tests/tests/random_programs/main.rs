//! Random programs over the real registry: an independent prediction says whether one can deadlock, the checker decides, and
//! any difference is minimised and printed as a program to paste into `regressions`.

mod oracle;
mod program;

use gatherlock_loom_tests::explore::{Explorer, Finding, Limits, Search};
use oracle::can_deadlock;
use program::{APP_LOCKS, Act, Program, body};
use proptest::prelude::*;
use std::sync::atomic::{AtomicU32, Ordering};

/// Whether the checker finds a deadlock; an error if it cannot decide.
fn deadlocks(program: &Program) -> Result<bool, String> {
    let bounded =
        Explorer::new(Search::Loom { preemptions: Some(3) }).limits(Limits::patient()).run_body(body(program));
    match bounded.finding {
        Finding::Deadlock(_) => return Ok(true),
        Finding::None => {}
        other => return Err(format!("{other:?}")),
    }
    if !can_deadlock(program) {
        return Ok(false);
    }
    // A deadlock was predicted: it may need more preemptions than that.
    let limits = Limits { executions: 200_000, ..Limits::patient() };
    match Explorer::new(Search::Loom { preemptions: None }).limits(limits).run_body(body(program)).finding {
        Finding::Deadlock(_) => Ok(true),
        Finding::None => Ok(false),
        other => Err(format!("{other:?}")),
    }
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

/// What a search has found, or what says more than a random one: they run first, every time.
fn regressions() -> Vec<(Program, bool)> {
    use Act::{Gather, Locked, NewSeries, Observe, Register};
    let program = |collect, threads| Program { collect, threads };
    vec![
        (program(vec![Register], vec![vec![Gather]]), true),
        (program(vec![Gather], vec![vec![Gather]]), false),
        (program(vec![Gather], vec![vec![Gather], vec![Register]]), true),
        (program(vec![Locked(0, vec![])], vec![vec![Gather], vec![Locked(0, vec![Register])]]), true),
        (program(vec![Locked(0, vec![])], vec![vec![Gather], vec![Locked(0, vec![]), Register]]), false),
        (program(vec![Locked(0, vec![])], vec![vec![Locked(0, vec![Gather])]]), true),
        (program(vec![], vec![vec![Locked(0, vec![Locked(0, vec![])])]]), true),
        (
            program(vec![], vec![vec![Locked(0, vec![Locked(1, vec![])])], vec![Locked(1, vec![Locked(0, vec![])])]]),
            true,
        ),
        (program(vec![NewSeries, Observe], vec![vec![Gather], vec![NewSeries, Register]]), false),
        (
            program(
                vec![Locked(0, vec![])],
                vec![vec![Gather], vec![Locked(0, vec![Locked(1, vec![])])], vec![Locked(1, vec![Register])]],
            ),
            true,
        ),
    ]
}

#[test]
fn known_programs() {
    for (program, expected) in regressions() {
        assert_eq!(can_deadlock(&program), expected, "the prediction for {program:?}");
        assert_eq!(deadlocks(&program), Ok(expected), "the check of {program:?}");
    }
}

#[test]
fn the_checker_agrees_with_the_prediction() {
    static BOTH: [AtomicU32; 2] = [AtomicU32::new(0), AtomicU32::new(0)];
    let config = ProptestConfig { cases: 60, failure_persistence: None, max_shrink_iters: 500, ..Default::default() };
    let mut runner = proptest::test_runner::TestRunner::new(config);
    let searched = runner.run(&programs(), |program| {
        let predicted = can_deadlock(&program);
        let found = deadlocks(&program).map_err(TestCaseError::fail)?;
        prop_assert_eq!(found, predicted, "paste into regressions: ({:?}, {})", program, found);
        BOTH[usize::from(found)].fetch_add(1, Ordering::SeqCst);
        Ok(())
    });
    searched.unwrap_or_else(|difference| panic!("{difference}"));
    // A generator whose programs all hang, or never do, would agree with anything.
    let [never, can] = BOTH.each_ref().map(|count| count.load(Ordering::SeqCst));
    assert!(never > 0 && can > 0, "{never} programs cannot hang, {can} can");
}
