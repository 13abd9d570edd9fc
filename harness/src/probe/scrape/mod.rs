//! Scrapes an endpoint as Prometheus does, but keeps the connection open to the hang limit and notes when each step
//! happened.
//!
//! A [`Scraper`] is one thread that drives any number of connections; a storm costs one socket and a small buffer each.
//! Nothing is judged here: an answer of any status is an exchange without error.

mod begin_error;
mod connection;
#[cfg(feature = "tls")]
mod given;
mod request;
mod response;
mod scraper;
mod wire;

pub use begin_error::BeginError;
pub use request::ScrapeRequest;
pub use scraper::{InFlight, Scraper, scrape};
pub use wire::Trust;
