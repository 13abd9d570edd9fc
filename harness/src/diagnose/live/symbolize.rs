//! Names for code addresses: the symbol table for the physical function, DWARF for what was inlined into it.

use super::dwarf::Units;
use super::image::Image;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

/// One logical frame: a function, or a function that was inlined into the next one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Logical {
    /// Demangled; empty if there is no name.
    pub(super) function: String,
    /// `crate-version/src/…`.
    pub(super) file: Option<String>,
    pub(super) line: Option<u32>,
    pub(super) inlined: bool,
    /// The name with its generic arguments, where DWARF knows them and the symbol table does not: `lock<app::State>`.
    pub(super) generic: Option<String>,
    /// What the tables of functions say of it.
    pub(super) ruling: Ruling,
}

/// What the tables say of a function, worked out when it is first asked: hundreds of threads stand in the same ones.
#[derive(Clone, Debug, Default)]
pub(super) struct Ruling(pub(super) OnceLock<Ruled>);

/// See [`Ruling`]; `rules` fills it in.
#[derive(Clone, Debug)]
pub(super) struct Ruled {
    pub(super) krate: String,
    pub(super) runtime: bool,
    pub(super) lock_code: bool,
    pub(super) serves_request: bool,
    /// A bit for each row of the table of events.
    pub(super) events: u32,
    /// Its name as reports show it.
    pub(super) shown: String,
}

/// It follows from the function and its file, whether it has been asked for or not.
impl PartialEq for Ruling {
    fn eq(&self, _: &Ruling) -> bool {
        true
    }
}

impl Eq for Ruling {}

/// Names are untrusted input and may be of any length.
const MAX_NAME: usize = 2000;

/// What is known about the names of one file; filled on demand, kept for the life of the engine.
#[derive(Default)]
pub(super) struct Names {
    dwarf: OnceLock<Mutex<Option<Units>>>,
    frames: Mutex<HashMap<u64, Arc<[Logical]>>>,
    functions: Mutex<HashMap<u64, Arc<str>>>,
}

impl Names {
    /// The logical frames at a link-time address, innermost first; the last is the physical function. Never empty.
    pub(super) fn frames(&self, image: &Image, address: u64) -> Arc<[Logical]> {
        if let Some(known) = self.frames.lock().unwrap_or_else(PoisonError::into_inner).get(&address) {
            return known.clone();
        }
        let found: Arc<[Logical]> = self.look_up(image, address).into();
        self.frames.lock().unwrap_or_else(PoisonError::into_inner).insert(address, found.clone());
        found
    }

    /// The demangled name of the function that starts at, or covers, a link-time address; empty if there is none.
    pub(super) fn function(&self, image: &Image, address: u64) -> Arc<str> {
        let mut cache = self.functions.lock().unwrap_or_else(PoisonError::into_inner);
        cache
            .entry(address)
            .or_insert_with(|| image.symbol(address, true).map_or_else(|| "".into(), |(_, n)| demangle(n).into()))
            .clone()
    }

    fn look_up(&self, image: &Image, address: u64) -> Vec<Logical> {
        let mut frames = self.inlined(image, address);
        let symbol = image.symbol(address, true).map(|(_, name)| demangle(name));
        match (frames.last_mut(), symbol) {
            // Line tables alone give bare names (`gather`): for the physical function the symbol table knows the path.
            (Some(physical), Some(name)) => {
                let described = std::mem::replace(&mut physical.function, name);
                physical.generic = physical.generic.take().or_else(|| described.contains('<').then_some(described));
            }
            (Some(_), None) => {}
            (None, name) => frames.push(Logical { function: name.unwrap_or_default(), ..Logical::default() }),
        }
        frames
    }

    /// The frames that DWARF knows of, innermost first.
    fn inlined(&self, image: &Image, address: u64) -> Vec<Logical> {
        let units = self.dwarf.get_or_init(|| Mutex::new(Units::read(image)));
        let mut units = units.lock().unwrap_or_else(PoisonError::into_inner);
        let found = units.as_mut().map(|units| units.at(image, address)).unwrap_or_default();
        let mut frames: Vec<Logical> = found
            .into_iter()
            .map(|found| {
                // A frame without a function is a line of a unit whose functions are not described.
                let function = found.name.map(|name| demangle(&name)).unwrap_or_default();
                let generic = found.generic.or_else(|| function.contains('<').then(|| function.clone()));
                let file = found.file.as_deref().map(shorten);
                Logical { function, file, line: found.line, inlined: true, generic, ruling: Ruling::default() }
            })
            .collect();
        if let Some(physical) = frames.last_mut() {
            physical.inlined = false;
        }
        frames
    }
}

/// Demangles without the hash; anything that is no Rust symbol stays as it is. Bounded in length.
pub(super) fn demangle(name: &str) -> String {
    let mut bounded = Bounded(String::new());
    // Stops with an error at the bound, which is the point.
    let _ = std::fmt::Write::write_fmt(&mut bounded, format_args!("{:#}", rustc_demangle::demangle(name)));
    bounded.0
}

struct Bounded(String);

impl std::fmt::Write for Bounded {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        if self.0.len() + text.len() > MAX_NAME {
            return Err(std::fmt::Error);
        }
        self.0.push_str(text);
        Ok(())
    }
}

/// Makes `crate-version/src/file.rs` of a compiler's path: no directory of the machine it was built on.
pub(super) fn shorten(path: &str) -> String {
    let path = path.get(..MAX_NAME).unwrap_or(path);
    for root in ["/src/", "/tests/", "/examples/", "/benches/"] {
        if let Some(at) = path.rfind(root) {
            let krate = path[..at].rsplit('/').next().unwrap_or_default();
            return format!("{krate}{}", &path[at..]);
        }
    }
    if let Some(root) = ["src/", "tests/", "examples/", "benches/"].iter().find(|root| path.starts_with(**root)) {
        return format!("{root}{}", &path[root.len()..]);
    }
    let mut last: Vec<&str> = path.rsplit('/').take(2).collect();
    last.reverse();
    last.join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_keep_the_crate_and_lose_the_machine() {
        for (long, short) in [
            (
                "/root/.cargo/registry/src/index-1/prometheus-0.14.0/src/registry.rs",
                "prometheus-0.14.0/src/registry.rs",
            ),
            ("/rustc/abc/library/std/src/sys/sync/mutex/futex.rs", "std/src/sys/sync/mutex/futex.rs"),
            ("/home/a/project/harness/tests/diagnose.rs", "harness/tests/diagnose.rs"),
            ("scenarios/src/main.rs", "scenarios/src/main.rs"),
            ("src/main.rs", "src/main.rs"),
            ("/x/target/debug/build/y-1/out/gen.rs", "out/gen.rs"),
            ("./nptl/pthread_create.c", "nptl/pthread_create.c"),
        ] {
            assert_eq!(shorten(long), short);
        }
    }

    #[test]
    fn a_name_without_end_is_cut() {
        assert!(demangle(&"a".repeat(1 << 20)).len() <= MAX_NAME);
        assert_eq!(demangle("_ZN3foo3bar17h0123456789abcdefE"), "foo::bar");
    }
}
