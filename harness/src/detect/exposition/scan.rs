//! A cursor over one line of an exposition: names, quoted values, numbers.

use super::fault::Fault;
use super::samples::Dialect;
use std::borrow::Cow;

/// A place in a line and what is wrong there; `at` counts bytes.
#[derive(Debug)]
pub(super) struct LineFault {
    pub(super) at: usize,
    pub(super) fault: Fault,
}

/// A cursor over one line, without its line feed.
#[derive(Clone, Copy)]
pub(super) struct Cursor<'a> {
    line: &'a str,
    at: usize,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(line: &'a str) -> Cursor<'a> {
        Cursor { line, at: 0 }
    }

    pub(super) fn at(&self) -> usize {
        self.at
    }

    pub(super) fn rest(&self) -> &'a str {
        &self.line[self.at..]
    }

    pub(super) fn is_at_end(&self) -> bool {
        self.at == self.line.len()
    }

    pub(super) fn fault(&self, fault: Fault) -> LineFault {
        LineFault { at: self.at, fault }
    }

    /// Skips spaces and tabs; whether there were any.
    pub(super) fn blanks(&mut self) -> bool {
        let before = self.at;
        self.at += self.rest().bytes().take_while(|b| matches!(b, b' ' | b'\t')).count();
        self.at > before
    }

    /// Takes `wanted` if it comes next.
    pub(super) fn eat(&mut self, wanted: char) -> bool {
        let found = self.rest().starts_with(wanted);
        if found {
            self.at += wanted.len_utf8();
        }
        found
    }

    /// Everything up to the next blank or the end.
    pub(super) fn word(&mut self) -> &'a str {
        let rest = self.rest();
        let word = &rest[..rest.find([' ', '\t']).unwrap_or(rest.len())];
        self.at += word.len();
        word
    }

    /// A metric name: `[a-zA-Z_:][a-zA-Z0-9_:]*`.
    pub(super) fn metric_name(&mut self) -> Result<&'a str, LineFault> {
        self.name("metric name", |b| b == b':')
    }

    /// A label name: `[a-zA-Z_][a-zA-Z0-9_]*`.
    pub(super) fn label_name(&mut self) -> Result<&'a str, LineFault> {
        self.name("label name", |_| false)
    }

    fn name(&mut self, what: &'static str, also: impl Fn(u8) -> bool) -> Result<&'a str, LineFault> {
        let rest = self.rest();
        let allowed = |b: &u8| b.is_ascii_alphanumeric() || *b == b'_' || also(*b);
        let len = rest.bytes().take_while(allowed).count();
        if len == 0 || rest.as_bytes()[0].is_ascii_digit() {
            return Err(self.fault(Fault::ExpectedName(what)));
        }
        self.at += len;
        Ok(&rest[..len])
    }

    /// A quoted label value, unescaped; copied only if it holds an escape.
    pub(super) fn quoted(&mut self) -> Result<Cow<'a, str>, LineFault> {
        if !self.eat('"') {
            return Err(self.fault(Fault::Expected("`\"` before the label value")));
        }
        let open = LineFault { at: self.at - 1, fault: Fault::OpenLabelValue };
        let mut end = None;
        let mut escaped = false;
        for (at, byte) in self.rest().bytes().enumerate() {
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'"' => {
                    end = Some(at);
                    break;
                }
                _ => {}
            }
        }
        let raw = &self.rest()[..end.ok_or(open)?];
        let value =
            unescape(raw, true).map_err(|(at, c)| LineFault { at: self.at + at, fault: Fault::BadEscape(c) })?;
        self.at += raw.len() + 1;
        Ok(value)
    }

    /// The rest of a HELP line, unescaped.
    pub(super) fn help(&mut self, dialect: Dialect) -> Result<Cow<'a, str>, LineFault> {
        let raw = self.rest();
        let quotes = dialect == Dialect::OpenMetrics;
        let help =
            unescape(raw, quotes).map_err(|(at, c)| LineFault { at: self.at + at, fault: Fault::BadEscape(c) })?;
        self.at = self.line.len();
        Ok(help)
    }

    /// A sample's value.
    pub(super) fn number(&mut self) -> Result<f64, LineFault> {
        let at = self.at;
        let word = self.word();
        if word.is_empty() {
            return Err(self.fault(Fault::Expected("a value")));
        }
        parse_number(word).ok_or_else(|| LineFault { at, fault: Fault::BadNumber(excerpt(word)) })
    }

    /// A timestamp: whole milliseconds in the text format, seconds in OpenMetrics.
    pub(super) fn timestamp(&mut self, dialect: Dialect) -> Result<f64, LineFault> {
        let at = self.at;
        let word = self.word();
        let parsed = match dialect {
            Dialect::Text => word.parse::<i64>().ok().map(|ms| ms as f64),
            Dialect::OpenMetrics => parse_number(word).filter(|seconds| seconds.is_finite()),
        };
        parsed.ok_or_else(|| LineFault { at, fault: Fault::BadTimestamp(excerpt(word)) })
    }
}

/// A float as Go's `ParseFloat` reads it in this format: decimal, or a word for infinity or NaN. Too large is no number.
pub(super) fn parse_number(word: &str) -> Option<f64> {
    let value: f64 = word.parse().ok()?;
    let overflowed = value.is_infinite() && word.bytes().any(|b| b.is_ascii_digit());
    (!overflowed).then_some(value)
}

fn unescape(raw: &str, quotes: bool) -> Result<Cow<'_, str>, (usize, char)> {
    if !raw.contains('\\') {
        return Ok(Cow::Borrowed(raw));
    }
    let mut out = String::with_capacity(raw.len());
    let mut chars = raw.char_indices();
    while let Some((at, c)) = chars.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        match chars.next() {
            Some((_, '\\')) => out.push('\\'),
            Some((_, 'n')) => out.push('\n'),
            Some((_, '"')) if quotes => out.push('"'),
            Some((_, other)) => return Err((at, other)),
            None => return Err((at, ' ')),
        }
    }
    Ok(Cow::Owned(out))
}

/// The first 60 characters: a target may send a megabyte where a word should stand.
pub(in crate::detect) fn excerpt(text: &str) -> String {
    match text.char_indices().nth(60) {
        None => text.to_string(),
        Some((at, _)) => format!("{}…", &text[..at]),
    }
}
