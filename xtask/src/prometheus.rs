//! `cargo xtask prometheus`: a real server scrapes three nodes, `promtool` reads every variant's page, and what they say is left
//! for the reports to come.

use crate::build::{cargo, figures, status};
use std::process::ExitCode;

/// Runs the acceptance test. Without the server it fails and says what to install.
pub(crate) fn run() -> Result<ExitCode, String> {
    let mut command = cargo();
    command.args(["test", "-p", "gatherlock-scenarios", "--test", "prometheus"]);
    command.env("GATHERLOCK_REQUIRE_PROMETHEUS", "1").env("GATHERLOCK_FIGURES", figures());
    let code = status(command)?;
    if code == ExitCode::SUCCESS {
        eprintln!("figures are in {}; `repro` and `report` put them into their reports", figures().display());
    }
    Ok(code)
}
