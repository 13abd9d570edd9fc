//! `cargo xtask schema`: writes the report's JSON Schema from the types; a test fails while it is stale.

use crate::build::{cargo, root};
use std::process::{ExitCode, Stdio};

/// Regenerates `reports/schema/gatherlock.report.1.schema.json`.
pub(crate) fn run() -> Result<ExitCode, String> {
    let mut command = cargo();
    command.args(["run", "--quiet", "-p", "gatherlock", "--features", "schema", "--example", "schema"]);
    let output = command.stderr(Stdio::inherit()).output().map_err(|error| format!("cannot run cargo: {error}"))?;
    if !output.status.success() {
        return Err("the schema example failed; its messages are above".to_string());
    }
    let path = root().join("reports/schema/gatherlock.report.1.schema.json");
    std::fs::write(&path, &output.stdout).map_err(|error| format!("cannot write {}: {error}", path.display()))?;
    eprintln!("wrote reports/schema/gatherlock.report.1.schema.json");
    Ok(ExitCode::SUCCESS)
}
