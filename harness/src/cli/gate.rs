//! `gatherlock gate`: holds one's own endpoints to their bound.

use super::args::{FileFormat, GateArgs, GateFormat};
use super::endpoint::{command, look_options};
use super::interrupt::Interrupt;
use super::output::{print_document, terminal_options, write_files};
use crate::gate::{GateOptions, Target, gate, read_targets};
use crate::model::{CaseReport, ExchangeError, Verdict};
use crate::probe::scrape::{ScrapeRequest, scrape};
use crate::render::{github, json, junit, terminal};
use crate::runner::{Registry, Service};
use std::time::{Duration, Instant};

/// The files of a report.
const FILES: [FileFormat; 4] = [FileFormat::Json, FileFormat::Html, FileFormat::Md, FileFormat::Junit];
/// Between two attempts to reach a service that was just started.
const ATTEMPT: Duration = Duration::from_millis(50);

/// Scrapes and reports; the exit code is the report's.
pub(super) fn run(args: &GateArgs) -> Result<u8, String> {
    let mut targets: Vec<Target> = args.urls.iter().map(|url| Target { url: url.clone() }).collect();
    if let Some(path) = &args.targets {
        let text =
            std::fs::read_to_string(path).map_err(|error| format!("cannot read `{}`: {error}", path.display()))?;
        targets.extend(read_targets(&text).map_err(|error| format!("`{}`: {error}", path.display()))?);
    }
    if args.pid.is_some() && targets.len() > 1 {
        return Err("--pid names one process, and there are several endpoints".to_string());
    }
    // Any of them may need to know whom to trust.
    let any = targets.iter().find(|target| target.url.is_secure()).or(targets.first());
    let look = look_options(&args.request, any.map(|target| target.url.clone()), args.pid)?;
    let options = GateOptions {
        targets,
        look,
        rounds: args.scrapes,
        duration: args.duration,
        scrapers: args.scrapers,
        allow_contained: args.allow_contained,
        command: command(),
    };
    let interrupt = Interrupt::catch()?;
    let registry = Registry::new();
    let mut service = match &args.command {
        None => None,
        Some(command) => Some(started(command, args.ready, &options, &registry, &interrupt)?),
    };
    let report = gate(&options, &|| interrupt.is_set(), &say).map_err(|error| error.to_string())?;
    if let Some(service) = &mut service {
        service.end().map_err(|error| error.to_string())?;
    }
    print_document(&match args.format {
        GateFormat::Text => terminal::render(&report, &terminal_options()),
        GateFormat::Json => json::render(&report),
        GateFormat::Github => github::render(&report),
        GateFormat::Junit => junit::render(&report),
    })?;
    if let Some(folder) = &args.out {
        for path in write_files(&report, &FILES, folder)? {
            eprintln!("report: {}", path.display());
        }
    }
    Ok(report.exit_code)
}

/// Starts the user's service and waits until all its endpoints accept connections.
fn started(
    command: &str,
    ready: Duration,
    options: &GateOptions,
    registry: &Registry,
    interrupt: &Interrupt,
) -> Result<Service, String> {
    let service = Service::start(command, registry).map_err(|error| format!("cannot start the command: {error}"))?;
    let end = Instant::now() + ready;
    for target in &options.targets {
        let request = ScrapeRequest {
            keep_body: false,
            trust: options.look.trust.clone(),
            ..ScrapeRequest::new(target.url.clone(), ATTEMPT.max(options.look.bound))
        };
        loop {
            if interrupt.is_set() {
                return Err("interrupted".to_string());
            }
            if let Some(exit) = service.exit() {
                return Err(format!("the command ended before {} accepted a connection: {exit}", target.url));
            }
            let exchange = scrape(&request).map_err(|error| error.to_string())?;
            // Whatever it answers, and even if it hangs: it is there, and the gate judges it.
            if !matches!(exchange.error, Some(ExchangeError::Unreachable { .. })) {
                break;
            }
            if Instant::now() > end {
                let ready = humantime::format_duration(ready);
                return Err(format!("{} accepts no connection {ready} after the command was started", target.url));
            }
            std::thread::sleep(ATTEMPT);
        }
    }
    Ok(service)
}

/// A line for each endpoint as soon as it is judged.
fn say(case: &CaseReport) {
    let verdict = case.verdict.map_or("skipped", |verdict| verdict.word());
    let last = case.trials.last().and_then(|trial| trial.outcome).map_or("void", |outcome| outcome.word());
    let scrapes = case.trials.iter().flat_map(|trial| &trial.probes.requests);
    let slowest_us = scrapes.map(|request| request.exchange.total_us).max().unwrap_or(0);
    eprintln!(
        "{verdict}: {} ({} of {} rounds in time, the last was {last}; slowest scrape {:.1} ms)",
        case.story,
        case.trials.len() - usize::from(case.verdict != Some(Verdict::Held)),
        case.trials.len(),
        slowest_us as f64 / 1000.0
    );
}
