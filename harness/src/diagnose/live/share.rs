//! Work of many equal parts, done side by side where they are many.

use std::num::NonZero;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Fewer parts are done before another thread has started.
const WORTH_A_THREAD: usize = 64;
/// Parts that a thread takes at once.
const PIECE: usize = 8;

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
