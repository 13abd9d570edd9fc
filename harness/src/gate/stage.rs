//! The parent's side of one trial: the child, what was observed so far, and the two samples.

use super::halt::Halt;
use super::requests::{Heard, Requests};
use super::setup::TrialSetup;
use crate::detect::read_bodies;
use crate::model::{ChildEvent, Command, Company, Endpoint, Explained, Fact, Observation, Purpose, Snapshot};
use crate::runner::clock::Epoch;
use crate::runner::cpus::Others;
use crate::runner::{Child, JournalFault, LagWatch, Said, SpawnOptions};
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

/// A child that has not said `ready` by then has not got through its set-up. Generous: nothing is measured by it.
const READY_LIMIT: Duration = Duration::from_secs(15);
/// A sound child answers a command at once; a wedged one never does.
const COMMAND_LIMIT: Duration = Duration::from_secs(10);
/// `parking_lot`'s detector symbolises stacks in the child before it answers.
const DETECTOR_LIMIT: Duration = Duration::from_secs(3);
/// A child that was asked to finish gets this long before its group is killed.
const FINISH_LIMIT: Duration = Duration::from_millis(500);
/// How often whoever waits looks whether the run was interrupted.
const LOOK_UP: Duration = Duration::from_millis(50);

/// See the module's documentation.
pub(crate) struct Stage<'a> {
    pub(super) setup: &'a TrialSetup<'a>,
    pub(super) requests: Requests,
    pub(super) endpoints: Vec<Endpoint>,
    epoch: Epoch,
    journal: PathBuf,
    child: Child,
    lag: LagWatch,
    observations: Vec<Observation>,
    heard: Receiver<Heard>,
    samples: Vec<Snapshot>,
    released: bool,
    gone: bool,
    explained: Option<Explained>,
    classified_ms: Option<f64>,
    /// The CPU time of one scrape, where it was asked.
    pub(super) price: Option<Duration>,
    /// What others have of the machine; asked only for a trial that is to be alone.
    others: Option<Others>,
}

impl<'a> Stage<'a> {
    /// Starts the child.
    pub(crate) fn open(setup: &'a TrialSetup<'a>) -> Result<Stage<'a>, String> {
        let planned = setup.planned;
        let journal = setup.folder.join(format!("{:016x}-{}.jsonl", planned.seed, planned.index));
        let mut options = SpawnOptions::new(setup.exe, planned.case.id.clone(), planned.seed, &journal, setup.registry);
        let company = planned.scenario.company;
        options.leaves_a_cpu = matches!(company, Company::Background | Company::Alone);
        options.low_priority = company == Company::Background;
        options.env.push((crate::catalogue::BOUND_VARIABLE.into(), planned.bound_ms.to_string().into()));
        let (say, heard): (Sender<Heard>, Receiver<Heard>) = channel();
        let requests = Requests::new(say.clone());
        let epoch = Epoch::now();
        let lag = setup.lag.watch();
        let others = if planned.runs_alone() { Others::watch() } else { None };
        // A trial that is over no longer listens; what it would have heard is of no interest.
        let child = Child::spawn(&options, move |said| drop(say.send(Heard::Said(said)))).map_err(|e| e.to_string())?;
        Ok(Stage {
            setup,
            requests,
            endpoints: Vec::new(),
            epoch,
            journal,
            child,
            lag,
            observations: Vec::new(),
            heard,
            samples: Vec::new(),
            released: false,
            gone: false,
            explained: None,
            classified_ms: None,
            price: None,
            others,
        })
    }

    /// All that was seen so far.
    pub(crate) fn observations(&self) -> &[Observation] {
        &self.observations
    }

    /// Reads the answers that came since the last time and lets go of their bodies. Not as they come: reading a storm's
    /// takes longer than the storm leaves time to note when each of them ended.
    pub(crate) fn read_bodies(&mut self) {
        read_bodies(&mut self.observations);
    }

    /// What the live engine made of the samples.
    pub(crate) fn explained(&self) -> Option<&Explained> {
        self.explained.as_ref()
    }

    /// Milliseconds from the hang limit passing to the classification.
    pub(crate) fn classified_ms(&self) -> Option<f64> {
        self.classified_ms
    }

    /// The child's process id.
    pub(crate) fn pid(&self) -> i32 {
        self.child.pid()
    }

    /// The bound of the trial.
    pub(super) fn bound(&self) -> Duration {
        Duration::from_millis(self.setup.planned.bound_ms)
    }

    /// The hang limit of the trial.
    pub(super) fn hang_limit(&self) -> Duration {
        Duration::from_millis(self.setup.planned.hang_limit_ms)
    }

    /// Waits until the servers listen.
    pub(crate) fn ready(&mut self) -> Result<(), Halt> {
        let event = self.wait_for(READY_LIMIT, "ready", |event| matches!(event, ChildEvent::Ready { .. }))?;
        if let ChildEvent::Ready { endpoints, .. } = event {
            self.endpoints = endpoints;
        }
        if self.endpoints.is_empty() {
            return Err(Halt::Void("the child is ready without an endpoint to scrape".to_string()));
        }
        Ok(())
    }

    /// Gives a command and waits until the child has carried it out.
    pub(crate) fn command(&mut self, command: Command) -> Result<(), Halt> {
        self.tell(command)?;
        self.await_done(command, COMMAND_LIMIT)
    }

    /// Lets the cause go, once.
    pub(crate) fn release(&mut self) -> Result<(), Halt> {
        if std::mem::replace(&mut self.released, true) {
            return Ok(());
        }
        self.command(Command::Release)
    }

    /// Whether the cause was let go.
    pub(super) fn released(&self) -> bool {
        self.released
    }

    /// Asks the in-process detector. It is a witness beside others, so no answer is no halt.
    pub(crate) fn ask_detector(&mut self) -> Result<(), Halt> {
        self.tell(Command::AskDetector)?;
        match self.await_done(Command::AskDetector, DETECTOR_LIMIT) {
            Err(Halt::Void(_)) if !self.setup.registry.is_closed() => Ok(()),
            other => other,
        }
    }

    /// Takes a sample of the child while it stands still for a moment. That none can be taken is a gap, not a halt: it
    /// leaves the trial without a claim about locks.
    pub(crate) fn sample(&mut self) {
        match self.setup.engine.sample(self.child.pid()) {
            Ok(snapshot) => {
                let fact = Fact::Sampled {
                    sample: u32::try_from(self.samples.len() + 1).unwrap_or(u32::MAX),
                    stopped_us: snapshot.stopped_us,
                    threads: u32::try_from(snapshot.threads.len()).unwrap_or(u32::MAX),
                };
                self.samples.push(snapshot);
                self.note(fact);
            }
            Err(error) => {
                let what = "a sample of the process".to_string();
                let gap = crate::model::Gap { what, why: error.to_string(), uncovers: true };
                self.explained.get_or_insert_default().gaps.push(gap);
            }
        }
    }

    /// Whether at least one sample was taken.
    pub(crate) fn sampled(&self) -> bool {
        !self.samples.is_empty()
    }

    /// Lets the live engine explain the first and the last sample.
    pub(crate) fn explain(&mut self) {
        let Some(mut last) = self.samples.pop() else { return };
        let mut explained = self.setup.engine.explain(self.samples.first(), &mut last, true);
        if let Some(earlier) = self.explained.take() {
            explained.gaps.extend(earlier.gaps);
        }
        self.explained = Some(explained);
        self.samples.push(last);
    }

    /// Notes how long the classification took since the judged scrape's hang limit passed.
    pub(crate) fn classified(&mut self) {
        let passed = self.requests.judged_at().map(|at| at + self.hang_limit());
        self.classified_ms = passed.map(|at| at.elapsed().as_secs_f64() * 1000.0);
    }

    /// Ends the child and everything it started, and notes how it went.
    pub(crate) fn close(&mut self, ended_well: bool) {
        // Only while the child lives is its own part known.
        if let Some((cpu, elapsed)) = self.others.and_then(|others| others.so_far(self.child.pid())) {
            let us = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
            self.note(Fact::Others { cpu_us: us(cpu), elapsed_us: us(elapsed) });
        }
        let exit = if ended_well && !self.gone {
            self.note(Fact::Commanded { command: Command::Finish });
            self.child.finish(FINISH_LIMIT)
        } else {
            self.child.kill_group()
        };
        while let Ok(heard) = self.heard.try_recv() {
            // A journal cut off by the kill is no news.
            let _ = self.take(heard);
        }
        if exit.is_err() || !self.gone {
            self.gone = true;
        }
        self.note(Fact::Lag { worst_us: self.lag.worst_us() });
        // What it said is in the observations; a file that is gone already is as good.
        let _ = std::fs::remove_file(&self.journal);
    }

    /// What the child printed last, for an error.
    fn last_words(&self) -> String {
        let words = self.child.stderr().last_words();
        words.map(|words| format!("; its last words: \"{words}\"")).unwrap_or_default()
    }

    fn tell(&mut self, command: Command) -> Result<(), Halt> {
        self.note(Fact::Commanded { command });
        match self.child.command(command) {
            Ok(()) => Ok(()),
            // The pipe is closed because the child is gone or failed: its own word comes first, if there is one.
            Err(error) => match self.wait_for(LOOK_UP, "anything", |_| false) {
                Err(Halt::Told) => Err(Halt::Told),
                _ => Err(Halt::Void(error.to_string())),
            },
        }
    }

    fn await_done(&mut self, wanted: Command, limit: Duration) -> Result<(), Halt> {
        let is_it = |event: &ChildEvent| matches!(event, ChildEvent::Done { command, .. } if *command == wanted);
        match self.wait_for(limit, wanted.word(), is_it)? {
            ChildEvent::Done { problem: Some(_), .. } => Err(Halt::Told),
            _ => Ok(()),
        }
    }

    /// Waits for an event of the child; everything else on the way is noted.
    fn wait_for(
        &mut self,
        limit: Duration,
        what: &str,
        wanted: impl Fn(&ChildEvent) -> bool,
    ) -> Result<ChildEvent, Halt> {
        let end = Instant::now() + limit;
        while Instant::now() < end {
            if let Some(event) = self.hear(end)?
                && wanted(&event)
            {
                return Ok(event);
            }
        }
        Err(Halt::Void(format!("the child did not answer `{what}` within {limit:?}{}", self.last_words())))
    }

    /// Waits until `end` at most for the next thing that is heard, and notes it. `None`: nothing, or no event of the child.
    pub(super) fn hear(&mut self, end: Instant) -> Result<Option<ChildEvent>, Halt> {
        if self.setup.registry.is_closed() {
            return Err(Halt::Void("the run was interrupted".to_string()));
        }
        let left = end.saturating_duration_since(Instant::now()).min(LOOK_UP);
        match self.heard.recv_timeout(left) {
            Ok(heard) => self.take(heard),
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(RecvTimeoutError::Disconnected) => Err(Halt::Told),
        }
    }

    fn take(&mut self, heard: Heard) -> Result<Option<ChildEvent>, Halt> {
        match heard {
            Heard::Ended(request, exchange) => {
                self.requests.answered(request, &exchange);
                self.note(Fact::Ended { request, exchange });
                Ok(None)
            }
            Heard::Said(Said::Line(line)) => {
                let (at_us, event) = (self.epoch.us_at(line.at_ns), line.event);
                self.observations.push(Observation { at_us, fact: Fact::Child { event: event.clone() } });
                if matches!(event, ChildEvent::Failed { .. }) { Err(Halt::Told) } else { Ok(Some(event)) }
            }
            Heard::Said(Said::Problem(problem)) if matches!(problem.fault, JournalFault::CutOff { .. }) => Ok(None),
            Heard::Said(Said::Problem(problem)) => Err(Halt::Void(format!("the child's {problem}"))),
            Heard::Said(Said::Exited(exit)) => {
                self.gone = true;
                self.note(Fact::Exited { code: exit.code, signal: exit.signal, by_runner: exit.by_runner });
                Err(Halt::Told)
            }
        }
    }

    /// Notes a fact, now.
    pub(super) fn note(&mut self, fact: Fact) {
        self.observations.push(Observation { at_us: self.epoch.elapsed_us(), fact });
    }

    /// Relabels a request that was sent: which scrape of a growing registry is the judged one is known only afterwards.
    pub(super) fn relabel(&mut self, wanted: u32, as_what: Purpose) {
        for observation in &mut self.observations {
            if let Fact::Sent { request, purpose, .. } = &mut observation.fact
                && *request == wanted
            {
                *purpose = as_what;
            }
        }
    }

    /// Whether a scrape was answered with a refusal, or with a body that says what is stale or missing: something may be
    /// stuck behind it.
    pub(crate) fn something_may_be_stuck(&self) -> bool {
        self.observations.iter().any(|observation| match &observation.fact {
            Fact::Ended { exchange, .. } => exchange.status == Some(503) || !exchange.headers.is_empty(),
            _ => false,
        })
    }

    /// Forgets the samples taken so far.
    pub(super) fn forget_samples(&mut self) {
        self.samples.clear();
    }

    /// The URL of the first endpoint.
    pub(crate) fn first_url(&self) -> Option<String> {
        self.endpoints.first().map(|endpoint| endpoint.metrics.clone())
    }
}
