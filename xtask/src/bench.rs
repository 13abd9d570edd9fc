//! `cargo xtask bench [NAME]`: the criterion benchmarks, all or those whose names match.

use crate::build::{cargo, status};
use std::process::ExitCode;

/// Runs `cargo bench` over the packages that have benchmarks.
pub(crate) fn run(names: &[String]) -> Result<ExitCode, String> {
    let mut command = cargo();
    command.args(["bench", "-p", "gatherlock", "-p", "gatherlock-scenarios", "--bench", "*", "--"]).args(names);
    status(command)
}
