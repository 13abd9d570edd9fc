//! Probes look and never judge: what an endpoint answers and when, and what the kernel says of a process's threads.

pub mod health;
pub mod procfs;
pub mod scrape;
mod url;

pub use url::{HttpUrl, UrlError};
