//! Finds the published source of `prometheus` and writes a crate root that points at it.
//!
//! The script links the very crate it looks for and lets it fail: the location of that panic is the path from which the
//! compiler read the source, wherever cargo keeps it. No network, no `cargo metadata`, no guess.

use std::cell::RefCell;
use std::fs;
use std::panic;
use std::path::{Path, PathBuf};

/// Ways past the shim that no export list can close: they need no path through `std`.
const ESCAPES: [&str; 6] = ["::core::", "core::sync", "thread_local!", "asm!", "extern \"C\"", "extern crate"];

/// Files behind features that the wrapper does not have.
const NOT_COMPILED: [&str; 2] = ["push.rs", "process_collector.rs"];

fn main() {
    let version = std::env::var("CARGO_PKG_VERSION").expect("cargo sets CARGO_PKG_VERSION");
    let out = PathBuf::from(std::env::var("OUT_DIR").expect("cargo sets OUT_DIR"));
    let source = source();
    let package = source.parent().and_then(Path::file_name).and_then(|name| name.to_str()).unwrap_or_default();
    assert_eq!(package, format!("prometheus-{version}"), "the linked prometheus is not the version of this package");
    println!("cargo:rerun-if-changed={}", source.display());
    println!("cargo:rerun-if-changed=../build.rs");

    refuse_escapes(&source);
    let timer = out.join("timer.rs");
    fs::write(&timer, timer_with_real_atomics(&source)).expect("OUT_DIR is writable");
    fs::write(out.join("root.rs"), root(&source, &timer)).expect("OUT_DIR is writable");
}

/// The folder from which the linked `prometheus` was compiled.
pub(crate) fn source() -> PathBuf {
    thread_local!(static FILE: RefCell<Option<PathBuf>> = const { RefCell::new(None) });
    let before = panic::take_hook();
    panic::set_hook(Box::new(|info| {
        let file = info.location().map(|location| PathBuf::from(location.file()));
        FILE.with(|slot| *slot.borrow_mut() = file);
    }));
    let _ = panic::catch_unwind(|| {
        let opts = prometheus::Opts::new("where", "a vector with one label, asked for none");
        let vector = prometheus::IntCounterVec::new(opts, &["label"]).expect("valid options");
        vector.with_label_values(&[] as &[&str]).inc();
    });
    panic::set_hook(before);
    let file = FILE.with(|slot| slot.borrow_mut().take()).expect("prometheus did not panic on a missing label value");
    let folder = file.parent().map(Path::to_path_buf).unwrap_or_default();
    assert!(
        folder.join("registry.rs").is_file(),
        "prometheus says that it was compiled from {}, which has no registry.rs: are paths remapped \
         (--remap-path-prefix, trim-paths)? The model needs the real ones",
        folder.display()
    );
    folder
}

/// The crate root: `lib.rs` without its inner documentation and attributes, which `include!` does not allow, each module
/// pointing at its file where it lies.
pub(crate) fn root(source: &Path, timer: &Path) -> String {
    let lib = read(&source.join("lib.rs"));
    let body = lib.split_once("/*!").and_then(|(_, rest)| rest.split_once("*/")).expect("lib.rs opens with docs").1;
    let mut root = String::new();
    let mut inner_attribute = false;
    for line in body.lines() {
        if line.starts_with("#![") {
            inner_attribute = true;
        }
        if inner_attribute {
            inner_attribute = !line.ends_with(")]");
            continue;
        }
        if let Some(path) = line.strip_prefix("#[path = \"").and_then(|rest| rest.strip_suffix("\"]")) {
            root += &format!("#[path = {:?}]\n", source.join(path));
            continue;
        }
        let module = line.strip_prefix("pub ").unwrap_or(line).strip_prefix("mod ").and_then(|m| m.strip_suffix(';'));
        match module {
            // Its `#[path]` stands in the lines above.
            None | Some("proto") => {}
            Some("timer") => root += &format!("#[path = {timer:?}]\n"),
            Some(module) => {
                let file = source.join(format!("{module}.rs"));
                let file = if file.is_file() { file } else { source.join(module).join("mod.rs") };
                root += &format!("#[path = {file:?}]\n");
            }
        }
        root += line;
        root.push('\n');
    }
    root
}

/// `timer.rs` is a coarse clock and holds no lock, but keeps its last reading in a `static` atomic, which a model's
/// atomic cannot be: it has no `const` constructor and must be new in every execution. It keeps the real ones.
pub(crate) fn timer_with_real_atomics(source: &Path) -> String {
    let text = read(&source.join("timer.rs"));
    let import = "use std::sync::atomic::";
    assert_eq!(text.matches(import).count(), 1, "timer.rs no longer imports its atomics in one place");
    text.replace(import, "use ::core::sync::atomic::")
}

/// Fails the build if compiled code mentions something that would reach past the shim.
pub(crate) fn refuse_escapes(source: &Path) {
    let mut folders = vec![source.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("the source folder is readable").flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let name = entry.file_name();
            if NOT_COMPILED.iter().any(|skipped| name == *skipped) {
                continue;
            }
            let text = read(&path);
            let code = text.split("#[cfg(test)]\nmod ").next().unwrap_or_default();
            for (number, line) in code.lines().enumerate() {
                // `prometheus` has a module of its own that is called `core`.
                let line = line.replace("crate::core::", "");
                let escape = ESCAPES.iter().find(|escape| line.contains(**escape));
                if let (Some(escape), false) = (escape, line.trim_start().starts_with("//")) {
                    panic!("{}:{}: `{escape}` would escape the model", path.display(), number + 1);
                }
            }
        }
    }
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
