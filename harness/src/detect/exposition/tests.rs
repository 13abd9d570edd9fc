//! The exposition parser against the format's rules, against hostile bodies, and against its own rendering.
