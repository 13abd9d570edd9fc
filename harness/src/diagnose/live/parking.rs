//! parking_lot's global table of parked threads, read from outside: who waits on which lock, and in which mode.

use super::layout::Layout;
use super::proc::Mapping;
use super::remote::{read_process, read_word};
use crate::model::ParkedThread;

/// parking_lot multiplies a key with this and keeps the top bits: the number of its bucket.
const HASH: u64 = 0x9E37_79B9_7F4A_7C15;
/// Buckets are aligned to a cache line.
const BUCKET: u64 = 64;
/// Nothing is mapped below this address.
const LEAST_KEY: u64 = 0x1_0000;
const MAX_BUCKETS: u64 = 1 << 18;
/// Parked threads looked at in all tables and layouts: the process stands still meanwhile.
const MAX_PARKED: usize = 100_000;
/// Tables of one process: one for each copy of parking_lot in it.
const MAX_TABLES: usize = 16;
/// Bytes of writable data looked through in an executable without symbols.
const MAX_SCAN: usize = 4 << 20;

/// Where a table may be: addresses of `static HASHTABLE`s, one per copy of parking_lot in the process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Places {
    /// Addresses of words that point, or may point, to a table.
    pub(super) pointers: Vec<u64>,
    /// Whether they were found by name; otherwise they are to be confirmed.
    pub(super) named: bool,
}

/// Finds the tables without stopping the process.
pub(super) fn places(pid: i32, layout: &Layout, mappings: &[Mapping]) -> Places {
    let mut pointers = Vec::new();
    for module in layout.modules().iter().filter(|module| !module.system) {
        let words = module.image.words_named(|name| name.contains("parking_lot_core") && name.contains("HASHTABLE"));
        pointers.extend(words.iter().map(|address| address.wrapping_add(module.bias)));
    }
    pointers.sort_unstable();
    pointers.dedup();
    pointers.truncate(MAX_TABLES);
    if !pointers.is_empty() || layout.modules().iter().any(|m| m.exe && m.image.has_symbols()) {
        return Places { pointers, named: true };
    }
    Places { pointers: scan(pid, layout, mappings), named: false }
}

/// Looks through the executable's writable data for words that point to something shaped like a table.
fn scan(pid: i32, layout: &Layout, mappings: &[Mapping]) -> Vec<u64> {
    let Some(exe) = layout.modules().iter().find(|module| module.exe) else { return Vec::new() };
    let mut found = Vec::new();
    let mut left = MAX_SCAN;
    for (index, mapping) in mappings.iter().enumerate() {
        // .data has the executable's path; .bss follows it without one.
        let named = super::layout::file_name(&mapping.path) == exe.name;
        let follows = mapping.path.is_empty()
            && index > 0
            && mappings[index - 1].end == mapping.start
            && super::layout::file_name(&mappings[index - 1].path) == exe.name;
        if !mapping.writable || !(named || follows) {
            continue;
        }
        let mut bytes = vec![0; usize::try_from(mapping.end - mapping.start).unwrap_or(0).min(left)];
        left -= bytes.len();
        let read = read_process(pid, mapping.start, &mut bytes);
        for (n, word) in bytes[..read].chunks_exact(8).enumerate() {
            let pointer = u64::from_le_bytes(word.try_into().unwrap_or_default());
            if pointer > 0x1_0000 && pointer % 8 == 0 && header(pid, pointer).is_some() {
                found.push(mapping.start + 8 * n as u64);
                if found.len() >= MAX_TABLES {
                    return found;
                }
            }
        }
    }
    found
}

/// `struct HashTable { entries: Box<[Bucket]>, prev: *const HashTable, hash_bits: u32 }` as the compiler lays it out.
fn header(pid: i32, table: u64) -> Option<(u64, u64, u32)> {
    let mut bytes = [0; 32];
    if read_process(pid, table, &mut bytes) != bytes.len() {
        return None;
    }
    let word = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap_or_default());
    let (entries, count, previous, bits) = (word(0), word(8), word(16), word(24) as u32);
    let sound = (2..=MAX_BUCKETS).contains(&count)
        && count.is_power_of_two()
        && count.trailing_zeros() == bits
        && entries.is_multiple_of(BUCKET)
        && entries != 0
        && previous.is_multiple_of(8);
    sound.then_some((entries, count, bits))
}

/// Reads the tables; meant for a stopped process. The second value counts tables that do not have the known layout.
pub(super) fn read(pid: i32, places: &Places) -> (Vec<ParkedThread>, usize) {
    let (mut parked, mut unknown) = (Vec::new(), 0);
    let mut budget = MAX_PARKED;
    for pointer in &places.pointers {
        match read_word(pid, *pointer) {
            // No thread has ever parked.
            Some(0) | None => {}
            Some(table) => match walk(pid, table, &mut budget) {
                Some(threads) => parked.extend(threads),
                None => unknown += usize::from(places.named),
            },
        }
    }
    parked.sort_by_key(|thread: &ParkedThread| thread.thread_data);
    parked.dedup();
    (parked, unknown)
}

/// Where the key lies in `struct ThreadData { key, next_in_queue, unpark_token, park_token, futex, … }`: first, or behind
/// 56 bytes of owned locks and a channel with the feature `deadlock_detection`. The others are what a compiler that
/// orders fields differently might choose.
const KEY_OFFSETS: [u64; 10] = [0, 56, 48, 64, 40, 72, 32, 80, 24, 16];

/// Every parked thread of one table; `None` if no known layout fits.
fn walk(pid: i32, table: u64, budget: &mut usize) -> Option<Vec<ParkedThread>> {
    let (entries, count, bits) = header(pid, table)?;
    let mut buckets = vec![0; usize::try_from(count * BUCKET).ok()?];
    if read_process(pid, entries, &mut buckets) != buckets.len() {
        return None;
    }
    // The bucket's own lock comes first, then the head of its queue.
    let heads: Vec<u64> = buckets
        .chunks_exact(BUCKET as usize)
        .map(|bucket| u64::from_le_bytes(bucket[8..16].try_into().unwrap_or_default()))
        .collect();
    KEY_OFFSETS.iter().find_map(|offset| queues(pid, &heads, bits, *offset, budget))
}

fn queues(pid: i32, heads: &[u64], bits: u32, offset: u64, budget: &mut usize) -> Option<Vec<ParkedThread>> {
    let mut parked = Vec::new();
    for (number, head) in heads.iter().enumerate() {
        let mut next = *head;
        while next != 0 {
            *budget = budget.checked_sub(1)?;
            let at = next.checked_add(offset)?;
            let mut data = [0; 32];
            if read_process(pid, at, &mut data) != data.len() {
                return None;
            }
            let word = |at: usize| u64::from_le_bytes(data[at..at + 8].try_into().unwrap_or_default());
            let key = word(0);
            // The key must hash into the bucket in whose queue it was found: a layout guessed wrong does not. A small
            // number is no lock's address, but hashes into bucket 0 and would pass for one there.
            if key < LEAST_KEY || key.wrapping_mul(HASH) >> (64 - bits) != number as u64 {
                return None;
            }
            parked.push(ParkedThread { thread_data: at, key, token: word(24) });
            next = word(8);
        }
    }
    Some(parked)
}
