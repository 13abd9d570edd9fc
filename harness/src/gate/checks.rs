//! The model checks of a run are made: after the trials, because they burn CPU.

use super::event::{Observer, RunEvent};
use super::keeper::Keeper;
use crate::runner::{Registry, checker};
use std::path::Path;

/// Lets the checker check; what it says goes to the keeper.
pub(super) fn check(
    exe: &Path,
    (names, checks): (&[String], u64),
    keeper: &mut Keeper,
    registry: &Registry,
    observer: &dyn Observer,
) {
    if checks == 0 || registry.is_closed() {
        return;
    }
    observer.event(&RunEvent::Checking { checks });
    let mut done = 0;
    let ended = checker::check(exe, names, registry, |report| {
        done += 1;
        observer.event(&RunEvent::Checked { report: &report });
        if let Err(what) = keeper.record_model(report) {
            observer.event(&RunEvent::Problem { what: &what });
        }
    });
    let problem = match ended {
        Err(error) => Some(error.to_string()),
        Ok(()) if done < checks && !registry.is_closed() => Some(format!("the checker made {done} of {checks} checks")),
        Ok(()) => None,
    };
    if let Some(what) = problem {
        observer.event(&RunEvent::Problem { what: &what });
        keeper.problem(what);
    }
}
