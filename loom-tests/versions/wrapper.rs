//! The published source of one `prometheus` version, compiled in place with the shim as its `std`, `parking_lot` and
//! `lazy_static`.
//!
//! Adding a version is a manifest beside the others; this file and the build script serve them all. Lints are off
//! because the text is not ours. Its unit tests are not compiled, whoever asks for them: they test real threads.
#![cfg(not(test))]
#![allow(warnings, clippy::all)]

extern crate gatherlock_model_shim as lazy_static;
extern crate gatherlock_model_shim as parking_lot;
extern crate gatherlock_model_shim as std;

include!(concat!(env!("OUT_DIR"), "/root.rs"));
