//! The mistakes, one file each: the lesson first, then the code, the expectations last.
//!
//! A file that needs the `prometheus` crate and its handlers takes them from here, as `super::prometheus` and
//! `super::handlers`, so that the recursive family can be compiled once more for another version in [`on_0_13`].

pub(crate) mod inc_during_gather;
pub(crate) mod on_0_13;
pub(crate) mod register_in_collect;
pub(crate) mod register_under_app_lock;

use crate::variants as handlers;
use ::prometheus;
