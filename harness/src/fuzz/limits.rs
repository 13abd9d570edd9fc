//! What a case may use: an allocator that counts, and a thread that watches the processor time.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// Beyond its area's memory by this factor a case is refused more, and ends the process.
const REFUSED: usize = 8;

thread_local! {
    /// Bytes that this thread holds, the most it ever held, and the most it may hold. What another thread frees is not
    /// taken off, so that the figures err towards too much.
    static HELD: Cell<(usize, usize, usize)> = const { Cell::new((0, 0, usize::MAX)) };
}

/// The system's allocator, counting by thread.
struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

impl Counting {
    /// Whether the thread may hold so many bytes more.
    fn take(size: usize) -> bool {
        HELD.try_with(|held| {
            let (now, most, limit) = held.get();
            let now = now.saturating_add(size);
            if now > limit {
                return false;
            }
            held.set((now, most.max(now), limit));
            true
        })
        .unwrap_or(true)
    }

    fn give(size: usize) {
        // After the end of a thread nothing is counted.
        let _ = HELD.try_with(|held| {
            let (now, most, limit) = held.get();
            held.set((now.saturating_sub(size), most, limit));
        });
    }
}

// SAFETY: every call is passed on to the system's allocator with the same arguments.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if !Counting::take(layout.size()) {
            return std::ptr::null_mut();
        }
        // SAFETY: as the caller promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if !Counting::take(layout.size()) {
            return std::ptr::null_mut();
        }
        // SAFETY: as the caller promises.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        Counting::give(layout.size());
        // SAFETY: as the caller promises.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        if !Counting::take(size) {
            return std::ptr::null_mut();
        }
        Counting::give(layout.size());
        // SAFETY: as the caller promises.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

/// Watches the thread that made it, from a second one.
pub(super) struct Watch {
    /// How to run the case again, and the processor time at which it began.
    now: Arc<Mutex<Option<(String, Duration)>>>,
    ended: Arc<AtomicBool>,
    clock: libc::clockid_t,
    thread: Option<JoinHandle<()>>,
}

/// One case under watch.
pub(super) struct Watched<'a> {
    watch: &'a Watch,
    begun: Duration,
    held: usize,
}

fn time(clock: libc::clockid_t) -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointer is to a live value.
    unsafe { libc::clock_gettime(clock, &raw mut time) };
    Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0))
}

impl Watch {
    /// Starts to watch the calling thread: no case may take more processor time than this.
    pub(super) fn start(patience: Duration) -> Watch {
        let mut clock = 0;
        // SAFETY: the calling thread lives, and so does the value that is written.
        assert_eq!(unsafe { libc::pthread_getcpuclockid(libc::pthread_self(), &raw mut clock) }, 0);
        let now: Arc<Mutex<Option<(String, Duration)>>> = Arc::default();
        let ended = Arc::new(AtomicBool::new(false));
        let (seen, over) = (now.clone(), ended.clone());
        let thread = std::thread::spawn(move || {
            while !over.load(Ordering::Acquire) {
                std::thread::park_timeout(Duration::from_millis(200));
                if let Some((again, begun)) = &*seen.lock().unwrap_or_else(PoisonError::into_inner)
                    && time(clock).saturating_sub(*begun) > patience
                {
                    eprintln!("fuzz: a case takes longer than {patience:?} of processor time; again: {again}");
                    std::process::abort();
                }
            }
        });
        Watch { now, ended, clock, thread: Some(thread) }
    }

    /// A case begins, which may hold this much memory.
    pub(super) fn case(&self, again: String, memory: usize) -> Watched<'_> {
        let begun = time(self.clock);
        // An allocation that is refused ends the process: what it was about has been said then.
        if std::env::var_os("GATHERLOCK_FUZZ_VERBOSE").is_some() {
            eprintln!("fuzz: {again}");
        }
        *self.now.lock().unwrap_or_else(PoisonError::into_inner) = Some((again, begun));
        let held = HELD.with(|held| {
            let (now, ..) = held.get();
            held.set((now, now, now.saturating_add(memory.saturating_mul(REFUSED))));
            now
        });
        Watched { watch: self, begun, held }
    }
}

impl Watched<'_> {
    /// It has ended: the processor time it took, and the most memory it held.
    pub(super) fn end(self) -> (Duration, usize) {
        let most = HELD.with(|held| {
            let (now, most, _) = held.get();
            held.set((now, most, usize::MAX));
            most
        });
        *self.watch.now.lock().unwrap_or_else(PoisonError::into_inner) = None;
        (time(self.watch.clock).saturating_sub(self.begun), most.saturating_sub(self.held))
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            // It only ends with the process otherwise.
            let _ = thread.join();
        }
    }
}
