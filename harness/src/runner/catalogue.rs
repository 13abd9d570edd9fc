//! Asks a catalogue executable what it offers, and checks that the answer hangs together.

use super::attendant::Attendant;
use super::output::Keep;
use super::process::Exit;
use super::registry::Registry;
use crate::model::{CATALOGUE_PROTOCOL, CaseId, Catalogue};
use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

/// The largest catalogue that is read, in bytes.
const MOST: usize = 16 << 20;

/// Why a catalogue cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("the catalogue {} cannot be used: {problem}", exe.display())]
pub struct CatalogueError {
    /// The executable.
    pub exe: PathBuf,
    /// What is wrong.
    pub problem: CatalogueProblem,
}

/// What can be wrong with a catalogue.
#[derive(Debug, thiserror::Error)]
pub enum CatalogueProblem {
    /// It could not be started.
    #[error("it does not start: {0}; is it there, and executable?")]
    Start(io::Error),
    /// It did not end in time.
    #[error("`list --format json` did not end within {} ms", .0.as_millis())]
    Timeout(Duration),
    /// It ended badly.
    #[error("`list --format json` ended with {exit}{}", said(.last_words))]
    Failed {
        /// How.
        exit: Exit,
        /// The last line on stderr.
        last_words: Option<String>,
    },
    /// It printed more than any catalogue needs.
    #[error("`list --format json` printed {0} bytes, the most is {MOST}")]
    TooLong(u64),
    /// It could not be ended, or not be attended.
    #[error("`list --format json` cannot be attended: {0}")]
    Attend(String),
    /// What it printed is no catalogue.
    #[error("`list --format json` printed something else than one JSON catalogue: {0} of stdout")]
    NoCatalogue(serde_json::Error),
    /// It speaks another protocol.
    #[error("it speaks `{0}`, this runner speaks `{CATALOGUE_PROTOCOL}`; build both from the same version")]
    Protocol(String),
    /// Its parts contradict each other.
    #[error("it contradicts itself: {}", .0.join("; "))]
    Contradictions(Vec<String>),
}

fn said(last_words: &Option<String>) -> String {
    last_words.as_ref().map(|words| format!("; its last words: \"{words}\"")).unwrap_or_default()
}

/// Runs `EXE list --format json` and reads what it prints. `timeout` is the most it may take.
///
/// # Errors
/// See [`CatalogueProblem`]; no process is left running.
pub fn read(exe: &Path, timeout: Duration, registry: &Registry) -> Result<Catalogue, CatalogueError> {
    list(exe, timeout, registry).map_err(|problem| CatalogueError { exe: exe.to_path_buf(), problem })
}

fn list(exe: &Path, timeout: Duration, registry: &Registry) -> Result<Catalogue, CatalogueProblem> {
    let mut command = Command::new(exe);
    command.args(["list", "--format", "json"]).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let (mut process, life) = registry.start(command, 0).map_err(CatalogueProblem::Start)?;
    let attendant = Attendant::start(&mut process, Keep::First(MOST), Arc::clone(&life), None, |_| {});
    let by_itself = if attendant.is_ok() { life.wait_exit(timeout) } else { None };
    let ended = registry.end(&life);
    let mut attendant = attendant.map_err(|e| CatalogueProblem::Attend(e.to_string()))?;
    attendant.stop();
    let Some(exit) = by_itself else { return Err(CatalogueProblem::Timeout(timeout)) };
    ended.map_err(|e| CatalogueProblem::Attend(e.to_string()))?;
    if exit.code != Some(0) {
        return Err(CatalogueProblem::Failed { exit, last_words: attendant.stderr().last_words() });
    }
    let printed = attendant.stdout();
    if printed.total > printed.bytes.len() as u64 {
        return Err(CatalogueProblem::TooLong(printed.total));
    }
    parse(&printed.bytes)
}

/// Parses and checks what a catalogue printed.
///
/// # Errors
/// [`CatalogueProblem::NoCatalogue`], [`CatalogueProblem::Protocol`] or [`CatalogueProblem::Contradictions`].
pub fn parse(printed: &[u8]) -> Result<Catalogue, CatalogueProblem> {
    // The protocol first: a catalogue of another version may have any other shape.
    let value: serde_json::Value = serde_json::from_slice(printed).map_err(CatalogueProblem::NoCatalogue)?;
    match value.get("protocol").and_then(|protocol| protocol.as_str()) {
        Some(CATALOGUE_PROTOCOL) | None => {}
        Some(other) => {
            return Err(CatalogueProblem::Protocol(other.chars().filter(|c| !c.is_control()).take(80).collect()));
        }
    }
    // From the text again, so that an error has its place.
    let catalogue: Catalogue = serde_json::from_slice(printed).map_err(CatalogueProblem::NoCatalogue)?;
    check(&catalogue)?;
    Ok(catalogue)
}

/// Checks the protocol, and that ids are unique and refer to something.
///
/// # Errors
/// [`CatalogueProblem::Protocol`] or [`CatalogueProblem::Contradictions`].
pub fn check(catalogue: &Catalogue) -> Result<(), CatalogueProblem> {
    if catalogue.protocol != CATALOGUE_PROTOCOL {
        return Err(CatalogueProblem::Protocol(catalogue.protocol.clone()));
    }
    let mut wrong = Vec::new();
    let mut scenarios = BTreeSet::new();
    for scenario in &catalogue.scenarios {
        if !scenarios.insert(scenario.id.as_str()) {
            wrong.push(format!("two scenarios are called `{}`", scenario.id));
        }
    }
    let mut variants = BTreeSet::new();
    for variant in &catalogue.variants {
        if !variants.insert(variant.id.as_str()) {
            wrong.push(format!("two variants are called `{}`", variant.id));
        }
    }
    let mut cases: BTreeSet<&CaseId> = BTreeSet::new();
    for case in &catalogue.cases {
        let id = &case.id;
        if !cases.insert(id) {
            wrong.push(format!("two cases are called `{id}`"));
        }
        if !scenarios.contains(id.scenario.as_str()) {
            wrong.push(format!("case `{id}` belongs to no scenario"));
        }
        if !variants.contains(id.variant.as_str()) {
            wrong.push(format!("case `{id}` belongs to no variant"));
        }
        match (&case.skip, &case.expectation) {
            (Some(_), Some(_)) => wrong.push(format!("case `{id}` is skipped and has an expectation")),
            (None, None) => wrong.push(format!("case `{id}` has no expectation: nothing could fail it")),
            _ => {}
        }
    }
    if wrong.is_empty() { Ok(()) } else { Err(CatalogueProblem::Contradictions(wrong)) }
}
