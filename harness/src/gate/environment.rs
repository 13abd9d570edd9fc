//! Where a run takes place, as far as it matters to whoever reads its report.

use crate::model::{Environment, Tool};

/// Reads the environment; what cannot be read is `unknown`.
pub fn environment(prometheus: Vec<String>) -> Environment {
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease");
    Environment {
        os: format!("{} {}", std::env::consts::OS, std::env::consts::ARCH),
        cpus: std::thread::available_parallelism().map_or(1, |n| u32::try_from(n.get()).unwrap_or(u32::MAX)),
        rustc: env!("GATHERLOCK_RUSTC").to_string(),
        kernel: kernel.map_or_else(|_| "unknown".to_string(), |release| release.trim().to_string()),
        prometheus,
    }
}

/// This tool; the commit is known where `cargo xtask` runs it from a checkout.
pub(crate) fn tool() -> Tool {
    Tool {
        name: env!("CARGO_PKG_NAME").to_string(),
        version: env!("CARGO_PKG_VERSION").to_string(),
        commit: std::env::var("GATHERLOCK_COMMIT").ok().filter(|commit| !commit.is_empty()),
    }
}
