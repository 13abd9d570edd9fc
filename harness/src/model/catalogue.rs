//! What a catalogue executable offers: the document that `BIN list --format json` prints.
//!
//! The protocol, version 1. A catalogue is any executable that understands
//!
//! * `list --format json`: print one [`Catalogue`] on stdout, exit 0;
//! * `child CASE --seed S --journal FILE`: run one trial of a case. The child appends one JSON object a line to FILE
//!   ([`ChildLine`](super::ChildLine)), reads one [`Command`] word a line from stdin, and answers each with
//!   `ChildEvent::Done`. End of input on stdin means that the parent is gone: the child must exit at once. The child
//!   is the leader of its own process group and may be killed at any time.

use super::{CaseId, Expectation};
use serde::{Deserialize, Serialize};

/// The version of the protocol between a runner and a catalogue; a runner refuses any other major version.
pub const CATALOGUE_PROTOCOL: &str = "gatherlock.catalogue/1";

/// All that a catalogue executable offers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Catalogue {
    /// Always [`CATALOGUE_PROTOCOL`].
    pub protocol: String,
    /// The catalogue's package name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// `prometheus` versions that the cases run on. The first is that of every case without the parameter `prometheus`.
    #[serde(default)]
    pub prometheus: Vec<String>,
    /// The mistakes, in the order in which reports show them.
    pub scenarios: Vec<Scenario>,
    /// The handlers under test, in the order of the matrix columns.
    pub variants: Vec<Variant>,
    /// Scenario x variant (x parameters), each with an expectation or the reason why it is skipped.
    pub cases: Vec<Case>,
    /// Sentences that the cases bear out together, for the top of the report.
    #[serde(default)]
    pub claims: Vec<Claim>,
}

/// A sentence that several cases bear out together; a report states it only if every one of them held.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    /// The cases it rests on, each at least one trial that counts.
    pub cases: Vec<CaseId>,
    /// What to say if all of them held.
    pub held: String,
    /// What to say if one of them was run and did not hold.
    pub broken: String,
}

/// A named mistake.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Scenario {
    /// Lower-case id, e.g. `register-in-collect`.
    pub id: String,
    /// The heading it stands under, e.g. `recursive lock`.
    pub family: String,
    /// One line: the mechanism.
    pub title: String,
    /// The lesson in plain text, a few paragraphs.
    pub story: String,
    /// Where it happened for real, e.g. `client_python#1076`.
    #[serde(default)]
    pub origin: Vec<String>,
    /// How its trials get on with others.
    #[serde(default)]
    pub company: Company,
    /// The bound of its trials unless the user gives one, in milliseconds; `None` is the run's default.
    #[serde(default)]
    pub bound_ms: Option<u64>,
    /// What the parent does to it.
    pub drive: Drive,
    /// When the parent lets the cause go.
    pub release: Release,
    /// What to change in one's code; shown with each diagnosis.
    #[serde(default)]
    pub advice: Vec<String>,
}

/// How a scenario's trials get on with other trials on the same machine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum Company {
    /// Side by side: they mostly wait.
    #[default]
    Together,
    /// Side by side with others, but one after the other among themselves: they need something that there is once, such as
    /// a fixed port.
    OneAtATime,
    /// Side by side, with a low priority and one CPU left to others: they spin, and what they show does not depend on how
    /// fast.
    Background,
    /// Alone, with one CPU left to the parent: they are a load on the whole machine, and how fast it is matters.
    Alone,
}

/// The load that the parent puts on the endpoint while the mistake is armed.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Drive {
    /// One judged scrape per endpoint, then `extra` more, each `1/(extra+1)` of the bound after the one before.
    Scrapes {
        /// Scrapes after the judged one.
        extra: u32,
    },
    /// k = ceil(`factor` x bound x CPUs / t1) scrapers at once, t1 being the duration of the *before* scrape in this very
    /// trial; at most `max`.
    Storm {
        /// How many times the bound the work should outlast.
        factor: f64,
        /// The most scrapers at once.
        max: u32,
    },
    /// Scrape, then `grow` the registry by at most 1.25 times, until a scrape breaks the bound. That scrape is judged.
    Grow {
        /// Whether to go on to the hang limit instead of the bound.
        past_hang_limit: bool,
    },
}

/// When the parent sends [`Command::Release`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Release {
    /// The cause cannot be taken away.
    Never,
    /// Once the parent has seen the judged scrape's bound pass, or the judged scrape answered.
    AfterBound,
    /// After the hang limit or when all scrapes are answered; then another scrape tells whether the endpoint recovers.
    AtEnd,
}

/// A handler under test.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Variant {
    /// Lower-case id, e.g. `timeout-offload`.
    pub id: String,
    /// One line: what it does.
    pub title: String,
    /// Which of the incident's proposed fixes it renders, if any, e.g. `fix 1`.
    #[serde(default)]
    pub fix: Option<String>,
}

/// One scenario against one variant.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Case {
    /// Its id.
    pub id: CaseId,
    /// Why it is not run; if given, `expectation` is `None`.
    #[serde(default)]
    pub skip: Option<String>,
    /// What it must or may show.
    #[serde(default)]
    pub expectation: Option<Expectation>,
}

/// A word that the parent writes to the child's stdin, one a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Command {
    /// Add 1 to the canary through the variant's own way of updating.
    Bump,
    /// Set the trap: from here on the mistake happens.
    Arm,
    /// Make the registry 1.25 times as large.
    Grow,
    /// Let the cause go: open the gates.
    Release,
    /// Ask the in-process deadlock detector now (it may disturb the threads it reports) and journal what it says.
    AskDetector,
    /// Journal final counts and exit.
    Finish,
}

impl Command {
    /// Every command.
    pub const ALL: [Command; 6] =
        [Command::Bump, Command::Arm, Command::Grow, Command::Release, Command::AskDetector, Command::Finish];

    /// The word on the wire.
    pub fn word(self) -> &'static str {
        match self {
            Command::Bump => "bump",
            Command::Arm => "arm",
            Command::Grow => "grow",
            Command::Release => "release",
            Command::AskDetector => "ask_detector",
            Command::Finish => "finish",
        }
    }
}
