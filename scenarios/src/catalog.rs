//! The table: which scenario runs with which parameters against every variant, and what each cell of it must show.

use crate::lesson::{Cell, Lesson};
use crate::scenarios::*;
use crate::setting::Setting;
use crate::stage::{App, Stage};
use crate::variants::{Library, Variant};
use gatherlock::catalogue::{Problem, Running, Trial};
use gatherlock::model::{CATALOGUE_PROTOCOL, Case, CaseId, Catalogue};

/// One row of the matrix.
struct Row {
    lesson: &'static Lesson,
    params: &'static [(&'static str, &'static str)],
    play: fn(&Stage) -> Result<App, Problem>,
    /// The same with `guarded`: the copy of the file that is compiled against the guard's registry.
    play_guarded: fn(&Stage) -> Result<App, Problem>,
}

/// A file's lesson, with parameters.
macro_rules! row {
    ($file:ident $(, $name:literal = $value:literal)*) => {
        Row {
            lesson: &$file::LESSON,
            params: &[$(($name, $value)),*],
            play: $file::LESSON.play,
            play_guarded: guarded::$file::LESSON.play,
        }
    };
}

/// The same lesson, played by the copy of its file that is compiled against `prometheus` 0.13.4. That registry cannot be
/// replaced by the guard's, so `guarded` is that copy, too, behind the guard's endpoint.
macro_rules! row_on_0_13 {
    ($file:ident) => {
        Row {
            lesson: &$file::LESSON,
            params: &[("prometheus", "0.13.4")],
            play: on_0_13::$file::LESSON.play,
            play_guarded: on_0_13::$file::LESSON.play,
        }
    };
}

/// Every row, in the order in which reports show them.
const ROWS: &[Row] = &[
    row!(inc_during_gather),
    row_on_0_13!(inc_during_gather),
    row!(new_series_during_gather),
    row!(register_under_app_lock, "lock" = "parking-lot"),
    row!(register_under_app_lock, "lock" = "std"),
    row!(three_party_cycle),
    row!(observer_frozen_mid_observe),
    row!(actor_cycle),
    row!(register_in_collect),
    row_on_0_13!(register_in_collect),
    row!(unregister_in_collect),
    row_on_0_13!(unregister_in_collect),
    row!(gather_in_collect),
    row_on_0_13!(gather_in_collect),
    row!(gather_in_collect_no_writer),
    row_on_0_13!(gather_in_collect_no_writer),
    row!(app_lock_retaken),
    row!(guard_in_expression),
    row!(signal_handler_updates),
    row!(scrape_storm),
    row!(register_storm),
    row!(hot_app_lock),
    row!(cardinality_explosion),
    row!(cardinality_explosion_past_the_limit),
    row!(slow_collect),
    row!(slow_collect, "group" = "own"),
    row!(timeout_leaks, "stuck" = "until-release"),
    row!(timeout_leaks, "stuck" = "for-good"),
    row!(workers_eaten, "on" = "route"),
    row!(workers_eaten, "on" = "listener"),
    row!(guard_across_await, "on" = "route"),
    row!(guard_across_await, "on" = "listener"),
    row!(frozen_canary),
    row!(wrong_registry),
    row!(lost_updates),
    row!(incident),
    row_on_0_13!(incident),
];

impl Row {
    fn setting(&self, variant: Variant) -> Setting {
        let params = self.params.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
        Setting { variant, params }
    }

    fn id(&self, variant: Variant) -> CaseId {
        let id = CaseId::new(self.lesson.id, variant.id());
        self.params.iter().fold(id, |id, (name, value)| id.with(*name, *value))
    }

    fn cell(&self, variant: Variant) -> Cell {
        let by_version = self.params.iter().any(|(name, _)| *name == "prometheus");
        if by_version && variant.library() != Library::Prometheus {
            return Cell::Skip("does not use the `prometheus` crate: the row without the parameter runs it");
        }
        (self.lesson.expect)(&self.setting(variant))
    }
}

/// What `list --format json` prints.
pub(crate) fn catalogue() -> Catalogue {
    let mut scenarios: Vec<_> = Vec::new();
    let mut cases = Vec::new();
    for row in ROWS {
        if scenarios.iter().all(|known: &gatherlock::model::Scenario| known.id != row.lesson.id) {
            scenarios.push(row.lesson.scenario());
        }
        for variant in Variant::ALL {
            let (skip, expectation) = match row.cell(variant) {
                Cell::Expect(expectation) => (None, Some(expectation)),
                Cell::Skip(reason) => (Some(reason.to_string()), None),
            };
            cases.push(Case { id: row.id(variant), skip, expectation });
        }
    }
    Catalogue {
        protocol: CATALOGUE_PROTOCOL.to_string(),
        name: env!("CARGO_PKG_NAME").to_string(),
        version: env!("CARGO_PKG_VERSION").to_string(),
        prometheus: vec!["0.14.0".to_string(), "0.13.4".to_string()],
        scenarios,
        variants: Variant::ALL.map(Variant::listed).to_vec(),
        cases,
        claims: crate::claims::claims(),
    }
}

/// Sets up the case of a trial and serves it.
pub(crate) fn play(trial: &Trial) -> Result<Running, Problem> {
    for row in ROWS {
        if let Some(variant) = Variant::ALL.into_iter().find(|variant| row.id(*variant) == trial.case) {
            let play = if variant == Variant::Guarded { row.play_guarded } else { row.play };
            return play(&Stage::new(row.setting(variant), trial))?.serve();
        }
    }
    Err(format!("this catalogue has no case `{}`", trial.case).into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    use std::fmt::Write;

    #[test]
    fn every_case_has_its_own_id_and_either_an_expectation_or_a_reason() {
        let catalogue = catalogue();
        let ids: BTreeSet<String> = catalogue.cases.iter().map(|case| case.id.to_string()).collect();
        assert_eq!(ids.len(), catalogue.cases.len());
        assert_eq!(ids.len(), ROWS.len() * Variant::ALL.len());
        for case in &catalogue.cases {
            assert!(case.skip.is_some() != case.expectation.is_some(), "{}", case.id);
            assert_eq!(case.id.to_string().parse::<CaseId>().unwrap(), case.id);
            let because = case.expectation.as_ref().map(|expectation| expectation.because.as_str());
            assert!(because.or(case.skip.as_deref()).is_some_and(|text| !text.is_empty()), "{}", case.id);
        }
    }

    #[test]
    fn every_scenario_tells_its_story() {
        for scenario in catalogue().scenarios {
            assert!(scenario.title.len() > 20 && !scenario.title.contains('\n'), "{}: {}", scenario.id, scenario.title);
            assert!(
                scenario.story.len() > 200 && !scenario.story.contains("```"),
                "{}: {}",
                scenario.id,
                scenario.story
            );
            assert!(!scenario.origin.is_empty(), "{}", scenario.id);
        }
    }

    /// What is not run is a decision that a change must show: the list stands in a file.
    #[test]
    fn skips_are_the_ones_on_file() {
        let mut skips = String::new();
        for case in catalogue().cases {
            if let Some(reason) = case.skip {
                writeln!(skips, "{}: {reason}", case.id).unwrap();
            }
        }
        assert_eq!(skips, include_str!("../skips.golden"), "the list is now:\n{skips}");
    }

    /// The rows, for whoever must know them without linking this: the model checker says of each how it is modelled.
    #[test]
    fn rows_are_the_ones_on_file() {
        let mut rows = String::new();
        for row in ROWS {
            writeln!(rows, "{}", row.id(Variant::Naive).row()).unwrap();
        }
        assert_eq!(rows, include_str!("../rows.golden"), "the list is now:\n{rows}");
    }

    #[test]
    fn the_versions_listed_are_the_ones_linked() {
        let lock = include_str!("../../Cargo.lock");
        for version in catalogue().prometheus {
            assert!(lock.contains(&format!("name = \"prometheus\"\nversion = \"{version}\"")), "{version}");
        }
    }
}
