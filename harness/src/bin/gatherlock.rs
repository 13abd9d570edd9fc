//! The command line of Gatherlock; all of it is in [`gatherlock::cli`].

use std::process::ExitCode;

fn main() -> ExitCode {
    gatherlock::cli::main()
}
