//! The child's side of a trial: all that an executable needs to be a catalogue, whatever it tries out.
//!
//! A catalogue's `main` is one call:
//!
//! ```no_run
//! use gatherlock::catalogue::{self, Running};
//! use gatherlock::model::{CATALOGUE_PROTOCOL, Catalogue};
//!
//! fn main() -> std::process::ExitCode {
//!     let list = || Catalogue {
//!         protocol: CATALOGUE_PROTOCOL.into(),
//!         name: "my-scenarios".into(),
//!         version: "1".into(),
//!         prometheus: Vec::new(),
//!         scenarios: Vec::new(),
//!         variants: Vec::new(),
//!         cases: Vec::new(),
//!         claims: Vec::new(),
//!     };
//!     catalogue::main(list, |trial| {
//!         let server = std::net::TcpListener::bind("127.0.0.1:0")?;
//!         let url = format!("http://{}/metrics", server.local_addr()?);
//!         // … serve the endpoint of `trial.case` …
//!         Ok(Running::at(url))
//!     })
//! }
//! ```
//!
//! The protocol is described in [`crate::model::Catalogue`]'s module. Besides what stands there a child gets the bound
//! of its trial in the environment variable [`BOUND_VARIABLE`], so that a handler with a deadline of its own can derive
//! it: by convention half the bound.
//!
//! Order between threads is forced with [`Gate`]s, and that a thread really is parked on a lock is read from the kernel
//! with [`wait_until_parked`]; a catalogue never sleeps to get an order.

mod args;
mod exit;
mod gate;
mod journal;
mod park;
#[cfg_attr(target_os = "linux", path = "linux.rs")]
#[cfg_attr(not(target_os = "linux"), path = "elsewhere.rs")]
mod platform;
mod session;

pub use args::{BOUND_VARIABLE, BadArguments, Invocation};
pub use gate::Gate;
pub use journal::Journal;
pub use park::{LockMemory, NotParked, this_thread, wait_until_parked};
pub use session::{Problem, Running, Trial, main};
