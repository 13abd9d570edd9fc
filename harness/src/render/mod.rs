//! Views of a report: each a pure function of it that returns a string, shows what the report says and judges nothing.
//!
//! Every string in a report may come from a target, so each of them is cleaned and bounded before it is shown.

#[allow(dead_code)] // The HTML page uses the rest.
mod digest;
pub mod github;
pub mod json;
pub mod junit;
pub mod markdown;
#[allow(dead_code)] // The HTML page uses the rest.
mod matrix;
pub mod terminal;
#[allow(dead_code)] // The HTML page uses the rest.
mod text;
#[allow(dead_code)] // The HTML page uses the rest.
mod waits;
