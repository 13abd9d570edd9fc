//! The files of a process: where each lies, and what is known about each.

use super::cfi::{self, Entries};
use super::image::Image;
use super::locations::{Hints, Locations};
use super::symbolize::{Logical, Names, demangle};
use crate::model::Gap;
use std::collections::BTreeSet;
use std::ops::Deref;
use std::sync::Arc;

/// A file, and what was worked out about it; filled on demand, kept for the life of the engine.
pub(super) struct Binary {
    image: Image,
    entries: Entries,
    names: Names,
    locations: Locations,
}

impl Binary {
    /// A file of which nothing has been asked yet.
    pub(super) fn new(image: Image) -> Binary {
        Binary { image, entries: Entries::default(), names: Names::default(), locations: Locations::default() }
    }

    /// Its unwinding entries.
    pub(super) fn entries(&self) -> &Entries {
        &self.entries
    }

    /// The first link-time address of the function that covers `address`, and the one behind its last.
    pub(super) fn function_bounds(&self, address: u64) -> Option<(u64, u64)> {
        cfi::function_bounds(&self.image, &self.entries, address)
    }

    /// The logical frames at a link-time address, innermost first; the last is the physical function. Never empty.
    pub(super) fn frames(&self, address: u64) -> Arc<[Logical]> {
        self.names.frames(&self.image, address)
    }

    /// The demangled name of the function that starts at, or covers, a link-time address; empty if there is none.
    pub(super) fn function(&self, address: u64) -> Arc<str> {
        self.names.function(&self.image, address)
    }

    /// The source files whose code the function at a link-time address contains.
    pub(super) fn hints(&self, address: u64) -> Hints {
        self.function_bounds(address).map(|bounds| self.locations.hints(&self.image, bounds)).unwrap_or_default()
    }

    /// The versions of a crate whose code is in the file, as its own messages name them.
    pub(super) fn versions(&self, krate: &str) -> BTreeSet<String> {
        self.locations.versions(&self.image, krate)
    }

    /// Whether the file shows where code of Rust may panic.
    pub(super) fn is_rust(&self) -> bool {
        self.locations.any(&self.image)
    }

    /// Whether the function at a link-time address never comes back: it holds no return, and no jump out of itself. What
    /// panics is of that kind, and behind a call of it lies code of something else.
    pub(super) fn never_returns(&self, address: u64) -> bool {
        self.locations.never_returns(&self.image, address, || self.function_bounds(address))
    }
}

impl Deref for Binary {
    type Target = Image;

    fn deref(&self) -> &Image {
        &self.image
    }
}

/// A file as it lies in a process.
#[derive(Clone)]
pub(super) struct Mapped {
    pub(super) start: u64,
    pub(super) end: u64,
    pub(super) bias: u64,
    pub(super) exe: bool,
    /// The C library, the loader or the kernel's own page: never the application's code.
    pub(super) system: bool,
    /// File name without directories.
    pub(super) name: String,
    pub(super) image: Arc<Binary>,
}

/// All files of a process, ascending by address.
#[derive(Clone, Default)]
pub(super) struct Layout {
    modules: Vec<Mapped>,
}

impl Layout {
    /// A layout of these modules.
    pub(super) fn of(mut modules: Vec<Mapped>) -> Layout {
        modules.sort_by_key(|module| module.start);
        Layout { modules }
    }

    /// The module that covers a runtime address.
    pub(super) fn find(&self, address: u64) -> Option<&Mapped> {
        let index = self.modules.partition_point(|module| module.start <= address).checked_sub(1)?;
        self.modules.get(index).filter(|module| address < module.end)
    }

    /// Whether a runtime address lies in executable code of a file.
    pub(super) fn is_code(&self, address: u64) -> bool {
        self.find(address).is_some_and(|module| !module.image.code(address.wrapping_sub(module.bias), 1).is_empty())
    }

    /// Every module.
    pub(super) fn modules(&self) -> &[Mapped] {
        &self.modules
    }

    /// The `static` that a runtime address lies in.
    pub(super) fn variable(&self, address: u64) -> Option<String> {
        self.modules.iter().filter(|module| !module.system).find_map(|module| {
            let (_, name) = module.image.symbol(address.checked_sub(module.bias)?, false)?;
            Some(format!("static `{}`", demangle(name)))
        })
    }

    /// What is missing because files were changed while they were being read.
    pub(super) fn lost(&self) -> Vec<Gap> {
        let lost = self.modules.iter().filter(|module| module.image.bytes().is_lost());
        let gap = |module: &Mapped| Gap {
            what: format!("parts of the file `{}`", module.name),
            why: "it was changed while it was being read".to_owned(),
            uncovers: false,
        };
        lost.map(gap).collect()
    }

    /// A word of a read-only segment of any file, by runtime address.
    pub(super) fn read_only_word(&self, address: u64) -> Option<u64> {
        // Read-only data lies in front of the code of the same file, within the same few megabytes.
        self.modules
            .iter()
            .filter(|m| address.abs_diff(m.start) < 1 << 30)
            .find_map(|module| module.image.constant(address.checked_sub(module.bias)?))
    }
}

/// The last component of a path.
pub(super) fn file_name(path: &str) -> &str {
    path.trim_end_matches(" (deleted)").rsplit('/').next().unwrap_or(path)
}

/// Whether a file of this name is part of the system.
pub(super) fn is_system(name: &str) -> bool {
    ["libc.so", "libc-", "libpthread", "ld-linux", "ld-musl", "libgcc_s", "libm.so", "libdl", "librt", "[vdso]"]
        .iter()
        .any(|prefix| name.starts_with(prefix))
}
