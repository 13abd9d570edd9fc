//! The canonical form of an execution, for comparing what two engines visit.
//!
//! Two executions are the same behaviour if on every object the same threads did the same things in the same order. How
//! steps on different objects interleave does not matter, and differs between engines.

use crate::shim::{Action, Recorded};
use std::collections::BTreeMap;

/// What happened on each object, by a name of the object that does not depend on the schedule.
pub type Behaviour = BTreeMap<(String, usize), Vec<(String, &'static str)>>;

/// The behaviour that was recorded.
pub fn of(recorded: &Recorded) -> Behaviour {
    let mut behaviour = Behaviour::new();
    for event in &recorded.events {
        let did = match event.action {
            Action::Done => event.mode.word(),
            Action::Refused => "refused",
            Action::Released => "released",
            Action::Requested | Action::Blocked | Action::BlockedByReaders => continue,
        };
        let object = &recorded.objects[event.object];
        let name = (recorded.threads[object.creator].clone(), object.nth);
        behaviour.entry(name).or_default().push((recorded.threads[event.thread].clone(), did));
    }
    behaviour
}
