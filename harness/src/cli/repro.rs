//! `gatherlock repro`: the main job.

use super::args::{FileFormat, ReproArgs, StdoutFormat};
use super::figures;
use super::output::{print_document, terminal_options, write_files};
use super::progress::Progress;
use crate::gate::{ReproOptions, repro};
use crate::model::{Report, Verdict};
use crate::render::{json, terminal};
use crate::runner::Registry;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use std::path::Path;

/// Trials side by side for each processor: they mostly wait, and more than this makes their starts late.
const JOBS_PER_CPU: usize = 20;
const MOST_JOBS: usize = 48;
/// How one calls this tool, if not by its own name; `cargo xtask` sets it.
const INVOKED_AS: &str = "GATHERLOCK_INVOKED_AS";

/// Runs, prints the report, writes its files and returns the exit code.
pub(super) fn run(args: &ReproArgs) -> Result<u8, String> {
    if args.models && args.checker.is_none() {
        let how = "in a checkout, `cargo xtask repro --models` builds and passes its own";
        return Err(format!("no model checker: give one with --checker BIN ({how})"));
    }
    let options = options(args)?;
    let registry = Registry::new();
    catch_signals(&registry)?;
    eprintln!("seed {}", options.seed);
    let progress = Progress::new();
    let ran = repro(&options, &registry, &progress);
    progress.done();
    let (report, kept) = ran.map_err(|error| error.to_string())?;
    let files = write_files(&report, &[FileFormat::Md, FileFormat::Html, FileFormat::Junit], &options.out);
    print_document(&match args.format {
        StdoutFormat::Json => json::render(&report),
        StdoutFormat::Text => terminal::render(&report, &terminal_options()),
    })?;
    kept.map_err(|error| error.to_string())?;
    let files = files?;
    if args.format == StdoutFormat::Text {
        let all = std::iter::once(options.out.join("report.json")).chain(files);
        let lines: String = all.map(|path| format!("  {}\n", path.display())).collect();
        print_document(&format!("\nreports\n{lines}"))?;
    }
    if let Some(line) = replay_line(&report, &options) {
        // With `--format json` stdout has exactly one document; the rest goes to stderr.
        match args.format {
            StdoutFormat::Json => eprintln!("\n{line}"),
            StdoutFormat::Text => print_document(&format!("\n{line}\n"))?,
        }
    }
    Ok(report.exit_code)
}

/// The last line of a run that failed: how to run exactly what failed again.
fn replay_line(report: &Report, options: &ReproOptions) -> Option<String> {
    if report.exit_code == 0 {
        return None;
    }
    let failed = report.cases.iter().filter(|case| case.verdict.is_some_and(|v| v != Verdict::Held));
    let globs: Vec<String> = failed.map(|case| format!("'{}'", case.id)).collect();
    let seed = report.seed;
    if globs.len() > 8 || globs.is_empty() {
        return Some(format!("seed {seed}; replay: {} --seed {seed} --trials {}", options.replay_as, options.trials));
    }
    Some(format!(
        "seed {seed}; replay: {} {} --seed {seed} --trials {}",
        options.replay_as,
        globs.join(" "),
        options.trials
    ))
}

fn options(args: &ReproArgs) -> Result<ReproOptions, String> {
    let cpus = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let jobs = args.jobs.map_or((cpus * JOBS_PER_CPU).min(MOST_JOBS), |jobs| jobs as usize);
    let invoked_as = std::env::var(INVOKED_AS).ok().filter(|text| !text.is_empty());
    let replay_as = invoked_as.clone().map_or_else(
        || {
            let catalogues = args.catalogue.iter().map(|exe| format!(" --catalogue {}", file_name(exe)));
            format!("gatherlock repro{}", catalogues.collect::<String>())
        },
        |tool| format!("{tool} repro"),
    );
    Ok(ReproOptions {
        catalogues: args.catalogue.clone(),
        checker: args.checker.clone().filter(|_| args.models),
        globs: args.globs.clone(),
        trials: args.trials,
        only_trial: args.only_trial,
        seed: args.seed.unwrap_or_else(draw_seed),
        jobs,
        bound: args.bound,
        hang_limit: args.hang_limit,
        shard: args.shard,
        figures: figures::read(args.figures.as_deref())?,
        out: args.out.clone(),
        command: command(invoked_as.as_deref()),
        replay_as,
    })
}

/// The command line for the report: how it was called, without the folders of a machine.
fn command(invoked_as: Option<&str>) -> Vec<String> {
    let mut words: Vec<String> = invoked_as.unwrap_or("gatherlock").split(' ').map(str::to_string).collect();
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        match (arg.as_str(), invoked_as) {
            ("--catalogue" | "--checker" | "--figures", Some(_)) => drop(args.next()),
            ("--catalogue" | "--checker" | "--figures", None) => {
                words.push(arg);
                words.extend(args.next().map(|exe| file_name(Path::new(&exe))));
            }
            _ => words.push(arg),
        }
    }
    words
}

fn file_name(path: &Path) -> String {
    path.file_name().map_or_else(|| path.display().to_string(), |name| name.to_string_lossy().into_owned())
}

/// A seed from the clock: small enough to type.
fn draw_seed() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(1, |since| since.as_micros() as u64 % 1_000_000)
}

/// Ctrl-C and friends: no further trial begins, all children are ended, the report so far is kept. A second signal ends
/// the tool at once; its children die with it.
fn catch_signals(registry: &Registry) -> Result<(), String> {
    let mut signals =
        Signals::new([SIGINT, SIGTERM, SIGHUP]).map_err(|error| format!("cannot catch signals: {error}"))?;
    let registry = registry.clone();
    std::thread::spawn(move || {
        let mut asked = false;
        for _ in signals.forever() {
            if asked {
                std::process::exit(i32::from(super::exit::COULD_NOT_JUDGE));
            }
            asked = true;
            registry.kill_all();
        }
    });
    Ok(())
}
