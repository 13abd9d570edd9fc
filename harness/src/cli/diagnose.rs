//! `gatherlock diagnose`: look, say what was seen, keep it where that was asked for.

use super::args::{DiagnoseArgs, DiagnosisFormat, FileFormat};
use super::endpoint::{command, look_options};
use super::interrupt::Interrupt;
use super::output::{print_document, terminal_options, write_files};
use crate::gate::{Look, LookError, LookOptions, Looker, check_writable, look_report, replay, write_atomically};
use crate::model::{Recording, Report};
use crate::render::{html, json, markdown, terminal};
use std::mem::ManuallyDrop;
use std::path::Path;
use std::time::{Duration, Instant};

/// The files of a report of `diagnose`.
const FILES: [FileFormat; 3] = [FileFormat::Json, FileFormat::Html, FileFormat::Md];
/// Where `--watch` keeps what it saw, if nothing else is said.
const WATCH_FOLDER: &str = "gatherlock-breach";
/// The recording among the files of a breach.
const RECORDING: &str = "recording.json";
/// How often whoever waits looks whether it was interrupted.
const LOOK_UP: Duration = Duration::from_millis(50);

/// Looks and reports; the exit code is the report's.
pub(super) fn run(args: &DiagnoseArgs) -> Result<u8, String> {
    let begun = Instant::now();
    if let Some(path) = &args.snapshot {
        let text =
            std::fs::read_to_string(path).map_err(|error| format!("cannot read `{}`: {error}", path.display()))?;
        let replayed = replay(&text).map_err(|error| format!("`{}`: {error}", path.display()))?;
        let report = look_report(&replayed.diagnosed, &replayed.recording, command(), elapsed(begun));
        print(args, &report)?;
        return keep(&report, args.out.as_deref());
    }
    if let Some(path) = &args.save {
        // Said now rather than after the hang limit, when what was seen is over.
        check_writable(path).map_err(|error| cannot_write(path, &error))?;
    }
    let mut options = look_options(&args.request, args.url.clone(), args.pid)?;
    options.always_sample = !args.watch;
    let interrupt = Interrupt::catch()?;
    // When the process ends behind it, what it holds need not be given back piece by piece.
    let looker = ManuallyDrop::new(Looker::start().map_err(|error| error.to_string())?);
    if args.watch {
        return watch(args, &options, &looker, &interrupt);
    }
    let look = ManuallyDrop::new(looker.look(&options, &|| interrupt.is_set()).map_err(|error| error.to_string())?);
    let report = look_report(&look.diagnosed, &look.recording, command(), elapsed(begun));
    let report = ManuallyDrop::new(report);
    print(args, &report)?;
    if let Some(path) = &args.save {
        save(path, &look.recording)?;
    }
    keep(&report, args.out.as_deref())
}

/// Scrapes until the first breach, the last scrape, or Ctrl-C.
fn watch(args: &DiagnoseArgs, options: &LookOptions, looker: &Looker, interrupt: &Interrupt) -> Result<u8, String> {
    let url = options.url.as_ref().map(ToString::to_string).unwrap_or_default();
    eprintln!("watching {url}: a scrape every {}, bound {}", shown(args.interval), shown(options.bound));
    let (mut scrapes, mut slowest_us) = (0u64, 0u64);
    loop {
        let begun = Instant::now();
        let look = match looker.look(options, &|| interrupt.is_set()) {
            Ok(look) => look,
            Err(LookError::Interrupted) => return Ok(interrupted(scrapes, slowest_us)),
            Err(error) => return Err(format!("after {scrapes} scrapes: {error}")),
        };
        let report = look_report(&look.diagnosed, &look.recording, command(), elapsed(begun));
        if report.exit_code != 0 {
            eprintln!("breach at scrape {}", scrapes + 1);
            return breach(args, &look, &report);
        }
        scrapes += 1;
        slowest_us = slowest_us.max(look.recording.probes.metrics.as_ref().map_or(0, |metrics| metrics.total_us));
        if args.count == Some(scrapes) {
            eprintln!("{}", so_far(scrapes, slowest_us));
            return Ok(0);
        }
        let end = begun + args.interval;
        while Instant::now() < end {
            if interrupt.is_set() {
                return Ok(interrupted(scrapes, slowest_us));
            }
            std::thread::sleep(LOOK_UP.min(end.saturating_duration_since(Instant::now())));
        }
    }
}

/// Keeps what was seen, and says it.
fn breach(args: &DiagnoseArgs, look: &Look, report: &Report) -> Result<u8, String> {
    print(args, report)?;
    let folder = args.out.as_deref().unwrap_or(Path::new(WATCH_FOLDER));
    std::fs::create_dir_all(folder).map_err(|error| format!("cannot create `{}`: {error}", folder.display()))?;
    let path = args.save.clone().unwrap_or_else(|| folder.join(RECORDING));
    save(&path, &look.recording)?;
    keep(report, Some(folder))
}

fn interrupted(scrapes: u64, slowest_us: u64) -> u8 {
    eprintln!("interrupted: {}", so_far(scrapes, slowest_us));
    super::exit::COULD_NOT_JUDGE
}

fn so_far(scrapes: u64, slowest_us: u64) -> String {
    format!("{scrapes} scrapes without a breach, the slowest after {:.1} ms", slowest_us as f64 / 1000.0)
}

/// Prints the report: before anything is kept, so that a full disk takes nothing from it.
fn print(args: &DiagnoseArgs, report: &Report) -> Result<(), String> {
    let text = match args.format {
        DiagnosisFormat::Text if args.full => terminal::unfolded(report, &terminal_options()),
        DiagnosisFormat::Text => terminal::render(report, &terminal_options()),
        DiagnosisFormat::Json => json::render(report),
        DiagnosisFormat::Markdown => markdown::render(report),
        DiagnosisFormat::Html => html::render(report),
    };
    print_document(&text)
}

/// Writes the report's files; the exit code is the report's.
fn keep(report: &Report, folder: Option<&Path>) -> Result<u8, String> {
    if let Some(folder) = folder {
        for path in write_files(report, &FILES, folder)? {
            eprintln!("report: {}", path.display());
        }
    }
    Ok(report.exit_code)
}

fn save(path: &Path, recording: &Recording) -> Result<(), String> {
    let mut text = serde_json::to_string_pretty(recording).map_err(|error| error.to_string())?;
    text.push('\n');
    write_atomically(path, text.as_bytes()).map_err(|error| cannot_write(path, &error))?;
    eprintln!("recording: {}", path.display());
    Ok(())
}

fn cannot_write(path: &Path, error: &std::io::Error) -> String {
    format!("cannot write `{}`: {error}", path.display())
}

fn elapsed(begun: Instant) -> u64 {
    u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX)
}

fn shown(time: Duration) -> String {
    humantime::format_duration(time).to_string()
}
