//! Figures that are measured apart from the trials and shown beside them, each with the day it was measured.
//!
//! Who measures leaves a document of this shape; a run or a rendering that is given it puts it into its report.

use super::CaseId;
use serde::{Deserialize, Serialize};

/// What was measured apart from the trials; `None` is "not measured here".
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Figures {
    /// What a real Prometheus server saw of nodes that it scraped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server: Option<ServerFigures>,
    /// What `promtool check metrics` says of each variant's page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pages: Option<PageFigures>,
    /// What a scrape costs with each variant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost: Option<CostFigures>,
}

impl Figures {
    /// Whether nothing was measured.
    pub fn is_empty(&self) -> bool {
        *self == Figures::default()
    }

    /// Takes from `other` what it has.
    pub fn add(&mut self, other: Figures) {
        self.server = other.server.or(self.server.take());
        self.pages = other.pages.or(self.pages.take());
        self.cost = other.cost.or(self.cost.take());
    }
}

/// What a real Prometheus server recorded, read back from its API.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ServerFigures {
    /// When, RFC 3339, UTC.
    pub measured: String,
    /// What the server says of its version.
    pub version: String,
    /// Its `scrape_interval`, in seconds.
    pub scrape_interval_seconds: f64,
    /// Its `scrape_timeout`, in seconds.
    pub scrape_timeout_seconds: f64,
    /// The nodes.
    pub nodes: Vec<NodeFigures>,
}

/// One scraped node, after its mistake was armed and its canary was bumped to 1.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct NodeFigures {
    /// What the server calls it.
    pub node: String,
    /// The case that it plays.
    pub case: CaseId,
    /// `up`.
    pub up: f64,
    /// `scrape_duration_seconds`.
    pub scrape_duration_seconds: f64,
    /// `scrape_samples_scraped` before the mistake was armed.
    pub samples_before: f64,
    /// `scrape_samples_scraped` after it.
    pub samples_after: f64,
    /// The canary's value; `None`: the server has no sample of it.
    pub canary: Option<f64>,
    /// The groups of which the node says that they are missing.
    pub missing_groups: Vec<String>,
}

/// What `promtool check metrics` says of pages.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct PageFigures {
    /// When, RFC 3339, UTC.
    pub measured: String,
    /// What the tool says of its version.
    pub version: String,
    /// The pages.
    pub pages: Vec<PageCheck>,
}

/// One page.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct PageCheck {
    /// The variant that served it, or in words what did.
    pub of: String,
    /// Its `Content-Type`.
    pub content_type: String,
    /// The tool's exit code: 0 accepted, 3 read and its style found fault with, anything else not read.
    pub exit_code: Option<i32>,
    /// What it said.
    pub says: Vec<String>,
}

impl PageCheck {
    /// The verdict in words.
    pub fn verdict(&self) -> &'static str {
        match self.exit_code {
            Some(0) => "accepted",
            Some(3) => "read; its style is found fault with",
            Some(_) => "not read",
            None => "no verdict: the tool was ended by a signal",
        }
    }
}

/// What one scrape costs with each variant, as ratios within one run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct CostFigures {
    /// When, RFC 3339, UTC.
    pub measured: String,
    /// Processors available.
    pub cpus: u32,
    /// How many series the page has.
    pub series: u32,
    /// The variant that the others are compared with.
    pub reference: String,
    /// Its own time until the answer, in milliseconds.
    pub reference_ms: f64,
    /// The variants.
    pub of: Vec<CostOf>,
}

/// One variant's cost.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct CostOf {
    /// The variant.
    pub variant: String,
    /// Time until the answer, as a multiple of the reference's.
    pub answer: f64,
    /// Processor time, as a multiple of the reference's.
    pub processors: f64,
}
