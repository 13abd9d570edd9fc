//! One trial from the child's side: set up, say `ready`, carry out commands until the parent has seen enough.
//!
//! Two threads serve the parent, so that the trial stays under control whatever the scenario has wedged. `commands` reads
//! stdin; end of input ends the process on the spot, and it carries out `ask_detector` and `finish` itself. The main
//! thread carries out the commands that touch the application, and may get stuck in one.

use super::exit::leave;
use super::{Invocation, Journal, args};
use crate::model::{CaseId, Catalogue, ChildEvent, Command, Endpoint};
use std::any::Any;
use std::io::BufRead;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::sync::{Arc, OnceLock, mpsc};
use std::time::Duration;

/// Why something could not be done, as one would tell a person.
pub type Problem = Box<dyn std::error::Error + Send + Sync>;

/// What a child is told about its trial.
#[derive(Clone, Debug)]
pub struct Trial {
    /// The case to run; it stands in the catalogue and is not skipped.
    pub case: CaseId,
    /// The seed of everything that is random.
    pub seed: u64,
    /// The bound that the parent will hold the endpoint to.
    pub bound: Duration,
    /// Where to say what happens.
    pub journal: Journal,
}

/// A scenario that listens, and how to play it on.
pub struct Running {
    /// Its servers.
    pub endpoints: Vec<Endpoint>,
    /// The canary's series, if it has one.
    pub canary: Option<String>,
    /// Families that may come or go while the mistake is armed.
    pub volatile: Vec<String>,
    /// Carries out `bump`, `arm`, `grow` and `release`. Must return quickly: `arm` when the trap is set.
    pub perform: Box<dyn FnMut(Command) -> Result<(), Problem>>,
    /// The final counts, by name. Must not take a lock that the scenario may have wedged.
    pub counts: Box<dyn Fn() -> Vec<(String, u64)> + Send + Sync>,
    /// Asks an in-process deadlock detector: the size of each cycle, in threads. `None` if the build has none.
    pub detector: Option<fn() -> Vec<u32>>,
}

impl Running {
    /// An endpoint that only answers: no canary, no health check, and commands do nothing.
    pub fn at(metrics: impl Into<String>) -> Running {
        Running {
            endpoints: vec![Endpoint { name: String::new(), metrics: metrics.into(), health: None }],
            canary: None,
            volatile: Vec::new(),
            perform: Box::new(|_| Ok(())),
            counts: Box::new(Vec::new),
            detector: None,
        }
    }
}

/// What the `commands` thread needs once the scenario runs.
struct Witness {
    counts: Box<dyn Fn() -> Vec<(String, u64)> + Send + Sync>,
    detector: Option<fn() -> Vec<u32>>,
}

/// The `main` of a catalogue executable: prints the catalogue, or runs one trial, as the command line says.
///
/// Returns 2 for a command line that makes no sense or a scenario that cannot be set up, which is also journalled.
pub fn main(
    catalogue: impl FnOnce() -> Catalogue,
    set_up: impl FnOnce(&Trial) -> Result<Running, Problem>,
) -> ExitCode {
    let refuse = |problem: &dyn std::fmt::Display| {
        eprintln!("{problem}");
        ExitCode::from(2)
    };
    let (case, seed, path) = match Invocation::parse(std::env::args_os().skip(1)) {
        Err(bad) => return refuse(&bad),
        Ok(Invocation::List) => {
            return match serde_json::to_string_pretty(&catalogue()) {
                Ok(text) => {
                    println!("{text}");
                    ExitCode::SUCCESS
                }
                Err(error) => refuse(&error),
            };
        }
        Ok(Invocation::Child { case, seed, journal }) => (case, seed, journal),
    };
    let journal = match Journal::open(&path) {
        Ok(journal) => journal,
        Err(error) => return refuse(&format!("cannot open the journal {}: {error}", path.display())),
    };
    let fail = |problem: String| {
        eprintln!("{problem}");
        journal.say(ChildEvent::Failed { problem });
        ExitCode::from(2)
    };
    // Besides the end of stdin: a parent killed while a grandchild still holds the pipe's other end.
    if let Err(error) = super::platform::die_with_parent() {
        return fail(format!("cannot tie this process to its parent's life: {error}"));
    }
    let bound = match args::bound() {
        Ok(bound) => bound,
        Err(bad) => return fail(bad.to_string()),
    };
    match catalogue().cases.into_iter().find(|known| known.id == case) {
        None => return fail(format!("this catalogue has no case `{case}`")),
        Some(known) => {
            if let Some(reason) = known.skip {
                return fail(format!("case `{case}` is skipped: {reason}"));
            }
        }
    }
    let witness = Arc::new(OnceLock::new());
    let commands = match listen(&journal, &witness) {
        Ok(commands) => commands,
        Err(error) => return fail(format!("cannot start the commands thread: {error}")),
    };
    let trial = Trial { case, seed, bound, journal: journal.clone() };
    let mut running = match set_up(&trial) {
        Ok(running) => running,
        Err(problem) => return fail(problem.to_string()),
    };
    let _ = witness.set(Witness { counts: running.counts, detector: running.detector });
    journal.say(ChildEvent::Ready { endpoints: running.endpoints, canary: running.canary, volatile: running.volatile });
    for command in commands {
        let outcome = catch_unwind(AssertUnwindSafe(|| (running.perform)(command)));
        let problem = match outcome {
            Ok(done) => done.err().map(|problem| problem.to_string()),
            Err(panic) => Some(format!("it panicked: {}", panic_text(&*panic))),
        };
        journal.say(ChildEvent::Done { command, problem });
    }
    ExitCode::SUCCESS
}

/// Starts the `commands` thread; what it does not carry out itself comes out of the receiver.
fn listen(journal: &Journal, witness: &Arc<OnceLock<Witness>>) -> std::io::Result<mpsc::Receiver<Command>> {
    let (pass_on, commands) = mpsc::channel();
    let (journal, witness) = (journal.clone(), witness.clone());
    std::thread::Builder::new().name("commands".into()).spawn(move || {
        for line in std::io::stdin().lock().lines() {
            let Ok(line) = line else { break };
            let word = line.trim();
            match Command::ALL.into_iter().find(|command| command.word() == word) {
                None => journal.say(ChildEvent::Failed { problem: format!("`{word}` is no command") }),
                Some(command @ Command::AskDetector) => {
                    if let Some(detector) = witness.get().and_then(|witness| witness.detector) {
                        journal.say(ChildEvent::Detector { cycles: detector() });
                    }
                    journal.say(ChildEvent::Done { command, problem: None });
                }
                Some(command @ Command::Finish) => {
                    for (name, value) in witness.get().map(|witness| (witness.counts)()).unwrap_or_default() {
                        journal.say(ChildEvent::Count { name, value });
                    }
                    journal.say(ChildEvent::Done { command, problem: None });
                    leave(0);
                }
                Some(command) => {
                    if pass_on.send(command).is_err() {
                        break;
                    }
                }
            }
        }
        leave(0);
    })?;
    Ok(commands)
}

fn panic_text(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("without a message")
}
