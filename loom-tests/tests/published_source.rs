//! What keeps an upstream change from escaping the model: the build script refuses what reaches past the shim, and the shim
//! passes nothing on but what it lists. That a primitive outside of the list does not compile is shown by the
//! documentation tests of the library.

// What the build script links, as it is linked here.
extern crate gatherlock_model_prometheus_0_14 as prometheus;

#[allow(dead_code)]
#[path = "../versions/build.rs"]
mod build;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

/// The panic's message, if there is one.
fn refused(act: impl FnOnce()) -> Option<String> {
    let panic = catch_unwind(AssertUnwindSafe(act)).err()?;
    Some(panic.downcast_ref::<String>().cloned().unwrap_or_else(|| "a panic of another kind".into()))
}

/// Whether a source folder with this `registry.rs` is refused.
fn escape(text: &str) -> Option<String> {
    let folder = tempfile::tempdir().expect("a folder");
    let inner = folder.path().join("inner");
    std::fs::create_dir(&inner).expect("a folder in it");
    std::fs::write(inner.join("registry.rs"), text).expect("it is writable");
    refused(|| build::refuse_escapes(folder.path()))
}

#[test]
fn what_needs_no_path_through_std_is_refused_with_its_line() {
    for line in [
        "use ::core::sync::atomic::AtomicU64;",
        "use core::sync::atomic::AtomicBool;",
        "thread_local!(static LAST: Cell<u64> = const { Cell::new(0) });",
        "unsafe { std::arch::asm!(\"pause\") }",
        "extern \"C\" { fn pthread_mutex_lock(mutex: *mut u8) -> i32; }",
        "extern crate crossbeam;",
        "extern crate core as other;",
    ] {
        let says = escape(&format!("use std::fmt;\n{line}\n")).unwrap_or_else(|| panic!("{line} is let through"));
        assert!(says.contains("registry.rs:2: ") && says.contains("would escape the model"), "{says}");
    }
}

#[test]
fn comments_tests_and_the_crates_own_module_called_core_are_let_through() {
    for text in [
        "// use ::core::sync\n",
        "    /// core::sync\n",
        "use crate::core::sync::X;\n",
        "#[cfg(test)]\nmod tests { use ::core::sync::X; }\n",
    ] {
        assert_eq!(escape(text), None, "{text}");
    }
}

#[test]
fn a_clock_that_is_no_longer_the_one_that_was_read_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    for (text, fits) in [
        ("use std::sync::atomic::{AtomicU64, Ordering};\n", true),
        ("use std::sync::Mutex;\n", false),
        ("use std::sync::atomic::AtomicU64;\nmod x { use std::sync::atomic::Ordering; }\n", false),
    ] {
        std::fs::write(folder.path().join("timer.rs"), text).expect("it is writable");
        let says = refused(|| drop(build::timer_with_real_atomics(folder.path())));
        assert_eq!(says.is_none(), fits, "{text}: {says:?}");
    }
}

/// The root points at the published files where they lie, and drops what an `include!` does not allow.
#[test]
fn the_root_points_at_the_published_files() {
    let folder = tempfile::tempdir().expect("a folder");
    let source = folder.path();
    std::fs::create_dir(source.join("encoder")).expect("a folder in it");
    for (file, text) in [
        (
            "lib.rs",
            "/*! Docs. */\n#![allow(\n    one,\n)]\nmod timer;\npub mod vec;\nmod encoder;\npub use self::vec::X;\n",
        ),
        ("timer.rs", ""),
        ("vec.rs", ""),
        ("encoder/mod.rs", ""),
    ] {
        std::fs::write(source.join(file), text).expect("it is writable");
    }
    let path = |file: &str| format!("#[path = {:?}]", source.join(file));
    let (vec, encoder) = (path("vec.rs"), path("encoder/mod.rs"));
    let expected = format!(
        "\n#[path = \"/timer.rs\"]\nmod timer;\n{vec}\npub mod vec;\n{encoder}\nmod encoder;\npub use self::vec::X;\n"
    );
    assert_eq!(build::root(source, Path::new("/timer.rs")), expected);
}

/// Every `pub use` of the shim is a list of names, and the modules that it passes on whole hold nothing that threads share.
#[test]
fn the_shim_passes_nothing_on_but_what_it_lists() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("shim/src");
    let mut whole = Vec::new();
    for entry in std::fs::read_dir(folder).expect("the shim's source").flatten() {
        let text = std::fs::read_to_string(entry.path()).expect("it is readable");
        assert!(!text.contains("::*"), "{}: a glob", entry.path().display());
        let statements = text.split("pub use std::").skip(1).filter_map(|rest| rest.split(';').next());
        for names in statements.filter(|names| names.starts_with('{')) {
            whole.extend(names.trim_matches(['{', '}', '\n', ' ']).split(',').map(|name| name.trim().to_owned()));
        }
    }
    whole.retain(|name| !name.is_empty());
    whole.sort();
    let harmless = [
        "borrow", "cmp", "convert", "error", "f64", "fmt", "io", "iter", "marker", "mem", "num", "ops", "option",
        "result", "slice", "str", "string", "vec",
    ];
    assert_eq!(whole, harmless, "a module more that is passed on whole: does it hold a lock, an atomic or a thread?");
}
