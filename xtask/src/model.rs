//! `cargo xtask model`: builds the checker and passes the words on to it.

use crate::build::{cargo, checker, status};
use std::process::{Command, ExitCode};

/// Checks, replays or lists; the exit code is the checker's. `--search SECONDS [--seed N]` draws random programs for that
/// long instead.
pub(crate) fn run(args: &[String]) -> Result<ExitCode, String> {
    match args.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["--search", seconds] => return search(seconds, "1"),
        ["--search", seconds, "--seed", seed] => return search(seconds, seed),
        ["--search", ..] => return Err("usage: cargo xtask model --search SECONDS [--seed N]".into()),
        _ => {}
    }
    let mut check = Command::new(checker()?);
    check.args(args).env("GATHERLOCK_INVOKED_AS", "cargo xtask");
    status(check)
}

/// Runs the random program search, which is a test that is ignored unless asked for.
fn search(seconds: &str, seed: &str) -> Result<ExitCode, String> {
    for number in [seconds, seed] {
        number.parse::<u64>().map_err(|_| format!("`{number}` is no whole number"))?;
    }
    let mut test = cargo();
    test.args(["test", "-p", "gatherlock-loom-tests", "--test", "random_programs", "--"]);
    test.args(["--ignored", "--nocapture", "--exact", "search::search"]);
    test.env("GATHERLOCK_SEARCH_SECONDS", seconds).env("GATHERLOCK_SEARCH_SEED", seed);
    status(test)
}
