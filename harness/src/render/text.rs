//! Strings from a target, made fit to be shown: nothing invisible, nothing that moves a cursor, bounded in length.

use std::fmt::Write;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// Longest name (thread, lock, metric, file) that is shown, in characters.
pub(super) const NAME: usize = 120;
/// Longest sentence that is shown, in characters.
pub(super) const SENTENCE: usize = 800;
/// Longest story or command line that is shown, in characters.
pub(super) const STORY: usize = 8_000;
/// Combining marks that may follow one another before they are shown by number.
const MARKS: usize = 4;

/// `text` as one line of at most `cap` characters; line breaks are shown as signs.
pub(super) fn line(text: &str, cap: usize) -> String {
    // Nearly every string is short and plain.
    if text.len() <= cap && text.bytes().all(|b| matches!(b, b' '..=b'~')) {
        return text.to_string();
    }
    // A string that is short in bytes is short in characters; only the others are worth counting.
    let total = if text.len() > cap { text.chars().count() } else { 0 };
    let mut out = String::with_capacity(text.len().min(cap * 4) + 16);
    let place = if total > cap { place(text, cap) } else { "" };
    // What would be cut is hardly longer than the words that say so.
    let whole = if place.is_empty() { cap } else { cap + cap / 4 };
    if total <= whole {
        visible(&mut out, text.chars());
        return out;
    }
    visible(&mut out, text.chars().take(cap - place.chars().count()));
    let _ = write!(out, "… (+{} characters)", total - cap);
    if !place.is_empty() {
        out.push(' ');
        visible(&mut out, place.chars());
    }
    out
}

/// The file and line at the end of `text`, which are worth more than what stands before them; at most three quarters of
/// `cap`, and the end of it if it is longer. Empty if there are none.
fn place(text: &str, cap: usize) -> &str {
    let word = text.rsplit(' ').next().unwrap_or_default();
    let inner = word.trim_end_matches(')');
    let digits = inner.bytes().rev().take_while(u8::is_ascii_digit).count();
    let file = &inner[..inner.len() - digits];
    let most = cap * 3 / 4;
    if digits == 0 || !file.ends_with(':') || !file.contains(['.', '/']) || most < 8 {
        return "";
    }
    last(word, most)
}

/// The last characters of `text`, at most so many.
fn last(text: &str, most: usize) -> &str {
    let from = text.char_indices().rev().take(most).last();
    from.map_or("", |(at, _)| &text[at..])
}

/// `text` as one line of at most [`NAME`] characters; of a longer path the end is shown, which is the file.
pub(super) fn path(text: &str) -> String {
    let end = last(text, NAME);
    let mut out = String::from(if end.len() < text.len() { "…" } else { "" });
    visible(&mut out, end.chars());
    out
}

/// Adds characters, those that do not show as signs or numbers.
fn visible(out: &mut String, text: impl Iterator<Item = char>) {
    let mut marks = 0;
    for c in text {
        let is_mark = !c.is_control() && c.width() == Some(0);
        marks = if is_mark { marks + 1 } else { 0 };
        match c {
            '\0'..='\x1f' => out.push(char::from_u32(0x2400 + c as u32).unwrap_or('␀')),
            '\x7f' => out.push('␡'),
            _ if is_hidden(c) || marks > MARKS => by_number(out, c),
            _ => out.push(c),
        }
    }
}

/// `text` as one line of at most [`NAME`] characters.
pub(super) fn name(text: &str) -> String {
    line(text, NAME)
}

/// `text` as one line of at most [`SENTENCE`] characters.
pub(super) fn sentence(text: &str) -> String {
    line(text, SENTENCE)
}

/// The paragraphs of `text`: blank lines part them, single line breaks are spaces.
pub(super) fn paragraphs(text: &str) -> Vec<String> {
    let kept = text.floor_char_boundary(STORY * 4);
    let normal = text[..kept].replace("\r\n", "\n");
    let mut all: Vec<String> = normal
        .split("\n\n")
        .filter(|paragraph| !paragraph.trim().is_empty())
        .take(64)
        .map(|paragraph| line(&paragraph.trim().replace('\n', " "), STORY))
        .collect();
    if kept < text.len() {
        all.push(format!("… (+{} bytes)", text.len() - kept));
    }
    all
}

fn by_number(out: &mut String, c: char) {
    let _ = write!(out, "⟨U+{:04X}⟩", c as u32);
}

/// Whether `c` shows nothing, changes how its neighbours are shown, or is no character at all.
fn is_hidden(c: char) -> bool {
    let n = c as u32;
    matches!(n,
        0x80..=0x9f | 0xad | 0x61c | 0x115f..=0x1160 | 0x180b..=0x180f | 0x200b..=0x200f | 0x2028..=0x202e
        | 0x2060..=0x206f | 0x3164 | 0xfeff | 0xffa0 | 0xfff0..=0xfffb | 0xfdd0..=0xfdef | 0xe0000..=0xe0fff)
        || n & 0xfffe == 0xfffe
}

/// `text` in ASCII: the signs that reports use have counterparts, everything else is shown by number.
pub(super) fn ascii(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\0'..='\x7f' => out.push(c),
            '…' => out.push_str("..."),
            '–' | '—' | '─' => out.push('-'),
            '×' => out.push('x'),
            '→' => out.push_str("->"),
            '·' => out.push('|'),
            '‘' | '’' => out.push('\''),
            '“' | '”' => out.push('"'),
            '⟨' => out.push('<'),
            '⟩' => out.push('>'),
            _ => {
                let _ = write!(out, "<U+{:04X}>", c as u32);
            }
        }
    }
    out
}

/// Columns that `text` takes on a terminal.
pub(super) fn width(text: &str) -> usize {
    text.width()
}

/// `text` cut to `columns`, the last of them an ellipsis if anything is missing.
pub(super) fn fit(text: &str, columns: usize, ellipsis: &str) -> String {
    if width(text) <= columns {
        return text.to_string();
    }
    let room = columns.saturating_sub(width(ellipsis));
    let (mut out, mut used) = (String::new(), 0);
    for c in text.chars() {
        used += c.width().unwrap_or(0);
        if used > room {
            break;
        }
        out.push(c);
    }
    out.push_str(ellipsis);
    out
}

/// `text` in lines of at most `columns`, broken at spaces where there are any.
pub(super) fn wrap(text: &str, columns: usize) -> Vec<String> {
    let columns = columns.max(8);
    let mut lines = vec![String::new()];
    let mut used = 0;
    for word in text.split(' ').filter(|word| !word.is_empty()) {
        let wide = width(word);
        if used > 0 && used + 1 + wide > columns {
            lines.push(String::new());
            used = 0;
        }
        let last = lines.len() - 1;
        if used > 0 {
            lines[last].push(' ');
            used += 1;
        }
        if wide <= columns {
            lines[last].push_str(word);
            used += wide;
            continue;
        }
        for c in word.chars() {
            let one = c.width().unwrap_or(0);
            if used + one > columns {
                lines.push(String::new());
                used = 0;
            }
            lines.last_mut().expect("there is always a line").push(c);
            used += one;
        }
    }
    lines
}

/// Milliseconds as people read them: `3 ms`, `1.25 s`, `2 min 05 s`.
pub(super) fn millis(ms: f64) -> String {
    if ms < 1.0 {
        format!("{:.2} ms", ms.max(0.0))
    } else if ms < 10.0 {
        format!("{ms:.1} ms")
    } else if ms < 1_000.0 {
        format!("{ms:.0} ms")
    } else if ms < 120_000.0 {
        format!("{:.2} s", ms / 1_000.0)
    } else {
        let seconds = (ms / 1_000.0).round() as u64;
        format!("{} min {:02} s", seconds / 60, seconds % 60)
    }
}

/// Microseconds as people read them.
pub(super) fn micros(us: u64) -> String {
    millis(us as f64 / 1_000.0)
}

/// `1 thread`, `2 threads`.
pub(super) fn count(n: usize, noun: &str) -> String {
    if n == 1 { format!("1 {noun}") } else { format!("{n} {noun}s") }
}

/// `a`, `a and b`, `a, b and c`.
pub(super) fn list(words: &[String]) -> String {
    match words {
        [] => String::new(),
        [one] => one.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn shows_what_is_invisible() {
        assert_eq!(name("a\u{1b}[31mb\0\r\n"), "a␛[31mb␀␍␊");
        assert_eq!(name("x\u{202e}y\u{85}\u{feff}"), "x⟨U+202E⟩y⟨U+0085⟩⟨U+FEFF⟩");
    }

    #[test]
    fn says_how_much_was_cut() {
        assert_eq!(line(&"a".repeat(1_000_000), 3), "aaa… (+999997 characters)");
        assert_eq!(line("äöü", 3), "äöü");
    }

    #[test]
    fn a_place_is_never_cut() {
        let long = format!("read from a pipe in {} (scenarios/src/peer.rs:62)", "f::".repeat(60));
        let shown = name(&long);
        assert!(shown.ends_with(" (scenarios/src/peer.rs:62)"), "{shown}");
        assert!(shown.starts_with("read from a pipe in f::f::") && shown.contains("… (+"), "{shown}");
        assert_eq!(
            shown.chars().count(),
            NAME + format!("… (+{} characters) ", long.chars().count() - NAME).chars().count()
        );
        let little = format!("read in {} (scenarios/src/peer.rs:62)", "f".repeat(NAME - 25));
        assert_eq!(name(&little), little, "a few characters more are not worth a cut");
        // A path that is longer than all there is room for keeps its end.
        let deep = format!("in f ({}peer.rs:62)", "src/".repeat(400));
        assert!(name(&deep).ends_with("/src/peer.rs:62)") && name(&deep).chars().count() < 200, "{}", name(&deep));
        assert!(path(&format!("{}peer.rs", "src/".repeat(400))).ends_with("/src/peer.rs"));
        assert!(path(&"é/".repeat(400)).starts_with('…') && path("a/b.rs") == "a/b.rs");
        assert!(name(&format!("{} 12:30", "x".repeat(300))).ends_with("characters)"), "a clock is no place");
    }

    #[test]
    fn stacked_marks_are_numbered() {
        let shown = name(&format!("e{}", "\u{301}".repeat(100)));
        assert_eq!(shown.matches('\u{301}').count(), MARKS);
    }

    #[test]
    fn lists_read_as_prose() {
        let words = |all: &[&str]| list(&all.iter().map(|w| w.to_string()).collect::<Vec<_>>());
        assert_eq!([words(&[]), words(&["a"]), words(&["a", "b", "c"])], ["", "a", "a, b and c"]);
    }

    proptest! {
        #[test]
        fn nothing_hidden_survives(text in any::<String>()) {
            let shown = line(&text, 50);
            prop_assert!(!shown.chars().any(|c| c.is_control() || is_hidden(c)), "{shown:?}");
            prop_assert!(ascii(&shown).is_ascii());
        }

        #[test]
        fn wrapping_keeps_the_text_and_the_width(text in "[a-zé ]{0,200}", columns in 8usize..40) {
            let lines = wrap(&text, columns);
            prop_assert!(lines.iter().all(|line| width(line) <= columns));
            let strip = |text: &str| text.replace(' ', "");
            prop_assert_eq!(strip(&lines.concat()), strip(&text));
        }

        #[test]
        fn fitting_never_exceeds(text in any::<String>(), columns in 1usize..40) {
            prop_assert!(width(&fit(&name(&text), columns, "…")) <= columns.max(1) + 1);
        }
    }
}
