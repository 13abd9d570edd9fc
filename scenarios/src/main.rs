//! The catalogue executable.
fn main() {}
