//! Writes styled text for a terminal and knows how far the line has got.

use super::options::TerminalOptions;
use crate::model::Verdict;
use crate::render::text;

/// How a piece of text looks.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    /// As it is.
    Plain,
    /// Stands out.
    Bold,
    /// Steps back.
    Dim,
    /// Held.
    Green,
    /// Violated, or in a cycle.
    Red,
    /// Inconclusive.
    Yellow,
    /// Vanished.
    Magenta,
    /// A lock.
    Cyan,
}

impl Style {
    fn code(self) -> &'static str {
        match self {
            Style::Plain => "",
            Style::Bold => "1",
            Style::Dim => "2",
            Style::Green => "32",
            Style::Red => "1;31",
            Style::Yellow => "33",
            Style::Magenta => "35",
            Style::Cyan => "36",
        }
    }
}

/// Gathers the output.
pub(super) struct Pen {
    out: String,
    color: bool,
    unicode: bool,
    /// Columns of the terminal.
    pub(super) width: usize,
    /// Whether stacks are shown to their last frame, and all of them.
    pub(super) full: bool,
}

impl Pen {
    /// An empty page.
    pub(super) fn new(options: &TerminalOptions) -> Pen {
        Pen {
            out: String::new(),
            color: options.color,
            unicode: options.unicode,
            width: options.width.max(40),
            full: false,
        }
    }

    /// The page.
    pub(super) fn finish(self) -> String {
        self.out
    }

    /// `text` in the terminal's alphabet. Measure after this, not before.
    pub(super) fn plain(&self, text: &str) -> String {
        if self.unicode { text.to_string() } else { text::ascii(text) }
    }

    /// Writes `text`, which has no line breaks.
    pub(super) fn put(&mut self, style: Style, text: &str) {
        let text = self.plain(text);
        if !self.color || style == Style::Plain || text.trim().is_empty() {
            self.out.push_str(&text);
            return;
        }
        self.out.push_str("\x1b[");
        self.out.push_str(style.code());
        self.out.push('m');
        self.out.push_str(&text);
        self.out.push_str("\x1b[0m");
    }

    /// Writes `text` padded to `columns`.
    pub(super) fn cell(&mut self, style: Style, text: &str, columns: usize) {
        let used = text::width(&self.plain(text));
        self.put(style, text);
        self.out.extend(std::iter::repeat_n(' ', columns.saturating_sub(used)));
    }

    /// Ends the line, without blanks at its end.
    pub(super) fn end(&mut self) {
        let kept = self.out.trim_end_matches(' ').len();
        self.out.truncate(kept);
        self.out.push('\n');
    }

    /// A heading with a blank line before it.
    pub(super) fn heading(&mut self, text: &str) {
        if !self.out.is_empty() {
            self.out.push('\n');
        }
        self.put(Style::Bold, text);
        self.end();
    }

    /// Writes `text` from where the line is, further lines indented by `indent`, at most `lines` lines; ends the line.
    pub(super) fn flow(&mut self, style: Style, text: &str, indent: usize, lines: usize) {
        let text = self.plain(text);
        let wrapped = text::wrap(&text, self.width.saturating_sub(indent + 1));
        for (n, line) in wrapped.iter().take(lines).enumerate() {
            if n > 0 {
                self.out.extend(std::iter::repeat_n(' ', indent));
            }
            let last_of_more = n + 1 == lines && wrapped.len() > lines;
            let line = if last_of_more { format!("{line} {}", self.plain("…")) } else { line.clone() };
            self.put(style, &line);
            self.end();
        }
    }

    /// A labelled paragraph, indented.
    pub(super) fn field(&mut self, label: &str, text: &str) {
        self.put(Style::Dim, &format!("    {label:<10}"));
        self.flow(Style::Plain, text, 14, 8);
    }

    /// A labelled command line, indented; never wrapped, so that it can be copied.
    pub(super) fn command(&mut self, label: &str, text: &str) {
        self.put(Style::Dim, &format!("    {label:<10}"));
        self.put(Style::Plain, text);
        self.end();
    }

    /// A labelled command line at the margin.
    pub(super) fn command_line(&mut self, label: &str, text: &str) {
        self.put(Style::Dim, &format!("{label}: "));
        self.put(Style::Bold, text);
        self.end();
    }

    /// The sign of a verdict; a skip has a dash.
    pub(super) fn sign(&self, verdict: Option<Verdict>) -> &'static str {
        match (verdict, self.unicode) {
            (Some(Verdict::Held), true) => "✓",
            (Some(Verdict::Violated), true) => "✗",
            (Some(Verdict::Vanished), true) => "∅",
            (Some(Verdict::Inconclusive), _) => "?",
            (Some(Verdict::Held), false) => "+",
            (Some(Verdict::Violated), false) => "X",
            (Some(Verdict::Vanished), false) => "0",
            (None, true) => "–",
            (None, false) => "-",
        }
    }

    /// What begins an item of a list.
    pub(super) fn bullet(&self) -> String {
        if self.unicode { "• ".to_string() } else { "* ".to_string() }
    }

    /// `…`, as far as the terminal can show it.
    pub(super) fn ellipsis(&self) -> &'static str {
        if self.unicode { "…" } else { "..." }
    }

    /// A horizontal rule.
    pub(super) fn rule(&mut self, columns: usize) {
        let sign = if self.unicode { "─" } else { "-" };
        let line = sign.repeat(columns);
        self.put(Style::Dim, &line);
    }
}

/// How a verdict is coloured.
pub(super) fn style(verdict: Verdict) -> Style {
    match verdict {
        Verdict::Held => Style::Green,
        Verdict::Violated => Style::Red,
        Verdict::Vanished => Style::Magenta,
        Verdict::Inconclusive => Style::Yellow,
    }
}
