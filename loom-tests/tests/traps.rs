//! Ways in which a green run of a model checker can be worthless, and what keeps each from happening here.

use gatherlock::model::Verdict;
use gatherlock_loom_tests::explore::{Explorer, Finding, Limits, Search, Strength};
use gatherlock_loom_tests::models::{Expect, Model};
use gatherlock_loom_tests::shim::sync::atomic::AtomicU64;
use gatherlock_loom_tests::shim::thread::spawn;
use gatherlock_loom_tests::shim::{Mutex, RwLock};
use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

const UNBOUNDED: Search = Search::Loom { preemptions: None };

/// Trap 1: loom misses interleavings when a thread loads and then writes the same atomic. The shim's load is an exchange.
/// The body is the same twice; what is collected is what `main` can read while the other thread adds one.
#[test]
fn a_load_before_a_store_hides_nothing() {
    type Seen = Arc<std::sync::Mutex<BTreeSet<u64>>>;

    let raw = Seen::default();
    let noted = Arc::clone(&raw);
    loom::model::Builder::new().check(move || {
        let value = Arc::new(loom::sync::atomic::AtomicU64::new(0));
        let other = Arc::clone(&value);
        let thread = loom::thread::spawn(move || other.store(other.load(SeqCst) + 1, SeqCst));
        noted.lock().expect("not poisoned").insert(value.load(SeqCst));
        thread.join().expect("no panic");
    });
    let raw = raw.lock().expect("not poisoned");
    assert_eq!(*raw, BTreeSet::from([0]), "loom has been repaired: the shim's loads can be plain again");

    let shim = Seen::default();
    let noted = Arc::clone(&shim);
    let explored = Explorer::new(UNBOUNDED).run(move || {
        let value = Arc::new(AtomicU64::new(0));
        let other = Arc::clone(&value);
        let thread = spawn("update", move || other.store(other.load(SeqCst) + 1, SeqCst));
        noted.lock().expect("not poisoned").insert(value.load(SeqCst));
        thread.join().expect("no panic");
    });
    assert_eq!(explored.strength, Strength::Exhausted);
    assert_eq!(*shim.lock().expect("not poisoned"), BTreeSet::from([0, 1]));
}

fn three_threads_on_a_lock() {
    let lock = Arc::new(Mutex::new(0));
    let threads: Vec<_> = ["a", "b"]
        .into_iter()
        .map(|name| {
            let lock = Arc::clone(&lock);
            spawn(name, move || (0..2).for_each(|_| *lock.lock() += 1))
        })
        .collect();
    (0..2).for_each(|_| *lock.lock() += 1);
    threads.into_iter().for_each(|thread| thread.join().expect("no panic"));
}

/// Trap 2: loom looks at its own limits every 20 000 executions and then returns as if it had finished.
#[test]
fn a_limit_is_never_called_exhaustive() {
    for search in [UNBOUNDED, Search::Loom { preemptions: Some(3) }, Search::Dfs] {
        let few = Limits { executions: 10, ..Limits::default() };
        let stopped = Explorer::new(search).limits(few).run(three_threads_on_a_lock);
        assert_eq!(stopped.strength, Strength::Limit { limit: "10 executions".into() }, "{search:?}");
        assert_eq!(stopped.executions, 10, "{search:?}");
        assert!(matches!(stopped.finding, Finding::Inconclusive { .. }), "{search:?}");

        let no_time = Limits { time: Duration::ZERO, ..Limits::default() };
        let stopped = Explorer::new(search).limits(no_time).run(three_threads_on_a_lock);
        assert!(matches!(stopped.strength, Strength::Limit { .. }), "{search:?}");
        assert!(matches!(stopped.finding, Finding::Inconclusive { .. }), "{search:?}");
    }
}

/// A search that ends exactly at the limit had seen everything.
#[test]
fn the_last_execution_within_the_limit_counts() {
    for search in [UNBOUNDED, Search::Dfs] {
        let body = || drop(Mutex::new(0).lock());
        let exact = Limits { executions: 1, ..Limits::default() };
        assert_eq!(Explorer::new(search).limits(exact).run(body).strength, Strength::Exhausted, "{search:?}");
    }
}

/// Trap 3: two threads and one execution mean that they never meet, and "nothing hangs" says nothing.
#[test]
fn a_model_whose_threads_never_meet_is_inconclusive() {
    let model = Model {
        name: "apart",
        lesson: "each thread has a lock of its own",
        threads: 2,
        expect: Expect::None,
        body: || {
            let thread = spawn("other", || drop(Mutex::new(0).lock()));
            drop(Mutex::new(0).lock());
            thread.join().expect("no panic");
        },
    };
    let checked = model.check(UNBOUNDED, Limits::default());
    assert_eq!((checked.verdict, checked.exploration.executions), (Verdict::Inconclusive, 1), "{:?}", checked.why);
}

/// Trap 4: a spin without a yield is no deadlock, and no proof either.
#[test]
fn an_unbounded_spin_is_inconclusive() {
    for search in [UNBOUNDED, Search::Dfs] {
        let spun = Explorer::new(search).run(|| {
            let word = Arc::new(AtomicU64::new(1));
            let other = Arc::clone(&word);
            let thread = spawn("release", move || other.store(0, SeqCst));
            while word.compare_exchange(0, 1, SeqCst, SeqCst).is_err() {}
            thread.join().expect("no panic");
        });
        let Finding::Inconclusive { reason } = &spun.finding else { panic!("{search:?}: {:?}", spun.finding) };
        assert!(reason.starts_with("unbounded spin"), "{search:?}: {reason}");
        assert!(matches!(spun.strength, Strength::Limit { .. }), "{search:?}");
    }
}

/// Trap 5: `try_lock` of loom's own mutex reports a deadlock that is none. The shim's does not use it.
#[test]
fn try_lock_is_no_false_deadlock() {
    let body = || {
        let lock = Arc::new(Mutex::new(0));
        let other = Arc::clone(&lock);
        let thread = spawn("other", move || drop(other.try_lock()));
        let guard = lock.try_lock();
        thread.join().expect("no panic");
        drop(guard);
    };
    for search in [UNBOUNDED, Search::Dfs] {
        let explored = Explorer::new(search).run(body);
        assert!(matches!(explored.finding, Finding::None), "{search:?}: {:?}", explored.finding);
        assert!(explored.executions > 1, "{search:?}");
    }
}

/// "Nothing hangs" says nothing of what is counted: with `try_lock` an update is lost under some schedules.
#[test]
fn try_lock_drops_an_update_under_some_schedules() {
    for search in [UNBOUNDED, Search::Dfs] {
        let counts = Arc::new(std::sync::Mutex::new(BTreeSet::new()));
        let noted = Arc::clone(&counts);
        let explored = Explorer::new(search).run(move || {
            let tally = Arc::new(Mutex::new(0));
            let updated = Arc::clone(&tally);
            let worker = spawn("worker", move || updated.try_lock().into_iter().for_each(|mut tally| *tally += 1));
            drop(tally.lock()); // collect()
            worker.join().expect("no panic");
            noted.lock().expect("not poisoned").insert(*tally.lock());
        });
        assert!(matches!(explored.finding, Finding::None), "{search:?}: {:?}", explored.finding);
        assert_eq!(*counts.lock().expect("not poisoned"), BTreeSet::from([0, 1]), "{search:?}");
    }
}

/// Trap 6: a deadlock with guards alive on every stack must not abort the process, nor spoil the next model.
#[test]
fn a_deadlock_leaves_the_process_usable() {
    for search in [UNBOUNDED, Search::Dfs, Search::Random { schedules: 1000, seed: 3 }] {
        for _ in 0..20 {
            let stuck = Explorer::new(search).run(|| {
                let locks = Arc::new((Mutex::new(0), RwLock::new(0)));
                let other = Arc::clone(&locks);
                let thread = spawn("other", move || {
                    let _write = other.1.write();
                    drop(other.0.lock());
                });
                let _first = locks.0.lock();
                let _read = locks.1.read();
                thread.join().expect("no panic");
            });
            assert!(matches!(stuck.finding, Finding::Deadlock(_)), "{search:?}: {:?}", stuck.finding);
            let fine = Explorer::new(search).run(|| drop(Mutex::new(0).lock()));
            assert!(matches!(fine.finding, Finding::None), "{search:?}");
        }
    }
}

/// Trap 7: these suites run without `--cfg loom`, which would take `tokio::net` out of the whole build, and in whose absence
/// such suites are green because they are empty.
#[test]
#[expect(unexpected_cfgs, reason = "nobody declares that flag here, which is the point")]
fn no_flag_is_needed() {
    const { assert!(!cfg!(loom)) };
}

/// loom's own reader-writer lock panics on a recursive read; the shim's admits it, unless a writer is queued.
#[test]
fn recursive_reads_hang_behind_a_queued_writer_only() {
    let reads = |with_writer: bool, recursive: bool| {
        Explorer::new(UNBOUNDED).run(move || {
            let lock = Arc::new(RwLock::new(0));
            let other = Arc::clone(&lock);
            let writer = with_writer.then(|| spawn("writer", move || *other.write() += 1));
            let first = lock.read();
            let second = if recursive { lock.read_recursive() } else { lock.read() };
            drop((first, second));
            writer.into_iter().for_each(|writer| writer.join().expect("no panic"));
        })
    };
    assert!(matches!(reads(false, false).finding, Finding::None));
    assert!(matches!(reads(true, false).finding, Finding::Deadlock(_)));
    assert!(matches!(reads(true, true).finding, Finding::None));
}

/// A panic of the model is not a hang, and other threads' panics still reach the test that made them.
#[test]
fn a_panic_is_reported_as_one() {
    for search in [UNBOUNDED, Search::Dfs] {
        let explored = Explorer::new(search).run(|| {
            let thread = spawn("worker", || panic!("the worker's reason"));
            assert!(thread.join().is_err(), "a thread's panic is its joiner's to judge");
            panic!("the model's reason");
        });
        let Finding::Panicked { message, .. } = &explored.finding else { panic!("{:?}", explored.finding) };
        assert_eq!(message, "the model's reason", "{search:?}");
    }
    assert!(catch_unwind(|| panic!("outside a model")).is_err());
}

/// A holder that panics poisons a `std` mutex and releases it; `parking_lot`'s it only releases.
#[test]
fn poison_is_std_s_alone() {
    for search in [UNBOUNDED, Search::Dfs] {
        let explored = Explorer::new(search).run(|| {
            let std = Arc::new(gatherlock_loom_tests::shim::sync::Mutex::new(0));
            let parking_lot = Arc::new(Mutex::new(0));
            let both = (Arc::clone(&std), Arc::clone(&parking_lot));
            let thread = spawn("worker", move || {
                let _guards = (both.0.lock().expect("not poisoned"), both.1.lock());
                panic!("while it holds both");
            });
            assert!(thread.join().is_err());
            assert!(std.is_poisoned() && std.lock().is_err());
            drop(parking_lot.lock());
            let caught = catch_unwind(AssertUnwindSafe(|| drop(std.lock().expect("poisoned"))));
            assert!(caught.is_err());
        });
        assert!(matches!(explored.finding, Finding::None), "{search:?}: {:?}", explored.finding);
    }
}
