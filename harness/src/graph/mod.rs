//! Threads and the things they wait for, as a graph: pure, and knowing nothing of how an edge was found.

mod elementary;
pub mod layout;
mod wait_graph;
#[cfg(test)]
mod wait_graph_tests;

pub use wait_graph::{Cycle, Reach, Step, WaitGraph};
