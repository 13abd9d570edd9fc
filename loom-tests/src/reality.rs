//! Model against reality: which live scenario has which model, and which outcomes of the two contradict each other.

use crate::models::Expect;
use gatherlock::model::Outcome;

/// How a live scenario is modelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coverage {
    /// By the models that bear its name.
    Modelled,
    /// Not at all, because it depends on something that no model here has.
    Outside(&'static str),
}

const TIME: &str = "outside the model: time";
const IO: &str = "outside the model: sockets and slow peers";
const RUNTIME: &str = "outside the model: an async runtime's workers";
const ANSWER: &str = "outside the model: what the answer says, not whether there is one";
const PROCESS: &str = "outside the model: the process starts, ends or is signalled";

/// Every scenario of the live catalogue.
pub const SCENARIOS: [(&str, Coverage); 39] = [
    ("inc-during-gather", Coverage::Modelled),
    ("new-series-during-gather", Coverage::Modelled),
    ("register-under-app-lock", Coverage::Modelled),
    ("three-party-cycle", Coverage::Modelled),
    (
        "observer-frozen-mid-observe",
        Coverage::Outside("outside the model: a thread is frozen, and the model's always run on"),
    ),
    ("actor-cycle", Coverage::Modelled),
    ("register-in-collect", Coverage::Modelled),
    ("unregister-in-collect", Coverage::Modelled),
    ("gather-in-collect", Coverage::Modelled),
    ("gather-in-collect-no-writer", Coverage::Modelled),
    ("app-lock-retaken", Coverage::Modelled),
    ("guard-in-expression", Coverage::Modelled),
    ("signal-handler-updates", Coverage::Modelled),
    ("scrape-storm", Coverage::Outside(TIME)),
    ("register-storm", Coverage::Modelled),
    ("hot-app-lock", Coverage::Modelled),
    ("cardinality-explosion", Coverage::Outside(TIME)),
    ("slow-collect", Coverage::Outside(IO)),
    ("full-channel-under-lock", Coverage::Modelled),
    ("slow-client-holds-lock", Coverage::Outside(IO)),
    ("workers-eaten", Coverage::Outside(RUNTIME)),
    ("blocking-pool-exhausted", Coverage::Outside(RUNTIME)),
    ("timeout-leaks", Coverage::Outside(TIME)),
    ("pile-up-after-disconnect", Coverage::Outside(IO)),
    ("guard-across-await", Coverage::Outside(RUNTIME)),
    ("async-lock-never-released", Coverage::Outside(RUNTIME)),
    ("block-on-in-collect", Coverage::Outside(RUNTIME)),
    ("lost-wakeup", Coverage::Modelled),
    ("panic-in-collect", Coverage::Outside(ANSWER)),
    ("poisoned-lock", Coverage::Modelled),
    ("abort-in-collect", Coverage::Outside(PROCESS)),
    ("wrong-registry", Coverage::Outside(ANSWER)),
    ("frozen-canary", Coverage::Outside(ANSWER)),
    ("bad-content-type", Coverage::Outside(ANSWER)),
    ("lost-updates", Coverage::Outside(ANSWER)),
    ("serial-accept", Coverage::Outside(IO)),
    ("never-bound", Coverage::Outside(PROCESS)),
    ("shutdown-cycle", Coverage::Outside(PROCESS)),
    ("incident", Coverage::Outside("outside the model: three services; its mechanisms are modelled one by one")),
];

/// Models without a live scenario: variations that a live trial could not force.
pub const MODELS_ALONE: [&str; 3] = ["reset-during-gather", "remove-during-gather", "two-gathers"];

/// Whether a live outcome contradicts what the models of the same scenario show, all of them together.
///
/// A scenario with a model that hangs may be served live, if the live trial does not meet the schedule; the other way
/// round there is no excuse.
pub fn contradiction(live: Outcome, models: &[Expect]) -> Option<&'static str> {
    let any = |wanted: fn(&Expect) -> bool| models.iter().any(wanted);
    let deadlocks = any(|model| matches!(model, Expect::Deadlock(_)));
    let blocks = any(|model| matches!(model, Expect::Blocked(_)));
    match live {
        Outcome::Deadlocked if !deadlocks => Some("deadlocked live, and no model of that mechanism deadlocks"),
        Outcome::Stalled if !blocks => Some("stalled live, and no model of that mechanism is blocked"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::VERSIONS;

    #[test]
    fn every_modelled_scenario_has_a_model_and_every_model_a_scenario() {
        for version in VERSIONS {
            let models = (version.models)();
            let has = |scenario: &str| models.iter().any(|model| model.scenario() == scenario);
            for (scenario, coverage) in SCENARIOS {
                assert_eq!(has(scenario), coverage == Coverage::Modelled, "{scenario} on {}", version.number);
            }
            for model in &models {
                let live = SCENARIOS.iter().any(|(scenario, _)| *scenario == model.scenario());
                assert_ne!(live, MODELS_ALONE.contains(&model.scenario()), "{} on {}", model.name, version.number);
            }
        }
    }

    #[test]
    fn a_live_deadlock_needs_a_model_that_deadlocks() {
        let of = |scenario: &str| -> Vec<Expect> {
            let models = (VERSIONS[1].models)();
            models.iter().filter(|model| model.scenario() == scenario).map(|model| model.expect).collect()
        };
        assert_eq!(contradiction(Outcome::Deadlocked, &of("gather-in-collect")), None);
        assert_eq!(contradiction(Outcome::Served, &of("gather-in-collect")), None);
        assert!(contradiction(Outcome::Deadlocked, &of("inc-during-gather")).is_some());
        assert_eq!(contradiction(Outcome::Stalled, &of("actor-cycle")), None);
        assert!(contradiction(Outcome::Stalled, &of("register-in-collect")).is_some());
    }
}
