//! A memory of large families between scrapes: their names and labels as they were written, and their order.
//!
//! A vector's children come out of their map in the same order as long as none is added or removed, so what was written
//! of them last time is usually right this time, too. That is never assumed but compared, label by label, in the order
//! in which the labels lie in memory: far less work than to escape, write and sort them anew.

use super::labels::push_labels;
use super::order::compare;
use prometheus::proto::Metric;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

/// Families smaller than this are written anew each time: looking them up costs more. Measured: of 16 series each, writing anew
/// is a third cheaper; of 50 it costs half as much again.
const WORTH_REMEMBERING: usize = 32;

/// What is remembered of each large family.
#[derive(Default)]
pub(crate) struct Memory {
    // Held to swap one value. Two encodings at once each keep their own; the later one's memory stays.
    last: Mutex<HashMap<String, Family>>,
}

/// The memory of one encoding: what it may reuse, and what it leaves for the next.
pub(crate) struct Recall<'a> {
    memory: &'a Memory,
    families: HashMap<String, Family>,
}

impl Memory {
    pub(crate) fn recall(&self) -> Recall<'_> {
        let families = std::mem::take(&mut *self.last.lock().unwrap_or_else(PoisonError::into_inner));
        Recall { memory: self, families }
    }
}

impl Recall<'_> {
    /// The family of these series, `common` behind the labels of each; `None` if it is too small to be remembered. `value`
    /// reads the value of a series that has only one.
    pub(crate) fn family(
        &mut self,
        head: &Head<'_>,
        metrics: &[&Metric],
        value: Option<fn(&Metric) -> f64>,
    ) -> Option<&Family> {
        if metrics.len() < WORTH_REMEMBERING {
            return None;
        }
        if !self.families.contains_key(head.key) {
            self.families.insert(head.key.to_string(), Family::default());
        }
        let family = self.families.get_mut(head.key)?;
        family.renew(head, metrics, value);
        family.met = true;
        Some(family)
    }
}

impl Drop for Recall<'_> {
    fn drop(&mut self) {
        let mut families = std::mem::take(&mut self.families);
        families.retain(|_, family| std::mem::take(&mut family.met));
        *self.memory.last.lock().unwrap_or_else(PoisonError::into_inner) = families;
    }
}

/// What the series of a family have in common.
pub(crate) struct Head<'a> {
    /// The family's name as the collectors have it.
    pub(crate) key: &'a str,
    /// The same as it is written.
    pub(crate) name: &'a [u8],
    /// What comes behind the labels of each.
    pub(crate) common: &'a [u8],
}

/// The series of one family, by the places at which the collectors returned them.
#[derive(Default)]
pub(crate) struct Family {
    /// Whether this encoding has it.
    met: bool,
    /// The places in the order in which they are written.
    order: Vec<u32>,
    /// `name{labels} ` of all series, written out one behind the other, the registry's own labels included; `name ` of one
    /// without labels.
    text: Vec<u8>,
    /// Where each series ends in `text`.
    ends: Vec<usize>,
    /// How long the name is.
    name: usize,
    /// The value of each, read while the labels are compared and so lie at hand; empty if they have several.
    values: Vec<f64>,
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
        let line = self.line(place);
        if line.len() == self.name + 1 { b"" } else { &line[self.name + 1..line.len() - 2] }
    }

    /// For series of one value and no timestamp: each line up to its value, and that, in the order in which to write them.
    pub(crate) fn lines(&self) -> Option<impl Iterator<Item = (&[u8], f64)>> {
        let all = self.key.is_some() && !self.values.is_empty();
        all.then(|| self.order().map(|place| (self.line(place), self.values[place])))
    }

    fn line(&self, place: usize) -> &[u8] {
        let from = place.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.text[from..self.ends[place]]
    }

    fn renew(&mut self, head: &Head<'_>, metrics: &[&Metric], value: Option<fn(&Metric) -> f64>) {
        if self.is_of(metrics, value) {
            return;
        }
        self.values.clear();
        self.values.extend(value.into_iter().flat_map(|value| metrics.iter().map(move |metric| value(metric))));
        self.write(head, metrics);
        let stable = |a: &u32, b: &u32| compare(metrics[*a as usize], metrics[*b as usize]).then(a.cmp(b));
        if self.order.len() != metrics.len() || !self.order.is_sorted_by(|a, b| stable(a, b).is_lt()) {
            self.order.clear();
            self.order.extend(0..u32::try_from(metrics.len()).unwrap_or(u32::MAX));
            self.order.sort_unstable_by(stable);
        }
    }

    /// Whether these are the series that were written last, at the same places. Their values are then read.
    fn is_of(&mut self, metrics: &[&Metric], value: Option<fn(&Metric) -> f64>) -> bool {
        let Some(Key { names, lengths }) = &self.key else { return false };
        if self.ends.len() != metrics.len() {
            return false;
        }
        self.values.clear();
        let mut from = 0;
        for ((metric, end), lengths) in metrics.iter().zip(&self.ends).zip(lengths.chunks(names.len())) {
            // Behind the family's name comes `{`.
            let mut at = std::mem::replace(&mut from, *end) + self.name + 1;
            let pairs = metric.get_label();
            if pairs.len() != names.len() || metric.timestamp_ms() != 0 {
                return false;
            }
            for ((pair, name), length) in pairs.iter().zip(names).zip(lengths) {
                let (value, length) = (pair.value().as_bytes(), *length as usize);
                // Behind a label's name come `="`, behind its value `",`.
                at += name.len() + 2;
                if value.len() != length || value != &self.text[at..at + length] || pair.name() != name {
                    return false;
                }
                at += length + 2;
            }
            if let Some(value) = value {
                self.values.push(value(metric));
            }
        }
        true
    }

    fn write(&mut self, head: &Head<'_>, metrics: &[&Metric]) {
        self.name = head.name.len();
        self.text.clear();
        self.ends.clear();
        let mut key = self.key.take().unwrap_or_default();
        key.lengths.clear();
        key.names.clear();
        key.names.extend(metrics[0].get_label().iter().map(|pair| pair.name().to_string()));
        let mut comparable = !key.names.is_empty();
        for metric in metrics {
            let pairs = metric.get_label();
            self.text.extend_from_slice(head.name);
            self.text.push(b'{');
            let before = self.text.len();
            let as_it_is = push_labels(&mut self.text, pairs, head.common);
            if self.text.len() == before {
                self.text.truncate(before - 1);
            } else {
                self.text.push(b'}');
            }
            self.text.push(b' ');
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
