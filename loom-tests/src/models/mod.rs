//! The models: the mistakes of the live catalogue and their controls, on the real `prometheus`, each with the verdict it
//! must have.
//!
//! A model shares the name of the live scenario of the same mechanism. Its body is the smallest program with that
//! mechanism; the body's own thread is called `main` and does the scrape.

mod model;
pub mod v0_13_4;
pub mod v0_14_0;

pub use model::{Checked, Expect, Model, scenario};

/// A `prometheus` version and the models on it.
#[derive(Clone, Copy, Debug)]
pub struct Version {
    /// The version.
    pub number: &'static str,
    /// Its models.
    pub models: fn() -> Vec<Model>,
}

/// Every version that is modelled.
pub const VERSIONS: [Version; 2] =
    [Version { number: "0.13.4", models: v0_13_4::models }, Version { number: "0.14.0", models: v0_14_0::models }];
