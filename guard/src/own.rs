//! The endpoint's metrics about itself, written into every answer that has a body to put them in.

use crate::format::Format;
use crate::panic::COUNT_HELP;
use std::collections::BTreeSet;
use std::fmt::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// How scrapes ended.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    Served,
    Partial,
    Stale,
    Refused,
    /// The scraper went away before there was an answer.
    Gone,
}

const ENDS: [(Ended, &str); 5] = [
    (Ended::Served, "served"),
    (Ended::Partial, "partial"),
    (Ended::Stale, "stale"),
    (Ended::Refused, "refused"),
    (Ended::Gone, "gone"),
];

/// Scrapes by how they ended, since the start.
#[derive(Default)]
pub(crate) struct Counts([AtomicU64; ENDS.len()]);

impl Counts {
    pub(crate) fn count(&self, ended: Ended) {
        self.0[ended as usize].fetch_add(1, Ordering::Relaxed);
    }

    fn get(&self, ended: Ended) -> u64 {
        self.0[ended as usize].load(Ordering::Relaxed)
    }
}

/// What is said of one group in one answer.
pub(crate) struct GroupState<'a> {
    pub(crate) name: &'a str,
    /// Seconds since the collection in the air began; 0 if none is.
    pub(crate) in_flight: f64,
    /// Seconds the last finished collection took; none before the first.
    pub(crate) took: Option<f64>,
    /// Seconds since the collection began whose values are in this answer; none if the group is missing.
    pub(crate) age: Option<f64>,
    /// Whether a collection has outlasted this scrape.
    pub(crate) stuck: bool,
    /// Which collector that collection is in, if it is known, and for how many seconds.
    pub(crate) inside: Option<(Arc<str>, f64)>,
    pub(crate) panics: &'a [(Arc<str>, u64)],
    /// Families that this answer lacks although it has the group.
    pub(crate) missing: BTreeSet<&'a str>,
}

/// The exposition of all of it. In OpenMetrics the name of a counter's family lacks `_total`.
pub(crate) fn write(counts: &Counts, waiting: usize, groups: &[GroupState<'_>], format: Format) -> String {
    let mut out = Out { text: String::with_capacity(2048), format };
    let name = "gatherlock_guard_scrapes_total";
    out.head(name, "counter", "Scrapes answered, by how they ended, without the one at hand.");
    for (ended, result) in ENDS {
        out.sample(name, &[("result", result)], counts.get(ended) as f64);
    }
    let name = "gatherlock_guard_scrapes_waiting";
    out.head(name, "gauge", "Scrapes that wait for a collection, without the one at hand.");
    out.sample(name, &[], waiting as f64);
    let name = "gatherlock_guard_stuck_groups";
    out.head(name, "gauge", "Groups whose collection has outlasted this scrape.");
    out.sample(name, &[], groups.iter().filter(|group| group.stuck).count() as f64);
    out.each("gatherlock_guard_group_missing", "1 if this answer lacks the group.", groups, |group| {
        Some(f64::from(u8::from(group.age.is_none())))
    });
    if groups.iter().any(|group| !group.missing.is_empty()) {
        let name = "gatherlock_guard_family_missing";
        out.head(name, "gauge", "1 if this answer lacks the family although it has the group.");
        for group in groups {
            for family in &group.missing {
                out.sample(name, &[("group", group.name), ("family", family)], 1.0);
            }
        }
    }
    out.each(
        "gatherlock_guard_in_flight_seconds",
        "Since when the unfinished collection of the group has been running; 0 without one.",
        groups,
        |group| Some(group.in_flight),
    );
    out.each("gatherlock_guard_collect_seconds", "How long the last finished collection took.", groups, |group| {
        group.took
    });
    out.each("gatherlock_guard_age_seconds", "The age of the group's values in this answer.", groups, |group| {
        group.age
    });
    if groups.iter().any(|group| group.inside.is_some()) {
        let name = "gatherlock_guard_stuck_collector_seconds";
        out.head(name, "gauge", "How long the collector that outlasted this scrape has not returned.");
        for group in groups {
            if let Some((inside, seconds)) = &group.inside {
                out.sample(name, &[("group", group.name), ("collector", inside)], *seconds);
            }
        }
    }
    if groups.iter().any(|group| !group.panics.is_empty()) {
        let name = "gatherlock_guard_collector_panics_total";
        out.head(name, "counter", COUNT_HELP);
        for group in groups {
            for (collector, count) in group.panics {
                out.sample(name, &[("group", group.name), ("collector", collector)], *count as f64);
            }
        }
    }
    if format == Format::OpenMetrics {
        out.text.push_str("# EOF\n");
    }
    out.text
}

struct Out {
    text: String,
    format: Format,
}

impl Out {
    fn head(&mut self, name: &str, kind: &str, help: &str) {
        let family = match self.format {
            Format::Text => name,
            Format::OpenMetrics => name.strip_suffix("_total").unwrap_or(name),
        };
        self.text.extend(["# HELP ", family, " ", help, "\n# TYPE ", family, " ", kind, "\n"]);
    }

    fn each(&mut self, name: &str, help: &str, groups: &[GroupState<'_>], of: impl Fn(&GroupState<'_>) -> Option<f64>) {
        if groups.iter().any(|group| of(group).is_some()) {
            self.head(name, "gauge", help);
        }
        for group in groups {
            if let Some(value) = of(group) {
                self.sample(name, &[("group", group.name)], value);
            }
        }
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: f64) {
        self.text.push_str(name);
        for (at, (label, text)) in labels.iter().enumerate() {
            self.text.extend([if at == 0 { "{" } else { "," }, label, "=\""]);
            for c in text.chars() {
                match c {
                    '\n' => self.text.push_str("\\n"),
                    '\\' | '"' => self.text.extend(['\\', c]),
                    c => self.text.push(c),
                }
            }
            self.text.push('"');
        }
        self.text.push_str(if labels.is_empty() { " " } else { "} " });
        // Writing to a String cannot fail.
        let _infallible = writeln!(self.text, "{value}");
    }
}
