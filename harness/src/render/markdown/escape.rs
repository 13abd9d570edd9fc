//! Untrusted text as Markdown: prose, code and cells in which nothing is markup.

use crate::render::text;

/// Text in which nothing is markup, a link or a mention.
pub(super) fn prose(text: &str) -> String {
    let text = text::sentence(text);
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            // A mention is found after escapes are undone, so the sign itself must be kept from the name behind it.
            '@' => out.push_str("@<!-- -->"),
            '\\' | '`' | '*' | '_' | '[' | ']' | '~' | '#' | '$' | '!' | '|' => {
                out.push('\\');
                out.push(c);
            }
            // `https://` and `www.` would become links.
            ':' if out.ends_with("http") || out.ends_with("https") || out.ends_with("ftp") => out.push_str("\\:"),
            '.' if out.to_ascii_lowercase().ends_with("www") => out.push_str("\\."),
            _ => out.push(c),
        }
    }
    out
}

/// The same within a table, where `prose` has escaped the bars already.
pub(super) fn prose_cell(text: &str) -> String {
    prose(&text::name(text))
}

/// A code span that holds `text` whatever backticks are in it.
pub(super) fn code(text: &str) -> String {
    let text = text::line(text, text::STORY);
    let fence = "`".repeat(longest_run(&text, '`') + 1);
    let pad = if text.starts_with('`') || text.ends_with('`') || text.is_empty() { " " } else { "" };
    format!("{fence}{pad}{text}{pad}{fence}")
}

/// A code span within a table, where a bar ends the cell even in code.
pub(super) fn code_cell(text: &str) -> String {
    code(&text::name(text)).replace('|', "\\|")
}

pub(super) fn longest_run(text: &str, wanted: char) -> usize {
    let (mut longest, mut run) = (0, 0);
    for c in text.chars() {
        run = if c == wanted { run + 1 } else { 0 };
        longest = longest.max(run);
    }
    longest
}

pub(super) fn escape_html(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
