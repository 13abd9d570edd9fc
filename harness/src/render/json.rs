//! The report as the one JSON document it is, and back again.

use crate::model::{REPORT_SCHEMA, Report};
use serde::{Deserialize, Serialize};
use serde_json::ser::Formatter;
use std::io::{self, Write};

/// Why a text is no report that this version can read.
#[derive(Debug, thiserror::Error)]
pub enum ParseError {
    /// It is no JSON, or ends too early.
    #[error("line {line}, column {column}: not JSON: {problem}; if the run was killed, render its journal again")]
    NotJson {
        /// Where, from 1.
        line: usize,
        /// Where, from 1.
        column: usize,
        /// What the JSON parser says.
        problem: String,
    },
    /// It is JSON, but names no schema.
    #[error("no report: the document is no object with a string `schema` (expected `{REPORT_SCHEMA}`)")]
    NoSchema,
    /// It names another document, or another major version.
    #[error("the document is `{found}`, and this version reads `{REPORT_SCHEMA}` only; use the version that wrote it")]
    OtherSchema {
        /// What it names.
        found: String,
    },
    /// It claims to be a report and is not shaped like one.
    #[error("line {line}, column {column}: not a valid report: {problem}")]
    Shape {
        /// Where, from 1; 0 if the place is not known.
        line: usize,
        /// Where, from 1; 0 if the place is not known.
        column: usize,
        /// What is wrong.
        problem: String,
    },
}

/// What lies deeper than this stands on one line: a thread with its stack, a request, a piece of evidence. Indenting a whole
/// run down to the last frame doubles its size.
const INDENTED_LEVELS: usize = 7;

/// The report as JSON, indented down to its threads, with a line break at its end.
pub fn render(report: &Report) -> String {
    let mut out = Vec::new();
    let mut writer = serde_json::Serializer::with_formatter(&mut out, Outline::default());
    report.serialize(&mut writer).expect("a report is maps with string keys, lists and scalars");
    out.push(b'\n');
    String::from_utf8(out).expect("JSON is UTF-8")
}

/// Indented down to [`INDENTED_LEVELS`], one line below.
#[derive(Default)]
struct Outline {
    /// The containers that are open, and whether each has something in it.
    open: Vec<bool>,
}

impl Outline {
    fn begin<W: Write + ?Sized>(&mut self, out: &mut W, bracket: &[u8]) -> io::Result<()> {
        self.open.push(false);
        out.write_all(bracket)
    }

    fn item<W: Write + ?Sized>(&mut self, out: &mut W, first: bool) -> io::Result<()> {
        if let Some(filled) = self.open.last_mut() {
            *filled = true;
        }
        if !first {
            out.write_all(b",")?;
        }
        match self.open.len() {
            levels @ ..=INDENTED_LEVELS => break_line(out, levels),
            _ if first => Ok(()),
            _ => out.write_all(b" "),
        }
    }

    fn end<W: Write + ?Sized>(&mut self, out: &mut W, bracket: &[u8]) -> io::Result<()> {
        let filled = self.open.pop().unwrap_or_default();
        if filled && self.open.len() < INDENTED_LEVELS {
            break_line(out, self.open.len())?;
        }
        out.write_all(bracket)
    }
}

fn break_line<W: Write + ?Sized>(out: &mut W, levels: usize) -> io::Result<()> {
    out.write_all(b"\n")?;
    (0..levels).try_for_each(|_| out.write_all(b"  "))
}

impl Formatter for Outline {
    fn begin_array<W: Write + ?Sized>(&mut self, out: &mut W) -> io::Result<()> {
        self.begin(out, b"[")
    }

    fn begin_array_value<W: Write + ?Sized>(&mut self, out: &mut W, first: bool) -> io::Result<()> {
        self.item(out, first)
    }

    fn end_array<W: Write + ?Sized>(&mut self, out: &mut W) -> io::Result<()> {
        self.end(out, b"]")
    }

    fn begin_object<W: Write + ?Sized>(&mut self, out: &mut W) -> io::Result<()> {
        self.begin(out, b"{")
    }

    fn begin_object_key<W: Write + ?Sized>(&mut self, out: &mut W, first: bool) -> io::Result<()> {
        self.item(out, first)
    }

    fn begin_object_value<W: Write + ?Sized>(&mut self, out: &mut W) -> io::Result<()> {
        out.write_all(b": ")
    }

    fn end_object<W: Write + ?Sized>(&mut self, out: &mut W) -> io::Result<()> {
        self.end(out, b"}")
    }
}

/// Reads a report. Fields it does not know are passed over: changes within a major version only add.
///
/// # Errors
/// [`ParseError`] says what is wrong and where.
pub fn parse(text: &str) -> Result<Report, ParseError> {
    #[derive(Deserialize)]
    struct Envelope {
        schema: Option<serde_json::Value>,
    }
    let envelope: Envelope = match serde_json::from_str(text) {
        Ok(envelope) => envelope,
        Err(error) if error.is_data() => return Err(ParseError::NoSchema),
        Err(error) => {
            return Err(ParseError::NotJson { line: error.line(), column: error.column(), problem: bare(&error) });
        }
    };
    let Some(serde_json::Value::String(schema)) = envelope.schema else { return Err(ParseError::NoSchema) };
    let minor = schema.strip_prefix(REPORT_SCHEMA).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
    if !minor {
        return Err(ParseError::OtherSchema { found: super::text::name(&schema) });
    }
    serde_json::from_str(text).map_err(|error| ParseError::Shape {
        line: error.line(),
        column: error.column(),
        problem: bare(&error),
    })
}

/// The JSON Schema of the report, indented; `reports/schema/` holds a copy, which a test keeps current.
#[cfg(feature = "schema")]
pub fn schema() -> String {
    serde_json::to_string_pretty(&schemars::schema_for!(Report)).expect("a schema is JSON")
}

/// The error without the place, which stands in fields of its own.
fn bare(error: &serde_json::Error) -> String {
    let says = error.to_string();
    let says = says.rsplit_once(" at line ").map_or(says.as_str(), |(says, _)| says);
    super::text::sentence(says)
}
