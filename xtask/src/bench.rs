//! `cargo xtask bench [NAME]`: the criterion benchmarks, all or those whose names match.

use crate::build::{cargo, status};
use std::process::ExitCode;

/// Runs `cargo bench` over the packages that have benchmarks. `guard` is the guard's own: a load run of all variants that
/// prints tables.
pub(crate) fn run(names: &[String]) -> Result<ExitCode, String> {
    let mut command = cargo();
    if names == ["guard"] {
        command.args(["bench", "-p", "gatherlock-guard", "--bench", "load"]);
        return status(command);
    }
    command.args(["bench", "-p", "gatherlock", "-p", "gatherlock-scenarios", "--bench", "*", "--"]).args(names);
    status(command)
}
