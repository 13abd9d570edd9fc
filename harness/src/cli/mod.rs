//! The verbs of the command line: arguments in, one document or a terminal page out, an exit code.

mod args;
mod diagnose;
mod endpoint;
mod exit;
mod figures;
mod gate;
mod interrupt;
mod list;
mod output;
mod progress;
mod report;
mod repro;

use args::{Cli, Verb};
use clap::Parser;
use exit::COULD_NOT_JUDGE;
use std::process::ExitCode;

/// Parses the arguments, runs the verb and returns its exit code.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let result = match cli.verb {
        Verb::Repro(args) => repro::run(&args),
        Verb::Diagnose(args) => diagnose::run(&args),
        Verb::Gate(args) => gate::run(&args),
        Verb::Report(args) => report::run(&args),
        Verb::List(args) => list::run(&args),
    };
    match result {
        Ok(code) => ExitCode::from(code),
        Err(problem) => {
            eprintln!("gatherlock: {problem}");
            ExitCode::from(COULD_NOT_JUDGE)
        }
    }
}
