//! Short names for locks and places.

use crate::shim::Recorded;
use std::collections::BTreeMap;
use std::panic::Location;

/// The labels of one execution's objects.
#[derive(Debug)]
pub(super) struct Labels(Vec<String>);

impl Labels {
    /// Labels each object by its kind and the type it protects, and numbers those that would share a label by who
    /// created them, which does not depend on the schedule.
    pub(super) fn of(recorded: &Recorded) -> Labels {
        let plain: Vec<String> = recorded
            .objects
            .iter()
            .map(|object| format!("{}<{}>", object.kind.word(), without_paths(&object.of)))
            .collect();
        let mut same: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        for (index, label) in plain.iter().enumerate() {
            same.entry(label).or_default().push(index);
        }
        let mut labels = plain.clone();
        for indices in same.values_mut().filter(|indices| indices.len() > 1) {
            indices.sort_by_key(|index| (recorded.objects[*index].creator, recorded.objects[*index].nth));
            for (number, index) in indices.iter().enumerate() {
                labels[*index] = format!("{} no. {}", plain[*index], number + 1);
            }
        }
        Labels(labels)
    }

    pub(super) fn label(&self, object: usize) -> String {
        self.0[object].clone()
    }
}

/// A type's name without module paths: `Vec<a::b::C>` is `Vec<C>`.
fn without_paths(name: &str) -> String {
    let mut short = String::new();
    let mut segment = String::new();
    let mut rest = name.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            ':' if rest.peek() == Some(&':') => {
                rest.next();
                segment.clear();
            }
            c if c.is_alphanumeric() || c == '_' => segment.push(c),
            c => {
                short += &segment;
                segment.clear();
                short.push(c);
            }
        }
    }
    short + &segment
}

/// A place as `crate-version/src/file.rs:line`, without the folders above.
pub(super) fn place(location: &Location<'_>) -> String {
    format!("{}:{}", file(location.file()), location.line())
}

/// A file without the folders above its crate.
pub(super) fn file(path: &str) -> String {
    let after = |text: &str, mark: &str, skip: usize| {
        let rest = text.split_once(mark)?.1;
        rest.splitn(skip + 1, '/').nth(skip).map(str::to_owned)
    };
    after(path, "/registry/src/", 1)
        .or_else(|| after(path, "/rustc/", 1))
        .or_else(|| path.rsplit_once("/loom-tests/").map(|(_, rest)| format!("loom-tests/{rest}")))
        .unwrap_or_else(|| path.trim_start_matches('/').to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn module_paths_are_dropped_from_type_names() {
        assert_eq!(without_paths("prometheus::registry::RegistryCore"), "RegistryCore");
        assert_eq!(without_paths("a::HashMap<u64, alloc::boxed::Box<dyn b::C>>"), "HashMap<u64, Box<dyn C>>");
        assert_eq!(without_paths("()"), "()");
    }

    #[test]
    fn places_name_the_crate_and_its_version_and_no_home_directory() {
        let file = |path| super::file(path);
        assert_eq!(
            file("/home/x/.cargo/registry/src/index-1/prometheus-0.14.0/src/vec.rs"),
            "prometheus-0.14.0/src/vec.rs"
        );
        assert_eq!(file("/rustc/0123/library/core/src/ops.rs"), "library/core/src/ops.rs");
        assert_eq!(file("/home/x/gatherlock/loom-tests/src/lib.rs"), "loom-tests/src/lib.rs");
        assert_eq!(file("loom-tests/src/lib.rs"), "loom-tests/src/lib.rs");
    }
}
