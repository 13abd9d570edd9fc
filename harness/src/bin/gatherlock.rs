//! The command line of Gatherlock.

fn main() {}
