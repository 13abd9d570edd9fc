//! OpenMetrics text 1.0 rewritten as the Prometheus text format 0.0.4, line by line.
//!
//! What 0.0.4 has no word for is expressed as near as it can be: `unknown` as `untyped`, `info` and `stateset` as gauges,
//! timestamps in milliseconds; units, exemplars and creation times are left out.

/// The body up to its `# EOF` line.
pub(crate) fn without_eof(body: &[u8]) -> &[u8] {
    let trimmed = body.trim_ascii_end();
    match trimmed.strip_suffix(b"# EOF") {
        Some(rest) if rest.is_empty() || rest.ends_with(b"\n") => rest,
        _ => body,
    }
}

/// Rewrites a body. Lines that are not understood are kept as they are, for the scraper to judge.
pub(crate) fn to_text(body: &str) -> String {
    let mut out = String::with_capacity(body.len() + body.len() / 16);
    let mut family = Family::default();
    for line in body.lines() {
        if line == "# EOF" {
            break;
        }
        let metadata = line.strip_prefix("# ").and_then(|rest| rest.split_once(' '));
        if let Some((word @ ("HELP" | "TYPE" | "UNIT"), rest)) = metadata {
            let (name, text) = rest.split_once(' ').unwrap_or((rest, ""));
            // They come in any order, but all before the first sample.
            if family.name != name || family.has_head {
                family.head(&mut out);
                family = Family { name, ..Family::default() };
            }
            match word {
                "HELP" => family.help = Some(text),
                "TYPE" => family.kind = Some(text),
                _ => {}
            }
        } else if !line.is_empty() {
            family.head(&mut out);
            sample(line, &family, &mut out);
        }
    }
    family.head(&mut out);
    out
}

#[derive(Default)]
struct Family<'a> {
    name: &'a str,
    kind: Option<&'a str>,
    help: Option<&'a str>,
    /// Whether its head has been written.
    has_head: bool,
}

impl Family<'_> {
    /// Writes the head, once, if anything is said of the family.
    fn head(&mut self, out: &mut String) {
        let said = self.kind.is_some() || self.help.is_some();
        if std::mem::replace(&mut self.has_head, true) || !said {
            return;
        }
        let (suffix, kind) = match self.kind.unwrap_or("unknown") {
            "counter" => ("_total", "counter"),
            "info" => ("_info", "gauge"),
            "stateset" => ("", "gauge"),
            kind @ ("gauge" | "histogram" | "summary") => ("", kind),
            _ => ("", "untyped"),
        };
        if let Some(help) = self.help {
            // OpenMetrics escapes the quote in help texts, 0.0.4 does not.
            out.extend(["# HELP ", self.name, suffix, " ", &unquote(help), "\n"]);
        }
        out.extend(["# TYPE ", self.name, suffix, " ", kind, "\n"]);
    }

    /// Creation times, which 0.0.4 would read as series of their own.
    fn is_created(&self, sample: &str) -> bool {
        matches!(self.kind, Some("counter" | "histogram" | "summary"))
            && sample.strip_prefix(self.name) == Some("_created")
    }
}

fn unquote(help: &str) -> String {
    let mut out = String::with_capacity(help.len());
    let mut rest = help;
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        let end = at + 1 + rest[at + 1..].chars().next().map_or(0, char::len_utf8);
        let escape = &rest[at..end];
        out.push_str(if escape == "\\\"" { "\"" } else { escape });
        rest = &rest[end..];
    }
    out + rest
}

fn sample(line: &str, family: &Family<'_>, out: &mut String) {
    let name_end = line.find(['{', ' ']).unwrap_or(line.len());
    if family.is_created(&line[..name_end]) {
        return;
    }
    let series_end = if line[name_end..].starts_with('{') { labels_end(line, name_end) } else { name_end };
    let rest = &line[series_end..];
    let rest = rest.split_once(" # ").map_or(rest, |(before, _exemplar)| before);
    let mut words = rest.split_ascii_whitespace();
    out.extend([&line[..series_end], " ", words.next().unwrap_or("")]);
    if let Some(timestamp) = words.next() {
        out.push(' ');
        match timestamp.parse::<f64>() {
            Ok(seconds) => out.push_str(&format!("{:.0}", seconds * 1000.0)),
            Err(_) => out.push_str(timestamp),
        }
    }
    out.push('\n');
}

/// Behind the brace that closes the labels; a brace inside quotes does not.
fn labels_end(line: &str, start: usize) -> usize {
    let (mut quoted, mut escaped) = (false, false);
    for (at, byte) in line.bytes().enumerate().skip(start) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b'}' if !quoted => return at + 1,
            _ => {}
        }
    }
    line.len()
}

#[cfg(test)]
mod tests {
    use super::{to_text, without_eof};

    #[test]
    fn each_kind_is_expressed_in_the_older_format() {
        let body = r#"# HELP jobs Jobs \"done\" in C:\\temp\n.
# TYPE jobs counter
# UNIT jobs things
jobs_total{a="} # {",b="\"\\"} 1 12.5 # {trace="x"} 1 1.0
jobs_created{a="b"} 1.5
# TYPE build info
build_info{v="1"} 1
# TYPE what unknown
what 3
# TYPE h histogram
h_bucket{le="+Inf"} 1 # {t="1"} 0.5
h_count 1
# EOF
ignored 1
"#;
        let expected = r#"# HELP jobs_total Jobs "done" in C:\\temp\n.
# TYPE jobs_total counter
jobs_total{a="} # {",b="\"\\"} 1 12500
# TYPE build_info gauge
build_info{v="1"} 1
# TYPE what untyped
what 3
# TYPE h histogram
h_bucket{le="+Inf"} 1
h_count 1
"#;
        assert_eq!(to_text(body), expected);
    }

    #[test]
    fn what_is_said_of_a_family_may_come_in_any_order() {
        let body = "# TYPE a counter\n# UNIT a s\n# HELP a What.\na_total 1\n# HELP b Only that.\nb 2\n# UNIT c s\nc 3\n# TYPE d gauge\n# EOF\n";
        let expected = "# HELP a_total What.\n# TYPE a_total counter\na_total 1\n# HELP b Only that.\n# TYPE b untyped\nb 2\nc 3\n# TYPE d gauge\n";
        assert_eq!(to_text(body), expected);
    }

    #[test]
    fn what_is_broken_is_kept_and_never_panics() {
        for line in ["{", "a{b=\"", "é{ü", "# TYPE", "# TYPE ", "# HELP x", "a\\", "a b c d", "# HELP x \\"] {
            let _kept = to_text(line);
        }
        assert_eq!(to_text("a{b=\"c"), "a{b=\"c \n");
    }

    #[test]
    fn only_a_final_eof_line_is_cut() {
        assert_eq!(without_eof(b"a 1\n# EOF\n"), b"a 1\n");
        assert_eq!(without_eof(b"# EOF"), b"");
        assert_eq!(without_eof(b"a # EOF\n"), b"a # EOF\n");
        assert_eq!(without_eof(b"a 1\n"), b"a 1\n");
    }
}
