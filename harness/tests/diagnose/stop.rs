//! Stopping leaves no trace: the target runs on, gets its signals, and stays stopped only if it was before.

use crate::target::{ENGINE, Target};
use gatherlock::diagnose::SampleError;
use std::io::Read;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

static RECEIVED: AtomicU64 = AtomicU64::new(0);

extern "C" fn count(_: libc::c_int) {
    RECEIVED.fetch_add(1, Ordering::SeqCst);
}

/// The target of `signals_that_arrive_during_a_stop_are_delivered`: counts until its input ends, and says how many it has
/// received as soon as that is the number its input told, or after a while if it never is.
///
/// The end of the input is no point by which they are delivered: the kernel wakes one thread for a signal sent to the process,
/// and on a busy machine the thread that reads the input may well run first.
pub(crate) fn count_signals() {
    // SAFETY: the handler has the signature that the kernel calls and does nothing but count.
    unsafe { libc::signal(libc::SIGRTMIN(), count as *const () as usize) };
    println!("\nready ");
    let mut told = String::new();
    std::io::stdin().read_to_string(&mut told).unwrap();
    let sent: u64 = told.trim().parse().unwrap();
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
    while RECEIVED.load(Ordering::SeqCst) < sent && std::time::Instant::now() < deadline {
        std::thread::yield_now();
    }
    println!("\nreceived {}", RECEIVED.load(Ordering::SeqCst));
}

#[test]
fn signals_that_arrive_during_a_stop_are_delivered() {
    const SENT: u64 = 20_000;
    let mut target = Target::spawn("counts-signals");
    target.line("ready ");
    let pid = target.pid();
    let done = AtomicBool::new(false);
    let samples = std::thread::scope(|scope| {
        let sampler = scope.spawn(|| {
            let mut samples = 0;
            while !done.load(Ordering::SeqCst) {
                ENGINE.sample(pid).unwrap();
                samples += 1;
            }
            samples
        });
        let mut sent = 0;
        while sent < SENT {
            // Real-time signals queue: each one sent is to be received. A full queue refuses, and is tried again.
            // SAFETY: sigqueue with a plain value to a child of this process.
            let queued =
                unsafe { libc::sigqueue(pid, libc::SIGRTMIN(), libc::sigval { sival_ptr: std::ptr::null_mut() }) };
            if queued == 0 {
                sent += 1;
            } else {
                std::thread::yield_now();
            }
        }
        done.store(true, Ordering::SeqCst);
        sampler.join().unwrap()
    });
    assert!(samples > 0);
    target.tell(&SENT.to_string());
    assert_eq!(target.line("received "), SENT.to_string());
}

/// The state letters of all threads.
fn states(pid: i32) -> Vec<char> {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    tasks
        .map(|task| {
            let stat = std::fs::read_to_string(task.unwrap().path().join("stat")).unwrap();
            stat.rsplit_once(") ").unwrap().1.chars().next().unwrap()
        })
        .collect()
}

/// Waits until every thread of a process is in one of these states.
fn await_states(pid: i32, wanted: &[char]) {
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
    while !states(pid).iter().all(|state| wanted.contains(state)) {
        assert!(std::time::Instant::now() < deadline, "{:?}", states(pid));
        std::thread::yield_now();
    }
}

#[test]
fn a_stopped_process_is_sampled_and_stays_stopped() {
    let mut target = Target::spawn("counts-signals");
    target.line("ready ");
    let pid = target.pid();
    // SAFETY: signals to a child of this process.
    unsafe { libc::kill(pid, libc::SIGSTOP) };
    await_states(pid, &['T']);
    let snapshot = ENGINE.sample(pid).unwrap();
    assert_eq!(snapshot.threads.len(), 2);
    await_states(pid, &['T']);
    // SAFETY: as above.
    unsafe { libc::kill(pid, libc::SIGCONT) };
    target.tell("0");
    assert_eq!(target.line("received "), "0");
}

#[test]
fn sleeping_and_running_threads_go_on() {
    let target = Target::start("contended");
    let ticks = |pid: i32| -> u64 {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/schedstat")).unwrap();
        stat.split(' ').next().unwrap().parse().unwrap()
    };
    let main = Target::start("register-in-collect");
    for _ in 0..20 {
        assert!(ENGINE.sample(target.pid()).unwrap().stopped_us > 0);
        ENGINE.sample(main.pid()).unwrap();
    }
    await_states(main.pid(), &['S', 'R']);
    let tids: Vec<i32> = ENGINE.sample(target.pid()).unwrap().threads.iter().map(|thread| thread.tid).collect();
    let before: u64 = tids.iter().map(|tid| ticks(*tid)).sum();
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
    while tids.iter().map(|tid| ticks(*tid)).sum::<u64>() <= before {
        assert!(std::time::Instant::now() < deadline, "no thread has run since the last sample");
        std::thread::yield_now();
    }
}

#[test]
fn what_cannot_be_sampled_says_why() {
    let own = i32::try_from(std::process::id()).unwrap();
    assert_eq!(ENGINE.sample(own), Err(SampleError::OwnProcess { pid: own }));
    assert_eq!(ENGINE.sample(-1), Err(SampleError::NoSuchProcess { pid: -1 }));
    let mut ended = std::process::Command::new("true").spawn().unwrap();
    let pid = i32::try_from(ended.id()).unwrap();
    ended.wait().unwrap();
    assert_eq!(ENGINE.sample(pid), Err(SampleError::NoSuchProcess { pid }));
}
