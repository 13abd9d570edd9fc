//! Work of many equal parts, done side by side where they are many.

use nix::sched::{sched_getaffinity, sched_getcpu, sched_setaffinity};
use nix::unistd::Pid;
use std::num::NonZero;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Fewer parts are done before another thread has started.
pub(super) const WORTH_A_THREAD: usize = 64;
/// Parts that a thread takes at once.
const PIECE: usize = 8;

/// Goes to another processor, so that a thread which was just started has this one.
///
/// The kernel puts a new thread in line behind the one that started it, and another processor takes it from there only some
/// milliseconds later, when all there is to do here is done.
pub(super) fn step_aside() {
    let own = Pid::from_raw(0);
    let Ok(allowed) = sched_getaffinity(own) else { return };
    let mut others = allowed;
    // Where there is no other processor, the kernel refuses an empty set.
    let moved = sched_getcpu().and_then(|here| others.unset(here)).and_then(|()| sched_setaffinity(own, &others));
    if moved.is_ok() {
        // What was allowed a moment ago can fail only if it no longer is; then the kernel has set what is.
        let _ = sched_setaffinity(own, &allowed);
    }
}

/// What came of it.
pub(super) struct Shared<T, V> {
    /// Of each part, in order.
    pub(super) parts: Vec<T>,
    /// Of what was done beside them.
    pub(super) beside: V,
    /// How long the parts alone keep all threads busy.
    pub(super) took: Duration,
}

/// Does `count` parts: each thread makes itself a `worker`, and the worker is given numbers. Before this thread takes its
/// share it does what is `beside`.
pub(super) fn share<T, V, W>(count: usize, worker: impl Fn() -> W + Sync, beside: impl FnOnce() -> V) -> Shared<T, V>
where
    T: Send + Sync,
    W: FnMut(usize) -> T,
{
    let processors = std::thread::available_parallelism().map_or(1, NonZero::get);
    let threads = processors.min(count / WORTH_A_THREAD).max(1);
    let slots: Vec<OnceLock<T>> = (0..count).map(|_| OnceLock::new()).collect();
    let (next, busy) = (AtomicUsize::new(0), AtomicU64::new(0));
    let work = || {
        let begun = Instant::now();
        let mut worker = worker();
        loop {
            let first = next.fetch_add(PIECE, Ordering::Relaxed);
            let Some(piece) = slots.get(first..slots.len().min(first + PIECE)).filter(|piece| !piece.is_empty()) else {
                break;
            };
            for (number, slot) in (first..).zip(piece) {
                slot.get_or_init(|| worker(number));
            }
        }
        busy.fetch_add(u64::try_from(begun.elapsed().as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
    };
    let beside = std::thread::scope(|scope| {
        // One that cannot be started, or that fails, leaves its part to this one.
        let helpers: Vec<_> =
            (1..threads).map_while(|_| std::thread::Builder::new().spawn_scoped(scope, work).ok()).collect();
        if !helpers.is_empty() {
            step_aside();
        }
        let beside = beside();
        work();
        for helper in helpers {
            let _ = helper.join();
        }
        beside
    });
    let mut rest = None;
    let parts = slots
        .into_iter()
        .enumerate()
        .map(|(number, slot)| slot.into_inner().unwrap_or_else(|| rest.get_or_insert_with(&worker)(number)));
    let parts = parts.collect();
    Shared { parts, beside, took: Duration::from_nanos(busy.into_inner() / threads as u64) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;
    use std::sync::Mutex;

    #[test]
    fn every_part_is_done_once_and_in_order_by_one_thread_or_by_many() {
        for count in [0, 1, 7, 300] {
            let done = AtomicUsize::new(0);
            let part = |number| {
                done.fetch_add(1, Ordering::Relaxed);
                number
            };
            let shared = share(count, || part, || "beside");
            assert_eq!(shared.parts, (0..count).collect::<Vec<_>>());
            assert_eq!((done.into_inner(), shared.beside), (count, "beside"));
        }
    }

    #[test]
    fn who_stepped_aside_may_run_where_it_might_before() {
        let allowed = || sched_getaffinity(Pid::from_raw(0)).unwrap();
        let before = allowed();
        for _ in 0..20 {
            step_aside();
            assert_eq!(allowed(), before);
        }
    }

    #[test]
    fn the_part_of_a_thread_that_fails_is_done_all_the_same() {
        let own = std::thread::current().id();
        let failed = Mutex::new(HashSet::new());
        let part = |number: usize| {
            if std::thread::current().id() != own {
                failed.lock().unwrap().insert(number);
                // The hook would print what is meant to happen here.
                std::panic::resume_unwind(Box::new(()));
            }
            number
        };
        // This thread starts when another has failed, if there is another.
        let many = std::thread::available_parallelism().map_or(1, NonZero::get) > 1;
        let wait = || {
            while many && failed.lock().unwrap().is_empty() {
                std::thread::yield_now()
            }
        };
        assert_eq!(share(300, || part, wait).parts, (0..300).collect::<Vec<_>>());
        assert_eq!(failed.into_inner().unwrap().is_empty(), !many);
    }
}
