//! `cargo xtask model`: builds the checker and passes the words on to it.

use crate::build::{built, cargo, status};
use std::path::PathBuf;
use std::process::{Command, ExitCode};

/// Checks, replays or lists; the exit code is the checker's.
pub(crate) fn run(args: &[String]) -> Result<ExitCode, String> {
    let mut check = Command::new(checker()?);
    check.args(args).env("GATHERLOCK_INVOKED_AS", "cargo xtask");
    status(check)
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
