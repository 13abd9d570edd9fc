//! Records which compiler built this, for the report's environment, and says where the live engine is built: `cfg(live)` on
//! Linux x86_64, and nowhere else.
//!
//! With `GATHERLOCK_PORTABLE` set the build is as on any other platform: so what works there is tested here, too.

use std::process::Command;

fn main() {
    let rustc = std::env::var("RUSTC").unwrap_or_else(|_| "rustc".to_string());
    let version = Command::new(rustc).arg("--version").output().ok();
    let version = version.and_then(|output| String::from_utf8(output.stdout).ok()).unwrap_or_default();
    println!("cargo::rustc-env=GATHERLOCK_RUSTC={}", version.trim());
    println!("cargo::rerun-if-changed=build.rs");

    println!("cargo::rustc-check-cfg=cfg(live)");
    println!("cargo::rerun-if-env-changed=GATHERLOCK_PORTABLE");
    let target = |what: &str| std::env::var(format!("CARGO_CFG_TARGET_{what}")).unwrap_or_default();
    let portable = std::env::var_os("GATHERLOCK_PORTABLE").is_some_and(|value| !value.is_empty());
    if target("OS") == "linux" && target("ARCH") == "x86_64" && !portable {
        println!("cargo::rustc-cfg=live");
    }
}
