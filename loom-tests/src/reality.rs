//! Model against reality: which live scenario is modelled, which is not and why, and what the models show together.
//!
//! What would contradict what is decided in [`gatherlock::model::compare`], where live outcomes and models meet.

/// How a live scenario is modelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coverage {
    /// By the models that bear its name.
    Modelled,
    /// Not at all, because it depends on something that no model here has.
    Outside(&'static str),
}

const TIME: &str = "time: how long an encoding takes; no thread waits for another";
const RUNTIME: &str = "an async runtime: which of its workers are free";
const ANSWER: &str = "what the answer says, not whether there is one";

/// Every scenario of the live catalogue, in its order. A test compares this list with the catalogue's own: a scenario that
/// is added there must be modelled, or be listed as outside the model with the reason.
pub const SCENARIOS: [(&str, Coverage); 26] = [
    ("inc-during-gather", Coverage::Modelled),
    ("new-series-during-gather", Coverage::Modelled),
    ("register-under-app-lock", Coverage::Modelled),
    ("three-party-cycle", Coverage::Modelled),
    (
        "observer-frozen-mid-observe",
        Coverage::Outside("a thread is frozen from outside, and the model's always run on"),
    ),
    ("actor-cycle", Coverage::Modelled),
    ("register-in-collect", Coverage::Modelled),
    ("unregister-in-collect", Coverage::Modelled),
    ("gather-in-collect", Coverage::Modelled),
    ("gather-in-collect-no-writer", Coverage::Modelled),
    ("app-lock-retaken", Coverage::Modelled),
    ("guard-in-expression", Coverage::Modelled),
    ("signal-handler-updates", Coverage::Modelled),
    ("scrape-storm", Coverage::Modelled),
    ("register-storm", Coverage::Modelled),
    ("hot-app-lock", Coverage::Modelled),
    ("cardinality-explosion", Coverage::Outside(TIME)),
    ("cardinality-explosion-past-the-limit", Coverage::Outside(TIME)),
    ("slow-collect", Coverage::Outside("I/O: a peer that accepts and says nothing")),
    ("timeout-leaks", Coverage::Outside("time: a permit that is kept past a deadline")),
    ("workers-eaten", Coverage::Outside(RUNTIME)),
    ("guard-across-await", Coverage::Outside(RUNTIME)),
    ("frozen-canary", Coverage::Outside(ANSWER)),
    ("wrong-registry", Coverage::Outside(ANSWER)),
    ("lost-updates", Coverage::Modelled),
    (
        "incident",
        Coverage::Outside("three services on their ports; its mechanism is modelled: register-under-app-lock"),
    ),
];

/// Models without a live scenario, and why there is none.
pub const MODELS_ALONE: [(&str, &str); 6] = [
    ("full-channel-under-lock", "no live scenario is written yet; actor-cycle is the live one that waits on a channel"),
    ("lost-wakeup", "no live scenario is written yet"),
    ("poisoned-lock", "no live scenario is written yet"),
    ("reset-during-gather", "no gate holds a live thread inside reset()"),
    ("remove-during-gather", "no gate holds a live thread inside remove_label_values()"),
    ("two-gathers", "live, the crowd of scrape-storm stands for it"),
];

/// Handlers of the live catalogue that do not gather from a `prometheus::Registry`: what they show says nothing about models of it.
pub const OTHER_VARIANTS: [(&str, &str); 4] = [
    ("atomics", "hand-written text: no registry and no collector"),
    ("exporter", "the crate `metrics-exporter-prometheus`"),
    ("official", "the crate `prometheus-client`"),
    ("guarded", "the registry and the endpoint of `gatherlock-guard`, which has models of its own"),
];

/// A sentence that models bear out together.
#[derive(Clone, Copy, Debug)]
pub struct Claim {
    /// The models, by name or by scenario.
    pub models: &'static [&'static str],
    /// If all of them held.
    pub held: &'static str,
    /// If one of them did not.
    pub broken: &'static str,
}

/// What the models show together.
pub const CLAIMS: [Claim; 4] = [
    Claim {
        models: &[
            "inc-during-gather",
            "new-series-during-gather",
            "reset-during-gather",
            "remove-during-gather",
            "two-gathers",
            "register-storm",
        ],
        held: "The root cause that the incident's report wrote down hangs the published crate in no model: no schedule \
               that was explored of updates, new label sets, reset(), remove_label_values() or register() beside \
               gather() does, under 0.13.4 or 0.14.0.",
        broken: "Updates beside gather() hang the published crate, or could not be checked",
    },
    Claim {
        models: &["gather-in-collect", "gather-in-collect-no-writer"],
        held: "gather() inside collect() hangs exactly if somebody registers a metric in between: without a writer no \
               schedule hangs, with one there is a schedule that does.",
        broken: "What a writer does to gather() inside collect() was not as expected",
    },
    Claim {
        models: &["register-under-app-lock", "three-party-cycle"],
        held: "A lock of the application that collect() takes, and whose holder registers a metric, deadlocks with the \
               registry's; if that holder only gathers, it takes a third thread that registers.",
        broken: "The lock order of application and registry was not as expected",
    },
    Claim {
        models: &["register-in-collect", "unregister-in-collect", "app-lock-retaken", "guard-in-expression"],
        held: "A collector that registers, unregisters or takes a lock twice hangs every scrape: it takes one thread, and \
               no unlucky schedule.",
        broken: "A lock taken twice by one thread did not hang as expected",
    },
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::{Expect, VERSIONS};

    /// The rows of the live catalogue, which a test of the catalogue keeps up to date: `scenario` or
    /// `scenario[param=value]`, one a line.
    const LIVE: &str = include_str!("../../scenarios/rows.golden");

    /// Scenarios that are live and not listed here.
    fn unlisted(live: &str) -> Vec<&str> {
        let listed = |scenario: &str| SCENARIOS.iter().any(|(known, _)| *known == scenario);
        live.lines().map(crate::models::scenario).filter(|scenario| !listed(scenario)).collect()
    }

    #[test]
    fn every_live_scenario_is_modelled_or_listed_as_outside_the_model() {
        assert_eq!(unlisted(LIVE), Vec::<&str>::new());
        assert_eq!(unlisted("inc-during-gather[prometheus=0.13.4]\nbrand-new\n"), ["brand-new"]);
        let mut live: Vec<&str> = LIVE.lines().map(crate::models::scenario).collect();
        live.dedup();
        assert_eq!(live, SCENARIOS.map(|(scenario, _)| scenario), "listed here, and not live any more");
    }

    #[test]
    fn every_modelled_scenario_has_a_model_and_every_model_a_scenario() {
        for version in VERSIONS {
            let models = (version.models)();
            let has = |scenario: &str| models.iter().any(|model| model.scenario() == scenario);
            for (scenario, coverage) in SCENARIOS {
                assert_eq!(has(scenario), coverage == Coverage::Modelled, "{scenario} on {}", version.number);
            }
            for (scenario, _) in MODELS_ALONE {
                assert!(has(scenario), "{scenario} on {}", version.number);
            }
            for model in &models {
                let live = SCENARIOS.iter().any(|(scenario, _)| *scenario == model.scenario());
                let alone = MODELS_ALONE.iter().any(|(scenario, _)| *scenario == model.scenario());
                assert_ne!(live, alone, "{} on {}", model.name, version.number);
            }
        }
    }

    /// A claim rests on models that exist, and on those only that show what it says.
    #[test]
    fn claims_name_models() {
        let models = (VERSIONS[1].models)();
        for claim in CLAIMS {
            for name in claim.models {
                assert!(models.iter().any(|model| model.name == *name || model.scenario() == *name), "{name}");
            }
        }
        let root_cause = CLAIMS[0].models;
        let hangs =
            models.iter().filter(|model| root_cause.contains(&model.scenario()) && model.expect != Expect::None);
        assert_eq!(hangs.map(|model| model.name).collect::<Vec<_>>(), Vec::<&str>::new());
    }
}
