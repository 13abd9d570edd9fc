//! Small libraries with all kinds of debug information, made by the compiler that is here.

use std::process::{Command, Stdio};

/// Versions of DWARF.
const VERSIONS: [u8; 2] = [4, 5];

/// A library of some tens of kilobytes for each version of DWARF.
pub(super) fn libraries() -> Vec<Vec<u8>> {
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("program.rs");
    std::fs::write(&source, include_str!("program.rs")).unwrap();
    let library = |version: u8| {
        let made = folder.path().join(format!("program-{version}.so"));
        let mut rustc = Command::new(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()));
        rustc.args(["--edition", "2024", "--crate-type", "cdylib", "-C", "panic=abort", "-C", "link-arg=-nostdlib"]);
        rustc.args(["-C", "debuginfo=2", "-C", "opt-level=1", "-C", "codegen-units=4"]);
        rustc.arg(format!("-Cdwarf-version={version}")).arg(&source).arg("-o").arg(&made);
        assert!(rustc.stdin(Stdio::null()).status().unwrap().success(), "{rustc:?}");
        std::fs::read(made).unwrap()
    };
    VERSIONS.map(library).into()
}
