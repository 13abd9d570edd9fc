//! `cargo xtask bench [NAME]`: the criterion benchmarks, all or those whose names match, and two that print tables.

use crate::build::{cargo, figures, status};
use std::process::ExitCode;

/// Runs `cargo bench` over the packages that have benchmarks. `guard` is the guard's own: a load run of all variants that
/// prints tables, or some of them: `guard alone crowd together crowded clocked most closed equal`. `diagnose` holds the live engine
/// against debuggers. `executions` is how many executions of a model loom and shuttle explore in a second.
pub(crate) fn run(names: &[String]) -> Result<ExitCode, String> {
    match names.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["guard", parts @ ..] => {
            let mut command = cargo();
            command.args(["bench", "-p", "gatherlock-guard", "--bench", "load", "--"]).args(parts);
            command.env("GATHERLOCK_FIGURES", figures());
            status(command)
        }
        ["executions"] => {
            let mut command = cargo();
            command.args(["bench", "-p", "gatherlock-loom-tests", "--bench", "executions"]);
            status(command)
        }
        ["diagnose"] => debuggers(9),
        ["diagnose", "--rounds", rounds] => {
            debuggers(rounds.parse().map_err(|_| format!("--rounds wants a number, not `{rounds}`"))?)
        }
        _ => {
            let mut command = cargo();
            let packages = ["-p", "gatherlock", "-p", "gatherlock-scenarios", "-p", "gatherlock-loom-tests"];
            let benches = ["--bench", "trial", "--bench", "diagnose", "--bench", "render", "--bench", "executions"];
            command.arg("bench").args(packages).args(benches).arg("--").args(names);
            status(command)
        }
    }
}

/// The engine against gdb and eu-stack, in the build that tells least and in the one that tells most; fails if a limit is missed.
fn debuggers(rounds: u32) -> Result<ExitCode, String> {
    let mut result = ExitCode::SUCCESS;
    for (profile, build) in [("release", "release, no debug information"), ("repro", "optimised, line tables")] {
        let mut command = cargo();
        command.args(["bench", "-p", "gatherlock", "--bench", "debuggers", "--profile", profile]);
        command.env("GATHERLOCK_BENCH_BUILD", build).env("GATHERLOCK_BENCH_ROUNDS", rounds.to_string());
        let code = status(command)?;
        if code != ExitCode::SUCCESS {
            result = code;
        }
    }
    Ok(result)
}
