//! `cargo xtask VERB`: builds what the verb needs and passes it on. Thin: it knows no scenario by name.

mod bench;
mod build;
mod ci;
mod fuzz;
mod matrix;
mod model;
mod portable;
mod prometheus;
mod schema;
mod tidy;

use build::Binary;
use std::process::ExitCode;

const USAGE: &str = "\
cargo xtask VERB [ARGS]

  repro [GLOB…]       run the catalogue and leave a report in reports/latest/; --models puts the model checks beside it
  list                show scenarios, variants and cases, and what is modelled
  model [NAME|GLOB…]  model-check the published prometheus crate under loom and shuttle; --search SECONDS draws programs
  diagnose            say why a live endpoint or process hangs (--url, --pid)
  gate                hold live endpoints to their bound (--url, --targets, --command)
  report FILE…        render a report again, without running anything
  diagnose-matrix     diagnose the catalogue's hangs in eight builds, and score that
  tidy                check the rules of the house
  ci                  fmt, clippy, docs, tidy, tests, repro
  prometheus          let a real Prometheus server scrape three nodes; its figures go into the next report
  bench [NAME]        run the benchmarks; `bench guard` leaves what a scrape costs for the next report, `bench diagnose` holds
                      the live engine against gdb and eu-stack
  fuzz                feed damaged input to what reads a target (--seconds N, --seed S)
  portable            test and compile what is left on other platforms
  schema              write reports/schema/ from the types

`cargo xtask VERB --help` shows the arguments of repro, list, model, diagnose, gate, report and diagnose-matrix.
Exit codes: 0 held, 1 violated or vanished, 2 could not judge.";

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    let verb = args.next().unwrap_or_default();
    let rest: Vec<String> = args.collect();
    let result = match verb.as_str() {
        "repro" | "list" => build::run_gatherlock(&verb, &rest, &[Binary::Scenarios]),
        "report" | "diagnose" | "gate" => build::run_gatherlock(&verb, &rest, &[]),
        "diagnose-matrix" => matrix::run(&rest),
        "model" => model::run(&rest),
        "tidy" => tidy::run(),
        "ci" => ci::run(),
        "bench" => bench::run(&rest),
        "fuzz" => fuzz::run(&rest),
        "portable" => portable::run(),
        "prometheus" => prometheus::run(),
        "schema" => schema::run(),
        "" | "help" | "--help" | "-h" => {
            println!("{USAGE}");
            Ok(ExitCode::SUCCESS)
        }
        other => Err(format!("no verb `{other}`\n\n{USAGE}")),
    };
    result.unwrap_or_else(|problem| {
        eprintln!("xtask: {problem}");
        ExitCode::from(2)
    })
}
