//! `gatherlock list`: what a catalogue offers.

use super::args::{ListArgs, StdoutFormat};
use super::output::print_document;
use crate::gate::CATALOGUE_LIMIT;
use crate::model::{Catalogue, Checker, Expectation, Expected, model_scenario};
use crate::runner::{Registry, catalogue, checker};
use std::collections::BTreeSet;

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
            print_document(&format!("{json}\n"))?;
        }
        StdoutFormat::Text => {
            let checker = args.checker.as_ref().map(|exe| checker::list(exe, CATALOGUE_LIMIT, &registry));
            let checker = checker.transpose().map_err(|error| error.to_string())?;
            let mut page: String = catalogues.iter().map(|catalogue| text(catalogue, checker.as_ref())).collect();
            if let Some(checker) = &checker {
                page.push_str(&coverage(&catalogues, checker));
            }
            print_document(&page)?;
        }
    }
    Ok(0)
}

/// Scenarios by family, each with its cases and what they are expected to show.
fn text(catalogue: &Catalogue, checker: Option<&Checker>) -> String {
    let mut out = format!("{} {}\n", catalogue.name, catalogue.version);
    let mut family = "";
    for scenario in &catalogue.scenarios {
        if scenario.family != family {
            family = &scenario.family;
            out.push_str(&format!("\n{family}\n"));
        }
        out.push_str(&format!("\n  {}  {}\n", scenario.id, scenario.title));
        if let Some(checker) = checker {
            out.push_str(&format!("    {}\n", covered(&scenario.id, checker)));
        }
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

/// Whether a live scenario is modelled too.
fn covered(scenario: &str, checker: &Checker) -> String {
    let models = checker.models_of(scenario).count();
    match (models, checker.outside(scenario)) {
        (0, Some(why)) => format!("live; outside the model: {why}"),
        (0, None) => "live; not modelled, and not listed as outside the model".to_string(),
        (1, _) => "live and modelled".to_string(),
        (n, _) => format!("live and modelled: {n} models"),
    }
}

/// Mechanisms that are modelled only, and how many are covered how.
fn coverage(catalogues: &[Catalogue], checker: &Checker) -> String {
    let live =
        |id: &str| catalogues.iter().flat_map(|catalogue| &catalogue.scenarios).any(|scenario| scenario.id == id);
    let modelled: BTreeSet<&str> = checker.models.iter().map(|model| model_scenario(&model.name)).collect();
    let (both, alone): (Vec<&str>, Vec<&str>) = modelled.into_iter().partition(|id| live(id));
    let scenarios = catalogues.iter().map(|catalogue| catalogue.scenarios.len()).sum::<usize>();
    let mut out = String::from("\nmodelled only\n");
    for id in &alone {
        let lesson = checker.models_of(id).next().map(|model| model.lesson.as_str()).unwrap_or_default();
        out.push_str(&format!("\n  {id}  {lesson}\n"));
        let why = checker.alone(id).unwrap_or("not listed as modelled only");
        out.push_str(&format!("    no live trial: {why}\n"));
    }
    out.push_str(&format!(
        "\nmechanisms: {} live and modelled, {} live only, {} modelled only\n",
        both.len(),
        scenarios - both.len(),
        alone.len()
    ));
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Case, CaseId, Company, Drive, ModelInfo, Outcome, Outside, Release, Scenario, Variant};

    fn scenario(id: &str) -> Scenario {
        Scenario {
            id: id.into(),
            family: "recursive lock".into(),
            title: format!("the title of {id}"),
            story: String::new(),
            origin: Vec::new(),
            company: Company::Together,
            bound_ms: None,
            drive: Drive::Scrapes { extra: 0 },
            release: Release::Never,
            advice: Vec::new(),
        }
    }

    fn catalogue() -> Catalogue {
        let must = Expectation::must(Outcome::Deadlocked, "one thread, two locks");
        let case = |id: CaseId, skip: Option<&str>| Case {
            id,
            expectation: skip.is_none().then(|| must.clone()),
            skip: skip.map(str::to_owned),
        };
        Catalogue {
            protocol: crate::model::CATALOGUE_PROTOCOL.into(),
            name: "ours".into(),
            version: "1".into(),
            prometheus: Vec::new(),
            scenarios: ["both", "outside", "forgotten"].map(scenario).to_vec(),
            variants: vec![Variant { id: "naive".into(), title: "as it was".into(), fix: Some("fix 1".into()) }],
            cases: vec![
                case(CaseId::new("both", "naive"), None),
                case(CaseId::new("outside", "naive"), Some("nothing to run")),
            ],
            claims: Vec::new(),
        }
    }

    fn checker() -> Checker {
        let model = |name: &str| ModelInfo {
            name: name.into(),
            lesson: format!("the lesson of {name}"),
            threads: 2,
            expectation: "none".into(),
        };
        let outside = |id: &str, why: &str| Outside { id: id.into(), why: why.into() };
        Checker {
            models: ["both[lock=std]", "both[lock=parking-lot]", "alone", "unlisted"].map(model).to_vec(),
            outside: vec![outside("outside", "time")],
            alone: vec![outside("alone", "no gate holds it there")],
            ..Checker::default()
        }
    }

    #[test]
    fn each_scenario_says_whether_it_is_live_modelled_or_both() {
        let expected = "\
ours 1

recursive lock

  both  the title of both
    live and modelled: 2 models
    both/naive                                           must deadlocked

  outside  the title of outside
    live; outside the model: time
    outside/naive                                        skip: nothing to run

  forgotten  the title of forgotten
    live; not modelled, and not listed as outside the model

variants
  naive            as it was (fix 1)
";
        assert_eq!(text(&catalogue(), Some(&checker())), expected);
        let without = text(&catalogue(), None);
        assert!(!without.contains("live"), "{without}");
    }

    #[test]
    fn what_is_modelled_only_is_listed_with_the_reason() {
        let expected = "
modelled only

  alone  the lesson of alone
    no live trial: no gate holds it there

  unlisted  the lesson of unlisted
    no live trial: not listed as modelled only

mechanisms: 1 live and modelled, 2 live only, 2 modelled only
";
        assert_eq!(coverage(&[catalogue()], &checker()), expected);
    }
}
