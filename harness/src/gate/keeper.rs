//! Keeps what a run has: an append-only journal of trials, and `report.json` written anew from it, atomically, at most
//! once a second; so a killed run loses at most the trials that were under way.

use super::assemble::{RunEnd, RunHeader, TrialRecord, assemble};
use crate::model::{CaseId, Diagnosis, ModelReport, Outcome, Report, Void};
use crate::runner::{RunJournal, SyncPolicy, recover_file};
use serde::{Deserialize, Serialize};
use std::collections::HashSet;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The journal's file name in the output folder.
const JOURNAL: &str = "journal.jsonl";
/// The report's file name in the output folder.
const REPORT: &str = "report.json";
/// `report.json` is rewritten at most this often while a run is under way: often enough to lose little, seldom enough
/// not to matter to the trials.
const REWRITE_EVERY: Duration = Duration::from_secs(1);
/// A large report is rewritten less often: this many times as long as a rewriting takes must lie between two. What is not
/// in `report.json` yet is in the journal.
const REWRITE_SHARE: u32 = 20;
/// What the disk has not got yet is lost only if the machine dies, not if the run does.
const SYNC: SyncPolicy = SyncPolicy::Every(Duration::from_secs(1));

/// A line of a run's journal.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "record", rename_all = "snake_case")]
enum Line {
    Header(Box<RunHeader>),
    Trial(Box<TrialRecord>),
    Model(Box<ModelReport>),
}

/// Why the output folder cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("cannot write to `{}`: {source}; choose another folder with --out DIR", path.display())]
pub struct KeeperError {
    /// The folder or file.
    pub path: PathBuf,
    /// The system's words.
    pub source: std::io::Error,
}

/// See the module's documentation.
#[derive(Debug)]
pub struct Keeper {
    folder: PathBuf,
    header: RunHeader,
    trials: Vec<TrialRecord>,
    models: Vec<ModelReport>,
    problems: Vec<String>,
    diagnosed: HashSet<(CaseId, Option<Outcome>)>,
    journal: RunJournal,
    begun: Instant,
    written: Option<Instant>,
    rewrite_every: Duration,
}

impl Keeper {
    /// Creates the folder and the journal and writes a first, empty report: a folder that cannot be written to is found
    /// out before the first trial.
    ///
    /// # Errors
    /// If the folder, the journal or the report cannot be written.
    pub fn create(folder: &Path, header: RunHeader) -> Result<Keeper, KeeperError> {
        let failed = |path: &Path| {
            let path = path.to_path_buf();
            move |source| KeeperError { path, source }
        };
        std::fs::create_dir_all(folder).map_err(failed(folder))?;
        let path = folder.join(JOURNAL);
        let as_io = std::io::Error::other;
        let mut journal = RunJournal::create(&path, SYNC).map_err(as_io).map_err(failed(&path))?;
        let line = Line::Header(Box::new(header.clone()));
        journal.append(&line).map_err(as_io).map_err(failed(&path))?;
        let mut keeper = Keeper {
            folder: folder.to_path_buf(),
            header,
            trials: Vec::new(),
            models: Vec::new(),
            problems: Vec::new(),
            diagnosed: HashSet::new(),
            journal,
            begun: Instant::now(),
            written: None,
            rewrite_every: REWRITE_EVERY,
        };
        let report = keeper.report(true);
        keeper.write(&report).map_err(failed(&folder.join(REPORT)))?;
        Ok(keeper)
    }

    /// Keeps a trial. The full diagnosis stays with the first trial of each (case, outcome); the rest keep their
    /// evidence. A trial that cannot be written down becomes void and the reason is returned.
    pub fn record(&mut self, mut record: TrialRecord) -> Result<TrialRecord, String> {
        if !self.diagnosed.insert((record.case.clone(), record.trial.outcome)) {
            record.trial.diagnosis = None;
            record.trial.timeline.clear();
        }
        if let Some(diagnosis) = &mut record.trial.diagnosis {
            fold_idle_stacks(diagnosis);
        }
        let written = self.journal.append(&Line::Trial(Box::new(record.clone())));
        let problem = written.err().map(|error| {
            let what = error.to_string();
            record.trial.outcome = None;
            record.trial.void = Some(Void::because(what.clone()));
            self.problem(format!("{}: {what}", record.case));
            what
        });
        self.trials.push(record.clone());
        self.write_now_and_then();
        problem.map_or(Ok(record), Err)
    }

    /// Keeps a model check. One that cannot be written down does not count, and the reason is returned.
    pub fn record_model(&mut self, report: ModelReport) -> Result<(), String> {
        if let Err(error) = self.journal.append(&Line::Model(Box::new(report.clone()))) {
            let what = error.to_string();
            self.problem(format!("{}: {what}", report.name));
            return Err(what);
        }
        self.models.push(report);
        self.write_now_and_then();
        Ok(())
    }

    fn write_now_and_then(&mut self) {
        if self.written.is_none_or(|written| written.elapsed() >= self.rewrite_every) {
            let begun = Instant::now();
            let report = self.report(true);
            if let Err(error) = self.write(&report) {
                self.problem(format!("`{}` cannot be written: {error}", self.folder.join(REPORT).display()));
            }
            self.rewrite_every = REWRITE_EVERY.max(begun.elapsed() * REWRITE_SHARE);
        }
    }

    /// Notes something that went wrong around the trials.
    pub fn problem(&mut self, what: String) {
        if !self.problems.contains(&what) {
            self.problems.push(what);
        }
    }

    /// Writes the last `report.json` and returns it.
    ///
    /// # Errors
    /// If it cannot be written; the report is lost to the disk then, but not to the caller.
    pub fn finish(mut self, interrupted: bool) -> (Report, Result<(), KeeperError>) {
        let report = self.report(interrupted);
        let written = self.write(&report);
        (report, written.map_err(|source| KeeperError { path: self.folder.join(REPORT), source }))
    }

    fn report(&self, interrupted: bool) -> Report {
        let duration_ms = u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        let end = RunEnd { duration_ms, interrupted, problems: self.problems.clone() };
        assemble(&self.header, &self.trials, &self.models, &end)
    }

    fn write(&mut self, report: &Report) -> std::io::Result<()> {
        self.written = Some(Instant::now());
        write_atomically(&self.folder.join(REPORT), crate::render::json::render(report).as_bytes())
    }
}

/// Frames kept of a thread that has no part in what is wrong: where it waits, not how it got there.
const IDLE_FRAMES: usize = 6;

/// Cuts the stacks of threads that neither run a request, nor hold or wait for a lock, nor burn CPU; a service has
/// dozens of them, and they would be most of the report.
fn fold_idle_stacks(diagnosis: &mut Diagnosis) {
    let locks: HashSet<&str> =
        diagnosis.resources.iter().filter(|resource| resource.kind.is_lock()).map(|lock| lock.id.as_str()).collect();
    let concerned: HashSet<i32> =
        diagnosis.edges.iter().filter(|edge| locks.contains(edge.resource.as_str())).map(|edge| edge.thread).collect();
    for thread in &mut diagnosis.threads {
        let idle = !thread.serves_request && !concerned.contains(&thread.tid) && thread.state != "R";
        if idle && thread.stack.len() > IDLE_FRAMES {
            thread.omitted_frames = u32::try_from(thread.stack.len() - IDLE_FRAMES).unwrap_or(u32::MAX);
            Arc::make_mut(&mut thread.stack).truncate(IDLE_FRAMES);
        }
    }
}

/// Writes a file so that it is either the old one or the new one, whole, whenever the writer dies.
///
/// # Errors
/// If the folder cannot be written to, or the disk is full; the old file is untouched then.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = tempfile::Builder::new().permissions(readable_by_all()).tempfile_in(folder)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}

/// Whether [`write_atomically`] could write this file now; one that is there is left as it is.
pub fn check_writable(path: &Path) -> std::io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if path.is_dir() || path.file_name().is_none() {
        return Err(std::io::ErrorKind::IsADirectory.into());
    }
    tempfile::Builder::new().tempfile_in(folder)?.close()
}

/// What a file gets that a shell's redirection makes, before the umask; temporary files are private otherwise.
fn readable_by_all() -> std::fs::Permissions {
    use std::os::unix::fs::PermissionsExt;
    std::fs::Permissions::from_mode(0o644)
}

/// Rebuilds a report from a run's journal, as far as its lines are whole; what is not is among the report's problems.
///
/// # Errors
/// If the file cannot be read or does not begin with a run's header.
pub fn report_from_journal(path: &Path) -> Result<Report, String> {
    let recovered = recover_file::<Line>(path).map_err(|error| format!("cannot read `{}`: {error}", path.display()))?;
    let mut lines = recovered.records.into_iter();
    let Some(Line::Header(header)) = lines.next() else {
        return Err(format!("{}: is no run's journal: its first line is no header", path.display()));
    };
    let (mut trials, mut models) = (Vec::new(), Vec::new());
    for line in lines {
        match line {
            Line::Trial(record) => trials.push(*record),
            Line::Model(report) => models.push(*report),
            Line::Header(_) => {}
        }
    }
    let planned: u64 = header.cases.iter().map(|case| u64::from(case.planned)).sum();
    let end = RunEnd {
        duration_ms: trials.iter().map(|record| record.trial.duration_ms).max().unwrap_or(0),
        interrupted: (trials.len() as u64) < planned || (models.len() as u64) < header.checks,
        problems: recovered.problems.iter().map(ToString::to_string).collect(),
    };
    Ok(assemble(&header, &trials, &models, &end))
}
