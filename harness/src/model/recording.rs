//! One look at a live endpoint or process as a file: all that its verdict rests on, so that another machine comes to the
//! same one.

use super::{Explained, Gap, Outcome, Probes, PrometheusView, Target, Tool};
use serde::{Deserialize, Serialize};

/// The version of the file's shape; changes within `/1` only add.
pub const RECORDING_FORMAT: &str = "gatherlock.recording/1";

/// What `diagnose --save` writes and `diagnose --snapshot` replays.
///
/// It holds no memory of the target: stacks are frames by name, locks are addresses and holder counts. What may be
/// confidential in it is listed in the README: names (of the executable, functions, files, threads, metrics that hang),
/// the URL, addresses of peers, times, and the value of `Content-Type`; no request header, no body.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Recording {
    /// Always [`RECORDING_FORMAT`].
    pub format: String,
    /// Who wrote it.
    pub tool: Tool,
    /// When it was recorded, RFC 3339, UTC.
    pub recorded: String,
    /// The bound, in milliseconds.
    pub bound_ms: u64,
    /// The hang limit, in milliseconds.
    pub hang_limit_ms: u64,
    /// What was looked at.
    pub target: Target,
    /// What the probes saw.
    pub probes: Probes,
    /// What the scrape was worth; `None` if none was sent.
    pub judged: Option<Judged>,
    /// Two samples of the process, explained; `None` if it was not looked into.
    pub explained: Option<Explained>,
    /// What could not be seen around that, and why: which process it is, why it could not be looked into.
    pub gaps: Vec<Gap>,
    /// The process that serves the URL, where the caller named another one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub other: Option<OtherProcess>,
    /// Whether the process ended while it was looked at.
    pub died: bool,
}

/// A process that serves the URL, and is not the one that the caller named.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OtherProcess {
    /// The one that the caller named.
    pub named: i32,
    /// The one that serves the URL.
    pub pid: i32,
    /// Its name; untrusted.
    pub name: String,
}

/// A scrape, judged from outside.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Judged {
    /// Its class; `None` if it was not answered by the hang limit, and only the process can say which hang that is.
    pub outcome: Option<Outcome>,
    /// Why it is `invalid`, if it is.
    pub wrong: Vec<String>,
    /// Why the body could not be checked.
    pub unchecked: Option<String>,
    /// Metric families and samples of a body that could be read.
    pub content: Option<(usize, u64)>,
    /// What the format forbids and Prometheus takes.
    #[serde(default)]
    pub warnings: Vec<String>,
    /// What Prometheus would have recorded; `None` if that is not known.
    pub prometheus: Option<PrometheusView>,
}
