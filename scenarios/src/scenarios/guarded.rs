//! Every scenario once more with `guard::Registry` behind `guard::Endpoint`: the fix in this project's own hands.

#![allow(clippy::duplicate_mod, reason = "compiling the same files against another registry is the point")]

#[path = "actor_cycle.rs"]
pub(crate) mod actor_cycle;
#[path = "app_lock_retaken.rs"]
pub(crate) mod app_lock_retaken;
#[path = "cardinality_explosion.rs"]
pub(crate) mod cardinality_explosion;
#[path = "cardinality_explosion_past_the_limit.rs"]
pub(crate) mod cardinality_explosion_past_the_limit;
#[path = "frozen_canary.rs"]
pub(crate) mod frozen_canary;
#[path = "gather_in_collect.rs"]
pub(crate) mod gather_in_collect;
#[path = "gather_in_collect_no_writer.rs"]
pub(crate) mod gather_in_collect_no_writer;
#[path = "guard_across_await.rs"]
pub(crate) mod guard_across_await;
#[path = "guard_in_expression.rs"]
pub(crate) mod guard_in_expression;
#[path = "hot_app_lock.rs"]
pub(crate) mod hot_app_lock;
#[path = "inc_during_gather.rs"]
pub(crate) mod inc_during_gather;
#[path = "incident.rs"]
pub(crate) mod incident;
#[path = "lost_updates.rs"]
pub(crate) mod lost_updates;
#[path = "new_series_during_gather.rs"]
pub(crate) mod new_series_during_gather;
#[path = "observer_frozen_mid_observe.rs"]
pub(crate) mod observer_frozen_mid_observe;
#[path = "plain.rs"]
mod plain;
#[path = "register_in_collect.rs"]
pub(crate) mod register_in_collect;
#[path = "register_storm.rs"]
pub(crate) mod register_storm;
#[path = "register_under_app_lock.rs"]
pub(crate) mod register_under_app_lock;
#[path = "scrape_storm.rs"]
pub(crate) mod scrape_storm;
#[path = "series.rs"]
mod series;
#[path = "signal_handler_updates.rs"]
pub(crate) mod signal_handler_updates;
#[path = "slow_collect.rs"]
pub(crate) mod slow_collect;
#[path = "three_party_cycle.rs"]
pub(crate) mod three_party_cycle;
#[path = "timeout_leaks.rs"]
pub(crate) mod timeout_leaks;
#[path = "unregister_in_collect.rs"]
pub(crate) mod unregister_in_collect;
#[path = "workers_eaten.rs"]
pub(crate) mod workers_eaten;
#[path = "wrong_registry.rs"]
pub(crate) mod wrong_registry;

use crate::variants::guarded as handlers;
use crate::variants::guarded::prometheus;
