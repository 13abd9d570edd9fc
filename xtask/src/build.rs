//! Builds binaries with cargo and runs them; where they land is asked of cargo, not guessed.

use std::ffi::OsString;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};

/// The root of the workspace.
pub(crate) fn root() -> PathBuf {
    let manifest = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    manifest.parent().map(PathBuf::from).unwrap_or(manifest)
}

/// Where measurements that are made apart from the trials leave their figures for the reports to come.
pub(crate) fn figures() -> PathBuf {
    root().join("reports/latest/figures")
}

/// The cargo that runs this xtask.
pub(crate) fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo")));
    command.current_dir(root());
    command
}

/// A binary that a verb needs beside `gatherlock` itself.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Binary {
    /// The catalogue of scenarios.
    Scenarios,
}

/// Builds `gatherlock` and the given catalogues in the `repro` profile and runs `gatherlock VERB ARGS`, handing it the
/// catalogues. The exit code is gatherlock's.
pub(crate) fn run_gatherlock(verb: &str, args: &[String], catalogues: &[Binary]) -> Result<ExitCode, String> {
    let executables = gatherlock(catalogues)?;
    let mut run = Command::new(find(&executables, "gatherlock")?);
    run.arg(verb);
    for catalogue in catalogues {
        match catalogue {
            Binary::Scenarios => run.arg("--catalogue").arg(find(&executables, "gatherlock-scenarios")?),
        };
    }
    let wants_models = verb == "list" || (verb == "repro" && args.iter().any(|arg| arg == "--models"));
    if wants_models && !args.iter().any(|arg| arg == "--checker" || arg.starts_with("--checker=")) {
        run.arg("--checker").arg(checker()?);
    }
    let measured = figures();
    // Not into a report that is rendered again: it may be of another machine.
    if verb == "repro" && measured.is_dir() && !args.iter().any(|arg| arg.starts_with("--figures")) {
        run.arg("--figures").arg(measured);
    }
    run.args(args);
    run.env("GATHERLOCK_INVOKED_AS", "cargo xtask").env("GATHERLOCK_COMMIT", commit());
    if verb == "repro" && !args.iter().any(|arg| arg == "--out" || arg.starts_with("--out=")) {
        // From wherever in the checkout it is called, the report lands in the same place.
        let (here, root) = (std::env::current_dir().unwrap_or_default(), root());
        if here != root {
            run.arg("--out").arg(root.join("reports/latest"));
        }
    }
    status(run)
}

/// Builds `gatherlock` and the given catalogues in the `repro` profile; returns the executables.
pub(crate) fn gatherlock(catalogues: &[Binary]) -> Result<Vec<PathBuf>, String> {
    let mut build = cargo();
    build.args(["build", "--profile", "repro", "--message-format", "json-render-diagnostics", "-p", "gatherlock"]);
    let mut features = vec!["gatherlock/cli"];
    for catalogue in catalogues {
        match catalogue {
            Binary::Scenarios => {
                build.args(["-p", "gatherlock-scenarios"]);
                features.push("gatherlock-scenarios/deadlock-detection");
            }
        }
    }
    build.args(["--features", &features.join(",")]);
    executables(build)
}

/// Builds the checker. In the `dev` profile, which optimises the models and is what `cargo test` has built already.
pub(crate) fn checker() -> Result<PathBuf, String> {
    let mut build = cargo();
    build.args([
        "build",
        "--message-format",
        "json-render-diagnostics",
        "-p",
        "gatherlock-loom-tests",
        "--bin",
        "loom-tests",
    ]);
    built(build, "loom-tests")
}

/// The executable of this name among those that cargo built.
pub(crate) fn find(executables: &[PathBuf], name: &str) -> Result<PathBuf, String> {
    let found = executables.iter().find(|path| path.file_stem().is_some_and(|stem| stem == name));
    found.cloned().ok_or_else(|| format!("cargo built no executable `{name}`"))
}

/// The commit that is checked out, with `-dirty` where tracked files differ from it; empty where git does not say.
fn commit() -> String {
    let mut git = Command::new("git");
    git.current_dir(root()).args(["describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"]);
    let output = git.stderr(Stdio::null()).output().ok().filter(|output| output.status.success());
    output.and_then(|output| String::from_utf8(output.stdout).ok()).unwrap_or_default().trim().to_string()
}

/// Runs a command to its end and passes its exit code on; ended by a signal counts as "could not judge".
pub(crate) fn status(mut command: Command) -> Result<ExitCode, String> {
    let status = command.status().map_err(|error| format!("cannot run {:?}: {error}", command.get_program()))?;
    Ok(status.code().and_then(|code| u8::try_from(code).ok()).map_or(ExitCode::from(2), ExitCode::from))
}

/// Runs a `cargo build --message-format json-render-diagnostics` and returns the executable of that name.
pub(crate) fn built(build: Command, name: &str) -> Result<PathBuf, String> {
    let stem = |path: &PathBuf| path.file_stem().is_some_and(|stem| stem == name);
    executables(build)?.into_iter().find(stem).ok_or_else(|| format!("cargo built no executable `{name}`"))
}

/// Runs a `cargo build --message-format json-render-diagnostics` and returns the executables it names.
pub(crate) fn executables(mut build: Command) -> Result<Vec<PathBuf>, String> {
    let mut child = build.stdout(Stdio::piped()).spawn().map_err(|error| format!("cannot run cargo: {error}"))?;
    let stdout = child.stdout.take().ok_or("cargo gave no output")?;
    let mut found = Vec::new();
    for line in BufReader::new(stdout).lines() {
        let line = line.map_err(|error| format!("cannot read cargo's output: {error}"))?;
        let Ok(message) = serde_json::from_str::<serde_json::Value>(&line) else { continue };
        if let Some(path) = message["executable"].as_str() {
            found.push(PathBuf::from(path));
        }
    }
    let status = child.wait().map_err(|error| format!("cannot wait for cargo: {error}"))?;
    if status.success() { Ok(found) } else { Err("the build failed; cargo's messages are above".to_string()) }
}
