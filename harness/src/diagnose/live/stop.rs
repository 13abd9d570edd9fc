//! Stops every thread of a process and lets them go again whatever happens: `PTRACE_SEIZE` + `PTRACE_INTERRUPT`, never
//! `SIGSTOP`, so that neither the target nor its parent notices.

use super::proc;
use super::tasks::{self, Part, Task};
use crate::diagnose::SampleError;
use std::collections::BTreeMap;
use std::io;
use std::time::{Duration, Instant};

/// A thread in an uninterruptible sleep does not stop; after this long it is left out.
const STOP_BUDGET: Duration = Duration::from_millis(500);
/// Any other thread stops as soon as it gets a processor; on a machine so busy that it gets none, it is left out after this.
const PROCESSOR_BUDGET: Duration = Duration::from_secs(3);
/// How often the list of threads is read again at most, and for how long, while a process starts new ones.
const MAX_ROUNDS: u32 = 32;
const ROUNDS_BUDGET: Duration = Duration::from_secs(5);
/// Questions after which the wait for one thread sleeps between them, and asks whether the thread is still there.
const EAGER: u32 = 100;

/// A process whose threads stand still. Dropping it resumes them.
///
/// The kernel accepts requests only from the thread that attached, so it must stay on one thread; when that thread ends,
/// by panic or by `SIGKILL`, the kernel detaches and resumes the target.
pub(super) struct Stopped {
    /// By tid, the signal a thread was about to receive, to be handed over when it is let go; 0 for none.
    threads: BTreeMap<i32, i32>,
    /// Threads that could not be stopped, and why.
    pub(super) missed: Vec<(i32, String)>,
    /// When the first thread was told to stop.
    pub(super) since: Instant,
    _not_send: std::marker::PhantomData<*const ()>,
}

/// `ptrace` for requests that take two plain numbers.
fn request(request: libc::c_uint, tid: i32, address: usize, data: usize) -> io::Result<()> {
    // SAFETY: callers pass requests whose arguments are numbers or pointers to live values of the right type.
    let result = unsafe { libc::ptrace(request, tid, address, data) };
    if result == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Whether the thread stands, and if so which signal it was about to receive.
fn standing_signal(tid: i32) -> io::Result<i32> {
    // SAFETY: siginfo_t is plain data for which all zeroes is a value.
    let mut info: libc::siginfo_t = unsafe { std::mem::zeroed() };
    // Succeeds only on a stopped tracee. Asked instead of waitpid, because another thread of this process may wait for
    // the same child and must not see, or lose, its exit.
    request(libc::PTRACE_GETSIGINFO, tid, 0, (&raw mut info) as usize)?;
    // Our own interrupt and a job-control stop carry the event in the upper byte; both end without a signal, and the
    // kernel puts a thread of a stopped process back into its job-control stop.
    let event = info.si_code >> 8 == libc::PTRACE_EVENT_STOP;
    Ok(if event { 0 } else { info.si_signo })
}

impl Stopped {
    /// Stops every thread of `pid`. Threads started meanwhile are stopped too: the list is read until it holds nothing new.
    ///
    /// `tasks` are those that are known, with what the kernel said of them. `stands` is called for each thread as soon as it
    /// stands, while others may still be on their way: what is read there costs the target little, and may only be the
    /// thread's own. None is stopped before `at`.
    pub(super) fn new(
        pid: i32,
        at: Option<Instant>,
        mut tasks: Vec<(i32, Task)>,
        mut stands: impl FnMut(i32, Task),
    ) -> Result<Stopped, SampleError> {
        let mut stopped = Stopped {
            threads: BTreeMap::new(),
            missed: Vec::new(),
            since: Instant::now(),
            _not_send: std::marker::PhantomData,
        };
        let mut seized_any = false;
        for round in 0.. {
            // First read, then stop: `state` and `wchan` of a stopped thread tell of the stop. Reading all before
            // stopping any keeps the slow part out of the stop.
            if tasks.is_empty() {
                if stopped.missed.is_empty() && proc::count(pid) == Some(stopped.threads.len()) {
                    break;
                }
                let tids = proc::threads(pid).map_err(|e| proc::failure(pid, "task list", &e))?;
                let new: Vec<i32> = tids.into_iter().filter(|tid| !stopped.knows(*tid)).collect();
                if new.is_empty() {
                    break;
                }
                // A thread that does not stand can go on starting others for ever, and the rest must not wait for that.
                if round >= MAX_ROUNDS || stopped.since.elapsed() > ROUNDS_BUDGET {
                    let reason = "it started while the others were being stopped, again and again";
                    stopped.missed.extend(new.into_iter().map(|tid| (tid, reason.to_owned())));
                    break;
                }
                tasks = tasks::read(pid, &new, Part::All, || ()).parts;
            }
            if stopped.threads.is_empty() {
                if let Some(at) = at {
                    std::thread::sleep(at.saturating_duration_since(Instant::now()));
                }
                stopped.since = Instant::now();
            }
            let begun = Instant::now();
            let mut pending = Vec::new();
            for (tid, task) in tasks.drain(..) {
                let seized = request(libc::PTRACE_SEIZE, tid, 0, 0).and_then(|()| {
                    reached(Step::Seized);
                    request(libc::PTRACE_INTERRUPT, tid, 0, 0)
                });
                reached(Step::Told);
                match seized {
                    Ok(()) => pending.push((tid, task)),
                    Err(e) if e.raw_os_error() == Some(libc::ESRCH) => stopped.missed.push((tid, "it ended".into())),
                    Err(e) => stopped.missed.push((tid, e.to_string())),
                }
            }
            seized_any |= !pending.is_empty();
            // One after the other: all have been told, so all are on their way while one is waited for.
            for (tid, task) in pending {
                match await_standing(pid, tid, begun) {
                    Ok(signal) => {
                        reached(Step::Stands);
                        stopped.threads.insert(tid, signal);
                        stands(tid, task);
                    }
                    Err(reason) => stopped.missed.push((tid, reason)),
                }
            }
        }
        match (stopped.threads.is_empty(), seized_any) {
            (false, _) => Ok(stopped),
            (true, false) => Err(refusal(pid)),
            (true, true) if proc::threads(pid).is_err() => Err(SampleError::NoSuchProcess { pid }),
            (true, true) => {
                let reason = stopped.missed.first().map(|(_, reason)| reason.clone()).unwrap_or_default();
                Err(SampleError::Io { pid, what: "any thread".into(), reason })
            }
        }
    }

    fn knows(&self, tid: i32) -> bool {
        self.threads.contains_key(&tid) || self.missed.iter().any(|(missed, _)| *missed == tid)
    }
}

/// What has just been done to a thread, or to all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Attached to it; it runs.
    Seized,
    /// Told it to stop; it may stand or run.
    Told,
    /// It stands.
    Stands,
    /// Everything was read of the process that stands.
    Read,
    /// It was let go; others may stand.
    LetGo,
}

/// Tests hold the process here, and kill it.
#[cfg(test)]
pub(super) use super::killed::reached;
#[cfg(not(test))]
pub(super) fn reached(_: Step) {}

/// The registers of a stopped thread.
pub(super) fn registers(tid: i32) -> io::Result<libc::user_regs_struct> {
    // SAFETY: user_regs_struct is plain data for which all zeroes is a value.
    let mut registers: libc::user_regs_struct = unsafe { std::mem::zeroed() };
    request(libc::PTRACE_GETREGS, tid, 0, (&raw mut registers) as usize)?;
    Ok(registers)
}

/// Waits until a thread that was told to stop stands; the signal it was about to receive, or why it does not stand.
fn await_standing(pid: i32, tid: i32, begun: Instant) -> Result<i32, String> {
    let mut rounds = 0u32;
    loop {
        if let Ok(signal) = standing_signal(tid) {
            return Ok(signal);
        }
        rounds += 1;
        // There is no event to block on that another waiter of this process could not take away.
        if rounds <= EAGER {
            std::thread::yield_now();
            continue;
        }
        std::thread::sleep(Duration::from_micros(50));
        // "Not stopped yet" and "gone" are the same error.
        // SAFETY: signal 0 only asks whether the thread exists.
        if unsafe { libc::syscall(libc::SYS_tkill, tid, 0) } != 0 {
            return Err("it ended".into());
        }
        let waited = begun.elapsed();
        if waited > STOP_BUDGET {
            let state = tasks::task(pid, tid).state;
            if waited > PROCESSOR_BUDGET || matches!(state, 'D' | 'Z' | 'X') {
                // It may have stopped between the two looks.
                let last = standing_signal(tid);
                return last.map_err(|_| format!("it did not stop within {} ms (state {state})", waited.as_millis()));
            }
        }
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        for (tid, signal) in &self.threads {
            // A failure means that the thread was killed meanwhile: there is nothing left to resume.
            let _ = request(libc::PTRACE_DETACH, *tid, 0, *signal as usize);
            reached(Step::LetGo);
        }
    }
}

/// Why not a single thread could be stopped.
fn refusal(pid: i32) -> SampleError {
    match proc::tracer(pid) {
        Some(tracer) => SampleError::Traced { pid, tracer },
        None if proc::threads(pid).is_err() => SampleError::NoSuchProcess { pid },
        None => crate::diagnose::access::not_permitted(pid),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{BufRead, BufReader, Read};
    use std::process::{Child, Command, Stdio};

    const TARGET: &str = "GATHERLOCK_TEST_STOPS";

    struct Sleeper(Child);

    impl Sleeper {
        fn start() -> (Sleeper, i32) {
            let child = Command::new("sleep").arg("600").spawn().unwrap();
            let pid = i32::try_from(child.id()).unwrap();
            (Sleeper(child), pid)
        }
    }

    impl Drop for Sleeper {
        fn drop(&mut self) {
            // Fails only if it has ended already.
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }

    fn state(pid: i32) -> char {
        tasks::task(pid, pid).state
    }

    fn await_resumed(pid: i32) {
        let deadline = Instant::now() + Duration::from_secs(20);
        while state(pid) != 'S' || proc::tracer(pid).is_some() {
            assert!(Instant::now() < deadline, "state {}, traced by {:?}", state(pid), proc::tracer(pid));
            std::thread::yield_now();
        }
    }

    /// Not a test: stops a process and holds it until it is killed itself.
    #[test]
    #[ignore = "the killed process of the next test"]
    fn holds_its_target() {
        let _stopped =
            Stopped::new(std::env::var(TARGET).unwrap().parse().unwrap(), None, Vec::new(), |_, _| {}).unwrap();
        println!("\nholding");
        std::io::stdin().read_to_end(&mut Vec::new()).unwrap();
    }

    #[test]
    fn a_target_runs_on_when_the_sampler_is_killed_in_the_middle() {
        let (_sleeper, pid) = Sleeper::start();
        let mut sampler = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "diagnose::live::stop::tests::holds_its_target", "--ignored", "--nocapture"])
            .env(TARGET, pid.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(sampler.stdout.take().unwrap()).lines();
        assert!(lines.map_while(Result::ok).any(|line| line == "holding"));
        assert_eq!(state(pid), 't');
        sampler.kill().unwrap();
        sampler.wait().unwrap();
        await_resumed(pid);
    }

    #[test]
    fn a_target_runs_on_when_the_sampling_thread_panics() {
        let (_sleeper, pid) = Sleeper::start();
        let seen = std::thread::spawn(move || {
            let _stopped = Stopped::new(pid, None, Vec::new(), |_, _| {}).unwrap();
            // The hook would print what is meant to happen here.
            std::panic::resume_unwind(Box::new(state(pid)));
        });
        assert_eq!(seen.join().unwrap_err().downcast_ref::<char>(), Some(&'t'));
        await_resumed(pid);
    }

    #[test]
    fn no_thread_is_stopped_before_the_moment_that_was_asked_for() {
        let (_sleeper, pid) = Sleeper::start();
        let at = Instant::now() + Duration::from_millis(60);
        let stopped = Stopped::new(pid, Some(at), Vec::new(), |_, _| {}).unwrap();
        assert!(stopped.since >= at);
        assert_eq!(state(pid), 't');
        drop(stopped);
        await_resumed(pid);
    }

    #[test]
    fn one_tracer_at_a_time() {
        let (_sleeper, pid) = Sleeper::start();
        let stopped = Stopped::new(pid, None, Vec::new(), |_, _| {}).unwrap();
        let own = i32::try_from(std::process::id()).unwrap();
        let second = std::thread::spawn(move || Stopped::new(pid, None, Vec::new(), |_, _| {}).err());
        assert_eq!(second.join().unwrap(), Some(SampleError::Traced { pid, tracer: own }));
        drop(stopped);
        await_resumed(pid);
    }
}
