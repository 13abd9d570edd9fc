//! What a registry does once its lock is released: asks every collector, and merges what they say as `prometheus` does.

use super::entry::Entry;
use super::order;
use super::panic::{COUNT_HELP, add_panics, message};
use prometheus::proto::{Counter, LabelPair, Metric, MetricFamily, MetricType};
use std::collections::BTreeMap;
use std::collections::btree_map::Entry as Place;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Families, and what is missing from them.
#[derive(Debug)]
pub struct Gathered {
    /// Sorted by name, none empty.
    pub families: Vec<MetricFamily>,
    /// Empty if nothing is missing.
    pub failed: Vec<FailedCollector>,
}

/// A collector that gave no answer, or a family that cannot be exposed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailedCollector {
    /// The names of its families, joined by commas; may be empty, and may hold any text.
    pub name: Arc<str>,
    /// What went wrong, for example the message of its panic.
    pub reason: String,
}

impl fmt::Display for FailedCollector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "collector `{}` {}", self.name.escape_debug(), self.reason.escape_debug())
    }
}

/// What the collectors said, in the order in which they were asked.
pub(crate) struct Collected {
    pub(crate) families: Vec<MetricFamily>,
    pub(crate) failed: Vec<FailedCollector>,
    /// The collectors that ever panicked, and how often.
    pub(crate) panics: Vec<(Arc<str>, u64)>,
}

/// Asks every collector in turn, in the order given. A panic ends that collector's turn only.
pub(crate) fn collect(entries: &[Arc<Entry>], entering: &mut dyn FnMut(&Arc<str>)) -> Collected {
    let mut families = Vec::with_capacity(entries.len());
    let mut failed = Vec::new();
    let mut panics = Vec::new();
    for entry in entries {
        entering(&entry.name);
        // A collector that panicked may be inconsistent within itself. It is asked again at the next scrape, as with
        // any registry whose server survives panics.
        match catch_unwind(AssertUnwindSafe(|| entry.collector.collect())) {
            Ok(collected) => families.extend(collected.into_iter().filter(|family| !family.get_metric().is_empty())),
            Err(payload) => {
                entry.panics.fetch_add(1, Ordering::Relaxed);
                let reason = format!("panicked: {}", message(payload.as_ref()));
                failed.push(FailedCollector { name: Arc::clone(&entry.name), reason });
                // The payload's own drop may panic as well.
                let _dropped = catch_unwind(AssertUnwindSafe(|| drop(payload)));
            }
        }
        let count = entry.panics.load(Ordering::Relaxed);
        if count > 0 {
            add_panics(&mut panics, Arc::clone(&entry.name), count);
        }
    }
    Collected { families, failed, panics }
}

impl Collected {
    /// Adds the counts of panics to the families, if there are any: an answer is never silently partial. `labels` are those
    /// that the registry puts on every series; one of them may have the name that is used here.
    pub(crate) fn own_up(&mut self, labels: &[LabelPair]) {
        if self.panics.is_empty() {
            return;
        }
        let mut family = MetricFamily::default();
        family.set_name("gatherlock_guard_collector_panics_total".to_string());
        family.set_help(COUNT_HELP.to_string());
        family.set_field_type(MetricType::COUNTER);
        let taken = labels.iter().any(|label| label.name() == "collector");
        let label = if taken { "panicked_collector" } else { "collector" };
        family.set_metric(self.panics.iter().map(|(name, count)| panic_count(label, name, *count)).collect());
        self.families.push(family);
    }
}

fn panic_count(label_name: &str, name: &str, count: u64) -> Metric {
    let mut label = LabelPair::default();
    label.set_name(label_name.to_string());
    label.set_value(name.to_string());
    let mut counter = Counter::default();
    counter.set_value(count as f64);
    let mut metric = Metric::default();
    metric.set_label(vec![label]);
    metric.set_counter(counter);
    metric
}

/// Families of one name become one, sorted by name; series sorted by label values; then prefix and labels are applied.
pub(crate) fn merge(families: Vec<MetricFamily>, prefix: Option<&str>, labels: &[LabelPair]) -> Vec<MetricFamily> {
    let mut by_name: BTreeMap<String, MetricFamily> = BTreeMap::new();
    for mut family in families {
        match by_name.entry(family.name().to_owned()) {
            Place::Vacant(place) => {
                place.insert(family);
            }
            Place::Occupied(mut place) => place.get_mut().mut_metric().append(&mut family.take_metric()),
        }
    }
    let finish = |mut family: MetricFamily| {
        order::sort(family.mut_metric());
        if let Some(prefix) = prefix {
            let name = format!("{prefix}_{}", family.name());
            family.set_name(name);
        }
        if !labels.is_empty() {
            for metric in family.mut_metric().iter_mut() {
                let mut all = metric.take_label();
                all.extend_from_slice(labels);
                metric.set_label(all);
            }
        }
        family
    };
    by_name.into_values().map(finish).collect()
}
