//! Timestamped facts from probes and from the child; nothing here is a judgement.

use super::Command;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// A fact and when it was seen.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Observation {
    /// Microseconds since the trial's child was started, on the monotonic clock that all local processes share.
    pub at_us: u64,
    /// The fact.
    #[serde(flatten)]
    pub fact: Fact,
}

/// What was seen.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "fact", rename_all = "snake_case")]
pub enum Fact {
    /// The child said something in its journal.
    Child {
        /// What.
        event: ChildEvent,
    },
    /// The parent gave a command.
    Commanded {
        /// Which.
        command: Command,
    },
    /// A scrape or health check was begun.
    Sent {
        /// Number of the request within the trial.
        request: u32,
        /// What for.
        purpose: Purpose,
        /// The URL.
        url: String,
    },
    /// A scrape or health check ended: answered, failed, or given up at the hang limit.
    Ended {
        /// Number of the request.
        request: u32,
        /// How.
        exchange: Exchange,
    },
    /// A sample of the process was taken.
    Sampled {
        /// 1 when the bound passed, 2 at the hang limit.
        sample: u32,
        /// How long the target was stopped, in microseconds.
        stopped_us: u64,
        /// Threads in the sample.
        threads: u32,
    },
    /// The child ended.
    Exited {
        /// Its exit code, if it had one.
        code: Option<i32>,
        /// The signal that ended it, if one did.
        signal: Option<i32>,
        /// Whether the runner sent that signal.
        by_runner: bool,
    },
    /// What others had of the machine while a trial ran that was to be alone on it.
    Others {
        /// CPU time that neither the parent nor the child used, in microseconds; stolen time counts.
        cpu_us: u64,
        /// The time in which they did, in microseconds.
        elapsed_us: u64,
    },
    /// How late the parent's own timer thread woke, at worst, in this trial.
    Lag {
        /// Microseconds.
        worst_us: u64,
    },
}

/// What a request is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    /// The scrape before the mistake is armed; must be served, else the trial is void.
    Before,
    /// The scrape whose outcome is the trial's.
    Judged,
    /// Another scrape while the mistake is armed.
    During,
    /// A scrape after the cause was released.
    After,
    /// A health check.
    Health,
}

impl Purpose {
    /// Whether it is a scrape while the mistake is armed.
    pub fn is_armed(self) -> bool {
        matches!(self, Purpose::Judged | Purpose::During)
    }
}

/// What a child says in its journal, one [`ChildLine`] each.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum ChildEvent {
    /// The servers listen; nothing is armed yet.
    Ready {
        /// One for most cases, three for the incident.
        endpoints: Vec<Endpoint>,
        /// The canary's series as it is exposed, e.g. `gatherlock_canary_total`; `None` if the case has none.
        canary: Option<String>,
        /// Families that may come or go while the mistake is armed.
        volatile: Vec<String>,
    },
    /// A command was carried out; `problem` says why not.
    Done {
        /// Which.
        command: Command,
        /// What went wrong; voids the trial.
        problem: Option<String>,
    },
    /// A point of the story was reached: "collector entered", "writer parked on the registry's lock".
    Reached {
        /// Which point.
        point: String,
        /// The thread it concerns, as the kernel numbers it.
        tid: Option<i32>,
    },
    /// A final count, e.g. `updates_made`.
    Count {
        /// Its name.
        name: String,
        /// Its value.
        value: u64,
    },
    /// What `parking_lot`'s detector said when asked: the number of threads in each cycle it found. Silence is no evidence.
    Detector {
        /// Sizes of the cycles, in threads.
        cycles: Vec<u32>,
    },
    /// The child cannot run the case, e.g. because a fixed port is taken; voids the trial.
    Failed {
        /// Why, as one would tell a person.
        problem: String,
    },
}

/// One line of a child's journal as it stands in the file: `{"at_ns":…,"event":"ready",…}`.
///
/// The reader makes an [`Observation`] of it by subtracting the time at which the child was started.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ChildLine {
    /// Nanoseconds on `CLOCK_MONOTONIC`, read by the child when the event happened.
    pub at_ns: u64,
    /// What happened.
    #[serde(flatten)]
    pub event: ChildEvent,
}

/// One HTTP server of a child.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Endpoint {
    /// `node1`, or empty where there is only one.
    pub name: String,
    /// The URL to scrape.
    pub metrics: String,
    /// The URL of its health check, if it has one.
    pub health: Option<String>,
}

/// How an HTTP exchange went, phase by phase. All times are microseconds from the moment the connect began.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Exchange {
    /// The connection stood.
    pub connected_us: Option<u64>,
    /// TLS was agreed on; only for `https`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secured_us: Option<u64>,
    /// The request was handed to the kernel whole.
    pub sent_us: Option<u64>,
    /// The first byte of the answer arrived.
    pub first_byte_us: Option<u64>,
    /// The answer was complete, or the attempt ended.
    pub total_us: u64,
    /// The status code, if a status line arrived.
    pub status: Option<u16>,
    /// The Content-Type as sent.
    pub content_type: Option<String>,
    /// Bytes of body received, after dechunking.
    pub bytes: u64,
    /// The body if it is text and at most 4 MiB; not serialised into reports.
    #[serde(skip)]
    pub body: Option<String>,
    /// What the body says, once it was read; not serialised into reports. The body itself need not be kept then.
    #[serde(skip)]
    pub content: Option<Box<Content>>,
    /// The URLs that it was redirected to, in order, without their queries; the times count from the first request.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub redirects: Vec<String>,
    /// Where a redirect leads, as sent; not serialised into reports.
    #[serde(skip)]
    pub location: Option<String>,
    /// Response headers whose names begin with `x-gatherlock-`, lower case, or are `warning`, `retry-after` or
    /// `content-encoding`.
    #[serde(default)]
    pub headers: Vec<(String, String)>,
    /// Why it did not end well.
    pub error: Option<ExchangeError>,
}

/// What the body of an answered scrape says, as far as the verdict needs it. Empty for an answer with another status than
/// 200, which has no content.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Content {
    /// The families that have samples; `None` if the body cannot be read.
    pub families: Option<BTreeSet<String>>,
    /// How many samples there are.
    pub samples: u64,
    /// The canary's value; `None` if it is not exposed, or the child names none.
    pub canary: Option<f64>,
    /// The updates that are exposed, where the child counts those that it makes.
    pub updates: Option<f64>,
    /// What makes it no valid exposition.
    pub wrong: Vec<String>,
    /// The one of `wrong` that Prometheus does not mind, and that takes nothing from what the body says.
    pub tolerated: Option<String>,
    /// What Prometheus makes of it: whether it takes it, and the samples that it counts. `None` if that is not known.
    pub prometheus: Option<(bool, u64)>,
    /// Why it could not be checked.
    pub unchecked: Option<String>,
}

/// How the reason begins where TLS was asked for and something else is spoken.
pub const NO_TLS: &str = "TLS cannot be agreed on";

/// How an exchange failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum ExchangeError {
    /// Nothing accepts the connection.
    Unreachable {
        /// The system's words.
        reason: String,
    },
    /// No complete answer by the hang limit; the connection was kept open until then.
    HangLimit,
    /// The peer closed or reset the connection before a complete answer.
    Closed {
        /// What had arrived by then, in words.
        reason: String,
    },
    /// What arrived is no HTTP, or no TLS where TLS was asked for.
    Malformed {
        /// What is wrong with it.
        reason: String,
    },
    /// The server's certificate is not trusted here. This says nothing about the endpoint: whoever scrapes it for real may
    /// trust another authority.
    Untrusted {
        /// Why.
        reason: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_line_is_flat() {
        let line = ChildLine { at_ns: 7, event: ChildEvent::Count { name: "updates_made".into(), value: u64::MAX } };
        let text = serde_json::to_string(&line).unwrap();
        assert_eq!(text, r#"{"at_ns":7,"event":"count","name":"updates_made","value":18446744073709551615}"#);
        assert_eq!(serde_json::from_str::<ChildLine>(&text).unwrap(), line);
    }

    #[test]
    fn optional_fields_of_a_child_line_may_be_left_out() {
        let line: ChildLine = serde_json::from_str(r#"{"at_ns":1,"event":"done","command":"arm"}"#).unwrap();
        assert_eq!(line.event, ChildEvent::Done { command: Command::Arm, problem: None });
    }
}
