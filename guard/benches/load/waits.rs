//! How long somebody waited, how often, and what a thread did with its time.

use hdrhistogram::Histogram;
use std::time::{Duration, Instant};

/// Waits in nanoseconds, to three digits: there may be tens of millions.
pub(super) struct Waits(Histogram<u64>);

impl Default for Waits {
    fn default() -> Waits {
        Waits(Histogram::new(3).expect("three digits are possible"))
    }
}

impl Waits {
    pub(super) fn add(&mut self, wait: Duration) {
        self.0 += u64::try_from(wait.as_nanos()).unwrap_or(u64::MAX);
    }

    pub(super) fn merge(&mut self, other: &Waits) {
        self.0.add(&other.0).expect("both grow as they need");
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn len(&self) -> u64 {
        self.0.len()
    }

    pub(super) fn quantile(&self, part: f64) -> f64 {
        self.0.value_at_quantile(part) as f64
    }

    /// The wait that a call at a random moment of the time `over` which these were made would exceed with probability
    /// 1 − `part`. A loop that calls without pause makes one call of a long wait and millions of short ones, so that of its
    /// calls hardly any is long, however much of the time it waits; counted by moments, a wait weighs what it takes.
    pub(super) fn at_any_moment(&self, part: f64, over: Duration) -> f64 {
        let waits: Vec<(f64, f64)> =
            self.0.iter_recorded().map(|at| (at.value_iterated_to() as f64, at.count_at_value() as f64)).collect();
        let total = over.as_nanos() as f64;
        // Who comes into a wait of w at a random moment waits longer than x with probability (w − x) / w. From the longest
        // down, until x lies between two waits.
        let (mut longer, mut count) = (0.0, 0.0);
        for (at, (wait, times)) in waits.iter().enumerate().rev() {
            longer += wait * times;
            count += times;
            let x = (longer - (1.0 - part) * total) / count;
            if x >= at.checked_sub(1).map_or(0.0, |at| waits[at].0) {
                return x;
            }
        }
        0.0
    }
}

/// How a thread spent its time. What remains of `wall` it was blocked or slept.
#[derive(Default)]
pub(super) struct Spent {
    pub(super) wall: Duration,
    pub(super) on_processor: Duration,
    /// It could have run, but others did.
    pub(super) in_line: Duration,
}

impl Spent {
    pub(super) fn merge(&mut self, other: &Spent) {
        self.wall += other.wall;
        self.on_processor += other.on_processor;
        self.in_line += other.in_line;
    }

    pub(super) fn part(&self, of: Duration) -> f64 {
        of.as_secs_f64() / self.wall.as_secs_f64()
    }

    pub(super) fn blocked(&self) -> Duration {
        self.wall.saturating_sub(self.on_processor + self.in_line)
    }
}

/// Processor time and time in line of the calling thread so far.
pub(super) fn so_far() -> (Duration, Duration) {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").expect("Linux has it");
    let mut numbers = text.split_whitespace().map(|word| Duration::from_nanos(word.parse().expect("a number")));
    let mut next = || numbers.next().expect("three numbers");
    (next(), next())
}

/// Does it, and adds how the time was spent.
pub(super) fn observed<T>(spent: &mut Spent, act: impl FnOnce() -> T) -> T {
    let (began, (ran, stood)) = (Instant::now(), so_far());
    let result = act();
    let (has_run, has_stood) = so_far();
    spent.wall += began.elapsed();
    spent.on_processor += has_run - ran;
    spent.in_line += has_stood - stood;
    result
}
