//! Whether a thread is parked on a given lock, read from the kernel: the address of the futex it sleeps on must belong to
//! *that* lock.
//!
//! A lock of `std` sleeps on a word of its own. A lock of `parking_lot` sleeps on a word of the waiting thread's
//! `ThreadData`, and the lock's address is the key that stands 32 bytes before that word (with and without the
//! `deadlock_detection` feature); its lowest bit may be set and is no part of the address.

use super::platform::{self, futex_of};
use std::io;
use std::time::{Duration, Instant};

/// The memory that a lock lives in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LockMemory {
    start: usize,
    end: usize,
}

impl LockMemory {
    /// The memory of `lock` itself, for a lock that one can name.
    pub fn of<T: ?Sized>(lock: &T) -> LockMemory {
        let start = std::ptr::from_ref(lock).cast::<u8>() as usize;
        LockMemory { start, end: start + size_of_val(lock) }
    }

    /// The whole heap allocation behind a handle that is one pointer, for a lock that is somebody's private field:
    /// `prometheus::Registry` and its vectors are each a single `Arc`.
    ///
    /// # Panics
    /// If the handle is not as large as a pointer.
    ///
    /// # Safety
    /// The handle must hold a live pointer to the start of an allocation of the C library's allocator, which is what an
    /// `Arc` is unless a `#[global_allocator]` of the program places it elsewhere.
    pub unsafe fn behind<H>(handle: &H) -> LockMemory {
        assert_eq!(size_of::<H>(), size_of::<usize>(), "the handle is not a single pointer");
        // SAFETY: `H` has the size of a pointer and, as the caller promises, is one.
        let start = unsafe { std::ptr::from_ref(handle).cast::<*mut libc::c_void>().read_unaligned() };
        // SAFETY: the caller promises that it is a live allocation of the C library.
        let size = unsafe { platform::allocation_size(start) };
        LockMemory { start: start as usize, end: start as usize + size }
    }

    fn contains(&self, address: usize) -> bool {
        (self.start..self.end).contains(&address)
    }
}

/// Why a thread was not seen parked.
#[derive(Debug, thiserror::Error)]
pub enum NotParked {
    /// The kernel does not show what the thread does.
    #[error("cannot read /proc/self/task/{tid}/syscall: {source}")]
    Unreadable {
        /// The thread.
        tid: i32,
        /// The system's answer; `NotFound` if the thread has ended.
        source: io::Error,
    },
    /// It was doing something else for the whole time.
    #[error("thread {tid} did not park on the lock within {limit:?}; its last state was `{last}`")]
    Elsewhere {
        /// The thread.
        tid: i32,
        /// How long it was watched.
        limit: Duration,
        /// The last line of `/proc/self/task/TID/syscall`.
        last: String,
    },
}

/// The calling thread as the kernel numbers it.
pub fn this_thread() -> i32 {
    platform::this_thread()
}

/// Watches thread `tid` of this process until it sleeps on `lock`. The limit is for stories that went wrong, not for
/// timing: it should be far longer than anything that could delay the thread.
///
/// # Errors
/// If the thread ended, its state cannot be read, or it did not park there within the limit.
pub fn wait_until_parked(tid: i32, lock: &LockMemory, limit: Duration) -> Result<(), NotParked> {
    let path = format!("/proc/self/task/{tid}/syscall");
    let started = Instant::now();
    loop {
        let state = std::fs::read_to_string(&path).map_err(|source| NotParked::Unreadable { tid, source })?;
        if futex_of(&state).is_some_and(|futex| lock.contains(futex) || key_of(futex).is_some_and(|k| lock.contains(k)))
        {
            return Ok(());
        }
        if started.elapsed() > limit {
            return Err(NotParked::Elsewhere { tid, limit, last: state.trim_end().to_string() });
        }
        // Nothing orders this loop and the thread but the kernel state just read; yielding only spares the CPU.
        std::thread::yield_now();
    }
}

/// `parking_lot`'s key for a thread that sleeps on `futex`, if there is readable memory before it: a futex of anything else
/// has who knows what there.
fn key_of(futex: usize) -> Option<usize> {
    platform::word(futex.checked_sub(32)?).map(|word| word & !1)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex, RwLock, mpsc};

    const LONG: Duration = Duration::from_secs(60);

    /// Runs `block` on a thread of its own and hands back its tid.
    fn start(block: impl FnOnce() + Send + 'static) -> (i32, std::thread::JoinHandle<()>) {
        let (tell, told) = mpsc::channel();
        let thread = std::thread::spawn(move || {
            tell.send(this_thread()).unwrap();
            block();
        });
        (told.recv().unwrap(), thread)
    }

    #[test]
    fn a_thread_on_a_std_mutex_is_seen() {
        let lock = Arc::new(Mutex::new(0));
        let held = lock.lock().unwrap();
        let (tid, thread) = start({
            let lock = lock.clone();
            move || *lock.lock().unwrap() += 1
        });
        wait_until_parked(tid, &LockMemory::of(&*lock), LONG).unwrap();
        drop(held);
        thread.join().unwrap();
        assert_eq!(*lock.lock().unwrap(), 1);
    }

    #[test]
    fn a_writer_on_a_private_lock_behind_one_pointer_is_seen() {
        let lock = Arc::new(RwLock::new(0));
        let held = lock.read().unwrap();
        let (tid, thread) = start({
            let lock = lock.clone();
            move || *lock.write().unwrap() += 1
        });
        // SAFETY: an `Arc` of this program, which has no global allocator of its own.
        let memory = unsafe { LockMemory::behind(&lock) };
        wait_until_parked(tid, &memory, LONG).unwrap();
        drop(held);
        thread.join().unwrap();
    }

    #[test]
    fn sleeping_on_another_lock_does_not_count() {
        let (wanted, other) = (Mutex::new(0), Arc::new(Mutex::new(0)));
        let held = other.lock().unwrap();
        let (tid, thread) = start({
            let other = other.clone();
            move || *other.lock().unwrap() += 1
        });
        wait_until_parked(tid, &LockMemory::of(&*other), LONG).unwrap();
        let verdict = wait_until_parked(tid, &LockMemory::of(&wanted), Duration::ZERO);
        assert!(matches!(verdict, Err(NotParked::Elsewhere { .. })), "{verdict:?}");
        drop(held);
        thread.join().unwrap();
        let verdict = wait_until_parked(i32::MAX, &LockMemory::of(&wanted), LONG);
        assert!(matches!(verdict, Err(NotParked::Unreadable { .. })), "{verdict:?}");
    }

    #[test]
    fn only_futex_lines_have_a_futex() {
        assert_eq!(futex_of("running"), None);
        assert_eq!(futex_of("-1 0x7ffd 0x7f00"), None);
        assert_eq!(futex_of("7 0x7ffd 0x1 0xffffffff 0x0 0x0 0x0 0x7ffd 0x7f00"), None);
        assert_eq!(futex_of(&format!("{} 0xabc0 0x80 0x2", libc::SYS_futex)), Some(0xabc0));
        assert_eq!(futex_of(""), None);
    }
}
