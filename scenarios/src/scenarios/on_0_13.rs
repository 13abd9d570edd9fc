//! The incident's own suspicion, the recursive family and the incident once more, on `prometheus` 0.13.4: the version that the incident ran on.

#![allow(clippy::duplicate_mod, reason = "compiling the same files against another version is the point")]

#[path = "gather_in_collect.rs"]
pub(crate) mod gather_in_collect;
#[path = "gather_in_collect_no_writer.rs"]
pub(crate) mod gather_in_collect_no_writer;
#[path = "inc_during_gather.rs"]
pub(crate) mod inc_during_gather;
#[path = "incident.rs"]
pub(crate) mod incident;
#[path = "register_in_collect.rs"]
pub(crate) mod register_in_collect;
#[path = "register_under_app_lock.rs"]
pub(crate) mod register_under_app_lock;
#[path = "unregister_in_collect.rs"]
pub(crate) mod unregister_in_collect;

use crate::variants::on_0_13 as handlers;
use ::prometheus_0_13 as prometheus;
