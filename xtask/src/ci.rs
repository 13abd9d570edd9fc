//! What CI gates on, in the order in which it fails fastest.

use crate::build::{Binary, cargo, run_gatherlock};
use crate::tidy;
use std::process::{Command, ExitCode};
use std::time::Instant;

/// Runs every step, stops at the first that fails and names it.
pub(crate) fn run() -> Result<ExitCode, String> {
    step("tidy", tidy::run)?;
    step("rustfmt", || plain(&["fmt", "--all", "--check"]))?;
    step("clippy", || plain(&["clippy", "--workspace", "--all-targets", "--all-features", "--", "-D", "warnings"]))?;
    step("docs", || {
        let mut doc = cargo();
        doc.args(["doc", "--workspace", "--no-deps", "--document-private-items"]).env("RUSTDOCFLAGS", "-D warnings");
        checked(doc)
    })?;
    step("repro", || run_gatherlock("repro", &[], &[Binary::Scenarios]))?;
    // Last, so that the log ends with the test runner's own summary. Doctests are a part of it.
    step("tests", || plain(&["test", "--workspace"]))?;
    Ok(ExitCode::SUCCESS)
}

fn step(name: &str, run: impl FnOnce() -> Result<ExitCode, String>) -> Result<(), String> {
    eprintln!("\n── {name} ──");
    let begun = Instant::now();
    let code = run().map_err(|problem| format!("step `{name}`: {problem}"))?;
    if code != ExitCode::SUCCESS {
        return Err(format!("step `{name}` failed; its messages are above"));
    }
    eprintln!("── {name}: passed in {:.1} s", begun.elapsed().as_secs_f64());
    Ok(())
}

fn plain(args: &[&str]) -> Result<ExitCode, String> {
    let mut command = cargo();
    command.args(args);
    checked(command)
}

fn checked(command: Command) -> Result<ExitCode, String> {
    crate::build::status(command)
}
