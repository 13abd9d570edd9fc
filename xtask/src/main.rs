//! Thin: builds the binaries and passes verbs on.
fn main() {}
