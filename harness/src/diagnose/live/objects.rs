//! Objects of the `prometheus` crate as they lie in memory: a metric's description, a histogram.
//!
//! The compiler chooses the layout, so nothing is believed before it has checked itself: names must be names, and vectors
//! that belong together must be equally long.

use super::memory::bytes;

/// Reads the word at an address that is a multiple of eight.
pub(super) type Aligned<'a> = &'a dyn Fn(u64) -> Option<u64>;

const MAX_NAME: u64 = 200;
const MAX_HELP: u64 = 4096;
const MAX_LABELS: u64 = 64;
/// Bytes of `struct Desc { fq_name, help, const_label_pairs, variable_labels, id, dim_hash }`.
const DESC: u64 = 112;
const VARIABLE_LABELS: u64 = 72;

/// A `String` or `Vec`: capacity, pointer, length.
fn triple(at: u64, read: Aligned<'_>) -> Option<(u64, u64, u64)> {
    let (capacity, pointer, length) = (read(at)?, read(at.checked_add(8)?)?, read(at.checked_add(16)?)?);
    (length <= capacity && capacity < 1 << 40 && pointer != 0).then_some((capacity, pointer, length))
}

fn text(at: u64, longest: u64, read: Aligned<'_>) -> Option<String> {
    let (_, pointer, length) = triple(at, read)?;
    if length == 0 {
        return Some(String::new());
    }
    if length > longest || pointer < 0x1_0000 {
        return None;
    }
    String::from_utf8(bytes(pointer, usize::try_from(length).ok()?, read)?).ok()
}

/// Whether it may be the name of a metric in the classic text format.
fn is_metric_name(name: &str) -> bool {
    let mut chars = name.chars();
    chars.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_' || c == ':')
        && chars.all(|c| c.is_ascii_alphanumeric() || c == '_' || c == ':')
}

/// The metric's name, if a `Desc` lies at `at`.
pub(super) fn description(at: u64, read: Aligned<'_>) -> Option<String> {
    // Cheap tests first: this is asked for many addresses at which no `Desc` lies.
    let (_, pointer, length) = triple(at, read)?;
    if length == 0 || length > MAX_NAME || pointer < 0x1_0000 {
        return None;
    }
    let (_, labels, count) = triple(at.checked_add(VARIABLE_LABELS)?, read)?;
    if count > MAX_LABELS {
        return None;
    }
    let name = text(at, MAX_NAME, read).filter(|name| is_metric_name(name))?;
    text(at.checked_add(24)?, MAX_HELP, read)?;
    if count > 0 {
        text(labels, MAX_NAME, read).filter(|label| is_metric_name(label))?;
    }
    Some(name)
}

/// The name of the metric whose `Desc` lies nearest to `address`, within the same object.
pub(super) fn description_near(address: u64, read: Aligned<'_>) -> Option<String> {
    const REACH: u64 = 512;
    let base = address & !7;
    (0..REACH / 8).find_map(|n| {
        [base.wrapping_add(8 * n), base.wrapping_sub(8 * n)].into_iter().find_map(|at| description(at, read))
    })
}

/// Bytes of `struct RegistryCore` that hold its tables.
const REGISTRY: u64 = 3 * TABLE;
/// Bytes of a `HashMap` with its random keys.
const TABLE: u64 = 48;

/// A hash table: the address of its control bytes, its buckets less one, and its entries.
fn table(at: u64, read: Aligned<'_>) -> Option<(u64, u64, u64)> {
    let (control, mask, left, items) = (read(at)?, read(at + 8)?, read(at + 16)?, read(at + 24)?);
    let buckets = mask.checked_add(1).filter(|buckets| buckets.is_power_of_two() && *buckets < 1 << 32)?;
    let room = if buckets <= 8 { mask } else { buckets / 8 * 7 };
    let sound = control.is_multiple_of(16) && control > 0x1_0000 && items.checked_add(left)? <= room;
    // Only deleted entries make up the difference.
    sound.then_some((control, mask, items))
}

/// Whether the `parking_lot::RwLock` at this address is that of a `prometheus::Registry`: behind its word lie the tables of
/// collectors, of names and of descriptions, and the collectors are boxes of trait objects. `code` tells what is code.
pub(super) fn is_registry(lock: u64, read: Aligned<'_>, code: &dyn Fn(u64) -> bool) -> bool {
    let Some(core) = lock.checked_add(8).filter(|core| core.checked_add(2 * REGISTRY).is_some()) else { return false };
    // The compiler chooses the order, and where the labels and the prefix go.
    let tables: Vec<_> = (0..=REGISTRY / 8).filter_map(|n| table(core + 8 * n, read)).collect();
    let full = |(_, _, items): &&(u64, u64, u64)| *items > 0;
    tables.len() >= 3
        && tables.iter().filter(full).count() >= 2
        && tables
            .iter()
            .filter(full)
            .any(|(control, mask, items)| holds_collectors(*control, *mask, *items, read, code))
}

/// Whether the buckets in front of the control bytes are `(u64, Box<dyn Collector>)`: key, data, and a vtable with two methods.
fn holds_collectors(control: u64, mask: u64, items: u64, read: Aligned<'_>, code: &dyn Fn(u64) -> bool) -> bool {
    const BUCKET: u64 = 24;
    const LOOKED_AT: u64 = 1024;
    let used = (0..=mask.min(LOOKED_AT)).filter(|n| {
        let word = read(control.wrapping_add(*n) & !7).unwrap_or(u64::MAX);
        (word >> (8 * (control.wrapping_add(*n) % 8))) & 0x80 == 0
    });
    let is_collector = |n: u64| {
        let bucket = control.checked_sub((n + 1) * BUCKET)?;
        let vtable = read(bucket + 16)?;
        let (drop, size, align) = (read(vtable)?, read(vtable.checked_add(8)?)?, read(vtable.checked_add(16)?)?);
        let methods = code(read(vtable.wrapping_add(24))?) && code(read(vtable.wrapping_add(32))?);
        Some((drop == 0 || code(drop)) && size < 1 << 24 && align.is_power_of_two() && align <= 4096 && methods)
    };
    let mut seen = 0;
    for n in used.take(4) {
        if is_collector(n) != Some(true) {
            return false;
        }
        seen += 1;
    }
    seen > 0 && seen <= items
}

/// `struct HistogramCore` of prometheus 0.13 and 0.14.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Histogram {
    /// Where it lies.
    pub(super) base: u64,
    pub(super) name: String,
    /// Observations begun, and the number of the shard that they go to now.
    pub(super) started: u64,
    pub(super) hot: usize,
    /// Observations finished, by shard.
    pub(super) finished: [u64; 2],
}

const SHARDS: u64 = DESC + 24;
const SHARD: u64 = 40;
const COUNT: u64 = 32;
const BOUNDS: u64 = SHARDS + 2 * SHARD;
const COLLECT_LOCK: u64 = BOUNDS + 24;
const SHARD_AND_COUNT: u64 = COLLECT_LOCK + 8;
/// Bytes of a histogram.
pub(super) const HISTOGRAM: u64 = SHARD_AND_COUNT + 8;

/// The histogram at `base`, if there is one.
pub(super) fn histogram(base: u64, read: Aligned<'_>) -> Option<Histogram> {
    let at = |offset: u64| base.checked_add(offset);
    let (_, _, bounds) = triple(at(BOUNDS)?, read)?;
    let (_, _, first) = triple(at(SHARDS)?, read)?;
    let (_, _, second) = triple(at(SHARDS + SHARD)?, read)?;
    // Both shards have as many buckets as there are bounds.
    if bounds == 0 || first != bounds || second != bounds {
        return None;
    }
    let name = description(base, read)?;
    let word = read(at(SHARD_AND_COUNT)?)?;
    let finished = [read(at(SHARDS + COUNT)?)?, read(at(SHARDS + SHARD + COUNT)?)?];
    let hot = usize::from(word >> 63 == 1);
    Some(Histogram { base, name, started: word & !(1 << 63), hot, finished })
}

/// The name of the histogram whose collect lock lies at this address.
pub(super) fn collect_lock_of(lock: u64, read: Aligned<'_>) -> Option<String> {
    // The lock is four bytes, with its poison flag behind it.
    Some(histogram(lock.checked_sub(COLLECT_LOCK)?, read)?.name)
}

impl Histogram {
    /// The counter that a collector waits for, and its address.
    pub(super) fn cold(&self) -> (u64, u64) {
        let shard = 1 - self.hot;
        (self.base + SHARDS + SHARD * shard as u64 + COUNT, self.finished[shard])
    }

    /// The address of the word that says which shard is hot.
    pub(super) fn shard_word(&self) -> u64 {
        self.base + SHARD_AND_COUNT
    }

    /// Whether observations are begun that are not finished.
    pub(super) fn is_awaited(&self) -> bool {
        self.finished[0].checked_add(self.finished[1]).is_some_and(|finished| finished < self.started)
    }
}

/// The histogram that one of the values points to or into.
pub(super) fn histogram_among(values: impl Iterator<Item = u64>, read: Aligned<'_>) -> Option<Histogram> {
    for value in values.filter(|value| *value > 0x1_0000 && value.is_multiple_of(8)) {
        // An `Arc` points sixteen bytes before it; a loop may hold the address of any field.
        let bases = (0..HISTOGRAM).step_by(8).map(|offset| value.wrapping_sub(offset));
        if let Some(found) = bases.chain([value.wrapping_add(16)]).find_map(|base| histogram(base, read)) {
            return Some(found);
        }
    }
    None
}
