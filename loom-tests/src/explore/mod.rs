//! Runs a model's body under an engine: what was found, and how strong that is.
//!
//! Executions are counted and timed here, not by the engines: loom looks at its own limits only every 20 000 executions
//! and then returns as if it had seen everything.

mod explorer;
mod found;
mod hook;
mod loom;
mod pass;
mod search;
mod shuttle;

pub use explorer::{Explorer, every_schedule, exhaustively};
pub use found::{Every, Exploration, Finding, Strength};
pub use search::{Body, Limits, MEMORY, Search};
