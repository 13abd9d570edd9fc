//! What panics betray: which source files' code a function contains, even where every symbol was stripped.
//!
//! A panic names its place by a `core::panic::Location` in read-only data, `{file: &str, line: u32, col: u32}`, and the code
//! that may panic refers to it. Stripping keeps both. The path of the file names a crate with its version.

use super::image::Image;
use super::symbolize::shorten;
use iced_x86::{Code, Decoder, DecoderOptions, FlowControl};
use object::read::elf::ElfFile64;
use object::{Endianness, Object, RelocationFlags};
use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

/// Locations kept of one file.
const MAX_LOCATIONS: usize = 200_000;
const MAX_PATH: u64 = 400;
const MAX_LINE: u32 = 1_000_000;
/// Bytes of one function that are looked through.
const MAX_FUNCTION: usize = 1 << 20;
/// Bytes of a function that may be found never to return.
const MAX_ENDLESS: usize = 1 << 14;
/// Words looked at in one file, for whether they point to the name of a file.
const MAX_POINTERS: usize = 8 << 20;
/// Bytes of code of one file that are decoded for what they refer to: functions that overlap cost no more than this.
const MAX_DECODED: usize = 1 << 28;
/// Files named of one function.
const MAX_HINTS: usize = 32;

/// The source files that a function contains code of, as `crate-version/src/file.rs`.
pub(super) type Hints = Arc<[Arc<str>]>;

/// What is known of one file; filled on demand.
#[derive(Default)]
pub(super) struct Locations {
    table: OnceLock<HashMap<u64, Arc<str>>>,
    functions: Mutex<HashMap<u64, Hints>>,
    endless: Mutex<HashMap<u64, bool>>,
    decoded: AtomicUsize,
}

impl Locations {
    /// Whether a function of this length may still be decoded.
    fn affords(&self, length: usize) -> bool {
        self.decoded.fetch_add(length, Ordering::Relaxed).saturating_add(length) <= MAX_DECODED
    }

    /// The source files whose code the function between two link-time addresses contains.
    pub(super) fn hints(&self, image: &Image, (start, end): (u64, u64)) -> Hints {
        if let Some(known) = self.functions.lock().unwrap_or_else(PoisonError::into_inner).get(&start) {
            return known.clone();
        }
        let table = self.table(image);
        let code = image.code(start, usize::try_from(end.saturating_sub(start)).unwrap_or(0).min(MAX_FUNCTION));
        if !self.affords(code.len()) {
            return Arc::default();
        }
        let mut files = BTreeSet::new();
        for i in &mut Decoder::with_ip(64, code, start, DecoderOptions::NONE) {
            if i.code() == Code::Lea_r64_m
                && i.is_ip_rel_memory_operand()
                && let Some(file) = table.get(&i.ip_rel_memory_address())
            {
                files.insert(file.clone());
                if files.len() >= MAX_HINTS {
                    break;
                }
            }
        }
        let hints: Hints = files.into_iter().collect();
        self.functions.lock().unwrap_or_else(PoisonError::into_inner).insert(start, hints.clone());
        hints
    }

    /// The versions of a crate whose code is in the file, as its own messages name them.
    pub(super) fn versions(&self, image: &Image, krate: &str) -> BTreeSet<String> {
        let version = |file: &Arc<str>| {
            let rest = file.strip_prefix(krate)?.strip_prefix('-')?;
            let version = rest.split('/').next()?;
            version.starts_with(|c: char| c.is_ascii_digit()).then(|| version.to_owned())
        };
        self.table(image).values().filter_map(version).collect()
    }

    /// Whether the file has any location.
    pub(super) fn any(&self, image: &Image) -> bool {
        !self.table(image).is_empty()
    }

    fn table(&self, image: &Image) -> &HashMap<u64, Arc<str>> {
        self.table.get_or_init(|| find(image))
    }

    /// Whether the function at a link-time address never comes back: it holds no return, and no jump out of itself. What
    /// panics is of that kind, and behind a call of it lies code of something else.
    pub(super) fn never_returns(
        &self,
        image: &Image,
        address: u64,
        bounds: impl FnOnce() -> Option<(u64, u64)>,
    ) -> bool {
        let cache = &self.endless;
        if let Some(known) = cache.lock().unwrap_or_else(PoisonError::into_inner).get(&address) {
            return *known;
        }
        let endless = bounds().is_some_and(|(start, end)| {
            let length = usize::try_from(end.saturating_sub(start)).unwrap_or(usize::MAX);
            // Larger functions return.
            start == address
                && length <= MAX_ENDLESS
                && image.code(start, length).len() == length
                && self.affords(length)
                && Decoder::with_ip(64, image.code(start, length), start, DecoderOptions::NONE).into_iter().all(|i| {
                    match i.flow_control() {
                        FlowControl::Return | FlowControl::IndirectBranch => false,
                        FlowControl::UnconditionalBranch | FlowControl::ConditionalBranch => {
                            (start..end).contains(&i.near_branch_target())
                        }
                        _ => !i.is_invalid(),
                    }
                })
        });
        cache.lock().unwrap_or_else(PoisonError::into_inner).insert(address, endless);
        endless
    }
}

/// Every location of the file, by link-time address.
fn find(image: &Image) -> HashMap<u64, Arc<str>> {
    let mut paths: HashMap<(u64, u64), Option<Arc<str>>> = HashMap::new();
    let mut found = HashMap::new();
    for (place, pointer) in pointers(image) {
        let Some(length) = image.initial(place.wrapping_add(8)).filter(|length| (4..MAX_PATH).contains(length)) else {
            continue;
        };
        let Some(position) = image.initial(place.wrapping_add(16)) else { continue };
        let (line, column) = (position as u32, (position >> 32) as u32);
        if !(1..MAX_LINE).contains(&line) || !(1..MAX_LINE).contains(&column) {
            continue;
        }
        let path = paths.entry((pointer, length)).or_insert_with(|| path(image, pointer, length));
        if let Some(path) = path {
            found.insert(place, path.clone());
            if found.len() >= MAX_LOCATIONS {
                break;
            }
        }
    }
    found
}

fn path(image: &Image, pointer: u64, length: u64) -> Option<Arc<str>> {
    let length = usize::try_from(length).ok()?;
    let bytes = Some(image.data(pointer, length)).filter(|bytes| bytes.len() == length)?;
    let text = std::str::from_utf8(bytes).ok()?;
    (text.ends_with(".rs") && !text.contains(char::is_control)).then(|| shorten(text).into())
}

/// Words that hold the address of something, and what: as the loader fills them in, or as they are in a file that is loaded
/// where it was linked.
fn pointers(image: &Image) -> Vec<(u64, u64)> {
    let Ok(file) = ElfFile64::<Endianness, _>::parse(image.bytes()) else { return Vec::new() };
    let relative = |flags: RelocationFlags| match flags {
        RelocationFlags::Elf { r_type } => r_type == object::elf::R_X86_64_RELATIVE,
        _ => false,
    };
    let mut pointers: Vec<(u64, u64)> = file
        .dynamic_relocations()
        .into_iter()
        .flatten()
        .take(MAX_POINTERS)
        .filter(|(_, relocation)| relative(relocation.flags()))
        .map(|(place, relocation)| (place, relocation.addend() as u64))
        .collect();
    if pointers.is_empty() {
        for name in [".data.rel.ro", ".rodata"] {
            let Some(section) = image.named(name) else { continue };
            let data = image.section(section);
            let words = data.chunks_exact(8).take(MAX_POINTERS).enumerate();
            pointers.extend(words.map(|(n, word)| {
                let at = section.address.wrapping_add(8 * n as u64);
                (at, u64::from_le_bytes(word.try_into().unwrap_or_default()))
            }));
        }
    }
    pointers
}

#[cfg(test)]
mod tests {
    use super::super::layout::Binary;
    use super::*;

    #[test]
    fn this_executable_says_where_its_own_code_may_panic() {
        let image = Binary::new(Image::parse(std::fs::read(std::env::current_exe().unwrap()).unwrap()).unwrap());
        let table = find(&image);
        assert!(
            table.values().any(|file| &**file == "harness/src/diagnose/live/locations.rs"),
            "{} locations",
            table.len()
        );
        assert!(!image.versions("proptest").is_empty());
        assert!(image.versions("no-such-crate").is_empty());
        // The address of this function, less where the kernel put the file.
        let own = this_executable_says_where_its_own_code_may_panic as fn() as usize as u64;
        let maps = super::super::proc::mappings(i32::try_from(std::process::id()).unwrap()).unwrap();
        let base = maps.iter().find(|mapping| mapping.contains(own)).unwrap();
        let bias = image.bias(base.start, base.offset).unwrap();
        let hints = image.hints(own - bias);
        assert!(hints.iter().any(|file| file.ends_with("src/diagnose/live/locations.rs")), "{hints:?}");
    }
}
