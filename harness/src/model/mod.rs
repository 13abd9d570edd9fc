//! The vocabulary as types: no I/O, no clock, no process.

mod canary;
mod case;
mod case_report;
mod catalogue;
mod check;
mod checker;
mod diagnosis;
mod event;
mod evidence;
mod expectation;
mod explained;
mod figures;
mod fixes;
mod limits;
mod observation;
mod outcome;
mod reality;
#[cfg(test)]
mod reality_tests;
mod recording;
mod report;
mod snapshot;
mod timeline;
mod verdict;
#[cfg(test)]
mod verdict_tests;

pub use canary::*;
pub use case::*;
pub use case_report::*;
pub use catalogue::*;
pub use check::*;
pub use checker::*;
pub use diagnosis::*;
pub use event::*;
pub use evidence::*;
pub use expectation::*;
pub use explained::*;
pub use figures::*;
pub use fixes::*;
pub use limits::*;
pub use observation::*;
pub use outcome::*;
pub use reality::*;
pub use recording::*;
pub use report::*;
pub use snapshot::*;
pub use timeline::*;
pub use verdict::*;
