//! Checks models and prints one JSON array of reports; or replays one counterexample, or lists the models.
//!
//! Standard output is the JSON document and nothing else; progress goes to standard error.

use gatherlock::model::exit_code;
use gatherlock_loom_tests::explore::{Body, Explorer, Limits, Search};
use gatherlock_loom_tests::models::{Model, VERSIONS};
use gatherlock_loom_tests::reality::{Coverage, SCENARIOS};
use gatherlock_loom_tests::replay::Replay;
use gatherlock_loom_tests::report::report;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

const USAGE: &str = "usage: loom-tests [NAME…] [--prometheus VERSION] [--engine loom|shuttle] [--exhaustive]
       loom-tests NAME --replay STRING [--prometheus VERSION]
       loom-tests --list
NAME is a model, e.g. inc-during-gather[metric=histogram], or a scenario, e.g. inc-during-gather";

#[derive(Default)]
struct Asked {
    names: Vec<String>,
    version: Option<String>,
    engine: Option<String>,
    replay: Option<String>,
    exhaustive: bool,
    list: bool,
}

fn main() -> ExitCode {
    match run() {
        Ok(code) => ExitCode::from(code),
        Err(why) => {
            eprintln!("loom-tests: {why}\n{USAGE}");
            ExitCode::from(2)
        }
    }
}

fn parse(mut words: impl Iterator<Item = String>) -> Result<Asked, String> {
    let mut asked = Asked::default();
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or_else(|| format!("{word} needs a value"));
        match word.as_str() {
            "--prometheus" => asked.version = Some(value()?),
            "--engine" => asked.engine = Some(value()?),
            "--replay" => asked.replay = Some(value()?),
            "--exhaustive" => asked.exhaustive = true,
            "--list" => asked.list = true,
            option if option.starts_with('-') => return Err(format!("unknown option {option}")),
            _ => asked.names.push(word),
        }
    }
    Ok(asked)
}

fn run() -> Result<u8, String> {
    let asked = parse(std::env::args().skip(1))?;
    if asked.list {
        list();
        return Ok(0);
    }
    let selected = select(&asked)?;
    if let Some(replay) = &asked.replay {
        return replay_one(&selected, replay);
    }
    let searches = searches(&asked)?;
    let limits = match asked.exhaustive {
        true => Limits { executions: 10_000_000, time: Duration::from_secs(1800), ..Limits::default() },
        false => Limits::default(),
    };
    let mut reports = Vec::new();
    let total = selected.len() * searches.len();
    for search in searches {
        for (version, model) in &selected {
            let checked = model.check(search, limits);
            let report = report(version, model, &checked);
            eprintln!(
                "{}/{total} {} on {version} under {}: {}, {} ({} executions, {:.1} s): {}",
                reports.len() + 1,
                model.name,
                report.engine,
                report.outcome,
                checked.exploration.strength,
                report.strength.executions,
                report.strength.seconds,
                checked.why.as_deref().unwrap_or(report.verdict.word()),
            );
            reports.push(report);
        }
    }
    println!("{}", serde_json::to_string_pretty(&reports).map_err(|error| error.to_string())?);
    Ok(exit_code(reports.iter().map(|report| report.verdict)))
}

fn searches(asked: &Asked) -> Result<Vec<Search>, String> {
    let loom = Search::Loom { preemptions: if asked.exhaustive { None } else { Some(3) } };
    let shuttle = Search::Random { schedules: if asked.exhaustive { 100_000 } else { 1000 }, seed: 1 };
    match asked.engine.as_deref() {
        None => Ok(vec![loom, shuttle]),
        Some("loom") => Ok(vec![loom]),
        Some("shuttle") => Ok(vec![shuttle]),
        Some(other) => Err(format!("unknown engine {other}")),
    }
}

fn select(asked: &Asked) -> Result<Vec<(&'static str, Model)>, String> {
    let mut selected = Vec::new();
    for version in VERSIONS.iter().filter(|known| asked.version.as_ref().is_none_or(|wanted| wanted == known.number)) {
        for model in (version.models)() {
            if asked.names.is_empty() || asked.names.iter().any(|name| name == model.name || name == model.scenario()) {
                selected.push((version.number, model));
            }
        }
    }
    if selected.is_empty() { Err("no model has that name, on that version".into()) } else { Ok(selected) }
}

fn replay_one(selected: &[(&'static str, Model)], replay: &str) -> Result<u8, String> {
    let replay: Replay = replay.parse().map_err(|error| format!("{error}"))?;
    // The newest version unless another was asked for.
    let (version, model) = selected.last().ok_or("no model")?;
    if selected.iter().any(|(_, other)| other.name != model.name) {
        return Err("a replay string belongs to one model: give its full name".into());
    }
    let body: Body = Arc::new(model.body);
    let (finding, _) = Explorer::new(Search::Dfs).replay(&body, &replay);
    eprintln!("{} on prometheus {version}: {}", model.name, finding.word());
    match finding.counterexample() {
        Some(trace) => {
            eprintln!("{trace}");
            println!("{}", serde_json::to_string_pretty(trace).map_err(|error| error.to_string())?);
            Ok(0)
        }
        None => Err(format!("{replay} does not hang this model")),
    }
}

fn list() {
    for (scenario, coverage) in SCENARIOS {
        if let Coverage::Outside(why) = coverage {
            println!("{scenario:60} {why}");
        }
    }
    for model in (VERSIONS[VERSIONS.len() - 1].models)() {
        println!("{:60} {:8} {}", model.name, model.expect.word(), model.lesson);
    }
}
