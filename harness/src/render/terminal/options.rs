//! How a terminal is drawn on.

/// How to draw.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TerminalOptions {
    /// Whether to use ANSI colours; the caller knows about `NO_COLOR` and pipes.
    pub color: bool,
    /// Columns to fill; less than 40 is taken as 40.
    pub width: usize,
    /// Whether the terminal shows more than ASCII.
    pub unicode: bool,
}

impl Default for TerminalOptions {
    fn default() -> TerminalOptions {
        TerminalOptions { color: false, width: 100, unicode: true }
    }
}
