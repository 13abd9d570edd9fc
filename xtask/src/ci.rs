//! What CI gates on, in the order in which it fails fastest.

use crate::build::{Binary, cargo, root, run_gatherlock};
use crate::matrix;
use crate::portable;
use crate::prometheus;
use crate::tidy;
use std::process::{Command, ExitCode};
use std::time::Instant;

/// Runs every step, stops at the first that fails and names it.
pub(crate) fn run() -> Result<ExitCode, String> {
    step("tidy", tidy::run)?;
    step("rustfmt", || plain(&["fmt", "--all", "--check"]))?;
    // In front of what is built for this platform, so that nothing is built for it twice.
    step("portable", portable::run)?;
    step("clippy", || plain(&["clippy", "--workspace", "--all-targets", "--all-features", "--", "-D", "warnings"]))?;
    step("docs", || {
        let mut doc = cargo();
        doc.args(["doc", "--workspace", "--no-deps", "--document-private-items"]).env("RUSTDOCFLAGS", "-D warnings");
        checked(doc)
    })?;
    // Before the run whose report shows what it measures. Where there is no server, the tests say so.
    if std::env::var_os("GATHERLOCK_REQUIRE_PROMETHEUS").is_some() {
        step("prometheus", prometheus::run)?;
    }
    step("repro", repro)?;
    // The build that tells most and the build that tells least, and one handler: the rest is for `cargo xtask diagnose-matrix`.
    step("diagnose-matrix", || {
        let args = ["--profile", "dev", "--profile", "repro-stripped", "--parking-lot", "0.12", "*/naive"];
        matrix::run(&args.map(str::to_owned))
    })?;
    // An application that does not turn it off has `prometheus` with protobuf, whose structures are others.
    step("guard-protobuf", || {
        let tests = ["--test", "parity", "--test", "registry", "--test", "sources"];
        plain(&[&["test", "-p", "gatherlock-guard", "--features", "protobuf"][..], &tests].concat())
    })?;
    // Last, so that the log ends with the test runner's own summary. Doctests are a part of it.
    step("tests", || plain(&["test", "--workspace"]))?;
    Ok(ExitCode::SUCCESS)
}

/// The main job. What is violated or has vanished fails; where only some cases could not be judged, because the machine was
/// too busy even when they ran alone, that is said and does not: it tells nothing about the code.
fn repro() -> Result<ExitCode, String> {
    let path = root().join("reports/latest/report.json");
    if let Err(error) = std::fs::remove_file(&path)
        && error.kind() != std::io::ErrorKind::NotFound
    {
        return Err(format!("cannot remove {}: {error}", path.display()));
    }
    let code = run_gatherlock("repro", &["--models".to_string()], &[Binary::Scenarios])?;
    if code != ExitCode::from(2) {
        return Ok(code);
    }
    let text = std::fs::read_to_string(&path).map_err(|error| format!("no report was written: {error}"))?;
    let report: serde_json::Value = serde_json::from_str(&text).map_err(|error| error.to_string())?;
    let count = |name: &str| report["summary"][name].as_u64().unwrap_or(0);
    let (held, inconclusive) = (count("held"), count("inconclusive"));
    if report["interrupted"] == true || inconclusive * 10 > held {
        return Ok(code);
    }
    eprintln!("warning: {inconclusive} of {} cases could not be judged on this machine", held + inconclusive);
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
