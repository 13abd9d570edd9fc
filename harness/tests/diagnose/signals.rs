//! Signals that the target process sends to its own threads, and what their handlers do.

use std::sync::atomic::{AtomicI32, Ordering};

/// How often [`freeze`] was entered, how often it was let go, and how often it went.
pub(super) static FROZEN: AtomicI32 = AtomicI32::new(0);
pub(super) static THAWED: AtomicI32 = AtomicI32::new(0);
pub(super) static GONE_ON: AtomicI32 = AtomicI32::new(0);

pub(super) extern "C" fn freeze(_: libc::c_int) {
    let turn = FROZEN.fetch_add(1, Ordering::SeqCst) + 1;
    while THAWED.load(Ordering::SeqCst) < turn {
        // SAFETY: pause has no preconditions and is async-signal-safe.
        unsafe { libc::pause() };
    }
    GONE_ON.fetch_add(1, Ordering::SeqCst);
}

pub(super) extern "C" fn wake(_: libc::c_int) {}

pub(super) fn gettid() -> i32 {
    // SAFETY: gettid has no preconditions.
    unsafe { libc::gettid() }
}

pub(super) fn signal(tid: i32) {
    send(tid, libc::SIGUSR1);
}

pub(super) fn send(tid: i32, signal: libc::c_int) {
    // SAFETY: tgkill with a thread of this process and a signal that has a handler.
    unsafe { libc::syscall(libc::SYS_tgkill, std::process::id(), tid, signal) };
}

pub(super) fn handle(signal: libc::c_int, handler: extern "C" fn(libc::c_int)) {
    // SAFETY: the handler has the signature that the kernel calls.
    unsafe { libc::signal(signal, handler as *const () as usize) };
}
