//! In a test: what must end in time, ends, or the test fails with a diagnosis of its own process.
//!
//! A process cannot stop and read itself. So [`within`] starts its own executable again as a helper, before it runs what may
//! hang: the helper never gets to `main`, because an initialiser of the ELF file, which runs in front of it, finds the
//! helper's environment variable and waits there. When the time is up the helper looks at the process that started it, whatever locks
//! that holds, and says what it saw. It works in any executable that links this crate, a plain libtest binary included.

use crate::detect::{Hang, diagnose};
use crate::diagnose::{Engine, SampleError};
use crate::model::{Diagnosis, Probes, Target};
use crate::render::terminal;
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Tells the helper whose helper it is.
const HELPER: &str = "GATHERLOCK_HELPER_OF";
/// Between the two samples.
const PAUSE: Duration = Duration::from_millis(200);

/// One helper looks at a time: the kernel allows one tracer, and another's stops would look like movement.
static TURN: Mutex<()> = Mutex::new(());

/// The threads that run, or have hung in, a call of [`within`]: another call's are none of this one's business.
static JUDGED: Mutex<Vec<i32>> = Mutex::new(Vec::new());

/// Why a process could not be diagnosed from within.
#[derive(Debug, thiserror::Error)]
pub enum OwnError {
    /// The helper could not be started.
    #[error("the helper could not be started: {0}")]
    Helper(std::io::Error),
    /// The helper could not look into the process.
    #[error("{0}")]
    Sample(String),
}

/// A second process of this executable that stands by to diagnose this one. Dropping it ends it.
#[derive(Debug)]
pub struct Helper {
    child: Child,
}

impl Helper {
    /// Starts it. Do so before anything may hang: what is needed later has then been done.
    ///
    /// # Errors
    /// When the system refuses another process, or this is not Linux on x86_64.
    pub fn stand_by() -> Result<Helper, OwnError> {
        hook::keep().map_err(|error| OwnError::Sample(error.to_string()))?;
        let mut command = Command::new("/proc/self/exe");
        command.env(HELPER, std::process::id().to_string());
        let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().map_err(OwnError::Helper)?;
        Ok(Helper { child })
    }

    /// What is wrong with this process. `judged` are the threads, as the kernel numbers them, whose hanging is asked about.
    ///
    /// # Errors
    /// When the helper is not allowed to trace this process, or ended early.
    pub fn diagnose(mut self, judged: &[i32]) -> Result<Diagnosis, OwnError> {
        let ended = |error: std::io::Error| OwnError::Sample(format!("the helper ended early: {error}"));
        let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        hook::permit(Some(&self.child));
        let all = JUDGED.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let others = all.iter().filter(|tid| !judged.contains(tid)).map(|tid| -tid);
        let words: Vec<String> = judged.iter().copied().chain(others).map(|tid| tid.to_string()).collect();
        let mut order = self.child.stdin.take().ok_or(OwnError::Sample("the helper has no input".into()))?;
        writeln!(order, "{}", words.join(" ")).map_err(ended)?;
        drop(order);
        let mut answer = String::new();
        if let Some(mut output) = self.child.stdout.take() {
            output.read_to_string(&mut answer).map_err(ended)?;
        }
        hook::permit(None);
        let said: Result<Result<Diagnosis, String>, _> = serde_json::from_str(&answer);
        match said {
            Ok(said) => said.map_err(OwnError::Sample),
            Err(error) => Err(OwnError::Sample(format!("the helper said nothing that can be read: {error}"))),
        }
    }
}

impl Drop for Helper {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        // Fails only if it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs `act` on a thread of its own and returns what it returns; panics with a diagnosis of this process, as `gatherlock
/// diagnose` prints it, if that takes longer than `bound`. A panic of `act` is passed on.
///
/// The thread that hangs stays behind: it ends with the process, as libtest ends it after the last test.
///
/// ```
/// use std::time::Duration;
///
/// // In a test: `registry.gather()`, or an HTTP request to the service under test.
/// let families = gatherlock::within(Duration::from_secs(5), || vec!["up"]);
/// assert_eq!(families, ["up"]);
/// ```
///
/// # Panics
/// If `act` panics, if it is not done in time, or if the helper that would say why cannot be started.
pub fn within<T: Send + 'static>(bound: Duration, act: impl FnOnce() -> T + Send + 'static) -> T {
    let helper = Helper::stand_by().unwrap_or_else(|error| panic!("{error}"));
    let (tell_tid, tid) = sync_channel(1);
    let (tell, told) = sync_channel(1);
    let name =
        std::thread::current().name().map_or("within", |name| name.rsplit("::").next().unwrap_or(name)).to_owned();
    let run = move || {
        let _ = tell_tid.send(hook::gettid());
        // The receiver is gone if the time was up.
        let _ = tell.send(act());
    };
    let thread = std::thread::Builder::new().name(name).spawn(run).unwrap_or_else(|error| panic!("{error}"));
    let judged: Vec<i32> = tid.recv().into_iter().collect();
    let all = || JUDGED.lock().unwrap_or_else(PoisonError::into_inner);
    all().extend(&judged);
    let done = || all().retain(|tid| !judged.contains(tid));
    match told.recv_timeout(bound) {
        Ok(value) => {
            done();
            // Its last act was to send, so that it is about to end; a thread that outlives its test would disturb the next.
            let _ = thread.join();
            value
        }
        Err(RecvTimeoutError::Disconnected) => {
            done();
            match thread.join() {
                Err(panic) => std::panic::resume_unwind(panic),
                Ok(()) => unreachable!("it sends before it ends"),
            }
        }
        Err(RecvTimeoutError::Timeout) => panic!("{}", late(bound, helper.diagnose(&judged))),
    }
}

fn late(bound: Duration, diagnosis: Result<Diagnosis, OwnError>) -> String {
    let bound = humantime::format_duration(bound);
    match diagnosis {
        Ok(diagnosis) => {
            let page = terminal::diagnosis(&diagnosis, &terminal::TerminalOptions::default());
            format!("not done within {bound}\n{page}")
        }
        Err(error) => format!("not done within {bound}, and why is not known: {error}"),
    }
}

/// What the helper does instead of `main`: waits for the order, looks at its parent, answers.
fn help(parent: i32) {
    let mut order = String::new();
    // Without an order the parent did not need it, or is gone.
    if !BufReader::new(std::io::stdin()).read_line(&mut order).is_ok_and(|read| read > 0) {
        return;
    }
    // A minus marks the threads of others.
    let words: Vec<i32> = order.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    let judged: Vec<i32> = words.iter().copied().filter(|tid| *tid > 0).collect();
    let apart: Vec<i32> = words.iter().filter(|tid| **tid < 0).map(|tid| -tid).collect();
    let said = look(parent, &judged, &apart).map_err(|error| error.to_string());
    let mut out = std::io::stdout();
    // Fails only if the parent is gone.
    let _ = serde_json::to_writer(&mut out, &said);
    let _ = out.flush();
}

fn look(pid: i32, judged: &[i32], apart: &[i32]) -> Result<Diagnosis, SampleError> {
    let engine = Engine::new();
    let first = engine.sample(pid)?;
    std::thread::sleep(PAUSE);
    let mut second = engine.sample(pid)?;
    let explained = engine.explain_for(Some(&first), &mut second, true, judged, apart);
    let exe = std::fs::read_link(format!("/proc/{pid}/exe")).ok();
    let exe = exe.and_then(|path| Some(path.file_name()?.to_string_lossy().into_owned()));
    let target = Target { pid: Some(pid), exe, ..Target::default() };
    let hang = Hang { explained: Some(&explained), target: &target, probes: Probes::default(), ahead: 0, advice: &[] };
    let diagnosed = diagnose(&hang);
    let mut diagnosis = diagnosed.diagnosis;
    diagnosis.evidence = diagnosed.evidence;
    Ok(diagnosis)
}

#[cfg(live)]
mod hook {
    use super::{Child, HELPER, SampleError, help};

    /// The loader calls this in front of `main`, behind the part of `std` that keeps the arguments.
    #[used]
    #[unsafe(link_section = ".init_array.00100")]
    static BEFORE_MAIN: extern "C" fn() = before_main;

    extern "C" fn before_main() {
        let Some(parent) = std::env::var_os(HELPER).and_then(|pid| pid.to_str()?.parse().ok()) else { return };
        // A panic may not leave this function; its message is on stderr.
        let _ = std::panic::catch_unwind(|| help(parent));
        // SAFETY: ends the process at once; nothing has been set up that would have to be torn down.
        unsafe { libc::_exit(0) }
    }

    /// Makes the linker keep the initialiser wherever a helper may be started.
    pub(super) fn keep() -> Result<(), SampleError> {
        std::hint::black_box(&BEFORE_MAIN);
        Ok(())
    }

    /// Where the kernel lets only ancestors trace, the helper is allowed to all the same; elsewhere this is refused, and
    /// nothing is missing.
    pub(super) fn permit(helper: Option<&Child>) {
        let pid = helper.map_or(0, |child| libc::c_ulong::from(child.id()));
        // SAFETY: prctl with plain numbers.
        unsafe { libc::prctl(libc::PR_SET_PTRACER, pid, 0, 0, 0) };
    }

    pub(super) fn gettid() -> i32 {
        // SAFETY: gettid has no preconditions.
        unsafe { libc::gettid() }
    }
}

#[cfg(not(live))]
mod hook {
    use super::{Child, SampleError, help};

    pub(super) fn keep() -> Result<(), SampleError> {
        let _ = help as fn(i32);
        Err(SampleError::Unsupported { os: std::env::consts::OS, arch: std::env::consts::ARCH })
    }

    pub(super) fn permit(_: Option<&Child>) {}

    pub(super) fn gettid() -> i32 {
        0
    }
}
