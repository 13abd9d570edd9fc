//! The vocabulary as types: no I/O, no clock, no process.

mod canary;
mod case;
mod catalogue;
mod diagnosis;
mod expectation;
mod explained;
mod limits;
mod observation;
mod outcome;
mod recording;
mod report;
mod snapshot;
mod verdict;
#[cfg(test)]
mod verdict_tests;

pub use canary::*;
pub use case::*;
pub use catalogue::*;
pub use diagnosis::*;
pub use expectation::*;
pub use explained::*;
pub use limits::*;
pub use observation::*;
pub use outcome::*;
pub use recording::*;
pub use report::*;
pub use snapshot::*;
pub use verdict::*;
