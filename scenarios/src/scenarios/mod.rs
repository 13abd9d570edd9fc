//! The mistakes, one file each: the lesson first, then the code, the expectations last.
//!
//! A file that needs the `prometheus` crate and its handlers takes them from here, as `super::prometheus` and
//! `super::handlers`, so that it can be compiled once more: for another version in [`on_0_13`], and for another registry in
//! [`guarded`].

pub(crate) mod actor_cycle;
pub(crate) mod app_lock_retaken;
pub(crate) mod cardinality_explosion;
pub(crate) mod cardinality_explosion_past_the_limit;
pub(crate) mod frozen_canary;
pub(crate) mod gather_in_collect;
pub(crate) mod gather_in_collect_no_writer;
pub(crate) mod guard_across_await;
pub(crate) mod guard_in_expression;
pub(crate) mod guarded;
pub(crate) mod hot_app_lock;
pub(crate) mod inc_during_gather;
pub(crate) mod incident;
pub(crate) mod lost_updates;
pub(crate) mod new_series_during_gather;
pub(crate) mod observer_frozen_mid_observe;
pub(crate) mod on_0_13;
mod plain;
pub(crate) mod register_in_collect;
pub(crate) mod register_storm;
pub(crate) mod register_under_app_lock;
pub(crate) mod scrape_storm;
mod series;
pub(crate) mod signal_handler_updates;
pub(crate) mod slow_collect;
pub(crate) mod three_party_cycle;
pub(crate) mod timeout_leaks;
pub(crate) mod unregister_in_collect;
pub(crate) mod workers_eaten;
pub(crate) mod wrong_registry;

use crate::variants as handlers;
use ::prometheus;
