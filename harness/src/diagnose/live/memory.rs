//! The memory of a target as an explanation sees it: the copied stacks, the words of the snapshot, the read-only parts of
//! its files, and, while it lives, the process itself, in this order.

use super::layout::Layout;
use super::remote::Live;
use crate::model::Snapshot;
use std::cell::RefCell;
use std::collections::BTreeMap;

/// The eight bytes at any address, from a source of aligned words.
fn unaligned(address: u64, aligned: impl Fn(u64) -> Option<u64>) -> Option<u64> {
    let shift = (address % 8) * 8;
    let low = aligned(address & !7)?;
    if shift == 0 {
        return Some(low);
    }
    // The last word of a mapping may have no successor; its own bytes are still good.
    let high = aligned((address & !7).checked_add(8)?).unwrap_or(0);
    Some(low >> shift | high << (64 - shift))
}

/// `length` bytes at any address, from a source of aligned words; `None` unless all can be read.
pub(super) fn bytes(address: u64, length: usize, aligned: impl Fn(u64) -> Option<u64>) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(length);
    while bytes.len() < length {
        let word = unaligned(address.checked_add(bytes.len() as u64)?, &aligned)?.to_le_bytes();
        bytes.extend_from_slice(&word[..(length - bytes.len()).min(8)]);
    }
    Some(bytes)
}

/// See the module's documentation.
pub(super) struct Memory<'a> {
    stacks: Vec<(u64, &'a [u8])>,
    words: &'a BTreeMap<u64, u64>,
    layout: &'a Layout,
    live: Option<Live>,
    used: RefCell<BTreeMap<u64, u64>>,
}

impl<'a> Memory<'a> {
    /// The memory that `snapshot` shows; with `live`, also what the process holds now.
    pub(super) fn new(snapshot: &'a Snapshot, layout: &'a Layout, live: bool) -> Memory<'a> {
        let mut stacks: Vec<(u64, &[u8])> =
            snapshot.threads.iter().map(|thread| (thread.stack_start, thread.stack.as_slice())).collect();
        stacks.sort_unstable_by_key(|stack| stack.0);
        Memory {
            stacks,
            words: &snapshot.words,
            layout,
            live: live.then(|| Live::new(snapshot.pid)),
            used: RefCell::default(),
        }
    }

    /// The words read from the live process or from files so far, to be kept in the snapshot.
    pub(super) fn into_used(self) -> BTreeMap<u64, u64> {
        self.used.into_inner()
    }

    /// The eight bytes at `address`, which need not be aligned.
    pub(super) fn word(&self, address: u64) -> Option<u64> {
        unaligned(address, |address| self.aligned(address))
    }

    /// The word at an address that is a multiple of eight.
    pub(super) fn aligned(&self, address: u64) -> Option<u64> {
        if let Some(word) = self.on_stack(address) {
            return Some(word);
        }
        if let Some(word) = self.words.get(&address).or(self.used.borrow().get(&address)) {
            return Some(*word);
        }
        if let Some(word) = self.layout.read_only_word(address) {
            return Some(word);
        }
        let word = self.live.as_ref()?.aligned(address)?;
        self.used.borrow_mut().insert(address, word);
        Some(word)
    }

    /// The word at a multiple of eight, if the snapshot itself or a file holds it; never from the live process.
    pub(super) fn recorded(&self, address: u64) -> Option<u64> {
        let word = || self.words.get(&address).copied();
        self.on_stack(address).or_else(word).or_else(|| self.layout.read_only_word(address))
    }

    /// Whether any of so many words from a multiple of eight on, those that lie on a copied stack, is one of these.
    pub(super) fn any_on_stack(&self, from: u64, words: usize, is: impl Fn(u64) -> bool) -> bool {
        // Nearly always they lie on one stack: it is looked for once.
        let stack = self.stacks.partition_point(|(start, _)| *start <= from).checked_sub(1).map(|at| self.stacks[at]);
        let inside = stack.and_then(|(start, stack)| {
            let offset = usize::try_from(from - start).ok()?;
            stack.get(offset..offset.checked_add(words.checked_mul(8)?)?)
        });
        match inside {
            Some(bytes) => bytes.as_chunks().0.iter().any(|word| is(u64::from_le_bytes(*word))),
            None => (0..words as u64).filter_map(|n| self.on_stack(from.checked_add(8 * n)?)).any(is),
        }
    }

    /// The word at `address`, if it lies on a copied stack.
    pub(super) fn on_stack(&self, address: u64) -> Option<u64> {
        let index = self.stacks.partition_point(|(start, _)| *start <= address).checked_sub(1)?;
        let (start, stack) = self.stacks[index];
        let offset = usize::try_from(address - start).ok()?;
        Some(u64::from_le_bytes(stack.get(offset..offset.checked_add(8)?)?.try_into().ok()?))
    }
}
