//! One monotonic clock for the parent and its children, so that a line in a child's journal and a probe's time compare.

use nix::time::{ClockId, clock_gettime};

/// Nanoseconds on `CLOCK_MONOTONIC`, the same in every process of this machine until it reboots.
///
/// # Panics
/// Never on a POSIX system: the clock is mandatory there.
pub fn now_ns() -> u64 {
    let now = clock_gettime(ClockId::CLOCK_MONOTONIC).expect("CLOCK_MONOTONIC exists on every POSIX system");
    now.tv_sec() as u64 * 1_000_000_000 + now.tv_nsec() as u64
}

/// Microseconds on `CLOCK_MONOTONIC`.
pub fn now_us() -> u64 {
    now_ns() / 1000
}

/// The moment from which a trial counts its microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Epoch {
    ns: u64,
}

impl Epoch {
    /// Counts from now.
    pub fn now() -> Epoch {
        Epoch { ns: now_ns() }
    }

    /// Counts from a moment given in nanoseconds on `CLOCK_MONOTONIC`.
    pub fn at_ns(ns: u64) -> Epoch {
        Epoch { ns }
    }

    /// Microseconds from the epoch to `ns` on `CLOCK_MONOTONIC`; 0 for a moment before it.
    pub fn us_at(self, ns: u64) -> u64 {
        ns.saturating_sub(self.ns) / 1000
    }

    /// Microseconds since the epoch.
    pub fn elapsed_us(self) -> u64 {
        self.us_at(now_ns())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_before_the_epoch_is_its_zero() {
        let epoch = Epoch::at_ns(5_000_000);
        assert_eq!(epoch.us_at(4_999_999), 0);
        assert_eq!(epoch.us_at(5_001_999), 1);
        assert_eq!(epoch.us_at(u64::MAX), (u64::MAX - 5_000_000) / 1000);
    }

    #[test]
    fn the_clock_does_not_run_backwards() {
        let first = now_ns();
        assert!(now_ns() >= first);
    }
}
