//! `cargo xtask portable`: what is left on platforms without the live engine. The tests of that run here, in a build as for
//! another platform; and for other platforms whose standard library is installed, the tool is compiled as far as the linker.

use crate::build::{cargo, status};
use std::process::{Command, ExitCode};

/// Another processor, and another system.
const TARGETS: [&str; 2] = ["aarch64-unknown-linux-gnu", "aarch64-apple-darwin"];

/// Runs the tests, then compiles.
pub(crate) fn run() -> Result<ExitCode, String> {
    let mut test = cargo();
    test.args(["test", "-p", "gatherlock", "--test", "portable"]).env("GATHERLOCK_PORTABLE", "1");
    let code = status(test)?;
    if code != ExitCode::SUCCESS {
        return Ok(code);
    }
    for target in TARGETS {
        if !is_installed(target) {
            eprintln!("SKIPPED: compiling for {target}; to have it: rustup target add {target}");
            continue;
        }
        let mut check = cargo();
        // Without TLS, whose crates want a C compiler for the target.
        check.args(["check", "-p", "gatherlock", "--lib", "--bins", "--no-default-features", "--features", "cli"]);
        check.args(["--target", target]);
        let code = status(check)?;
        if code != ExitCode::SUCCESS {
            return Ok(code);
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Whether the standard library for a target is there.
fn is_installed(target: &str) -> bool {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(rustc).args(["--print", "target-libdir", "--target", target]).output();
    let folder = output.ok().and_then(|output| String::from_utf8(output.stdout).ok()).unwrap_or_default();
    std::fs::read_dir(folder.trim()).is_ok_and(|mut files| files.next().is_some())
}
