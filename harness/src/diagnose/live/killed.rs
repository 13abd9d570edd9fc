//! Tests that kill the diagnoser at every step of a stop: the kernel lets the target go, and no signal is lost.

use super::images::Images;
use super::sample::History;
use super::share::WORTH_A_THREAD;
use super::stop::Step;
use super::{proc, tasks, tracer};
use crate::diagnose::moment::Moment;
use crate::model::Snapshot;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::process::CommandExt;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Whom the diagnoser looks at, and at which step it is held.
const TARGET: &str = "GATHERLOCK_TEST_KILLED_TARGET";
const HELD_AT: &str = "GATHERLOCK_TEST_KILLED_AT";
/// Threads of the target beside the two of the test runner, if not so many are asked for.
const THREADS: usize = 3;
const MANY: &str = "GATHERLOCK_TEST_KILLED_THREADS";

static STEPS: AtomicU64 = AtomicU64::new(0);
static RECEIVED: AtomicU64 = AtomicU64::new(0);

/// Called at each step of a stop. In a diagnoser that a test started it holds the process at the chosen one, until a line
/// comes in.
pub(super) fn reached(step: Step) {
    let Some(at) = std::env::var(HELD_AT).ok().and_then(|at| at.parse::<u64>().ok()) else { return };
    if STEPS.fetch_add(1, Ordering::SeqCst) == at {
        println!("\nheld {step:?}");
        std::io::stdout().flush().unwrap();
        std::io::stdin().read_line(&mut String::new()).unwrap();
    }
}

/// Not a test: looks at a process, and is held at a step.
#[test]
#[ignore = "the diagnoser that the other tests kill"]
fn looks() {
    let pid = std::env::var(TARGET).unwrap().parse().unwrap();
    let snapshot = tracer::sample(pid, Moment::First, &Images::default(), &History::default(), |_| ()).unwrap().0;
    println!("\ndone {}", snapshot.threads.len());
}

extern "C" fn count(_: libc::c_int) {
    RECEIVED.fetch_add(1, Ordering::SeqCst);
}

/// Not a test: sleeps with several threads, and answers each line of its input with the number of signals it has received
/// once that is the number in the line.
#[test]
#[ignore = "the target that the other tests look at"]
fn sleeper() {
    // SAFETY: the handler has the signature that the kernel calls and does nothing but count.
    unsafe { libc::signal(libc::SIGRTMIN(), count as *const () as usize) };
    let threads = std::env::var(MANY).map_or(THREADS, |threads| threads.parse().unwrap());
    for _ in 0..threads {
        std::thread::spawn(|| {
            loop {
                std::thread::park();
            }
        });
    }
    println!("\nready");
    for line in std::io::stdin().lines() {
        let wanted: u64 = line.unwrap().parse().unwrap();
        while RECEIVED.load(Ordering::SeqCst) < wanted {
            std::thread::yield_now();
        }
        println!("\nreceived {}", RECEIVED.load(Ordering::SeqCst));
    }
}

/// A process of this executable that dies with this test.
struct Process {
    child: Child,
    out: BufReader<ChildStdout>,
}

impl Process {
    fn start(test: &str, environment: &[(&str, String)]) -> Process {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", &format!("diagnose::live::killed::{test}"), "--ignored", "--nocapture"]);
        command.envs(environment.iter().map(|(name, value)| (*name, value.as_str())));
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        // SAFETY: prctl is async-signal-safe.
        unsafe {
            command.pre_exec(|| {
                libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
                Ok(())
            });
        }
        let mut child = command.spawn().unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        Process { child, out }
    }

    fn pid(&self) -> i32 {
        i32::try_from(self.child.id()).unwrap()
    }

    /// The next line that begins with one of the words, and which.
    fn line(&mut self, words: &[&str]) -> String {
        let lines = Read::by_ref(&mut self.out).lines().map_while(Result::ok);
        lines.into_iter().find(|line| words.iter().any(|word| line.starts_with(word))).expect("it ended early")
    }

    /// Its answer to a line.
    fn ask(&mut self, line: u64) -> String {
        writeln!(self.child.stdin.as_mut().unwrap(), "{line}").unwrap();
        self.line(&["received "])
    }

    fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Fails only if it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What the kernel says of each thread: its state and its tracer.
fn threads(pid: i32) -> Vec<(i32, char, String)> {
    let field = |tid: i32| {
        let status = std::fs::read_to_string(format!("/proc/{pid}/task/{tid}/status")).unwrap();
        status.lines().find_map(|line| line.strip_prefix("TracerPid:")).unwrap().trim().to_owned()
    };
    proc::threads(pid).unwrap().into_iter().map(|tid| (tid, tasks::task(pid, tid).state, field(tid))).collect()
}

/// No thread stands, and nobody traces any. When a killed process has been waited for, it has let go already: nothing is
/// waited for here.
fn assert_free(pid: i32, killed: &str) {
    let threads = threads(pid);
    for (tid, state, tracer) in &threads {
        assert!(!matches!(state, 't' | 'T') && tracer == "0", "killed at {killed}: {tid} of {threads:?}");
    }
}

/// Sends one signal to each thread, and returns how many.
fn send(pid: i32) -> u64 {
    let tids = proc::threads(pid).unwrap();
    for tid in &tids {
        // SAFETY: tgkill to a thread of a child of this process.
        assert_eq!(unsafe { libc::syscall(libc::SYS_tgkill, pid, *tid, libc::SIGRTMIN()) }, 0);
    }
    tids.len() as u64
}

fn target() -> (Process, i32, usize) {
    target_of(THREADS)
}

fn target_of(beside: usize) -> (Process, i32, usize) {
    let mut target = Process::start("sleeper", &[(MANY, beside.to_string())]);
    target.line(&["ready"]);
    let pid = target.pid();
    let threads = proc::threads(pid).unwrap().len();
    assert!(threads > beside);
    (target, pid, threads)
}

fn diagnoser(pid: i32, at: u64) -> (Process, String) {
    let mut diagnoser = Process::start("looks", &[(TARGET, pid.to_string()), (HELD_AT, at.to_string())]);
    let line = diagnoser.line(&["held ", "done "]);
    (diagnoser, line)
}

#[test]
fn killed_at_any_step_it_leaves_the_target_running_and_its_signals_delivered() {
    let (mut target, pid, threads) = target();
    let mut seen = Vec::new();
    let mut sent = 0;
    for at in 0.. {
        let (mut diagnoser, line) = diagnoser(pid, at);
        if line.starts_with("done ") {
            assert_eq!(line, format!("done {threads}"));
            break;
        }
        // A thread that stands gets it when it is let go; one that is attached to stops for it; the others take it.
        sent += send(pid);
        diagnoser.kill();
        assert_free(pid, &line);
        assert_eq!(target.ask(sent), format!("received {sent}"), "{line}");
        seen.push(line);
    }
    // Every step was there to be killed at, for every thread.
    let count = |step: &str| seen.iter().filter(|line| line.as_str() == format!("held {step}")).count();
    let counts = ["Seized", "Told", "Stands", "Read", "LetGo"].map(count);
    assert_eq!(counts, [threads, threads, threads, 1, threads], "{seen:?}");
}

/// Where they are many, the look begins while they are let go.
#[test]
fn a_look_that_panics_leaves_many_threads_running() {
    let (mut target, pid, threads) = target_of(2 * WORTH_A_THREAD);
    for moment in [Moment::Now, Moment::First] {
        let look = |snapshot: &Snapshot| {
            assert_eq!(snapshot.threads.len(), threads);
            // The hook would print what is meant to happen here.
            resume_unwind(Box::new("the look"))
        };
        let sample = || tracer::sample::<()>(pid, moment, &Images::default(), &History::default(), look);
        let panic = catch_unwind(AssertUnwindSafe(sample)).unwrap_err();
        assert_eq!(panic.downcast_ref(), Some(&"the look"));
        assert_free(pid, "the look");
    }
    let sent = send(pid);
    assert_eq!(target.ask(sent), format!("received {sent}"));
}

/// A thread that is about to receive a signal when it is stopped has taken it from the queue already.
#[test]
fn a_signal_in_the_hand_of_a_stopped_thread_is_delivered() {
    let (mut target, pid, threads) = target();
    let mut sent = 0;
    // Attached to the first thread, or to the last.
    for at in [0, 2 * (threads as u64 - 1)] {
        for goes_on in [true, false] {
            let (mut diagnoser, line) = diagnoser(pid, at);
            assert_eq!(line, "held Seized");
            sent += send(pid);
            // The thread that was attached to last runs, and stops with the signal in its hand.
            let deadline = Instant::now() + Duration::from_secs(60);
            while !proc::threads(pid).unwrap().iter().any(|tid| in_hand(pid, *tid)) {
                assert!(Instant::now() < deadline, "{:?}", self::threads(pid));
                std::thread::yield_now();
            }
            if goes_on {
                writeln!(diagnoser.child.stdin.as_mut().unwrap()).unwrap();
                assert_eq!(diagnoser.line(&["done "]), format!("done {threads}"));
                diagnoser.child.wait().unwrap();
            } else {
                diagnoser.kill();
            }
            assert_free(pid, &line);
            assert_eq!(target.ask(sent), format!("received {sent}"), "at {at}, goes on: {goes_on}");
        }
    }
}

/// Whether a thread stands because of a signal: what it stopped with is the last field of `stat`, its exit code.
fn in_hand(pid: i32, tid: i32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/task/{tid}/stat")).unwrap();
    let code = stat.split_ascii_whitespace().last().and_then(|code| code.parse().ok());
    tasks::task(pid, tid).state == 't' && code == Some(libc::SIGRTMIN())
}
