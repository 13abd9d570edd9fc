//! How late this process wakes when it asked to be woken: if the parent itself is starved, its deadlines mean nothing.

use super::clock::now_us;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread::JoinHandle;
use std::time::Duration;

/// A thread that asks to be woken every few milliseconds and notes how late it was. One serves all trials of a run.
#[derive(Debug)]
pub struct LagMeter {
    shared: Arc<Shared>,
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// The worst lag since it was begun.
#[derive(Debug)]
pub struct LagWatch {
    began_us: u64,
    worst_us: Arc<AtomicU64>,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    /// When the meter should wake next.
    due_us: AtomicU64,
    watches: Mutex<Vec<Weak<AtomicU64>>>,
}

impl LagMeter {
    /// Starts a meter that wakes every `period`.
    ///
    /// # Errors
    /// When the system grants no thread.
    pub fn start(period: Duration) -> io::Result<LagMeter> {
        let shared = Arc::new(Shared { due_us: AtomicU64::new(u64::MAX), ..Shared::default() });
        let (stop, stopped) = channel::<()>();
        let meter = Arc::clone(&shared);
        let thread = std::thread::Builder::new().name("lag-meter".into()).spawn(move || {
            loop {
                let due = now_us() + period.as_micros() as u64;
                meter.due_us.store(due, Ordering::Relaxed);
                if stopped.recv_timeout(period) != Err(RecvTimeoutError::Timeout) {
                    return;
                }
                meter.note(now_us().saturating_sub(due));
            }
        })?;
        Ok(LagMeter { shared, stop: Some(stop), thread: Some(thread) })
    }

    /// Begins to note the worst lag from now on.
    pub fn watch(&self) -> LagWatch {
        let worst_us = Arc::new(AtomicU64::new(0));
        self.shared.watches.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::downgrade(&worst_us));
        LagWatch { began_us: now_us(), worst_us, shared: Arc::clone(&self.shared) }
    }
}

impl Shared {
    fn note(&self, lag_us: u64) {
        self.watches.lock().unwrap_or_else(PoisonError::into_inner).retain(|watch| {
            let watch = watch.upgrade();
            watch.inspect(|worst| _ = worst.fetch_max(lag_us, Ordering::Relaxed)).is_some()
        });
    }
}

impl LagWatch {
    /// The worst lag so far, in microseconds, counting a wake-up that is overdue right now.
    pub fn worst_us(&self) -> u64 {
        let now = now_us();
        let overdue = now.saturating_sub(self.shared.due_us.load(Ordering::Relaxed));
        // A lag that began before this watch counts only from its beginning.
        self.worst_us.load(Ordering::Relaxed).max(overdue).min(now - self.began_us)
    }
}

impl Drop for LagMeter {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take() {
            // It cannot panic: it holds no lock across a call that could.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_watch_notes_the_worst_and_forgets_what_was_before_it() {
        let shared = Arc::new(Shared { due_us: AtomicU64::new(u64::MAX), ..Shared::default() });
        let meter = LagMeter { shared: Arc::clone(&shared), stop: None, thread: None };
        shared.note(900);
        let mut watch = meter.watch();
        watch.began_us = 0;
        shared.note(50);
        shared.note(20);
        assert_eq!(watch.worst_us(), 50);
        shared.due_us.store(1, Ordering::Relaxed);
        assert!(watch.worst_us() > 50, "a wake-up overdue since the boot counts");
        watch.began_us = now_us();
        assert!(watch.worst_us() <= now_us() - watch.began_us);
    }

    #[test]
    fn watches_that_are_gone_are_forgotten() {
        let shared = Arc::new(Shared::default());
        let meter = LagMeter { shared: Arc::clone(&shared), stop: None, thread: None };
        drop(meter.watch());
        shared.note(1);
        assert!(shared.watches.lock().unwrap().is_empty());
    }

    #[test]
    fn a_meter_stops_when_dropped() {
        let meter = LagMeter::start(Duration::from_secs(3600)).unwrap();
        drop(meter);
    }
}
