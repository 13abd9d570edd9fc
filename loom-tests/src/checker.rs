//! What this checker offers, as the document by which a runner asks for it.

use crate::models::{Model, VERSIONS};
use crate::reality::{CLAIMS, Coverage, MODELS_ALONE, OTHER_VARIANTS, SCENARIOS};
use gatherlock::model::{CHECKER_PROTOCOL, Checker, ModelClaim, ModelInfo, Outside};

/// Engines that a model is checked under if none is chosen.
const ENGINES: usize = 2;

/// Models, what is outside them, and what they show together.
pub fn checker() -> Checker {
    let models = VERSIONS.last().map(|newest| (newest.models)()).unwrap_or_default();
    let outside = |(id, why): (&str, &str)| Outside { id: id.to_owned(), why: why.to_owned() };
    let scenarios = SCENARIOS.iter().filter_map(|(id, coverage)| match coverage {
        Coverage::Modelled => None,
        Coverage::Outside(why) => Some(outside((id, why))),
    });
    Checker {
        protocol: CHECKER_PROTOCOL.to_owned(),
        name: env!("CARGO_PKG_NAME").to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        crate_versions: VERSIONS.iter().map(|version| version.number.to_owned()).collect(),
        models: models.iter().map(info).collect(),
        checks: (VERSIONS.iter().map(|version| (version.models)().len()).sum::<usize>() * ENGINES) as u64,
        outside: scenarios.collect(),
        alone: MODELS_ALONE.into_iter().map(outside).collect(),
        other_variants: OTHER_VARIANTS.into_iter().map(outside).collect(),
        claims: CLAIMS
            .iter()
            .map(|claim| ModelClaim {
                models: claim.models.iter().map(ToString::to_string).collect(),
                held: claim.held.to_owned(),
                broken: claim.broken.to_owned(),
            })
            .collect(),
    }
}

fn info(model: &Model) -> ModelInfo {
    ModelInfo {
        name: model.name.to_owned(),
        lesson: model.lesson.to_owned(),
        threads: u32::try_from(model.threads).unwrap_or(u32::MAX),
        expectation: model.expect.word().to_owned(),
    }
}
