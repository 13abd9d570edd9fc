//! Gatherlock shows why a `/metrics` endpoint hangs, and keeps it from hanging again.
//!
//! The pure core ([`model`], [`graph`], [`detect`], [`render`]) knows neither clock nor process; the effects
//! ([`runner`], [`probe`], [`diagnose`], [`catalogue`]) know the model only; [`gate`] puts them together and is the only
//! place that turns verdicts into an exit code.

pub mod catalogue;
#[cfg(feature = "cli")]
pub mod cli;
pub mod detect;
pub mod diagnose;
#[cfg(all(test, live))]
mod fuzz;
pub mod gate;
pub mod graph;
pub mod model;
pub mod probe;
pub mod render;
pub mod runner;

pub use gate::within;
