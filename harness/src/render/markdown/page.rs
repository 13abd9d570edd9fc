//! A page of bounded size.

use crate::render::text;
use std::fmt::Write;

/// The most bytes that are written: what a step summary takes.
const LIMIT: usize = 1 << 20;
/// Kept free for the note about what was left out.
const RESERVE: usize = 4 << 10;

/// A page that takes blocks as long as they fit, and counts those that do not.
pub(super) struct Page {
    out: String,
    left_out: Vec<(&'static str, usize)>,
}

impl Page {
    /// An empty one.
    pub(super) fn new() -> Page {
        Page { out: String::new(), left_out: Vec::new() }
    }

    /// Adds `block` whole or not at all.
    pub(super) fn add(&mut self, kind: &'static str, block: &str) -> bool {
        if self.out.len() + block.len() <= LIMIT - RESERVE {
            self.out.push_str(block);
            return true;
        }
        match self.left_out.iter_mut().find(|(known, _)| *known == kind) {
            Some((_, count)) => *count += 1,
            None => self.left_out.push((kind, 1)),
        }
        false
    }

    pub(super) fn finish(mut self) -> String {
        if !self.left_out.is_empty() {
            let parts: Vec<String> = self.left_out.iter().map(|(kind, n)| text::count(*n, kind)).collect();
            let _ = write!(
                self.out,
                "\n---\n\nLeft out, because a summary may have 1 MiB at most: {}. All of it is in `report.json` and in \
                 the HTML page of the same run.\n",
                text::list(&parts)
            );
        }
        self.out
    }
}
