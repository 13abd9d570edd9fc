//! `gatherlock list`: what a catalogue offers.

use super::args::{ListArgs, StdoutFormat};
use crate::gate::CATALOGUE_LIMIT;
use crate::model::{Catalogue, Expectation, Expected};
use crate::runner::{Registry, catalogue};

/// Prints the catalogues.
pub(super) fn run(args: &ListArgs) -> Result<u8, String> {
    if args.catalogue.is_empty() {
        return Err("no catalogue: give one with --catalogue BIN (in a checkout: `cargo xtask list`)".to_string());
    }
    let registry = Registry::new();
    let catalogues: Vec<Catalogue> = args
        .catalogue
        .iter()
        .map(|exe| catalogue::read(exe, CATALOGUE_LIMIT, &registry).map_err(|error| error.to_string()))
        .collect::<Result<_, _>>()?;
    match args.format {
        StdoutFormat::Json => {
            let json = serde_json::to_string_pretty(&catalogues).map_err(|error| error.to_string())?;
            println!("{json}");
        }
        StdoutFormat::Text => catalogues.iter().for_each(|catalogue| print!("{}", text(catalogue))),
    }
    Ok(0)
}

/// Scenarios by family, each with its cases and what they are expected to show.
fn text(catalogue: &Catalogue) -> String {
    let mut out = format!("{} {}\n", catalogue.name, catalogue.version);
    let mut family = "";
    for scenario in &catalogue.scenarios {
        if scenario.family != family {
            family = &scenario.family;
            out.push_str(&format!("\n{family}\n"));
        }
        out.push_str(&format!("\n  {}  {}\n", scenario.id, scenario.title));
        for case in catalogue.cases.iter().filter(|case| case.id.scenario == scenario.id) {
            let says = match (&case.skip, &case.expectation) {
                (Some(reason), _) => format!("skip: {reason}"),
                (None, Some(expectation)) => expected(expectation),
                (None, None) => "no expectation".to_string(),
            };
            out.push_str(&format!("    {:<52} {says}\n", case.id.to_string()));
        }
    }
    out.push_str("\nvariants\n");
    for variant in &catalogue.variants {
        let fix = variant.fix.as_ref().map(|fix| format!(" ({fix})")).unwrap_or_default();
        out.push_str(&format!("  {:<16} {}{fix}\n", variant.id, variant.title));
    }
    out
}

fn expected(expectation: &Expectation) -> String {
    match &expectation.outcome {
        Expected::Must(outcome) => format!("must {outcome}"),
        Expected::May(outcomes) => {
            let words: Vec<&str> = outcomes.iter().map(|outcome| outcome.word()).collect();
            format!("may {}", words.join(" | "))
        }
    }
}
