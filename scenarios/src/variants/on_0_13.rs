//! The handlers of a `prometheus` registry once more, for `prometheus` 0.13.4: the version that the incident ran on.

#![allow(clippy::duplicate_mod, reason = "compiling the same files against another version is the point")]

#[path = "canary.rs"]
mod canary;
#[path = "naive.rs"]
mod naive;
#[path = "offload.rs"]
mod offload;
#[path = "registry.rs"]
mod registry;
#[path = "timeout_inline.rs"]
mod timeout_inline;
#[path = "timeout_offload.rs"]
mod timeout_offload;

use super::{Variant, guarded};
use ::prometheus_0_13 as prometheus;
pub(crate) use canary::canary;
pub(crate) use registry::{REGISTERING_WAITS, routes};
