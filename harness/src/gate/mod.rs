//! The composition root: plans, runs, grades and reports, and is the only place that turns verdicts into an exit code.

mod assemble;
mod checks;
mod drive;
mod endpoint;
mod environment;
mod event;
mod findings;
mod halt;
mod keeper;
mod live;
mod models;
mod own;
mod requests;
mod run;
mod setup;
mod stage;
mod trial;

pub use assemble::{CaseRecord, RunEnd, RunHeader, TrialRecord, assemble};
pub use endpoint::{BadTargets, GateOptions, Target, gate, read_targets};
pub use environment::environment;
pub use event::{Observer, RunEvent};
pub use keeper::{Keeper, KeeperError, check_writable, report_from_journal, write_atomically};
pub use live::{Look, LookError, LookOptions, Looker, ReplayError, Replayed, look_report, replay};
pub use own::{Helper, OwnError, within};
pub use run::{CATALOGUE_LIMIT, ReproOptions, RunError, repro};
