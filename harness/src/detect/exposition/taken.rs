//! What Prometheus itself makes of a body in the text format, which is not what the format demands.
//!
//! Its parser puts a line feed at the end, does not care in which order lines come or how often, and needs no comma
//! between labels; but it wants exactly one blank before a type, and no sign before a timestamp. This follows the
//! grammar of Prometheus 3 (which takes quoted names as well) and was held against a running server.

use super::scan::parse_number;

/// What Prometheus makes of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::detect) struct Taken {
    /// `scrape_samples_scraped`: the samples that were read, up to the fault if there is one.
    pub(in crate::detect) samples: u64,
    /// Where it fails on the whole body, and what it expects there.
    pub(in crate::detect) fault: Option<(usize, &'static str)>,
}

/// Reads a body in the text format as Prometheus does. Takes time linear in the body.
pub(in crate::detect) fn taken(body: &str) -> Taken {
    let mut scan = Scan { body: body.as_bytes(), at: 0 };
    let mut samples = 0;
    loop {
        match scan.entry(&mut samples) {
            Ok(true) => {}
            Ok(false) => return Taken { samples, fault: None },
            Err(expected) => {
                let before = &scan.body[..scan.at.min(scan.body.len())];
                let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
                return Taken { samples, fault: Some((line, expected)) };
            }
        }
    }
}

struct Scan<'a> {
    body: &'a [u8],
    at: usize,
}

impl<'a> Scan<'a> {
    /// The byte here; behind the last one stands a line feed.
    fn here(&self) -> Option<u8> {
        match self.at.cmp(&self.body.len()) {
            std::cmp::Ordering::Less => Some(self.body[self.at]),
            std::cmp::Ordering::Equal => Some(b'\n'),
            std::cmp::Ordering::Greater => None,
        }
    }

    fn eat(&mut self, byte: u8) -> bool {
        let is = self.here() == Some(byte);
        self.at += usize::from(is);
        is
    }

    /// Goes on while `are`; what was passed.
    fn run(&mut self, are: impl Fn(u8) -> bool) -> &'a [u8] {
        let from = self.at.min(self.body.len());
        let len = self.body[from..].iter().take_while(|byte| are(**byte)).count();
        self.at += len;
        &self.body[from..from + len]
    }

    fn blanks(&mut self) -> bool {
        !self.run(|byte| matches!(byte, b' ' | b'\t')).is_empty()
    }

    /// A name, or nothing.
    fn name(&mut self, colon: bool) -> &'a [u8] {
        if self.here().is_some_and(|byte| byte.is_ascii_digit()) {
            return &[];
        }
        self.run(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || (colon && byte == b':'))
    }

    /// What stands between quotes, which may go over several lines.
    fn quoted(&mut self) -> Option<&'a [u8]> {
        if !self.eat(b'"') {
            return None;
        }
        let from = self.at;
        while self.at < self.body.len() {
            match self.body[self.at] {
                b'"' => {
                    self.at += 1;
                    return Some(&self.body[from..self.at - 1]);
                }
                b'\\' if self.body.get(self.at + 1) == Some(&b'\n') => return None,
                b'\\' => self.at += 2,
                _ => self.at += 1,
            }
        }
        None
    }

    /// One line, or the sample that begins here; whether there is more.
    fn entry(&mut self, samples: &mut u64) -> Result<bool, &'static str> {
        self.blanks();
        let Some(first) = self.here() else { return Ok(false) };
        match first {
            b'\n' => self.at += 1,
            0 => return Ok(false),
            b'#' => return self.comment(),
            _ => self.sample(samples)?,
        }
        Ok(true)
    }

    fn comment(&mut self) -> Result<bool, &'static str> {
        self.at += 1;
        let spaced = self.blanks();
        let begun = self.at;
        let word = self.run(|byte| byte.is_ascii_uppercase());
        let is_type = word == b"TYPE";
        if !spaced || !(is_type || word == b"HELP") || !self.blanks() {
            self.at = begun;
            self.run(|byte| byte != b'\n' && (spaced || byte != 0));
            return Ok(self.eat(b'\n'));
        }
        if self.name(true).is_empty() && self.quoted().is_none() {
            return Err("a metric name after HELP or TYPE");
        }
        let text = self.run(|byte| byte != b'\n');
        let kinds: [&[u8]; 5] = [b"counter", b"gauge", b"histogram", b"summary", b"untyped"];
        if is_type && !text.get(1..).is_some_and(|kind| kinds.contains(&kind)) {
            return Err("a metric type behind exactly one blank, and nothing after it");
        }
        self.eat(b'\n');
        Ok(true)
    }

    fn sample(&mut self, samples: &mut u64) -> Result<(), &'static str> {
        let mut name = self.name(true);
        let mut labels = Vec::new();
        if name.is_empty() && self.here() != Some(b'{') {
            return Err("a metric name");
        }
        self.blanks();
        if self.eat(b'{') {
            self.labels(&mut name, &mut labels)?;
            self.blanks();
        }
        if name.is_empty() {
            return Err("a metric name");
        }
        let word = self.run(|byte| !matches!(byte, b'{' | b' ' | b'\t' | b'\n' | 0));
        if !std::str::from_utf8(word).is_ok_and(is_number) {
            return Err("a number");
        }
        if self.blanks() && self.here() != Some(b'\n') {
            let digits = self.run(|byte| byte.is_ascii_digit());
            if std::str::from_utf8(digits).ok().and_then(|digits| digits.parse::<i64>().ok()).is_none() {
                return Err("a timestamp of digits, or the end of the line");
            }
            self.blanks();
        }
        if !self.eat(b'\n') {
            return Err("the end of the line");
        }
        *samples += 1;
        labels.push(b"__name__".as_slice());
        labels.sort_unstable();
        if labels.windows(2).any(|two| two[0] == two[1]) {
            // The parser lets it pass; the storage does not, and counts the sample.
            self.at -= 1;
            return Err("every label once");
        }
        Ok(())
    }

    /// The labels behind `{`, those with a value kept, and the name if it stands among them.
    fn labels(&mut self, metric: &mut &'a [u8], kept: &mut Vec<&'a [u8]>) -> Result<(), &'static str> {
        loop {
            self.blanks();
            if self.eat(b'}') {
                return Ok(());
            }
            let is_quoted = self.here() == Some(b'"');
            let name = if is_quoted { self.quoted().unwrap_or_default() } else { self.name(false) };
            if name.is_empty() {
                return Err("a label name");
            }
            self.blanks();
            if is_quoted && metric.is_empty() && matches!(self.here(), Some(b',' | b'}')) {
                *metric = name;
                self.eat(b',');
                continue;
            }
            if !self.eat(b'=') {
                return Err("`=` after the label name");
            }
            self.blanks();
            let value = self.quoted().ok_or("a label value between quotes")?;
            if !value.is_empty() {
                kept.push(name);
            }
            self.blanks();
            self.eat(b',');
        }
    }
}

/// As Go reads it: no sign before NaN.
fn is_number(word: &str) -> bool {
    let signed_nan = word.starts_with(['+', '-']) && word[1..].eq_ignore_ascii_case("nan");
    !signed_nan && parse_number(word).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::exposition::{Dialect, parse};
    use proptest::prelude::*;

    /// What a Prometheus 2.42 recorded of these bodies: `up`, `scrape_samples_scraped`.
    #[test]
    fn as_a_running_prometheus_recorded_it() {
        for (body, up, samples) in [
            ("# HELP a x\n# TYPE a gauge\na 1\nb 2\n", 1, 2),
            ("a 1\nb 2", 1, 2),
            ("a 1\n# x", 1, 1),
            ("# HELP a x\n# TYPE a gauge\n# HELP a y\na 1\n", 1, 1),
            ("# TYPE a gauge\n# TYPE a counter\na 1\n", 1, 1),
            ("a 1\nb 1\na{c=\"d\"} 1\n", 1, 3),
            ("a 1\n# TYPE a gauge\n", 1, 1),
            ("", 1, 0),
            ("# nothing\n", 1, 0),
            ("\n", 1, 0),
            ("a 1\na 2\n", 1, 2),
            ("a{b=\"1\",b=\"2\"} 1\n", 0, 1),
            ("a{b=\"\",b=\"x\"} 1\n", 1, 1),
            ("a{__name__=\"c\"} 1\n", 0, 1),
            ("a one\n", 0, 0),
            ("a 1_000\n", 0, 0),
            ("a 0x1p-2\n", 0, 0),
            ("a 1e999\n", 0, 0),
            ("a Inf\nb +inf\nc infinity\nd NAN\ne -nan\n", 0, 4),
            ("a +nan\n", 0, 0),
            ("a +1\nb .5\nc 5.\nd 1e3\n", 1, 4),
            ("a 1 2.5\n", 0, 0),
            ("a 1 -5\n", 0, 0),
            ("a 1 99999999999999999999\n", 0, 0),
            ("a 1 2 3\n", 0, 0),
            ("a 1\r\n", 0, 0),
            ("a{,} 1\n", 0, 0),
            ("a{b=\"c\",,} 1\n", 0, 0),
            ("a{b=\"c\"d=\"e\"} 1\n", 1, 1),
            ("a { b = \"c\" , } 1\n", 1, 1),
            ("a{b=\"x\ny\"} 1\nb 2\n", 1, 2),
            ("a{b=\"c\"}1\n", 1, 1),
            ("a{b=\"c\\t\"} 1\n", 1, 1),
            ("a{b=\"\0\"} 1\n", 1, 1),
            ("a 1\nb{c=\"d", 0, 1),
            ("a 1{\n", 0, 0),
            ("# HELP a x\\y\na 1\n", 1, 1),
            ("# HELP 1 x\na 1\n", 0, 0),
            ("# HELP a{ x\na 1\n", 1, 1),
            ("# HELP a\na 1\n", 1, 1),
            ("# HELP\na 1\n", 1, 1),
            ("# HELP \na 1\n", 0, 0),
            ("# HELPa\na 1\n", 1, 1),
            ("a 1\n# HELP b", 1, 1),
            ("#HELP a\n#\n# \na 1\n", 1, 1),
            ("# a\0b\na 1\n", 1, 1),
            ("a 1\n\0\nb one\n", 1, 1),
            ("a \x001\n", 0, 0),
            ("a\t1\t5\n#\tTYPE\ta\tgauge\n", 1, 1),
            ("# TYPE a\na 1\n", 0, 0),
            ("# TYPE a info\na 1\n", 0, 0),
            ("# TYPE a gauge x\na 1\n", 0, 0),
            ("# TYPE a  gauge\na 1\n", 0, 0),
            ("# TYPE a gauge \na 1\n", 0, 0),
            ("# TYPE h histogram\nh_bucket{le=\"1\"} 1\nh_sum 1\nh_count 1\n", 1, 3),
            ("# TYPE s summary\ns 1\n", 1, 1),
            ("{a=\"b\"} 1\n", 0, 0),
            ("a 1 # {b=\"c\"} 1\n", 0, 0),
            ("<!doctype html>\n<html>\n", 0, 0),
        ] {
            let found = taken(body);
            assert_eq!((u8::from(found.fault.is_none()), found.samples), (up, samples), "{body:?}: {found:?}");
        }
    }

    #[test]
    fn names_in_quotes_are_those_of_version_3() {
        for body in ["{\"a.b\"} 1\n", "{\"a.b\",c=\"d\"} 1\n", "a{\"b.c\"=\"d\"} 1\n", "# TYPE \"a.b\" gauge\n"] {
            assert_eq!(taken(body).fault, None, "{body:?}");
        }
        assert_eq!(taken("a 1\na{\"b\"} 1\n").fault, Some((2, "`=` after the label name")));
    }

    proptest! {
        #[test]
        fn any_text_is_survived(body in "([a#{}\"\\\\=, \n0-9\0TYPEHL]|.){0,60}") {
            let found = taken(&body);
            prop_assert!(found.fault.is_none_or(|(line, _)| line <= body.split('\n').count() + 1));
            // What is a valid exposition has as many samples to both.
            if let (Ok(exposition), None) = (parse(&body, Dialect::Text), found.fault) {
                prop_assert_eq!(exposition.len(), found.samples, "{:?}", body);
            }
        }
    }
}
