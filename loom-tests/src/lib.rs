//! Model checks of the real `prometheus` crate: can this hang at all, under any schedule?
//!
//! A live trial can say "it hung", or "it did not, n times". A model says which of these two is true of *every* schedule,
//! up to a stated bound, and shows the interleaving that hangs. The published source of `prometheus` is compiled in
//! place against a shim ([`shim`]) whose locks, atomics and hash maps are steps of loom or of shuttle. No flag, no
//! patch, no environment variable: `cargo test -p gatherlock-loom-tests`.
//!
//! * [`explore`]: runs a body under an engine and says what it found, and how strong that is.
//! * [`counterexample`]: the failing interleaving as numbered steps, who holds, who waits, and a string that replays it.
//! * [`signature`]: what an expected deadlock must look like; "it panicked" is never enough.
//! * [`reality`]: which live scenario is modelled, which is not and why, and what the models show together.
//! * [`models`]: the mistakes of the catalogue and their controls, on `prometheus` 0.13.4 and 0.14.0.
//!
//! What is outside every model: time, sockets, signals, async runtimes, a thread that is frozen from outside. That is the
//! live scenarios' work.
//!
//! # Your own collectors
//! `examples/my_collector.rs` is the whole of it: locks and threads from [`shim`], `Registry` from [`prometheus`], a body
//! for [`explore::Explorer`].
//!
//! # A primitive that is not modelled does not compile
//! This is how the wrapper crates see `std` and `parking_lot`:
//! ```
//! extern crate gatherlock_model_shim as parking_lot;
//! extern crate gatherlock_model_shim as std;
//! use parking_lot::{Mutex as Fast, RwLock};
//! use std::sync::atomic::{AtomicU64, Ordering};
//! use std::sync::{Arc, Condvar, Mutex};
//! use std::thread::spawn;
//! fn main() {}
//! ```
//! and this is what an upstream change that brings something new runs into:
//! ```compile_fail,E0432
//! extern crate gatherlock_model_shim as std;
//! use std::sync::OnceLock;
//! fn main() {}
//! ```
//! ```compile_fail,E0432
//! extern crate gatherlock_model_shim as std;
//! use std::sync::RwLock;
//! fn main() {}
//! ```
//! ```compile_fail,E0432
//! extern crate gatherlock_model_shim as std;
//! use std::sync::atomic::AtomicPtr;
//! fn main() {}
//! ```
//! ```compile_fail,E0432
//! extern crate gatherlock_model_shim as std;
//! use std::thread::park;
//! fn main() {}
//! ```
//! ```compile_fail,E0432
//! extern crate gatherlock_model_shim as parking_lot;
//! use parking_lot::ReentrantMutex;
//! fn main() {}
//! ```
//! ```compile_fail,E0432
//! extern crate gatherlock_model_shim as parking_lot;
//! use parking_lot::Condvar;
//! fn main() {}
//! ```
//! as it does with a method that is not modelled:
//! ```compile_fail,E0599
//! extern crate gatherlock_model_shim as parking_lot;
//! fn f(lock: &parking_lot::RwLock<u8>) { drop(lock.upgradable_read()); }
//! fn main() {}
//! ```
//! where one that is modelled compiles:
//! ```
//! extern crate gatherlock_model_shim as parking_lot;
//! fn f(lock: &parking_lot::RwLock<u8>) { drop(lock.try_read()); }
//! fn main() {}
//! ```

pub mod behaviour;
pub mod checker;
pub mod counterexample;
pub mod explore;
pub mod models;
pub mod reality;
pub mod replay;
pub mod report;
pub mod select;
pub mod signature;
mod waits;

pub use gatherlock_model_shim as shim;

/// `prometheus` 0.14.0 as published, on the shim's locks.
pub use gatherlock_model_prometheus_0_14 as prometheus;
