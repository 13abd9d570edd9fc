//! The order of series within a family, which is that of `prometheus`, and a memory of large families between scrapes:
//! their labels as they were written, and their order.
//!
//! A vector's children come out of their map in the same order as long as none is added or removed, so what was written
//! of them last time is usually right this time, too. That is never assumed but compared, label by label, in the order
//! in which the labels lie in memory: far less work than to escape, write and sort them anew.

use super::text::push_labels;
use prometheus::proto::Metric;
use std::cmp::Ordering;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

/// Families smaller than this are written anew each time: remembering them costs more.
const WORTH_REMEMBERING: usize = 64;

/// By number of labels, then by the labels' values in their order, then by timestamp.
pub(crate) fn compare(one: &Metric, other: &Metric) -> Ordering {
    let (ours, theirs) = (one.get_label(), other.get_label());
    let values = || ours.iter().map(|pair| pair.value()).cmp(theirs.iter().map(|pair| pair.value()));
    ours.len().cmp(&theirs.len()).then_with(values).then_with(|| one.timestamp_ms().cmp(&other.timestamp_ms()))
}

/// Sorts in place; equal series keep their order.
pub(crate) fn sort(metrics: &mut [Metric]) {
    // A family is often sorted already, and always if it has one series.
    if !metrics.is_sorted_by(|one, other| compare(one, other).is_le()) {
        metrics.sort_by(compare);
    }
}

/// What is remembered of each large family.
#[derive(Default)]
pub(crate) struct Memory {
    // Held to swap one value. Two encodings at once each keep their own; the later one's memory stays.
    last: Mutex<HashMap<String, Family>>,
}

/// The memory of one encoding: what it may reuse and what it leaves for the next.
pub(crate) struct Recall<'a> {
    memory: &'a Memory,
    old: HashMap<String, Family>,
    new: HashMap<String, Family>,
}

impl Memory {
    pub(crate) fn recall(&self) -> Recall<'_> {
        let old = std::mem::take(&mut *self.last.lock().unwrap_or_else(PoisonError::into_inner));
        Recall { memory: self, old, new: HashMap::new() }
    }
}

impl Recall<'_> {
    /// The family of these series, `common` behind the labels of each; `None` if it is too small to be remembered.
    pub(crate) fn family(&mut self, name: &str, metrics: &[&Metric], common: &[u8]) -> Option<&Family> {
        if metrics.len() < WORTH_REMEMBERING {
            return None;
        }
        let (name, mut family) = self.old.remove_entry(name).unwrap_or_else(|| (name.to_string(), Family::default()));
        family.renew(metrics, common);
        Some(self.new.entry(name).or_insert(family))
    }
}

impl Drop for Recall<'_> {
    fn drop(&mut self) {
        *self.memory.last.lock().unwrap_or_else(PoisonError::into_inner) = std::mem::take(&mut self.new);
    }
}

/// The series of one family, by the places at which the collectors returned them.
#[derive(Default)]
pub(crate) struct Family {
    /// The places in the order in which they are written.
    order: Vec<u32>,
    /// The labels of all series, written out one behind the other, the registry's own included.
    text: Vec<u8>,
    /// Where each series' labels end in `text`.
    ends: Vec<usize>,
    /// By which the text can be compared with labels; `None` if it cannot.
    key: Option<Key>,
}

/// What is to be known of a text to compare labels with it where they lie: a value is then one comparison of bytes.
/// There is one only where nothing was escaped, all series have the same label names, at least one, and no timestamp.
#[derive(Default)]
struct Key {
    names: Vec<String>,
    /// How long each value of each series is.
    lengths: Vec<u32>,
}

impl Family {
    /// The places in the order in which they are to be written; equal series keep theirs.
    pub(crate) fn order(&self) -> impl Iterator<Item = usize> {
        self.order.iter().map(|place| *place as usize)
    }

    /// The labels of the series at a place, written out, without braces.
    pub(crate) fn labels(&self, place: usize) -> &[u8] {
        let from = place.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.text[from..self.ends[place]]
    }

    fn renew(&mut self, metrics: &[&Metric], common: &[u8]) {
        if self.is_of(metrics) {
            return;
        }
        self.write(metrics, common);
        let stable = |a: &u32, b: &u32| compare(metrics[*a as usize], metrics[*b as usize]).then(a.cmp(b));
        if self.order.len() != metrics.len() || !self.order.is_sorted_by(|a, b| stable(a, b).is_lt()) {
            self.order.clear();
            self.order.extend(0..u32::try_from(metrics.len()).unwrap_or(u32::MAX));
            self.order.sort_unstable_by(stable);
        }
    }

    /// Whether these are the series that were written last, at the same places.
    fn is_of(&self, metrics: &[&Metric]) -> bool {
        let Some(Key { names, lengths }) = &self.key else { return false };
        let mut from = 0;
        let same = |((metric, end), lengths): ((&&Metric, &usize), &[u32])| {
            let mut at = std::mem::replace(&mut from, *end);
            let pairs = metric.get_label();
            let mut same = pairs.len() == names.len() && metric.timestamp_ms() == 0;
            for ((pair, name), length) in pairs.iter().zip(names).zip(lengths) {
                let (value, length) = (pair.value().as_bytes(), *length as usize);
                // Behind the name come `="`, behind the value `",`.
                at += name.len() + 2;
                same = same && value.len() == length && value == &self.text[at..at + length] && pair.name() == name;
                at += length + 2;
            }
            same
        };
        self.ends.len() == metrics.len() && metrics.iter().zip(&self.ends).zip(lengths.chunks(names.len())).all(same)
    }

    fn write(&mut self, metrics: &[&Metric], common: &[u8]) {
        self.text.clear();
        self.ends.clear();
        let mut key = self.key.take().unwrap_or_default();
        key.lengths.clear();
        key.names.clear();
        key.names.extend(metrics[0].get_label().iter().map(|pair| pair.name().to_string()));
        let mut comparable = !key.names.is_empty();
        for metric in metrics {
            let pairs = metric.get_label();
            let as_it_is = push_labels(&mut self.text, pairs, common);
            self.ends.push(self.text.len());
            let same_names = pairs.iter().map(|pair| pair.name()).eq(key.names.iter().map(String::as_str));
            comparable = comparable && as_it_is && same_names && metric.timestamp_ms() == 0;
            for pair in pairs {
                let length = u32::try_from(pair.value().len());
                comparable = comparable && length.is_ok();
                key.lengths.push(length.unwrap_or(0));
            }
        }
        self.key = comparable.then_some(key);
    }
}
