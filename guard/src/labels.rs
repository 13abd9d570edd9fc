//! Labels as the text format has them.

use prometheus::proto::LabelPair;

/// `name="value",…` without braces, and behind it what all series have in common. Whether no value had to be escaped.
pub(crate) fn push_labels(out: &mut Vec<u8>, labels: &[LabelPair], common: &[u8]) -> bool {
    let mut as_it_is = true;
    for (at, pair) in labels.iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        out.extend_from_slice(pair.name().as_bytes());
        out.extend_from_slice(b"=\"");
        as_it_is &= push_escaped(out, pair.value(), true);
        out.push(b'"');
    }
    if !labels.is_empty() && !common.is_empty() {
        out.push(b',');
    }
    out.extend_from_slice(common);
    as_it_is
}

/// Backslash and line feed escaped, and the double quote where the text stands in quotes. Whether none of them was met.
pub(crate) fn push_escaped(out: &mut Vec<u8>, text: &str, quoted: bool) -> bool {
    let mut rest = text.as_bytes();
    let mut as_it_is = true;
    while let Some(at) = next_special(rest, quoted) {
        as_it_is = false;
        out.extend_from_slice(&rest[..at]);
        out.push(b'\\');
        out.push(if rest[at] == b'\n' { b'n' } else { rest[at] });
        rest = &rest[at + 1..];
    }
    out.extend_from_slice(rest);
    as_it_is
}

fn next_special(text: &[u8], quoted: bool) -> Option<usize> {
    if quoted { memchr::memchr3(b'\\', b'\n', b'"', text) } else { memchr::memchr2(b'\\', b'\n', text) }
}
