//! The rules of the house that a compiler does not check: import arrows, `//!` on every file, file length, HTML that
//! loads nothing from the network.

use crate::build::root;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// "About 400 lines a file at most": beyond this it is far above.
const MAX_LINES: usize = 480;

/// Which modules of `harness/src` a module may import from (besides itself). `gate` and `cli` see everything.
const ARROWS: &[(&str, &[&str])] = &[
    ("model", &[]),
    ("graph", &["model"]),
    ("detect", &["model", "graph"]),
    ("render", &["model", "graph"]),
    ("runner", &["model"]),
    ("probe", &["model"]),
    ("catalogue", &["model", "probe"]),
    ("diagnose", &["model", "graph"]),
];

/// Words by which a file of the pure core would reach for I/O, a clock or a process.
const EFFECTS: &[&str] = &["std::fs", "std::net", "std::process", "std::thread", "std::time", "nix::", "libc::"];
const PURE: &[&str] = &["model", "graph", "detect", "render"];

/// Crates that `gatherlock` must never depend on, so that anybody can add it whatever runtime they use.
const FOREIGN: &[&str] = &["tokio", "axum", "hyper", "prometheus"];

/// Checks the tree and prints every breach.
pub(crate) fn run() -> Result<ExitCode, String> {
    let root = root();
    let mut breaches = Vec::new();
    let mut files = 0;
    for folder in ["harness", "scenarios", "guard", "loom-tests", "xtask"] {
        for path in rust_files(&root.join(folder))? {
            files += 1;
            let text = fs::read_to_string(&path).map_err(|error| format!("cannot read {}: {error}", path.display()))?;
            let name = path.strip_prefix(&root).unwrap_or(&path).to_string_lossy().replace('\\', "/");
            breaches.extend(check_file(&name, &text));
        }
    }
    let read = |name: &str| fs::read_to_string(root.join(name)).map_err(|error| format!("cannot read {name}: {error}"));
    breaches.extend(check_manifest(&read("harness/Cargo.toml")?));
    breaches.extend(check_guard(&read("guard/Cargo.toml")?));
    if files == 0 {
        return Err("found no Rust file to check".to_string());
    }
    for breach in &breaches {
        eprintln!("tidy: {breach}");
    }
    eprintln!("tidy: {files} files, {} breaches", breaches.len());
    Ok(if breaches.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

/// The `.rs` files below `folder`, sorted; build output and hidden folders are left out. A missing folder has none.
fn rust_files(folder: &Path) -> Result<Vec<PathBuf>, String> {
    let mut found = Vec::new();
    let Ok(entries) = fs::read_dir(folder) else { return Ok(found) };
    for entry in entries {
        let path = entry.map_err(|error| format!("cannot list {}: {error}", folder.display()))?.path();
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        if path.is_dir() && name != "target" && !name.starts_with('.') {
            found.extend(rust_files(&path)?);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// The breaches of one source file; `name` is its path from the root, with `/`.
fn check_file(name: &str, text: &str) -> Vec<String> {
    let mut breaches = Vec::new();
    if !text.starts_with("//!") {
        breaches.push(format!("{name}: does not begin with `//!`, its idea in one sentence"));
    }
    let lines = text.lines().count();
    if lines > MAX_LINES {
        breaches.push(format!("{name}: {lines} lines, more than {MAX_LINES}; split it by noun"));
    }
    if name.ends_with("/utils.rs") || name.ends_with("/util.rs") || name.ends_with("/helpers.rs") {
        breaches.push(format!("{name}: a file is named after what it holds"));
    }
    let Some(module) = harness_module(name) else { return breaches };
    let code = code_lines(text);
    if let Some((_, allowed)) = ARROWS.iter().find(|(from, _)| *from == module) {
        for (number, line) in &code {
            for target in imported_modules(line) {
                if target != module && !allowed.contains(&target.as_str()) && is_harness_module(&target) {
                    breaches.push(format!("{name}:{number}: `{module}` may not import `{target}`"));
                }
            }
        }
    }
    if PURE.contains(&module) {
        for (number, line) in &code {
            for effect in EFFECTS.iter().filter(|effect| line.contains(**effect)) {
                breaches.push(format!("{name}:{number}: `{module}` is pure, `{effect}` is not"));
            }
        }
    }
    if module == "render" {
        for (number, line) in &code {
            for loader in ["src=\"http", "href=\"http", "@import", "url(http"] {
                if line.contains(loader) {
                    breaches.push(format!("{name}:{number}: `{loader}`: a page loads nothing from the network"));
                }
            }
        }
    }
    breaches
}

/// `Some("graph")` for `harness/src/graph/…` and `harness/src/graph.rs`.
fn harness_module(name: &str) -> Option<&str> {
    let rest = name.strip_prefix("harness/src/")?;
    let module = rest.split('/').next()?;
    Some(module.strip_suffix(".rs").unwrap_or(module))
}

fn is_harness_module(name: &str) -> bool {
    ARROWS.iter().any(|(module, _)| *module == name) || name == "gate" || name == "cli"
}

/// The lines that are neither comments nor in the trailing test module, numbered from 1.
fn code_lines(text: &str) -> Vec<(usize, &str)> {
    text.lines()
        .enumerate()
        .map(|(index, line)| (index + 1, line.trim()))
        .take_while(|(_, line)| *line != "#[cfg(test)]")
        .filter(|(_, line)| !line.starts_with("//"))
        .collect()
}

/// The first path segments behind `crate::` in a line, groups included: `use crate::{graph::X, model::Y}` gives both.
fn imported_modules(line: &str) -> Vec<String> {
    let mut found = Vec::new();
    for rest in line.split("crate::").skip(1) {
        let names: Vec<&str> = match rest.strip_prefix('{') {
            Some(group) => top_level(group),
            None => vec![rest],
        };
        for name in names {
            let segment: String = name.trim().chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
            if !segment.is_empty() {
                found.push(segment);
            }
        }
    }
    found
}

/// Splits the inside of `{a::{b, c}, d}` at its top-level commas.
fn top_level(group: &str) -> Vec<&str> {
    let (mut depth, mut start, mut parts) = (0usize, 0, Vec::new());
    for (index, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => {
                parts.push(&group[start..index]);
                return parts;
            }
            '}' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(&group[start..index]);
                start = index + 1;
            }
            _ => {}
        }
    }
    parts.push(&group[start..]);
    parts
}

/// The lines of `[dependencies]`, each with the name that it begins with.
fn dependencies(manifest: &str) -> impl Iterator<Item = (&str, &str)> {
    let all = manifest.split("[dependencies]").nth(1).unwrap_or_default();
    let all = all.split("\n[").next().unwrap_or_default();
    all.lines().filter_map(|line| Some((line.split(['=', '.', ' ']).next()?, line)))
}

/// `gatherlock` stays free of runtimes, web frameworks and metrics libraries.
fn check_manifest(manifest: &str) -> Vec<String> {
    dependencies(manifest)
        .filter(|(name, _)| FOREIGN.contains(name))
        .map(|(name, _)| format!("harness/Cargo.toml: `gatherlock` may not depend on `{name}`"))
        .collect()
}

/// The guard's core knows no web framework, no runtime and no metrics library: all of them stand behind features, and no
/// runtime at all.
fn check_guard(manifest: &str) -> Vec<String> {
    let core = ["bytes", "humantime", "thiserror"];
    dependencies(manifest)
        .filter(|(name, line)| {
            let named = name.starts_with(|c: char| c.is_ascii_alphabetic());
            named && (*name == "tokio" || !core.contains(name) && !line.contains("optional = true"))
        })
        .map(|(name, _)| format!("guard/Cargo.toml: the core may not depend on `{name}`; put it behind a feature"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clean_file_has_no_breach() {
        let text = "//! Idea.\nuse crate::model::{Outcome, Verdict};\nuse crate::graph::WaitGraph;\n";
        assert_eq!(check_file("harness/src/detect/cycle.rs", text), Vec::<String>::new());
    }

    #[test]
    fn a_wrong_arrow_is_named_with_its_line() {
        let text = "//! Idea.\n\nuse crate::{model::Outcome, runner::Child};\n";
        assert_eq!(
            check_file("harness/src/detect/cycle.rs", text),
            ["harness/src/detect/cycle.rs:3: `detect` may not import `runner`"]
        );
        let up = check_file("harness/src/probe/scrape.rs", "//! Idea.\nlet x = crate::gate::run();\n");
        assert_eq!(up.len(), 1);
    }

    #[test]
    fn nested_groups_are_split_at_the_top() {
        assert_eq!(imported_modules("use crate::{model::{A, b::C}, graph};"), ["model", "graph"]);
    }

    #[test]
    fn the_pure_core_may_not_reach_out() {
        assert_eq!(check_file("harness/src/render/html.rs", "//! Idea.\nuse std::fs;\n").len(), 1);
        assert_eq!(check_file("harness/src/runner/child.rs", "//! Idea.\nuse std::fs;\n").len(), 0);
        let in_test = "//! Idea.\n#[cfg(test)]\nmod tests { use std::fs; }\n";
        assert_eq!(check_file("harness/src/render/html.rs", in_test).len(), 0);
    }

    #[test]
    fn the_other_rules() {
        assert_eq!(check_file("xtask/src/x.rs", "use a;\n").len(), 1);
        assert_eq!(check_file("xtask/src/x.rs", &format!("//! Idea.\n{}", "a\n".repeat(MAX_LINES))).len(), 1);
        assert_eq!(check_file("scenarios/src/utils.rs", "//! Idea.\n").len(), 1);
        assert_eq!(check_file("harness/src/render/html.rs", "//! I.\nlet x = \"<a href=\\\"x\";\n").len(), 0);
        let guard =
            "[dependencies]\nbytes = \"1\"\naxum = { version = \"1\", optional = true }\nhttp = \"1\"\n\n[lints]\n";
        assert_eq!(
            check_guard(guard),
            ["guard/Cargo.toml: the core may not depend on `http`; put it behind a feature"]
        );
        assert_eq!(check_guard("[dependencies]\ntokio = { version = \"1\", optional = true }\n").len(), 1);
        assert_eq!(
            check_manifest("[dependencies]\nserde = \"1\"\ntokio = \"1\"\n\n[dev-dependencies]\naxum = \"1\"\n").len(),
            1
        );
    }
}
