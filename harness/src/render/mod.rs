//! Views of a report: each a pure function of it that returns a string, shows what the report says and judges nothing.
//!
//! Every string in a report may come from a target, so each of them is cleaned and bounded before it is shown.

mod digest;
mod fixes;
pub mod github;
pub mod html;
mod interleaving;
pub mod json;
pub mod junit;
pub mod markdown;
mod matrix;
pub mod svg;
pub mod terminal;
mod text;
mod waits;
