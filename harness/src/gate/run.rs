//! A run: plan, trials side by side, those that need it alone, and the report.

use super::assemble::{CaseRecord, RunHeader, TrialRecord, graded};
use super::environment::{environment, tool};
use super::event::{Observer, RunEvent};
use super::keeper::{Keeper, KeeperError};
use super::setup::{TrialSetup, Witness};
use super::trial::run_trial;
use super::{checks, models};
use crate::diagnose::Engine;
use crate::model::{Case, Catalogue, Company, Figures, Report, TrialReport, Variant, grade_trial};
use crate::probe::scrape::Scraper;
use crate::runner::catalogue::{self, CatalogueError};
use crate::runner::checker::{self, CheckerError};
use crate::runner::plan::{DEFAULT_BOUND, HANG_LIMIT_BOUNDS, Plan, PlanError, PlanOptions, PlannedTrial, plan};
use crate::runner::{LagMeter, Registry, Shard};
use std::collections::{BTreeSet, VecDeque};
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

/// What `repro` is asked to do.
#[derive(Clone, Debug)]
pub struct ReproOptions {
    /// Catalogue executables; at least one.
    pub catalogues: Vec<PathBuf>,
    /// The model checker, if models are to be checked too.
    pub checker: Option<PathBuf>,
    /// Which cases; empty is all.
    pub globs: Vec<String>,
    /// Trials of each case.
    pub trials: u32,
    /// Only the trial of this number, from 0: one trial of many, replayed alone.
    pub only_trial: Option<u32>,
    /// The run's seed.
    pub seed: u64,
    /// Trials side by side; those that need it run alone whatever this says.
    pub jobs: usize,
    /// The bound of every trial; `None`: the scenario's own, or [`DEFAULT_BOUND`].
    pub bound: Option<Duration>,
    /// The hang limit; `None`: three times the bound.
    pub hang_limit: Option<Duration>,
    /// Which part of the trials to run.
    pub shard: Option<Shard>,
    /// What was measured apart from the trials.
    pub figures: Figures,
    /// Where the journal and `report.json` go.
    pub out: PathBuf,
    /// The command line, for the report.
    pub command: Vec<String>,
    /// How one calls this verb, e.g. `cargo xtask repro` or `gatherlock repro --catalogue BIN`, for replay lines.
    pub replay_as: String,
}

/// A catalogue only has to print what it is made of.
pub const CATALOGUE_LIMIT: Duration = Duration::from_secs(20);
/// The first trials of a run begin spread over this time: about what a trial that hangs takes.
const STAGGER: Duration = Duration::from_millis(3_200);
/// How often whoever waits looks whether the run was interrupted.
const LOOK_UP: Duration = Duration::from_millis(50);
/// How many trials run side by side when those are run again that were void because the machine was busy: the first time, and
/// the second and last.
const AGAIN: [usize; 2] = [4, 1];
/// The lag meter wakes this often: often enough to catch a stall of a tenth of the shortest bound.
const LAG_PERIOD: Duration = Duration::from_millis(5);

/// Why a run did not begin.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// No catalogue was given.
    #[error(
        "no catalogue: give one with --catalogue BIN (in a checkout, `cargo xtask repro` builds and passes its own)"
    )]
    NoCatalogue,
    /// A catalogue could not be read.
    #[error(transparent)]
    Catalogue(#[from] CatalogueError),
    /// The model checker could not be read.
    #[error(transparent)]
    Checker(#[from] CheckerError),
    /// The selection is wrong.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// The output folder cannot be used.
    #[error(transparent)]
    Keeper(#[from] KeeperError),
    /// The parent has no thread or descriptor left.
    #[error("cannot start a thread of the run: {0}; `ulimit -u` and `ulimit -n` say what is allowed")]
    Thread(std::io::Error),
}

/// Runs the selected cases and returns the report, whose `exit_code` is the run's. `registry.kill_all()` interrupts it:
/// no further trial begins, those under way end, and the report holds what there was.
///
/// # Errors
/// If there is nothing to run or nowhere to write; nothing has been started then.
pub fn repro(
    options: &ReproOptions,
    registry: &Registry,
    observer: &dyn Observer,
) -> Result<(Report, Result<(), KeeperError>), RunError> {
    if options.catalogues.is_empty() {
        return Err(RunError::NoCatalogue);
    }
    let catalogues: Vec<Catalogue> = options
        .catalogues
        .iter()
        .map(|exe| catalogue::read(exe, CATALOGUE_LIMIT, registry))
        .collect::<Result<_, _>>()?;
    let plan_options = PlanOptions {
        globs: options.globs.clone(),
        trials: options.trials,
        only_trial: options.only_trial,
        seed: options.seed,
        bound: options.bound,
        hang_limit: options.hang_limit,
        shard: options.shard,
    };
    let plan = plan(&catalogues, &plan_options)?;
    let offered = options.checker.as_ref().map(|exe| checker::list(exe, CATALOGUE_LIMIT, registry)).transpose()?;
    let mut header = header(options, &catalogues, &plan);
    let scenarios = header.cases.iter().map(|record| record.case.id.scenario.as_str());
    let (names, checks) =
        offered.as_ref().map(|offered| models::selection(offered, &options.globs, scenarios)).unwrap_or_default();
    (header.checker, header.checks) = (offered, checks);

    let mut keeper = Keeper::create(&options.out, header)?;
    let trials_folder = options.out.join("trials");
    if let Err(source) = std::fs::create_dir_all(&trials_folder) {
        return Err(KeeperError { path: trials_folder, source }.into());
    }
    observer.event(&RunEvent::Planned {
        cases: plan.trials.iter().map(|planned| &planned.case.id).collect::<BTreeSet<_>>().len(),
        trials: plan.trials.len(),
        skipped: plan.skipped.len(),
        jobs: options.jobs,
    });
    let jobs = plan.trials.iter().map(|planned| Job { planned: planned.clone(), void_before: Vec::new() });
    let (alone, others): (Vec<Job>, Vec<Job>) = jobs.partition(|job| job.planned.runs_alone());
    let (one_at_a_time, together): (Vec<Job>, Vec<Job>) =
        others.into_iter().partition(|job| job.planned.scenario.company == Company::OneAtATime);
    let engine = Engine::new();
    let scraper = Scraper::start().map_err(RunError::Thread)?;
    let lag = LagMeter::start(LAG_PERIOD).map_err(RunError::Thread)?;
    let shared = Shared {
        options,
        engine: &engine,
        scraper: &scraper,
        lag: &lag,
        witness: Witness::default(),
        registry,
        trials_folder: &trials_folder,
        keeper: Mutex::new(&mut keeper),
        voided: Mutex::default(),
        observer,
    };
    std::thread::scope(|scope| {
        scope.spawn(|| shared.side_by_side(one_at_a_time, 1));
        shared.side_by_side(together, options.jobs.max(1));
    });
    shared.side_by_side(alone, 1);
    shared.again();
    if let Some(exe) = &options.checker {
        checks::check(exe, (&names, checks), &mut keeper, registry, observer);
    }
    // The trials' own journals are of no use once the run's journal has what they said.
    if let Err(error) = std::fs::remove_dir_all(&trials_folder) {
        keeper.problem(format!("`{}` cannot be removed: {error}", trials_folder.display()));
    }
    Ok(keeper.finish(registry.is_closed()))
}

/// What the threads of a run share.
struct Shared<'a> {
    options: &'a ReproOptions,
    engine: &'a Engine,
    scraper: &'a Scraper,
    lag: &'a LagMeter,
    witness: Witness,
    registry: &'a Registry,
    trials_folder: &'a PathBuf,
    keeper: Mutex<&'a mut Keeper>,
    voided: Mutex<Vec<Job>>,
    observer: &'a dyn Observer,
}

/// A trial to run.
struct Job {
    planned: PlannedTrial,
    /// Why earlier tries of it said nothing.
    void_before: Vec<String>,
}

impl Shared<'_> {
    /// Runs what was void because the machine was busy once more, a few at a time and with twice the bound, so that the same
    /// delay weighs half as much; then what still was, alone. A void trial has no outcome that this could hide, and each
    /// attempt stays in the report. Where the user has set the bound, it stays.
    fn again(&self) {
        for width in AGAIN {
            let mut voided = std::mem::take(&mut *self.voided.lock().unwrap_or_else(PoisonError::into_inner));
            if self.options.bound.is_none() {
                for Job { planned, .. } in &mut voided {
                    planned.bound_ms = planned.bound_ms.saturating_mul(2);
                    planned.hang_limit_ms = planned.hang_limit_ms.saturating_mul(2);
                }
            }
            let (together, others) =
                voided.into_iter().partition(|job| job.planned.scenario.company == Company::Together);
            self.side_by_side(together, width);
            self.side_by_side(others, 1);
        }
    }

    /// Runs `jobs`, at most `width` at a time. Each trial runs on one thread from its start to its end, because a child dies
    /// with the thread that started it, and only that thread may trace it.
    fn side_by_side(&self, jobs: Vec<Job>, width: usize) {
        let width = width.min(jobs.len());
        let queue = Mutex::new(VecDeque::from(jobs));
        let queue = &queue;
        std::thread::scope(|scope| {
            for place in 0..width {
                scope.spawn(move || {
                    // Trials that begin together reach their limits together, and looking into two dozen processes at
                    // once would make the parent late. Spread over one trial's length, they stay apart.
                    let turn = STAGGER.mul_f64(place as f64 / width as f64);
                    let until = Instant::now() + turn;
                    while Instant::now() < until && !self.registry.is_closed() {
                        std::thread::sleep(turn.min(LOOK_UP));
                    }
                    loop {
                        let next = queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
                        match next {
                            Some(job) if !self.registry.is_closed() => self.run(job),
                            _ => return,
                        }
                    }
                });
            }
        });
    }

    /// Runs one trial and keeps it; one that is void because the machine was busy is set aside instead, unless this was the
    /// last try.
    fn run(&self, mut job: Job) {
        let planned = &job.planned;
        let case = &planned.case.id;
        let Some(exe) = self.options.catalogues.get(planned.catalogue) else { return };
        self.observer.event(&RunEvent::Started { case });
        let setup = TrialSetup {
            exe,
            planned,
            folder: self.trials_folder,
            engine: self.engine,
            scraper: self.scraper,
            lag: self.lag,
            witness: &self.witness,
            registry: self.registry,
            replay: replay(self.options, planned),
        };
        let mut trial = run_trial(&setup);
        give_back_memory();
        if self.registry.is_closed() && trial.void.is_some() {
            return; // It was ended by the interrupt: the report counts it as missing.
        }
        let last = job.void_before.len() == AGAIN.len();
        if let Some(void) = trial.void.as_ref().filter(|void| void.machine_busy && !last) {
            self.observer.event(&RunEvent::SetAside { case, reason: &void.reason });
            job.void_before.push(void.reason.clone());
            self.voided.lock().unwrap_or_else(PoisonError::into_inner).push(job);
            return;
        }
        trial.void_before = job.void_before;
        let verdict = |trial: &TrialReport| {
            planned.case.expectation.as_ref().map(|expectation| grade_trial(expectation, &graded(trial)))
        };
        let record = TrialRecord { case: case.clone(), index: planned.index, trial };
        let mut keeper = self.keeper.lock().unwrap_or_else(PoisonError::into_inner);
        if !record.trial.void_before.is_empty() {
            let tries = record.trial.void_before.len();
            let times = if tries == 1 { "once".to_string() } else { format!("{tries} times") };
            keeper.problem(format!("{case}: void {times} because the machine was busy, then run again alone"));
        }
        let kept = keeper.record(record.clone());
        drop(keeper);
        let record = kept.unwrap_or_else(|what| {
            self.observer.event(&RunEvent::Problem { what: &what });
            record
        });
        if let Some(verdict) = verdict(&record.trial) {
            self.observer.event(&RunEvent::Ended { case, trial: &record.trial, verdict });
        }
    }
}

fn header(options: &ReproOptions, catalogues: &[Catalogue], plan: &Plan) -> RunHeader {
    let mut cases = Vec::new();
    let (mut scenarios, mut variants, mut claims, mut prometheus) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for catalogue in catalogues {
        let planned = |case: &Case| plan.trials.iter().filter(|trial| trial.case.id == case.id).count();
        let selected: Vec<CaseRecord> = catalogue
            .cases
            .iter()
            .map(|case| CaseRecord { case: case.clone(), planned: u32::try_from(planned(case)).unwrap_or(u32::MAX) })
            .filter(|record| record.planned > 0 || plan.skipped.iter().any(|skipped| skipped.id == record.case.id))
            .collect();
        let uses = |id: &str| selected.iter().any(|record| record.case.id.scenario == id);
        scenarios.extend(catalogue.scenarios.iter().filter(|scenario| uses(&scenario.id)).cloned());
        let uses = |id: &str| selected.iter().any(|record| record.case.id.variant == id);
        let known = |id: &str| variants.iter().any(|variant: &Variant| variant.id == id);
        let new: Vec<Variant> =
            catalogue.variants.iter().filter(|variant| uses(&variant.id) && !known(&variant.id)).cloned().collect();
        variants.extend(new);
        claims.extend(catalogue.claims.iter().cloned());
        prometheus.extend(catalogue.prometheus.iter().cloned());
        cases.extend(selected);
    }
    let bound = options.bound.unwrap_or(DEFAULT_BOUND);
    let hang_limit = options.hang_limit.unwrap_or(bound * HANG_LIMIT_BOUNDS as u32);
    RunHeader {
        tool: tool(),
        environment: environment(prometheus),
        command: options.command.clone(),
        seed: options.seed,
        bound_ms: millis(bound),
        hang_limit_ms: millis(hang_limit),
        started: humantime::format_rfc3339_seconds(SystemTime::now()).to_string(),
        scenarios,
        variants,
        cases,
        claims,
        checker: None,
        checks: 0,
        figures: options.figures.clone(),
    }
}

/// Gives memory that a trial has freed back to the system: the bodies of a storm are hundreds of megabytes, and a parent
/// that keeps them takes long to fork the next child.
fn give_back_memory() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: malloc_trim takes a number, touches only memory that is free, and may be called from any thread.
    unsafe {
        libc::malloc_trim(0);
    }
}

/// Whole milliseconds.
fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// The command line that runs this very trial again.
fn replay(options: &ReproOptions, planned: &PlannedTrial) -> String {
    let mut line = format!("{} '{}' --seed {}", options.replay_as, planned.case.id, options.seed);
    if planned.index > 0 {
        line.push_str(&format!(" --only-trial {}", planned.index));
    }
    let own = planned.scenario.bound_ms.unwrap_or(millis(DEFAULT_BOUND));
    if planned.bound_ms != own {
        let bound = Duration::from_millis(planned.bound_ms);
        line.push_str(&format!(" --bound {}", humantime::format_duration(bound)));
    }
    if let Some(limit) = options.hang_limit {
        line.push_str(&format!(" --hang-limit {}", humantime::format_duration(limit)));
    }
    line
}
