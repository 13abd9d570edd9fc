//! `diagnose`: one look at a live endpoint, a process, or both, and what it amounts to.
//!
//! The scrape is held open while the process is sampled: at the bound, a little later, and at the hang limit. Between
//! these moments nothing is done to the process; when the endpoint answers in time it is not touched at all, unless the
//! caller named it.

mod find;
mod look;
mod outcome;
mod redirect;
mod samples;

pub use look::{Look, LookError, LookOptions, Looker};
pub use outcome::{ReplayError, Replayed, replay, report as look_report};
pub(in crate::gate) use redirect::{Told, Trail};
