//! The parser: line by line, one family open at a time.

use super::family::{Open, has_suffix, stems};
use super::fault::{BadExposition, Fault};
use super::samples::{Dialect, Exposition, Family, Kind, Sample};
use super::scan::{Cursor, LineFault, excerpt};
use std::borrow::Cow;
use std::collections::HashMap;

/// Parses a whole body. An empty one is an exposition without families, unless the dialect wants an end mark.
///
/// # Errors
/// The first fault with its place. Faults that only show once a family is complete are placed at its first sample.
pub fn parse(body: &str, dialect: Dialect) -> Result<Exposition<'_>, BadExposition> {
    let mut parser = Parser { dialect, families: Vec::new(), index: HashMap::new(), open: None, ended: false };
    let mut last = 0;
    for (number, line) in body.split_inclusive('\n').enumerate() {
        last = number + 1;
        let bad = |fault: LineFault| BadExposition {
            line: last,
            column: line[..fault.at].chars().count() + 1,
            fault: fault.fault,
        };
        let text = line.strip_suffix('\n');
        // OpenMetrics lets the end mark itself go without.
        if text.is_none() && !(dialect == Dialect::OpenMetrics && line == "# EOF") {
            return Err(bad(LineFault { at: line.len(), fault: Fault::NoFinalNewline }));
        }
        match parser.line(text.unwrap_or(line), last) {
            Ok(()) => {}
            Err(LineOrFamily::Line(fault)) => return Err(bad(fault)),
            Err(LineOrFamily::Family(line, fault)) => return Err(BadExposition { line, column: 1, fault }),
        }
    }
    parser.close_family().map_err(|(line, fault)| BadExposition { line, column: 1, fault })?;
    if dialect == Dialect::OpenMetrics && !parser.ended {
        return Err(BadExposition { line: last + 1, column: 1, fault: Fault::NoEof });
    }
    Ok(Exposition { families: parser.families })
}

/// Where a fault lies: on the line being read, or in the family that it ends.
enum LineOrFamily {
    Line(LineFault),
    Family(usize, Fault),
}

impl From<LineFault> for LineOrFamily {
    fn from(fault: LineFault) -> LineOrFamily {
        LineOrFamily::Line(fault)
    }
}

impl From<(usize, Fault)> for LineOrFamily {
    fn from((line, fault): (usize, Fault)) -> LineOrFamily {
        LineOrFamily::Family(line, fault)
    }
}

struct Parser<'a> {
    dialect: Dialect,
    families: Vec<Family<'a>>,
    index: HashMap<&'a str, usize>,
    /// The family whose lines are being read; lines of any other known family come too late.
    open: Option<(usize, Open)>,
    /// The end mark was seen.
    ended: bool,
}

impl<'a> Parser<'a> {
    fn line(&mut self, line: &'a str, number: usize) -> Result<(), LineOrFamily> {
        let mut cursor = Cursor::new(line);
        let strict = self.dialect == Dialect::OpenMetrics;
        if self.ended {
            return Err(cursor.fault(Fault::AfterEof).into());
        }
        cursor.blanks();
        if cursor.is_at_end() {
            return if strict { Err(cursor.fault(Fault::Expected("a comment or a sample")).into()) } else { Ok(()) };
        }
        if !cursor.eat('#') {
            return self.sample(cursor, number);
        }
        if strict && line == "# EOF" {
            self.ended = true;
            return Ok(());
        }
        cursor.blanks();
        let at = cursor.at();
        match cursor.word() {
            word @ ("HELP" | "TYPE") => self.meta(word, cursor),
            "UNIT" if strict => self.meta("UNIT", cursor),
            _ if strict => Err(LineFault { at, fault: Fault::Expected("HELP, TYPE, UNIT or EOF after `#`") }.into()),
            _ => Ok(()),
        }
    }

    fn meta(&mut self, what: &'a str, mut cursor: Cursor<'a>) -> Result<(), LineOrFamily> {
        let what = match what {
            "HELP" => "HELP",
            "TYPE" => "TYPE",
            _ => "UNIT",
        };
        cursor.blanks();
        if cursor.is_at_end() {
            // A comment that happens to begin with the word.
            return Ok(());
        }
        let at = cursor.at();
        let name = cursor.metric_name()?;
        if !cursor.blanks() && !cursor.is_at_end() {
            return Err(cursor.fault(Fault::Expected("a blank after the metric name")).into());
        }
        let index = self.family(name, at)?;
        let here = |fault| LineFault { at, fault };
        if let Some((_, open)) = &mut self.open {
            if open.seen.contains(&what) {
                return Err(here(Fault::SecondMeta(excerpt(name), what)).into());
            }
            open.seen.push(what);
        }
        let family = &mut self.families[index];
        if !family.samples.is_empty() {
            return Err(here(Fault::LateMeta(excerpt(name), what)).into());
        }
        match what {
            "HELP" => family.help = Some(cursor.help(self.dialect)?),
            "TYPE" => {
                let at = cursor.at();
                let word = cursor.word();
                let kind = Kind::from_word(word, self.dialect);
                family.kind = kind.ok_or_else(|| LineFault { at, fault: Fault::BadKind(excerpt(word)) })?;
                end_of_line(cursor)?;
            }
            _ => {}
        }
        Ok(())
    }

    fn sample(&mut self, mut cursor: Cursor<'a>, number: usize) -> Result<(), LineOrFamily> {
        let at = cursor.at();
        let name = cursor.metric_name()?;
        let mut blank = cursor.blanks();
        let mut labels = Vec::new();
        if cursor.eat('{') {
            labels = label_set(&mut cursor)?;
            cursor.blanks();
            blank = true;
        }
        if !blank {
            return Err(cursor.fault(Fault::Expected("a blank or `{` after the metric name")).into());
        }
        let value = cursor.number()?;
        cursor.blanks();
        let mut timestamp = None;
        if !cursor.is_at_end() && !cursor.rest().starts_with('#') {
            timestamp = Some(cursor.timestamp(self.dialect)?);
        }
        cursor.blanks();
        if self.dialect == Dialect::OpenMetrics && cursor.eat('#') {
            exemplar(&mut cursor)?;
        }
        end_of_line(cursor)?;

        let (index, suffix) = self.family_of_sample(name, at)?;
        let sample = Sample { name, labels, value, timestamp };
        let family = &mut self.families[index];
        if let Some((_, open)) = &mut self.open {
            let added = open.add(family.kind, suffix, &sample, number, self.dialect);
            added.map_err(|fault| LineFault { at, fault })?;
        }
        family.samples.push(sample);
        Ok(())
    }

    /// The family that a sample belongs to, and what its name adds to the family's.
    fn family_of_sample(&mut self, name: &'a str, at: usize) -> Result<(usize, &'static str), LineOrFamily> {
        if let Some(&index) = self.index.get(name) {
            let family = &self.families[index];
            if !has_suffix(family.kind, "", self.dialect) {
                let fault = Fault::ForeignSample {
                    name: excerpt(name),
                    kind: family.kind.word(self.dialect),
                    family: excerpt(family.name),
                };
                return Err(LineFault { at, fault }.into());
            }
            return Ok((self.family(name, at)?, ""));
        }
        let by_suffix = stems(name).find(|(stem, suffix)| {
            let family = self.index.get(stem).map(|&index| &self.families[index]);
            family.is_some_and(|family| has_suffix(family.kind, suffix, self.dialect))
        });
        match by_suffix {
            Some((stem, suffix)) => Ok((self.family(stem, at)?, suffix)),
            None => Ok((self.family(name, at)?, "")),
        }
    }

    /// Opens the family `name`, or stays in it.
    fn family(&mut self, name: &'a str, at: usize) -> Result<usize, LineOrFamily> {
        match (self.index.get(name), &self.open) {
            (Some(&index), Some((open, _))) if index == *open => return Ok(index),
            (Some(_), _) => return Err(LineFault { at, fault: Fault::SplitFamily(excerpt(name)) }.into()),
            (None, _) => {}
        }
        self.close_family()?;
        let index = self.families.len();
        self.index.insert(name, index);
        self.families.push(Family { name, kind: Kind::Untyped, help: None, samples: Vec::new() });
        self.open = Some((index, Open::default()));
        Ok(index)
    }

    fn close_family(&mut self) -> Result<(), (usize, Fault)> {
        match self.open.take() {
            Some((index, open)) => open.close(self.families[index].name),
            None => Ok(()),
        }
    }
}

/// The labels behind `{`, with the closing brace.
fn label_set<'a>(cursor: &mut Cursor<'a>) -> Result<Vec<(&'a str, Cow<'a, str>)>, LineFault> {
    let mut labels = Vec::new();
    loop {
        cursor.blanks();
        if cursor.eat('}') {
            return Ok(labels);
        }
        let name = cursor.label_name()?;
        cursor.blanks();
        if !cursor.eat('=') {
            return Err(cursor.fault(Fault::Expected("`=` after the label name")));
        }
        cursor.blanks();
        labels.push((name, cursor.quoted()?));
        cursor.blanks();
        if !cursor.eat(',') && !cursor.rest().starts_with('}') {
            return Err(cursor.fault(Fault::Expected("`,` or `}` after the label value")));
        }
    }
}

/// OpenMetrics: `{labels} value [timestamp]` behind `#`.
fn exemplar(cursor: &mut Cursor<'_>) -> Result<(), LineFault> {
    cursor.blanks();
    if !cursor.eat('{') {
        return Err(cursor.fault(Fault::Expected("`{` of an exemplar")));
    }
    label_set(cursor)?;
    cursor.blanks();
    cursor.number()?;
    if cursor.blanks() && !cursor.is_at_end() {
        cursor.timestamp(Dialect::OpenMetrics)?;
    }
    Ok(())
}

fn end_of_line(mut cursor: Cursor<'_>) -> Result<(), LineFault> {
    cursor.blanks();
    if cursor.is_at_end() { Ok(()) } else { Err(cursor.fault(Fault::Trailing(excerpt(cursor.rest())))) }
}
