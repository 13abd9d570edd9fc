//! `cargo xtask fuzz`: damaged real input into everything that reads what a target wrote, for as long as wanted.

use crate::build::{cargo, status};
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

const USAGE: &str =
    "cargo xtask fuzz [--seconds N | --cases N] [--seed S] [--area elf|unwind|dwarf|dwarf-large|procfs|sample|recording] [--case N]
  --seconds and --cases are for each run and each area; --case runs one case again, as a finding says it";

/// Runs the fuzzer in the build of the tests, which checks its arithmetic.
pub(crate) fn run(args: &[String]) -> Result<ExitCode, String> {
    let mut command = cargo();
    command.args(["test", "-p", "gatherlock", "--lib", "--", "--exact", "fuzz::long"]);
    command.args(["--ignored", "--nocapture"]);
    let mut seed = None;
    let mut rest = args.iter();
    while let Some(name) = rest.next() {
        let value = rest.next().ok_or(USAGE)?;
        let key = match name.as_str() {
            "--seconds" => "SECONDS",
            "--cases" => "CASES",
            "--seed" => "SEED",
            "--area" => "AREA",
            "--case" => "CASE",
            _ => return Err(USAGE.to_owned()),
        };
        if key != "AREA" {
            let number: u64 = value.parse().map_err(|_| format!("{name} wants a number, not `{value}`\n{USAGE}"))?;
            seed = if key == "SEED" { Some(number) } else { seed };
        }
        command.env(format!("GATHERLOCK_FUZZ_{key}"), value);
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(1, |since| since.as_secs());
    let seed = seed.unwrap_or(now);
    command.env("GATHERLOCK_FUZZ_SEED", seed.to_string());
    let code = status(command)?;
    if code != ExitCode::SUCCESS {
        eprintln!(
            "seed {seed}: findings are named above; if the process was ended by a signal, GATHERLOCK_FUZZ_VERBOSE=1 names each case"
        );
    }
    Ok(code)
}
