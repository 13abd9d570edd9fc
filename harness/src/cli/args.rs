//! What the verbs take, declared once.

use crate::probe::{Header, HttpUrl};
use crate::runner::Shard;
use clap::{Args, Parser, Subcommand, ValueEnum};
use std::path::PathBuf;
use std::time::Duration;

/// Shows why a /metrics endpoint hangs, and keeps it from hanging again.
///
/// Exit codes: 0 held, 1 violated, vanished or diagnosed, 2 could not judge.
#[derive(Debug, Parser)]
#[command(name = "gatherlock", version, disable_help_subcommand = true)]
pub(super) struct Cli {
    #[command(subcommand)]
    pub(super) verb: Verb,
}

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Run a catalogue's cases, each trial in a child process, and leave a report.
    Repro(ReproArgs),
    /// Say why a live endpoint or process hangs: who waits for what, who holds it, and what to change.
    Diagnose(DiagnoseArgs),
    /// Hold live endpoints to their bound, for a CI job: exit 0 if every scrape is served in time.
    Gate(GateArgs),
    /// Render a report (or the journal of a killed run) again, without running anything.
    Report(ReportArgs),
    /// Show a catalogue's scenarios, variants and cases.
    List(ListArgs),
}

#[derive(Debug, Args)]
pub(super) struct ReproArgs {
    /// Cases to run, e.g. `register-in-collect`, `gather-*/naive`, `*/timeout-offload`; all if none is given.
    pub(super) globs: Vec<String>,
    /// A catalogue executable; may be given several times.
    #[arg(long, value_name = "BIN")]
    pub(super) catalogue: Vec<PathBuf>,
    /// Check the models of the same mechanisms too, after the trials; their proofs stand beside them in the report.
    #[arg(long)]
    pub(super) models: bool,
    /// The model checker's executable, for --models.
    #[arg(long, value_name = "BIN")]
    pub(super) checker: Option<PathBuf>,
    /// Trials of each case.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) trials: u32,
    /// Only the trial of this number, from 0: one trial of many, replayed alone.
    #[arg(long, value_name = "N")]
    pub(super) only_trial: Option<u32>,
    /// Seed of the run, from which each trial's is derived; drawn and printed if not given.
    #[arg(long)]
    pub(super) seed: Option<u64>,
    /// Trials side by side; those that burn CPU run alone all the same. Default: 12 for each processor, at most 48.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) jobs: Option<u32>,
    /// The bound within which /metrics must answer. Default: the scenario's own, or 1s.
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub(super) bound: Option<Duration>,
    /// When a scrape counts as hung. Default: 3 times the bound.
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub(super) hang_limit: Option<Duration>,
    /// Run part K of N of the trials.
    #[arg(long, value_name = "K/N")]
    pub(super) shard: Option<Shard>,
    /// A folder with figures that were measured apart, e.g. by `cargo xtask prometheus`; they go into the report.
    #[arg(long, value_name = "DIR")]
    pub(super) figures: Option<PathBuf>,
    /// Where the reports go.
    #[arg(long, value_name = "DIR", default_value = "reports/latest")]
    pub(super) out: PathBuf,
    /// What stdout gets.
    #[arg(long, value_enum, default_value_t = StdoutFormat::Text)]
    pub(super) format: StdoutFormat,
}

#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("what to look at").args(["url", "pid", "snapshot"]).required(true).multiple(true))]
pub(super) struct DiagnoseArgs {
    /// How the endpoint is asked.
    #[command(flatten)]
    pub(super) request: RequestArgs,
    /// The endpoint, e.g. `http://127.0.0.1:9101/metrics`.
    #[arg(long, value_name = "URL")]
    pub(super) url: Option<HttpUrl>,
    /// The process. Found from the URL's port if it listens in this network namespace; alone, the process is searched
    /// for deadlocks.
    #[arg(long, value_name = "PID", value_parser = clap::value_parser!(i32).range(1..))]
    pub(super) pid: Option<i32>,
    /// Judge a saved recording again, instead of looking at anything.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["url", "pid", "watch", "save"])]
    pub(super) snapshot: Option<PathBuf>,
    /// Save a recording that can be judged again on any machine; the README says what is in it.
    #[arg(long, value_name = "FILE")]
    pub(super) save: Option<PathBuf>,
    /// Also write report.json, report.html and report.md into this folder.
    #[arg(long, value_name = "DIR")]
    pub(super) out: Option<PathBuf>,
    /// What stdout gets.
    #[arg(long, value_enum, default_value_t = DiagnosisFormat::Text)]
    pub(super) format: DiagnosisFormat,
    /// In the text, show the stacks of all threads, and the runtime's frames in them.
    #[arg(long)]
    pub(super) full: bool,
    /// Scrape again and again; at the first breach of the bound, save recording and report, and end with 1.
    #[arg(long, requires = "url")]
    pub(super) watch: bool,
    /// From the beginning of one scrape to that of the next.
    #[arg(long, value_name = "DURATION", default_value = "15s", value_parser = duration, requires = "watch")]
    pub(super) interval: Duration,
    /// End with 0 after so many scrapes without a breach.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..), requires = "watch")]
    pub(super) count: Option<u64>,
}

#[derive(Debug, Args)]
pub(super) struct GateArgs {
    /// How the endpoints are asked.
    #[command(flatten)]
    pub(super) request: RequestArgs,
    /// An endpoint; may be given several times.
    #[arg(long = "url", value_name = "URL", required_unless_present = "targets")]
    pub(super) urls: Vec<HttpUrl>,
    /// Endpoints as Prometheus' file_sd lists them, in JSON.
    #[arg(long, value_name = "FILE")]
    pub(super) targets: Option<PathBuf>,
    /// Start this with `sh -c`, wait until the endpoints accept connections, and end it with everything it started.
    #[arg(long, value_name = "CMD")]
    pub(super) command: Option<String>,
    /// How long the command may take until the endpoints accept connections.
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = duration, requires = "command")]
    pub(super) ready: Duration,
    /// The process behind the endpoint; found from the port if not given.
    #[arg(long, value_name = "PID", value_parser = clap::value_parser!(i32).range(1..))]
    pub(super) pid: Option<i32>,
    /// How often each endpoint is scraped.
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) scrapes: u32,
    /// Scrape each endpoint for so long, instead of a number of times.
    #[arg(long, value_name = "DURATION", value_parser = duration, conflicts_with = "scrapes")]
    pub(super) duration: Option<Duration>,
    /// Scrapes side by side each time.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=256))]
    pub(super) scrapers: u32,
    /// Let an honest refusal within the bound (503 with a reason, or a body marked stale) hold as well.
    #[arg(long)]
    pub(super) allow_contained: bool,
    /// Also write report.json, report.md, report.html and junit.xml into this folder.
    #[arg(long, value_name = "DIR")]
    pub(super) out: Option<PathBuf>,
    /// What stdout gets.
    #[arg(long, value_enum, default_value_t = GateFormat::Text)]
    pub(super) format: GateFormat,
}

/// What `gate` prints on stdout.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum GateFormat {
    /// For people.
    Text,
    /// Exactly one JSON document.
    Json,
    /// Annotations for GitHub's runner.
    Github,
    /// For CI systems that show tests.
    Junit,
}

/// How an endpoint is asked, and what it is held to.
#[derive(Debug, Args)]
pub(super) struct RequestArgs {
    /// The bound within which the endpoint must answer, as Prometheus' scrape_timeout.
    #[arg(long, value_name = "DURATION", default_value = "1s", value_parser = duration)]
    pub(super) bound: Duration,
    /// When a scrape counts as hung. Default: 3 times the bound.
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub(super) hang_limit: Option<Duration>,
    /// Another route of the same server, to tell whether only this one hangs. Default: /health.
    #[arg(long, value_name = "URL")]
    pub(super) health_url: Option<HttpUrl>,
    /// A further request header, `Name: value`; may be given several times. Its value is shown nowhere.
    #[arg(long = "header", value_name = "HEADER")]
    pub(super) headers: Vec<Header>,
    /// A file with a bearer token. It is sent as `Authorization` and shown nowhere.
    #[arg(long, value_name = "FILE")]
    pub(super) bearer_file: Option<PathBuf>,
    /// Certificate authorities in PEM form that are trusted for https, instead of the system's.
    #[arg(long, value_name = "FILE")]
    pub(super) ca_file: Option<PathBuf>,
}

/// What `diagnose` prints on stdout.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum DiagnosisFormat {
    /// For people.
    Text,
    /// Exactly one JSON document.
    Json,
    /// For an issue or a step summary.
    Markdown,
    /// One page that loads nothing.
    Html,
}

#[derive(Debug, Args)]
pub(super) struct ReportArgs {
    /// `report.json`, or `journal.jsonl` of a killed run.
    pub(super) file: PathBuf,
    /// A folder with figures that were measured apart, e.g. by `cargo xtask prometheus`; they go into the report.
    #[arg(long, value_name = "DIR")]
    pub(super) figures: Option<PathBuf>,
    /// What to render.
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = [FileFormat::Html, FileFormat::Md, FileFormat::Junit])]
    pub(super) format: Vec<FileFormat>,
    /// Where to; the folder of FILE if not given.
    #[arg(long, value_name = "DIR")]
    pub(super) out: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(super) struct ListArgs {
    /// A catalogue executable; may be given several times.
    #[arg(long, value_name = "BIN")]
    pub(super) catalogue: Vec<PathBuf>,
    /// A model checker's executable: says of each scenario whether it is modelled.
    #[arg(long, value_name = "BIN")]
    pub(super) checker: Option<PathBuf>,
    /// What stdout gets.
    #[arg(long, value_enum, default_value_t = StdoutFormat::Text)]
    pub(super) format: StdoutFormat,
}

/// What a verb prints on stdout.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum StdoutFormat {
    /// For people.
    Text,
    /// Exactly one JSON document.
    Json,
}

/// The files that a report can be rendered to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum FileFormat {
    /// `report.json`.
    Json,
    /// `report.html`.
    Html,
    /// `report.md`.
    Md,
    /// `junit.xml`.
    Junit,
}

/// A duration such as `1s` or `250ms`; zero is refused, because nothing answers in no time.
fn duration(text: &str) -> Result<Duration, String> {
    let duration = humantime::parse_duration(text).map_err(|error| format!("{error} (expected e.g. `1s`, `250ms`)"))?;
    if duration.is_zero() { Err("must be longer than 0".to_string()) } else { Ok(duration) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_declaration_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn durations_are_checked() {
        assert_eq!(duration("250ms"), Ok(Duration::from_millis(250)));
        assert!(duration("0s").is_err());
        assert!(duration("soon").is_err());
    }
}
