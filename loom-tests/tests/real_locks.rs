//! The shim's locks against `parking_lot`'s and `std`'s own: small random lock programs, under every schedule of the model
//! and on real threads.
//!
//! No real run may show what no schedule of the model shows; what loom and shuttle find must be the same. A program's
//! outcome is what each thread saw at each step: the value behind the lock, whether it was poisoned, or that a `try_` was
//! refused. Upgradable reads and `std::sync::RwLock` are not among the shim's locks, because `prometheus` uses neither: code
//! that does fails to compile.

use gatherlock_loom_tests::explore::{Body, Explorer, Finding, Limits, Search, Strength, every_schedule};
use gatherlock_loom_tests::shim;
use proptest::prelude::*;
use std::collections::BTreeSet;
use std::ops::{Deref, DerefMut};
use std::panic::{AssertUnwindSafe, catch_unwind, panic_any, resume_unwind};
use std::sync::{Arc, Barrier, LockResult, Mutex, PoisonError, TryLockError, TryLockResult};
use std::time::{Duration, Instant};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Read(usize),
    ReadRecursive(usize),
    Write(usize),
    TryRead(usize),
    TryWrite(usize),
    Lock,
    TryLock,
    /// Of a `std` mutex.
    StdLock,
    StdTryLock,
    /// The thread panics, with what it holds, and ends.
    Panic,
    /// Gives back what was taken last.
    Release,
}

/// Added to the value behind a lock that was poisoned.
const POISONED: u32 = 1000;

/// What [`Step::Panic`] panics with.
struct Planned;

/// What a step saw: the value behind the lock before the step's own increment, or nothing if it was refused.
type Seen = Option<u32>;
/// For each thread what its steps saw.
type Outcome = Vec<Vec<Seen>>;
type Program = Vec<Vec<Step>>;

const RWLOCKS: usize = 2;

/// A real run judges a step stuck after this long. Long, where the model says that nothing can hang; short, where it can.
const NEVER: Duration = Duration::from_secs(120);
const SOON: Duration = Duration::from_millis(100);

/// Something to hold on to until it is released.
trait Held {}
impl<T> Held for T {}

/// A way to take locks: the model's, or real ones with a deadline. `None` is "refused" for a `try_`, and "stuck" otherwise.
trait Locks {
    fn take(&self, step: Step) -> Option<(u32, Box<dyn Held + '_>)>;
    fn panic(&self) -> !;
}

fn read<'a, G: Deref<Target = u32> + 'a>(guard: G) -> (u32, Box<dyn Held + 'a>) {
    (*guard, Box::new(guard))
}

fn write<'a, G: DerefMut<Target = u32> + 'a>(mut guard: G) -> (u32, Box<dyn Held + 'a>) {
    *guard += 1;
    (*guard - 1, Box::new(guard))
}

fn std_lock<'a, G: DerefMut<Target = u32> + 'a>(result: LockResult<G>) -> (u32, Box<dyn Held + 'a>) {
    match result {
        Ok(guard) => write(guard),
        Err(poisoned) => {
            let (value, guard) = write(poisoned.into_inner());
            (value + POISONED, guard)
        }
    }
}

fn std_try_lock<'a, G: DerefMut<Target = u32> + 'a>(result: TryLockResult<G>) -> Option<(u32, Box<dyn Held + 'a>)> {
    match result {
        Ok(guard) => Some(std_lock(Ok(guard))),
        Err(TryLockError::Poisoned(poisoned)) => Some(std_lock(Err(poisoned))),
        Err(TryLockError::WouldBlock) => None,
    }
}

struct Model {
    rw: [shim::RwLock<u32>; RWLOCKS],
    mutex: shim::Mutex<u32>,
    std: shim::sync::Mutex<u32>,
}

impl Model {
    fn new() -> Self {
        let rw = std::array::from_fn(|_| shim::RwLock::new(0));
        Model { rw, mutex: shim::Mutex::new(0), std: shim::sync::Mutex::new(0) }
    }
}

impl Locks for Model {
    fn take(&self, step: Step) -> Option<(u32, Box<dyn Held + '_>)> {
        match step {
            Step::Read(lock) => Some(read(self.rw[lock].read())),
            Step::ReadRecursive(lock) => Some(read(self.rw[lock].read_recursive())),
            Step::Write(lock) => Some(write(self.rw[lock].write())),
            Step::TryRead(lock) => self.rw[lock].try_read().map(read),
            Step::TryWrite(lock) => self.rw[lock].try_write().map(write),
            Step::Lock => Some(write(self.mutex.lock())),
            Step::TryLock => self.mutex.try_lock().map(write),
            Step::StdLock => Some(std_lock(self.std.lock())),
            Step::StdTryLock => std_try_lock(self.std.try_lock()),
            Step::Panic | Step::Release => None,
        }
    }

    fn panic(&self) -> ! {
        panic_any(Planned)
    }
}

struct Real {
    rw: [parking_lot::RwLock<u32>; RWLOCKS],
    mutex: parking_lot::Mutex<u32>,
    std: Mutex<u32>,
    patience: Duration,
}

impl Real {
    /// `std` has no lock with a deadline: where it may be stuck, it is asked again and again.
    fn std_lock(&self) -> Option<(u32, Box<dyn Held + '_>)> {
        if self.patience == NEVER {
            return Some(std_lock(self.std.lock()));
        }
        let begun = Instant::now();
        loop {
            match std_try_lock(self.std.try_lock()) {
                None if begun.elapsed() < self.patience => std::thread::yield_now(),
                taken => return taken,
            }
        }
    }
}

impl Locks for Real {
    fn take(&self, step: Step) -> Option<(u32, Box<dyn Held + '_>)> {
        let patience = self.patience;
        match step {
            Step::Read(lock) => self.rw[lock].try_read_for(patience).map(read),
            Step::ReadRecursive(lock) => self.rw[lock].try_read_recursive_for(patience).map(read),
            Step::Write(lock) => self.rw[lock].try_write_for(patience).map(write),
            Step::TryRead(lock) => self.rw[lock].try_read().map(read),
            Step::TryWrite(lock) => self.rw[lock].try_write().map(write),
            Step::Lock => self.mutex.try_lock_for(patience).map(write),
            Step::TryLock => self.mutex.try_lock().map(write),
            Step::StdLock => self.std_lock(),
            Step::StdTryLock => std_try_lock(self.std.try_lock()),
            Step::Panic | Step::Release => None,
        }
    }

    /// Without the message that a panic would print for each of thousands.
    fn panic(&self) -> ! {
        resume_unwind(Box::new(Planned))
    }
}

/// Runs one thread's steps. `None` if it got stuck.
fn run(locks: &impl Locks, steps: &[Step]) -> Option<Vec<Seen>> {
    let mut seen = Vec::new();
    let ended = catch_unwind(AssertUnwindSafe(|| {
        let mut held = Vec::new();
        for step in steps {
            match (step, locks.take(*step)) {
                (Step::Panic, _) => locks.panic(),
                (Step::Release, _) => drop(held.pop()),
                (_, Some((value, guard))) => {
                    seen.push(Some(value));
                    held.push(guard);
                }
                (Step::TryRead(_) | Step::TryWrite(_) | Step::TryLock | Step::StdTryLock, None) => seen.push(None),
                (_, None) => return false,
            }
        }
        while held.pop().is_some() {}
        true
    }));
    match ended {
        Ok(ended) => ended.then_some(seen),
        Err(panic) if panic.is::<Planned>() => Some(seen),
        // The engine's own, at the end of an execution that hangs.
        Err(panic) => resume_unwind(panic),
    }
}

/// The program as a model; each execution that ends adds its outcome to `outcomes`.
fn modelled(program: &Program, outcomes: &Arc<Mutex<BTreeSet<Outcome>>>) -> Body {
    let (program, outcomes) = (program.clone(), Arc::clone(outcomes));
    Arc::new(move || {
        let locks = Arc::new(Model::new());
        let (first, others) = program.split_first().expect("a program has a thread");
        let threads: Vec<_> = others
            .iter()
            .map(|steps| {
                let (locks, steps) = (Arc::clone(&locks), steps.clone());
                shim::thread::spawn("other", move || run(&*locks, &steps))
            })
            .collect();
        let mut outcome = vec![run(&*locks, first).expect("a model is never stuck, it hangs")];
        for thread in threads {
            outcome.push(thread.join().expect("no panic").expect("a model is never stuck, it hangs"));
        }
        outcomes.lock().unwrap_or_else(PoisonError::into_inner).insert(outcome);
    })
}

/// One run on real threads. `None` if a thread got stuck.
fn really(program: &Program, patience: Duration, delays: &[u32]) -> Option<Outcome> {
    let rw = std::array::from_fn(|_| parking_lot::RwLock::new(0));
    let locks = Real { rw, mutex: parking_lot::Mutex::new(0), std: Mutex::new(0), patience };
    let start = Barrier::new(program.len());
    let seen: Vec<Option<Vec<Seen>>> = std::thread::scope(|scope| {
        let threads: Vec<_> = program
            .iter()
            .zip(delays)
            .map(|(steps, delay)| {
                scope.spawn(|| {
                    start.wait();
                    // Not to wait for anything: only to start in different orders.
                    (0..*delay).for_each(|_| std::hint::spin_loop());
                    run(&locks, steps)
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().expect("no panic")).collect()
    });
    seen.into_iter().collect()
}

fn step() -> impl Strategy<Value = Step> {
    let lock = 0..RWLOCKS;
    prop_oneof![
        2 => lock.clone().prop_map(Step::Read),
        1 => lock.clone().prop_map(Step::ReadRecursive),
        2 => lock.clone().prop_map(Step::Write),
        1 => lock.clone().prop_map(Step::TryRead),
        1 => lock.prop_map(Step::TryWrite),
        1 => Just(Step::Lock),
        1 => Just(Step::TryLock),
        2 => Just(Step::StdLock),
        1 => Just(Step::StdTryLock),
        1 => Just(Step::Panic),
        2 => Just(Step::Release),
    ]
}

fn program(threads: std::ops::RangeInclusive<usize>, steps: usize) -> impl Strategy<Value = Program> {
    prop::collection::vec(prop::collection::vec(step(), 1..=steps), threads)
}

fn config(cases: u32) -> ProptestConfig {
    // The failing program is in the message; a file of seeds would be written next to the sources.
    ProptestConfig { cases, failure_persistence: None, max_shrink_iters: 200, ..ProptestConfig::default() }
}

/// What the model can do.
#[derive(Debug, PartialEq)]
enum Can {
    Hang,
    Do(BTreeSet<Outcome>),
    /// Nothing is known: the program has more executions than this test is worth.
    TooMuch,
}

fn by_loom(program: &Program) -> Can {
    let outcomes = Arc::default();
    let limits = Limits { executions: 5_000, ..Limits::patient() };
    let search = Search::Loom { preemptions: None };
    let explored = Explorer::new(search).limits(limits).run_body(modelled(program, &outcomes));
    let outcomes = outcomes.lock().expect("not poisoned").clone();
    match (explored.finding, explored.strength) {
        (Finding::Deadlock(_), _) => Can::Hang,
        (Finding::None, Strength::Exhausted) => Can::Do(outcomes),
        (Finding::Inconclusive { .. }, Strength::Limit { .. }) if explored.executions == limits.executions => {
            Can::TooMuch
        }
        (other, strength) => panic!("{program:?}: {other:?}, {strength}"),
    }
}

proptest! {
    #![proptest_config(config(60))]

    /// Real runs of programs that cannot hang.
    #[test]
    fn no_real_run_leaves_the_model(program in program(2..=3, 3), delays in prop::collection::vec(0..400u32, 120)) {
        if let Can::Do(outcomes) = by_loom(&program) {
            for delays in delays.chunks_exact(3) {
                let outcome = really(&program, NEVER, delays);
                prop_assert!(outcome.is_some(), "stuck, and the model says that it cannot be: {program:?}");
                let outcome = outcome.unwrap_or_default();
                prop_assert!(outcomes.contains(&outcome), "{program:?} really did {outcome:?}, the model only {outcomes:?}");
            }
        }
    }
}

proptest! {
    #![proptest_config(config(24))]

    /// loom, shuttle under every schedule, and real threads, on programs that may hang.
    #[test]
    fn loom_shuttle_and_reality_agree(program in program(2..=2, 2), delays in prop::collection::vec(0..400u32, 20)) {
        let outcomes = Arc::default();
        let limits = Limits { executions: 100_000, ..Limits::patient() };
        let every = every_schedule(modelled(&program, &outcomes), limits);
        prop_assume!(every.is_some());
        let every = every.unwrap_or_default();
        let outcomes = outcomes.lock().expect("not poisoned").clone();
        match by_loom(&program) {
            Can::TooMuch => prop_assume!(false),
            Can::Hang => prop_assert!(!every.hung.is_empty(), "only loom hangs: {program:?}"),
            Can::Do(by_loom) => {
                prop_assert!(every.hung.is_empty(), "only shuttle hangs: {program:?}");
                prop_assert_eq!(&by_loom, &outcomes, "{:?}", program);
                let behaviours = Explorer::new(Search::Loom { preemptions: None })
                    .behaviours()
                    .run_body(modelled(&program, &Arc::default()))
                    .behaviours;
                prop_assert_eq!(behaviours, every.finished, "{:?}", program);
            }
        }
        let patience = if every.hung.is_empty() { NEVER } else { SOON };
        for delays in delays.chunks_exact(2) {
            match really(&program, patience, delays) {
                Some(outcome) => {
                    prop_assert!(outcomes.contains(&outcome), "{program:?} really did {outcome:?}, the model {outcomes:?}");
                }
                None => prop_assert!(!every.hung.is_empty(), "really stuck, and the model never is: {program:?}"),
            }
        }
    }
}

/// The generator reaches what the tests are about: programs that hang, and programs with more than one outcome.
#[test]
fn the_programs_that_matter_are_among_them() {
    let outcomes = |program: &Program| match by_loom(program) {
        Can::Do(outcomes) => outcomes,
        other => panic!("{program:?}: {other:?}"),
    };
    let recursive = vec![vec![Step::Read(0), Step::Read(0)], vec![Step::Write(0)]];
    assert_eq!(by_loom(&recursive), Can::Hang);
    let admitted = vec![vec![Step::Read(0), Step::ReadRecursive(0)], vec![Step::Write(0)]];
    assert_eq!(outcomes(&admitted).len(), 2);
    let tried = vec![vec![Step::Write(0), Step::Release], vec![Step::TryWrite(0)]];
    assert_eq!(outcomes(&tried).len(), 3);
    // A holder that panics gives `parking_lot`'s lock back as it was, and `std`'s poisoned.
    let panics = vec![vec![Step::StdLock, Step::Lock, Step::Panic], vec![Step::StdLock, Step::Release, Step::Lock]];
    let after = vec![vec![Some(0), Some(0)], vec![Some(1 + POISONED), Some(1)]];
    assert!(outcomes(&panics).contains(&after), "{:?}", outcomes(&panics));
    // A writer that waits behind a reader keeps the next reader out, although only readers are inside.
    let queued = vec![vec![Step::Read(0), Step::TryRead(0)], vec![Step::Write(0)]];
    let outcomes = outcomes(&queued);
    assert!(outcomes.contains(&vec![vec![Some(0), None], vec![Some(0)]]), "{outcomes:?}");
}

/// Poison, on the model and on `std`, by the same program.
macro_rules! poison {
    ($mutex:ty, $spawn:expr) => {{
        let mutex = Arc::new(<$mutex>::new(0u32));
        let mut seen = vec![mutex.is_poisoned(), mutex.lock().is_err()];
        let other = Arc::clone(&mutex);
        let thread = $spawn(move || {
            let mut guard = other.lock().expect("not poisoned");
            *guard += 1;
            panic!("while it holds the lock");
        });
        seen.push(thread.join().is_err());
        seen.extend([mutex.is_poisoned(), mutex.lock().is_err(), mutex.try_lock().is_err()]);
        let value = *mutex.lock().unwrap_or_else(PoisonError::into_inner);
        (seen, value)
    }};
}

#[test]
fn poison_is_what_std_does() {
    let real = poison!(Mutex<u32>, std::thread::spawn);
    assert_eq!(real, (vec![false, false, true, true, true, true], 1));
    for search in [Search::Loom { preemptions: None }, Search::Dfs] {
        let expected = real.clone();
        let explored = Explorer::new(search).run(move || {
            let modelled = poison!(shim::sync::Mutex<u32>, |body| shim::thread::spawn("other", body));
            assert_eq!(modelled, expected);
        });
        assert!(matches!(explored.finding, Finding::None), "{search:?}: {:?}", explored.finding);
    }
}
