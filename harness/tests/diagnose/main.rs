//! The live engine against processes that really hang: this test executes itself as the target.
#![cfg(live)]

#[cfg(feature = "cli")]
mod answers;
mod cli;
mod contended;
mod events;
#[cfg(feature = "cli")]
mod forbidden;
#[cfg(feature = "cli")]
mod gate;
#[cfg(feature = "cli")]
mod hangs;
#[cfg(feature = "cli")]
mod killed;
mod locks;
#[cfg(feature = "cli")]
mod mistaken;
#[cfg(feature = "cli")]
mod refused;
mod replay;
#[cfg(all(feature = "cli", feature = "tls"))]
mod secure;
mod service;
mod signals;
mod stop;
mod target;
#[cfg(feature = "cli")]
mod watch;

/// Not a test: what the tests start as their target.
#[test]
#[ignore = "the target process of the other tests"]
fn target() {
    match std::env::var(target::CASE).as_deref() {
        Ok("counts-signals") => stop::count_signals(),
        #[cfg(feature = "cli")]
        Ok("protects-itself") => refused::protect_itself(),
        Ok(case) => service::run(case),
        Err(_) => panic!("start it through the other tests"),
    }
}
