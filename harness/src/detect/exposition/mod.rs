//! What an exposition says, and whether it says it correctly: a strict parser of Prometheus' text format.
//!
//! [`parse()`] takes a body and its [`Dialect`] and returns the families with their samples, or the first fault with its
//! line and column. It holds to the documented format, not to what some parser happens to let pass, and beyond syntax
//! it checks what the format demands: one group of lines a family, HELP and TYPE once and before the samples, no series
//! twice, buckets in order and in agreement with the count. It takes time linear in the body (times the logarithm of
//! the labels of one sample) and never panics, whatever the target sends. What Prometheus itself takes is another matter,
//! and told apart.

mod content_type;
mod family;
mod fault;
mod parse;
mod samples;
mod scan;
mod taken;
#[cfg(test)]
mod tests;

pub use content_type::{BadContentType, ContentType, parse_content_type};
pub use fault::{BadExposition, Fault};
pub use parse::parse;
pub use samples::{Dialect, Exposition, Family, Kind, Sample};
pub(super) use scan::excerpt;
pub(super) use taken::{Taken, taken};
