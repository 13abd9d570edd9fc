//! The models on `prometheus` 0.13.4.

use gatherlock_model_prometheus_0_13 as prometheus;

/// The label of a counter vector's lock.
const SERIES: &str = "RwLock<HashMap<u64, GenericCounter<AtomicU64>>>";

/// `MetricVecBuilder::build`, as this version declares it.
macro_rules! metric_vec_build {
    ($build:path) => {
        fn build(&self, opts: &Self::P, _: &[&str]) -> prometheus::Result<Self::M> {
            $build(self, opts)
        }
    };
}

// The same text compiled against each version: the types of two versions have nothing in common but their names.
#[allow(clippy::duplicate_mod)]
#[path = "on_prometheus/mod.rs"]
mod on_prometheus;

pub use on_prometheus::models;
