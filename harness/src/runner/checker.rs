//! Asks a model checker what it offers, and lets it check.

use super::lines::{JournalProblem, Splitter};
use super::output::{Capture, Keep};
use super::process::Exit;
use super::registry::Registry;
use crate::model::{CHECKER_PROTOCOL, Checker, ModelReport};
use serde::de::DeserializeOwned;
use std::io::{self, Read};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

/// The longest line that is read: a counterexample of thousands of steps.
const LONGEST: usize = 16 << 20;
/// How much of stderr is kept for its last words.
const LAST_WORDS: usize = 16 << 10;

/// Why a checker cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("the checker {} cannot be used: {problem}", exe.display())]
pub struct CheckerError {
    /// The executable.
    pub exe: PathBuf,
    /// What is wrong.
    pub problem: CheckerProblem,
}

/// What can be wrong with a checker.
#[derive(Debug, thiserror::Error)]
pub enum CheckerProblem {
    /// It could not be started.
    #[error("it does not start: {0}; is it there, and executable?")]
    Start(io::Error),
    /// It did not end in time.
    #[error("`--list` did not end within {} ms", .0.as_millis())]
    Timeout(Duration),
    /// It ended badly.
    #[error("it ended badly, {exit}{}", said(.last_words))]
    Failed {
        /// How.
        exit: Exit,
        /// The last line on stderr.
        last_words: Option<String>,
    },
    /// It could not be ended, or not be read.
    #[error("it cannot be attended: {0}")]
    Attend(String),
    /// It printed something that is no record.
    #[error("it printed something else than was asked for: line {} {}; it begins \"{}\"", .0.line, .0.fault, .0.excerpt)]
    NoRecord(JournalProblem),
    /// It printed no list, or several.
    #[error("`--list --format jsonl` printed {0} lines instead of one")]
    NoList(usize),
    /// It speaks another protocol.
    #[error("it speaks `{0}`, this runner speaks `{CHECKER_PROTOCOL}`; build both from the same version")]
    Protocol(String),
}

fn said(last_words: &Option<String>) -> String {
    last_words.as_ref().map(|words| format!("; its last words: \"{words}\"")).unwrap_or_default()
}

/// Runs `EXE --list --format jsonl` and reads what it prints. `timeout` is the most it may take.
///
/// # Errors
/// See [`CheckerProblem`]; no process is left running.
pub fn list(exe: &Path, timeout: Duration, registry: &Registry) -> Result<Checker, CheckerError> {
    let error = |problem| CheckerError { exe: exe.to_path_buf(), problem };
    let mut lists: Vec<serde_json::Value> = Vec::new();
    let words = ["--list", "--format", "jsonl"].map(String::from);
    let ended = run(exe, &words, Some(timeout), registry, |list| lists.push(list)).map_err(error)?;
    if let Some(problem) = ended.and_then(|ended| ended.problem(0..=0)) {
        return Err(error(problem));
    }
    let [list] = lists.as_slice() else { return Err(error(CheckerProblem::NoList(lists.len()))) };
    match list.get("protocol").and_then(|protocol| protocol.as_str()) {
        Some(CHECKER_PROTOCOL) => {}
        other => {
            let other = other.unwrap_or("nothing").chars().filter(|c| !c.is_control()).take(80).collect();
            return Err(error(CheckerProblem::Protocol(other)));
        }
    }
    serde_json::from_value(list.clone()).map_err(|problem| error(CheckerProblem::Attend(problem.to_string())))
}

/// Runs `EXE [NAME…] --format jsonl` and gives each report to `take` as soon as it is there. Ends when the checker does, or
/// when `registry` is closed.
///
/// # Errors
/// See [`CheckerProblem`]; no process is left running, and what was given to `take` stands.
pub fn check(
    exe: &Path,
    names: &[String],
    registry: &Registry,
    take: impl FnMut(ModelReport),
) -> Result<(), CheckerError> {
    let error = |problem| CheckerError { exe: exe.to_path_buf(), problem };
    let mut words = names.to_vec();
    words.extend(["--format", "jsonl"].map(String::from));
    let ended = run(exe, &words, None, registry, take).map_err(error)?;
    // The verdicts are in the lines: 1 and 2 are as good an end as 0.
    match ended.filter(|_| !registry.is_closed()).and_then(|ended| ended.problem(0..=2)) {
        Some(problem) => Err(error(problem)),
        None => Ok(()),
    }
}

/// How a checker ended.
struct Ended {
    exit: Exit,
    last_words: Option<String>,
    /// The last line, if it had no end.
    cut: Option<JournalProblem>,
}

impl Ended {
    /// What is wrong with this end, where these exit codes are good.
    fn problem(self, good: RangeInclusive<i32>) -> Option<CheckerProblem> {
        if !self.exit.code.is_some_and(|code| good.contains(&code)) {
            return Some(CheckerProblem::Failed { exit: self.exit, last_words: self.last_words });
        }
        self.cut.map(CheckerProblem::NoRecord)
    }
}

/// Runs it to its end, or to the end of `timeout`; gives each line of stdout to `take`.
fn run<T: DeserializeOwned + Send>(
    exe: &Path,
    words: &[String],
    timeout: Option<Duration>,
    registry: &Registry,
    mut take: impl FnMut(T),
) -> Result<Option<Ended>, CheckerProblem> {
    let mut command = Command::new(exe);
    command.args(words).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let (mut child, life) = registry.start(command, 0).map_err(CheckerProblem::Start)?;
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let (tell, hear) = channel::<Result<T, JournalProblem>>();
    std::thread::scope(|scope| {
        let reader = scope.spawn(move || {
            let mut splitter = Splitter::new(LONGEST);
            drain(stdout, |bytes| splitter.feed(bytes, |record| drop(tell.send(record))));
            splitter.finish()
        });
        let words = scope.spawn(move || {
            let mut capture = Capture::new(Keep::Last(LAST_WORDS));
            drain(stderr, |bytes| capture.push(bytes));
            capture.captured().last_words()
        });
        let heard = listen(&hear, timeout, &mut take);
        // By itself it has ended once both streams are closed; where it has not, it is ended, and the streams with it.
        let exit = if heard.is_ok() { life.wait_exit(timeout.unwrap_or(Duration::from_secs(60))) } else { None };
        let ended = registry.end(&life).map_err(|error| CheckerProblem::Attend(error.to_string()));
        let attended = |_| CheckerProblem::Attend("a thread that reads its output panicked".to_string());
        let cut = reader.join().map_err(attended)?;
        let last_words = words.join().map_err(attended)?;
        heard?;
        ended?;
        Ok(exit.map(|exit| Ended { exit, last_words, cut }))
    })
}

/// Takes records until the stream ends.
fn listen<T>(
    hear: &Receiver<Result<T, JournalProblem>>,
    timeout: Option<Duration>,
    take: &mut impl FnMut(T),
) -> Result<(), CheckerProblem> {
    let begun = Instant::now();
    loop {
        let next = match timeout {
            Some(timeout) => hear.recv_timeout(timeout.saturating_sub(begun.elapsed())),
            None => hear.recv().map_err(|_| RecvTimeoutError::Disconnected),
        };
        match next {
            Ok(Ok(record)) => take(record),
            Ok(Err(problem)) => return Err(CheckerProblem::NoRecord(problem)),
            Err(RecvTimeoutError::Timeout) => return Err(CheckerProblem::Timeout(timeout.unwrap_or_default())),
            Err(RecvTimeoutError::Disconnected) => return Ok(()),
        }
    }
}

/// Reads to the end. A stream that cannot be read has ended.
fn drain(stream: Option<impl Read>, mut take: impl FnMut(&[u8])) {
    let Some(mut stream) = stream else { return };
    let mut buffer = [0; 16 << 10];
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => return,
            Ok(got) => take(&buffer[..got]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return,
        }
    }
}
