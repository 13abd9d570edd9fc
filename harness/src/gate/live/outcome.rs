//! From a look to its report and exit code, and from a recording back to both.

use super::look::diagnosed;
use crate::detect::Diagnosed;
use crate::gate::environment::{environment, tool};
use crate::model::{Outcome, RECORDING_FORMAT, REPORT_SCHEMA, Recording, Report, Summary};
use serde::Deserialize;

/// Why a file cannot be replayed.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// It is no recording.
    #[error("not a recording: {0}")]
    Shape(String),
    /// It is one of another version.
    #[error("the file is `{0}`, and this version replays `{RECORDING_FORMAT}` only; use the version that wrote it")]
    OtherFormat(String),
}

/// A recording and what it amounts to.
#[derive(Debug)]
pub struct Replayed {
    /// What it amounts to.
    pub diagnosed: Diagnosed,
    /// The recording.
    pub recording: Recording,
}

/// Reads a recording and judges it again; nothing else is looked at.
///
/// # Errors
/// [`ReplayError`] says what the file is instead.
pub fn replay(text: &str) -> Result<Replayed, ReplayError> {
    #[derive(Deserialize)]
    struct Envelope {
        format: String,
    }
    let shape = |error: serde_json::Error| ReplayError::Shape(error.to_string());
    let envelope: Envelope = serde_json::from_str(text).map_err(shape)?;
    let minor = envelope.format.strip_prefix(RECORDING_FORMAT);
    if !minor.is_some_and(|rest| rest.is_empty() || rest.starts_with('.')) {
        return Err(ReplayError::OtherFormat(envelope.format.chars().filter(|c| !c.is_control()).take(80).collect()));
    }
    let recording: Recording = serde_json::from_str(text).map_err(shape)?;
    Ok(Replayed { diagnosed: diagnosed(&recording), recording })
}

/// 0 nothing wrong, 1 a hang or a wrong answer, 2 could not judge.
pub(super) fn exit_code(diagnosed: &Diagnosed) -> u8 {
    match diagnosed.diagnosis.outcome {
        // That a body is too large to be checked does not make an answer a wrong one.
        Some(Outcome::Served) => 0,
        Some(_) => 1,
        None if diagnosed.covered => 0,
        None => 2,
    }
}

/// The report of a look: the envelope of every report, with its diagnosis.
pub fn report(diagnosed: &Diagnosed, recording: &Recording, command: Vec<String>, duration_ms: u64) -> Report {
    Report {
        schema: REPORT_SCHEMA.to_string(),
        tool: tool(),
        environment: environment(Vec::new()),
        command,
        seed: 0,
        bound_ms: recording.bound_ms,
        hang_limit_ms: recording.hang_limit_ms,
        started: recording.recorded.clone(),
        duration_ms,
        scenarios: Vec::new(),
        variants: Vec::new(),
        cases: Vec::new(),
        models: Vec::new(),
        reality: Vec::new(),
        findings: Vec::new(),
        fixes: None,
        figures: None,
        diagnosis: Some(diagnosed.diagnosis.clone()),
        summary: Summary::default(),
        interrupted: false,
        problems: Vec::new(),
        exit_code: exit_code(diagnosed),
    }
}
