//! The wait-for graph against hand-made pictures and against graph reduction, the textbook's other way to find deadlock.
