//! No circles: no file of a crate needs, by way of others, itself. Read from the code's own paths, re-exports followed to
//! the file that defines; tests and what only a macro names are left out.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use syn::visit::{self, Visit};
use syn::{Attribute, Item, UseTree};

/// The crates, each by the file its modules hang on.
const CRATES: [&str; 7] = [
    "guard/src/lib.rs",
    "harness/src/lib.rs",
    "scenarios/src/main.rs",
    "loom-tests/src/lib.rs",
    "loom-tests/src/bin/loom-tests/main.rs",
    "loom-tests/shim/src/lib.rs",
    "xtask/src/main.rs",
];

/// A module's place in its crate; the root's is empty.
type Place = Vec<String>;

#[derive(Default)]
struct Module {
    file: PathBuf,
    /// What it defines itself.
    items: BTreeSet<String>,
    /// What it imports or re-exports: the name here, and the path as written.
    names: BTreeMap<String, Vec<String>>,
    /// Of which modules it takes everything.
    globs: Vec<Vec<String>>,
    /// Every path that its code uses, re-exports left out.
    uses: BTreeSet<Vec<String>>,
}

#[derive(Default)]
struct Crate {
    modules: BTreeMap<Place, Module>,
}

#[test]
fn no_file_needs_itself() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut circles = String::new();
    for name in CRATES {
        let read = Crate::read(&root.join(name));
        assert!(!read.modules.is_empty(), "{name} has no module");
        for circle in read.circles() {
            circles.push_str(&format!("\nin {name}:\n"));
            for (from, to, what) in circle {
                let short = |path: &Path| path.strip_prefix(root).unwrap_or(path).display().to_string();
                circles.push_str(&format!("  {} -> {}: {what}\n", short(&from), short(&to)));
            }
        }
    }
    assert!(circles.is_empty(), "files that need each other in a circle:\n{circles}");
}

#[test]
fn a_circle_is_seen_through_a_re_export_and_a_module_s_own_words_are_none() {
    let folder = std::env::temp_dir().join(format!("gatherlock-circles-{}", std::process::id()));
    fs::create_dir_all(folder.join("b")).unwrap();
    let write = |name: &str, text: &str| fs::write(folder.join(name), text).unwrap();
    write("lib.rs", "mod a;\nmod b;\npub use b::Deep;\n#[cfg(test)]\nmod tests;\n");
    write("b/mod.rs", "mod deep;\npub use deep::Deep;\n");
    write("b/deep.rs", "pub struct Deep;\nimpl Deep { pub(super) fn a() -> u8 { 1 } }\n");
    write("a.rs", "use crate::Deep;\npub fn a(_: Deep) {}\n");
    let found = |read: &Crate| -> Vec<Vec<String>> {
        let name = |path: &Path| path.strip_prefix(&folder).unwrap().display().to_string();
        let arrow = |(from, to, _): (PathBuf, PathBuf, String)| format!("{} {}", name(&from), name(&to));
        read.circles().into_iter().map(|circle| circle.into_iter().map(arrow).collect()).collect()
    };
    assert!(found(&Crate::read(&folder.join("lib.rs"))).is_empty());
    write("b/deep.rs", "pub struct Deep;\nfn f() { let _ = crate::a::a as fn(Deep); }\n");
    assert_eq!(found(&Crate::read(&folder.join("lib.rs"))), [["a.rs b/deep.rs", "b/deep.rs a.rs"]]);
    fs::remove_dir_all(&folder).unwrap();
}

impl Crate {
    fn read(file: &Path) -> Crate {
        let mut read = Crate::default();
        read.module(file, Vec::new(), file.parent().unwrap());
        read
    }

    /// `below`: the folder in which the module's own modules lie.
    fn module(&mut self, file: &Path, place: Place, below: &Path) {
        let text = fs::read_to_string(file).unwrap_or_else(|error| panic!("cannot read {}: {error}", file.display()));
        let code = syn::parse_file(&text).unwrap_or_else(|error| panic!("cannot parse {}: {error}", file.display()));
        self.items(file, place, below, &code.items);
    }

    fn items(&mut self, file: &Path, place: Place, below: &Path, items: &[Item]) {
        let mut module = Module { file: file.to_path_buf(), ..Module::default() };
        for item in items {
            match item {
                item if only_in_tests(attributes(item)) => {}
                Item::Mod(inner) => {
                    let name = inner.ident.to_string();
                    let place = [&place[..], std::slice::from_ref(&name)].concat();
                    let below_it = below.join(&name);
                    match &inner.content {
                        Some((_, items)) => self.items(file, place, &below_it, items),
                        None => {
                            let elsewhere = path_attribute(&inner.attrs).map(|path| file.parent().unwrap().join(path));
                            let own = [below.join(format!("{name}.rs")), below_it.join("mod.rs")];
                            let found = elsewhere.into_iter().chain(own).find(|path| path.is_file());
                            // Another platform's, or a generated one.
                            let Some(found) = found else { continue };
                            if !self.modules.contains_key(&place) {
                                self.module(&found, place, &below_it);
                            }
                        }
                    }
                }
                Item::Use(import) => {
                    let re_exported = !matches!(import.vis, syn::Visibility::Inherited);
                    module.import(&import.tree, &mut Vec::new(), re_exported);
                }
                other => {
                    module.items.extend(name_of(other));
                    Uses(&mut module.uses).visit_item(other);
                }
            }
        }
        self.modules.insert(place, module);
    }

    /// The module that defines what `path`, written in the module at `place`, leads to.
    fn resolve(&self, place: &[String], path: &[String], depth: u32) -> Option<Place> {
        let (first, rest) = path.split_first()?;
        if depth == 0 {
            return None;
        }
        match first.as_str() {
            "crate" => self.descend(Vec::new(), rest, depth),
            "self" => self.descend(place.to_vec(), rest, depth),
            "super" => self.descend_or_up(place.split_last()?.1.to_vec(), rest, depth),
            _ => self.descend(place.to_vec(), path, depth),
        }
    }

    fn descend_or_up(&self, place: Place, path: &[String], depth: u32) -> Option<Place> {
        match path.first().map(String::as_str) {
            Some("super") => self.descend_or_up(place.split_last()?.1.to_vec(), &path[1..], depth),
            _ => self.descend(place, path, depth),
        }
    }

    fn descend(&self, place: Place, path: &[String], depth: u32) -> Option<Place> {
        let Some((first, rest)) = path.split_first() else { return Some(place) };
        let module = self.modules.get(&place)?;
        let inner = [&place[..], std::slice::from_ref(first)].concat();
        if self.modules.contains_key(&inner) {
            return self.descend(inner, rest, depth);
        }
        if module.items.contains(first) {
            return Some(place);
        }
        if let Some(target) = module.names.get(first) {
            return self.resolve(&place, &[&target[..], rest].concat(), depth - 1);
        }
        module.globs.iter().find_map(|glob| self.resolve(&place, &[&glob[..], path].concat(), depth - 1))
    }

    /// The arrows between files, each with a path that draws it.
    fn arrows(&self) -> BTreeMap<(PathBuf, PathBuf), String> {
        let mut arrows = BTreeMap::new();
        for (place, module) in &self.modules {
            for path in &module.uses {
                let Some(target) = self.resolve(place, path, 16) else { continue };
                let file = &self.modules[&target].file;
                // A folder's module that is only named is used by the paths that go through that name.
                let only_named = path.last() == target.last() && file.ends_with("mod.rs");
                if *file != module.file && !only_named {
                    arrows.entry((module.file.clone(), file.clone())).or_insert_with(|| path.join("::"));
                }
            }
        }
        arrows
    }

    /// The arrows of each set of files that all reach each other.
    fn circles(&self) -> Vec<Vec<(PathBuf, PathBuf, String)>> {
        let arrows = self.arrows();
        let mut needs: BTreeMap<&Path, Vec<&Path>> = BTreeMap::new();
        for (from, to) in arrows.keys() {
            needs.entry(from).or_default().push(to);
        }
        let reach = |from: &Path| {
            let mut seen: BTreeSet<PathBuf> = BTreeSet::new();
            let mut next = vec![from];
            while let Some(file) = next.pop() {
                for to in needs.get(file).into_iter().flatten() {
                    if seen.insert(to.to_path_buf()) {
                        next.push(to);
                    }
                }
            }
            seen
        };
        let files: BTreeSet<PathBuf> = arrows.keys().flat_map(|(from, to)| [from.clone(), to.clone()]).collect();
        let reached: BTreeMap<PathBuf, BTreeSet<PathBuf>> =
            files.iter().map(|file| (file.clone(), reach(file))).collect();
        let both = |a: &PathBuf, b: &PathBuf| reached[a].contains(b) && reached[b].contains(a);
        let mut left = files.clone();
        let mut circles = Vec::new();
        for file in &files {
            if !left.contains(file) || !both(file, file) {
                continue;
            }
            let members: BTreeSet<PathBuf> = files.iter().filter(|other| both(file, other)).cloned().collect();
            left.retain(|other| !members.contains(other));
            let inside = arrows.iter().filter(|((from, to), _)| members.contains(from) && members.contains(to));
            circles.push(inside.map(|((from, to), what)| (from.clone(), to.clone(), what.clone())).collect());
        }
        circles
    }
}

impl Module {
    fn import(&mut self, tree: &UseTree, path: &mut Vec<String>, re_exported: bool) {
        match tree {
            UseTree::Path(step) => {
                path.push(step.ident.to_string());
                self.import(&step.tree, path, re_exported);
                path.pop();
            }
            UseTree::Group(group) => group.items.iter().for_each(|tree| self.import(tree, path, re_exported)),
            UseTree::Glob(_) => self.globs.push(path.clone()),
            UseTree::Name(name) => self.named(name.ident.to_string(), name.ident.to_string(), path, re_exported),
            UseTree::Rename(name) => self.named(name.rename.to_string(), name.ident.to_string(), path, re_exported),
        }
    }

    fn named(&mut self, here: String, there: String, path: &[String], re_exported: bool) {
        let (here, target) = match there.as_str() {
            "self" => (path.last().cloned().unwrap_or(here), path.to_vec()),
            _ => (here, [path, &[there]].concat()),
        };
        if !re_exported {
            self.uses.insert(target.clone());
        }
        // A name that is imported under its own name from elsewhere leads nowhere here.
        if target.as_slice() != [here.clone()] {
            self.names.insert(here, target);
        }
    }
}

/// Collects the paths of code.
struct Uses<'a>(&'a mut BTreeSet<Vec<String>>);

impl<'ast> Visit<'ast> for Uses<'_> {
    /// `pub(super)` uses nothing.
    fn visit_visibility(&mut self, _: &'ast syn::Visibility) {}

    fn visit_path(&mut self, path: &'ast syn::Path) {
        if path.leading_colon.is_none() {
            self.0.insert(path.segments.iter().map(|segment| segment.ident.to_string()).collect());
        }
        visit::visit_path(self, path);
    }
}

fn name_of(item: &Item) -> Option<String> {
    Some(match item {
        Item::Const(item) => item.ident.to_string(),
        Item::Enum(item) => item.ident.to_string(),
        Item::Fn(item) => item.sig.ident.to_string(),
        Item::Static(item) => item.ident.to_string(),
        Item::Struct(item) => item.ident.to_string(),
        Item::Trait(item) => item.ident.to_string(),
        Item::Type(item) => item.ident.to_string(),
        Item::Union(item) => item.ident.to_string(),
        _ => return None,
    })
}

fn attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Const(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        _ => &[],
    }
}

fn only_in_tests(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        let condition = attribute.meta.require_list().ok().filter(|list| list.path.is_ident("cfg"));
        condition.is_some_and(|list| {
            let words = list.tokens.to_string();
            words == "test" || words.replace(' ', "").starts_with("all(test,")
        })
    })
}

fn path_attribute(attributes: &[Attribute]) -> Option<String> {
    attributes.iter().find_map(|attribute| {
        let named = attribute.meta.require_name_value().ok().filter(|pair| pair.path.is_ident("path"))?;
        match &named.value {
            syn::Expr::Lit(syn::ExprLit { lit: syn::Lit::Str(text), .. }) => Some(text.value()),
            _ => None,
        }
    })
}
