//! Checks models, replays one counterexample, or lists the models: `cargo xtask model`, and the checker of `repro --models`.
//!
//! Standard output has the result and nothing else; progress goes to standard error.

mod args;
mod progress;

use args::{Asked, Engines, Format, USAGE};
use gatherlock::model::{Counterexample, ModelReport, exit_code};
use gatherlock::render::terminal::{self, TerminalOptions};
use gatherlock_loom_tests::checker::checker;
use gatherlock_loom_tests::explore::{Body, Explorer, Limits, Search};
use gatherlock_loom_tests::models::Model;
use gatherlock_loom_tests::replay::Replay;
use gatherlock_loom_tests::report::report;
use gatherlock_loom_tests::select::select;
use progress::{EXECUTIONS, Progress};
use serde::Serialize;
use std::collections::VecDeque;
use std::io::{IsTerminal, Write};
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// How one calls this tool, if not by its own name; `cargo xtask` sets it.
const INVOKED_AS: &str = "GATHERLOCK_INVOKED_AS";
/// loom's bound on preemptions unless `--exhaustive`: one more than any deadlock among the models needs.
const PREEMPTIONS: u8 = 3;
/// What a log shows without wrapping.
const LOG_WIDTH: usize = 120;

fn main() -> ExitCode {
    match run() {
        Ok(code) => ExitCode::from(code),
        Err(why) => {
            eprintln!("{}: {why}", tool());
            ExitCode::from(2)
        }
    }
}

/// How one calls this tool.
fn tool() -> String {
    let invoked = std::env::var(INVOKED_AS).ok().filter(|text| !text.is_empty());
    invoked.map_or_else(|| "loom-tests".to_owned(), |tool| format!("{tool} model"))
}

fn run() -> Result<u8, String> {
    let asked = args::parse(std::env::args().skip(1)).map_err(|why| format!("{why}\n\n{}", usage()))?;
    if asked.help {
        println!("{}", usage());
        return Ok(0);
    }
    if asked.list {
        match asked.format {
            Format::Text => print!("{}", terminal::checker(&checker(), &terminal_options())),
            Format::Json => println!("{}", json(&checker())?),
            Format::Lines => println!("{}", serde_json::to_string(&checker()).map_err(|error| error.to_string())?),
        }
        return Ok(0);
    }
    let selected = select(&asked.names, asked.version.as_deref())?;
    match &asked.replay {
        Some(replay) => replay_one(&selected, replay, asked.format),
        None => check(&selected, &asked),
    }
}

fn usage() -> String {
    let lines: Vec<String> = USAGE.lines().take(3).map(|line| format!("  {} {line}", tool())).collect();
    let rest: Vec<&str> = USAGE.lines().skip(3).collect();
    format!("usage:\n{}\n{}", lines.join("\n"), rest.join("\n"))
}

fn json(document: &impl Serialize) -> Result<String, String> {
    serde_json::to_string_pretty(document).map_err(|error| error.to_string())
}

/// How stdout is to be written: `NO_COLOR` (non-empty) and `CLICOLOR_FORCE` are honoured; a stdout that is no terminal gets
/// no colour.
fn terminal_options() -> TerminalOptions {
    let set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    let forced = set("CLICOLOR_FORCE") && std::env::var_os("CLICOLOR_FORCE").is_some_and(|value| value != "0");
    let color = !set("NO_COLOR") && (forced || std::io::stdout().is_terminal());
    TerminalOptions { color, width: LOG_WIDTH, unicode: true }
}

/// What is to be done: a model on a version, in this order of the schedules.
struct Check {
    number: usize,
    version: &'static str,
    model: Model,
    search: Search,
}

fn searches(asked: &Asked) -> Vec<Search> {
    let loom = Search::Loom { preemptions: if asked.exhaustive { None } else { Some(PREEMPTIONS) } };
    let shuttle = Search::Random { schedules: if asked.exhaustive { 100_000 } else { 1000 }, seed: 1 };
    match asked.engine {
        None => vec![loom, shuttle],
        Some(Engines::Loom) => vec![loom],
        Some(Engines::Shuttle) => vec![shuttle],
    }
}

fn check(selected: &[(&'static str, Model)], asked: &Asked) -> Result<u8, String> {
    let limits = match asked.exhaustive {
        true => Limits { executions: 10_000_000, time: Duration::from_secs(1800), ..Limits::default() },
        false => Limits::default(),
    };
    // Model by model, so that what belongs together comes together.
    let searches = searches(asked);
    let mut names: Vec<&str> = Vec::new();
    selected.iter().for_each(|(_, model)| {
        if !names.contains(&model.name) {
            names.push(model.name);
        }
    });
    let of = |name: &str| selected.iter().filter(move |(_, model)| model.name == name).copied().collect::<Vec<_>>();
    let each = names.into_iter().flat_map(|name| {
        let versions = of(name);
        searches
            .iter()
            .flat_map(move |search| versions.clone().into_iter().map(|(version, model)| (*search, version, model)))
    });
    let queue: VecDeque<Check> =
        each.enumerate().map(|(number, (search, version, model))| Check { number, version, model, search }).collect();
    let progress = Progress::new(queue.len());
    let reports = check_all(queue, limits, &progress, asked.format == Format::Lines);
    progress.done();
    let reports = reports?;
    match asked.format {
        Format::Text => print!("{}", terminal::models(&reports, &terminal_options())),
        Format::Json => println!("{}", json(&reports)?),
        Format::Lines => {}
    }
    Ok(exit_code(reports.iter().map(|report| report.verdict)))
}

/// Checks what is in the queue, on as many threads as there are processors.
fn check_all(
    queue: VecDeque<Check>,
    limits: Limits,
    progress: &Progress,
    print_lines: bool,
) -> Result<Vec<ModelReport>, String> {
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get).min(queue.len().max(1));
    let (queue, reports, tool) = (Mutex::new(queue), Mutex::new(Vec::new()), tool());
    let next = || queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
    let work = || -> Result<(), String> {
        while let Some(check) = next() {
            let engine = check.search.engine().word();
            progress.started(check.number, format!("{} on {} under {engine}", check.model.name, check.version));
            let explorer = Explorer::new(check.search).limits(limits).counting(&EXECUTIONS);
            let report = report(check.version, &check.model, &check.model.check_by(explorer), &tool);
            progress.ended(check.number, &report);
            let mut reports = reports.lock().unwrap_or_else(PoisonError::into_inner);
            if print_lines {
                let line = serde_json::to_string(&report).map_err(|error| error.to_string())?;
                let mut stdout = std::io::stdout().lock();
                writeln!(stdout, "{line}").and_then(|()| stdout.flush()).map_err(|error| format!("stdout: {error}"))?;
            }
            reports.push((check.number, report));
        }
        Ok(())
    };
    std::thread::scope(|scope| {
        let shown = scope.spawn(|| progress.keep_showing());
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        let ended: Result<(), String> = workers.into_iter().try_for_each(|worker| {
            worker.join().unwrap_or_else(|_| Err("a check ended in a panic; its message is above".to_owned()))
        });
        progress.done();
        shown.join().map_err(|_| "the progress display ended in a panic".to_owned())?;
        ended
    })?;
    let mut reports = reports.into_inner().unwrap_or_else(PoisonError::into_inner);
    reports.sort_by_key(|(number, _)| *number);
    Ok(reports.into_iter().map(|(_, report)| report).collect())
}

fn replay_one(selected: &[(&'static str, Model)], replay: &str, format: Format) -> Result<u8, String> {
    let replay: Replay = replay.parse().map_err(|error| format!("{error}"))?;
    // The newest version unless another was asked for.
    let (version, model) = selected.last().ok_or("no model")?;
    if selected.iter().any(|(_, other)| other.name != model.name) {
        return Err("a replay string belongs to one model: give its full name".into());
    }
    let body: Body = Arc::new(model.body);
    let (finding, _) = Explorer::new(Search::Dfs).replay(&body, &replay);
    let trace: &Counterexample = finding.counterexample().ok_or_else(|| {
        format!("{replay} does not hang `{}` on prometheus {version}: {}", model.name, finding.word())
    })?;
    match format {
        Format::Text => {
            println!("{} on prometheus {version}: {}, replayed from {replay}\n", model.name, finding.word());
            print!("{}", terminal::counterexample(trace, &terminal_options()));
        }
        Format::Json | Format::Lines => println!("{}", json(trace)?),
    }
    Ok(0)
}
