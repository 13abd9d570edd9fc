//! Probes look and never judge: what an endpoint answers and when, and what the kernel says of a process's threads.

mod header;
pub mod health;
pub mod procfs;
pub mod scrape;
pub mod socket;
mod url;

pub use header::{Header, HeaderError};
pub use url::{HttpUrl, UrlError};
