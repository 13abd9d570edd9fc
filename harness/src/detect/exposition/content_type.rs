//! Whether Prometheus 3 would take a body with this Content-Type at all, and as which format.
//!
//! Up to version 2 a missing or unknown type was read as the text format. Version 3 fails the scrape unless the
//! operator named a `fallback_scrape_protocol`; what is accepted here is what passes without one.

use super::samples::Dialect;
use super::scan::excerpt;

/// A Content-Type that Prometheus 3 accepts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContentType {
    /// The media type in lower case.
    pub media_type: String,
    /// Parameters, names in lower case, values unquoted.
    pub params: Vec<(String, String)>,
    /// The text grammar of the body; `None` for protobuf, which is not text.
    pub dialect: Option<Dialect>,
}

/// Why Prometheus 3 would fail the scrape before it reads the body.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadContentType {
    /// There is none, or it is blank.
    #[error("no Content-Type: Prometheus 3 fails such a scrape")]
    Missing,
    /// It is no `type/subtype; name=value…`.
    #[error("Content-Type {value:?} cannot be parsed: {problem}")]
    Unparseable {
        /// As sent, cut to a few words.
        value: String,
        /// What is wrong.
        problem: &'static str,
    },
    /// It is well formed and means something else.
    #[error("Content-Type {0:?} is none that Prometheus 3 reads")]
    Unsupported(String),
}

/// Parses the header's value as Prometheus 3 does, which uses the rules of RFC 2045 and 2616 for media types.
///
/// # Errors
/// What makes Prometheus fail the scrape.
pub fn parse_content_type(value: Option<&str>) -> Result<ContentType, BadContentType> {
    let value = value.filter(|value| !value.is_empty()).ok_or(BadContentType::Missing)?;
    let bad = |problem| BadContentType::Unparseable { value: excerpt(value), problem };
    let (media_type, mut rest) = value.split_at(value.find(';').unwrap_or(value.len()));
    let media_type = media_type.trim().to_ascii_lowercase();
    match media_type.split_once('/') {
        None if media_type.is_empty() => return Err(bad("there is no media type")),
        None => return Err(bad("there is no `/` in the media type")),
        Some((kind, subtype)) if is_token(kind) && is_token(subtype) => {}
        Some(_) => return Err(bad("the media type holds a character that none may have")),
    }
    let mut params: Vec<(String, String)> = Vec::new();
    loop {
        rest = rest.trim_start();
        if rest.is_empty() || rest == ";" {
            break;
        }
        rest = rest.strip_prefix(';').ok_or_else(|| bad("text follows a parameter without a `;`"))?.trim_start();
        if rest.is_empty() {
            break;
        }
        let (name, behind) = rest.split_at(rest.find(|c| !is_token_char(c)).unwrap_or(rest.len()));
        let behind = behind.trim_start();
        if name.is_empty() || !behind.starts_with('=') {
            return Err(bad("a parameter is no `name=value`"));
        }
        let (param, behind) = param_value(behind[1..].trim_start()).ok_or_else(|| bad("a parameter has no value"))?;
        let name = name.to_ascii_lowercase();
        if params.iter().any(|(other, _)| *other == name) {
            return Err(bad("a parameter is given twice"));
        }
        params.push((name, param));
        rest = behind;
    }
    let dialect = match media_type.as_str() {
        "text/plain" => Some(Dialect::Text),
        "application/openmetrics-text" => Some(Dialect::OpenMetrics),
        "application/vnd.google.protobuf" => None,
        _ => return Err(BadContentType::Unsupported(excerpt(value))),
    };
    Ok(ContentType { media_type, params, dialect })
}

/// A token or a quoted string, and what follows it.
fn param_value(text: &str) -> Option<(String, &str)> {
    let Some(quoted) = text.strip_prefix('"') else {
        let (token, rest) = text.split_at(text.find(|c| !is_token_char(c)).unwrap_or(text.len()));
        return (!token.is_empty()).then(|| (token.to_string(), rest));
    };
    let mut value = String::new();
    let mut chars = quoted.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Some((value, &quoted[at + 1..])),
            '\\' => value.push(chars.next()?.1),
            '\r' | '\n' => return None,
            c => value.push(c),
        }
    }
    None
}

fn is_token(text: &str) -> bool {
    !text.is_empty() && text.chars().all(is_token_char)
}

fn is_token_char(c: char) -> bool {
    c.is_ascii_graphic() && !"()<>@,;:\\\"/[]?=".contains(c)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_prometheus_reads() {
        for (value, dialect) in [
            ("text/plain", Some(Dialect::Text)),
            ("text/plain; version=0.0.4", Some(Dialect::Text)),
            ("TEXT/Plain ;Version=0.0.4; charset=utf-8;", Some(Dialect::Text)),
            ("text/plain; charset=\"utf-8\"", Some(Dialect::Text)),
            ("application/openmetrics-text; version=1.0.0; charset=utf-8", Some(Dialect::OpenMetrics)),
            ("application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited", None),
        ] {
            assert_eq!(parse_content_type(Some(value)).unwrap().dialect, dialect, "{value}");
        }
        let quoted = parse_content_type(Some(r#"text/plain; a="b\"c;d" ; e=f"#)).unwrap();
        assert_eq!(quoted.params, [("a".into(), "b\"c;d".into()), ("e".into(), "f".into())]);
    }

    #[test]
    fn what_fails_a_scrape() {
        assert_eq!(parse_content_type(None), Err(BadContentType::Missing));
        assert_eq!(parse_content_type(Some("")), Err(BadContentType::Missing));
        for value in [
            " ",
            "text",
            "text/",
            "/plain",
            "text/plain; charset",
            "text/plain; =x",
            "text/plain; a=",
            "text/plain; a=\"b",
            "text/plain; a=b; A=c",
            "text/plain; a=b c",
            "text plain/x",
            "text/pl\u{e4}in",
            ";version=0.0.4",
            "a/b/c",
        ] {
            assert!(
                matches!(parse_content_type(Some(value)), Err(BadContentType::Unparseable { .. })),
                "{value}: {:?}",
                parse_content_type(Some(value))
            );
        }
        for value in ["application/octet-stream", "text/html; charset=utf-8", "application/json"] {
            assert!(matches!(parse_content_type(Some(value)), Err(BadContentType::Unsupported(_))), "{value}");
        }
    }
}
