//! From a catalogue to trials, and each trial in a process of its own that cannot outlive the run.
//!
//! * [`plan`]: words, shards and seeds become an ordered list of trials.
//! * [`catalogue`]: asks a catalogue executable what it offers.
//! * [`checker`]: asks a model checker what it offers, and lets it check.
//! * [`Child`]: one trial's process: commands go in, journal lines come out, the whole process group is killed.
//! * [`RunJournal`]: what the run has learnt so far, append-only, readable after a kill.
//! * [`clock`]: the monotonic clock that all local processes share, and how late this process wakes.

mod attendant;
pub mod catalogue;
pub mod checker;
mod child;
pub mod clock;
pub(crate) mod cpus;
mod journal;
mod lag;
mod lines;
mod output;
pub mod plan;
mod process;
mod registry;
mod seed;
mod select;
mod service;
mod shard;
mod tail;
mod watch;

pub use child::{Child, CommandError, Said, SpawnError, SpawnOptions};
pub use journal::{Recovered, RunJournal, RunJournalError, SyncPolicy, recover, recover_file};
pub use lag::{LagMeter, LagWatch};
pub use lines::{JournalFault, JournalProblem};
pub use output::Captured;
pub use process::{Exit, KillError};
pub use registry::Registry;
pub use seed::trial_seed;
pub use select::SelectError;
pub use service::Service;
pub use shard::{BadShard, Shard};
pub use tail::{JournalTail, Tailed};
