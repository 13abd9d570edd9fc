//! What an answered scrape is worth: whether it came in time, is honest where it says less, and says what it should.

use super::canary;
use super::exposition::{self, Dialect, Exposition, parse_content_type};
use super::record::{Record, Request};
use crate::model::{CanaryMoved, Exchange, Outcome, Purpose};

/// Response header of a body that is not current: how old it is, in words or seconds.
pub const STALE_HEADER: &str = "x-gatherlock-stale";

/// Response header of a partial body: what is missing from it.
pub const MISSING_HEADER: &str = "x-gatherlock-missing";

/// The largest body that a scrape keeps; a larger one cannot be checked.
pub const BODY_LIMIT: u64 = 4 << 20;

/// What the body of one scrape says.
#[derive(Clone, Debug, Default)]
pub(super) struct Content<'a> {
    /// The families, as far as the body can be read.
    pub(super) exposition: Option<Exposition<'a>>,
    /// What makes it no valid exposition.
    pub(super) wrong: Vec<String>,
    /// Whether Prometheus would fail on it: the first reason.
    pub(super) unreadable: Option<String>,
    /// Why it could not be checked.
    pub(super) unchecked: Option<String>,
}

impl Content<'_> {
    /// Whether Prometheus would read it without an error, however little it says.
    pub(super) fn is_readable(&self) -> bool {
        self.unreadable.is_none() && self.unchecked.is_none()
    }

    fn fails(&mut self, reason: String) {
        self.unreadable.get_or_insert_with(|| reason.clone());
        self.wrong.push(reason);
    }
}

/// The class of an answered scrape and why.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Answer {
    pub(super) class: Outcome,
    /// Why it is `invalid`; empty for all other classes.
    pub(super) wrong: Vec<String>,
    pub(super) canary: CanaryMoved,
}

/// Reads a body with status 200; other answers have no content.
pub(super) fn content(exchange: &Exchange) -> Content<'_> {
    let mut content = Content::default();
    if exchange.status != Some(200) {
        return content;
    }
    let content_type = parse_content_type(exchange.content_type.as_deref());
    let dialect = match &content_type {
        Ok(content_type) => content_type.dialect,
        Err(bad) => {
            content.fails(bad.to_string());
            // The body is read all the same, so that all that is wrong with it is said at once.
            let ends = exchange.body.as_deref().is_some_and(|body| body.trim_end().ends_with("# EOF"));
            Some(if ends { Dialect::OpenMetrics } else { Dialect::Text })
        }
    };
    let Some(body) = exchange.body.as_deref() else {
        match exchange.bytes {
            0 => content.wrong.push("the body is empty".to_string()),
            bytes if bytes > BODY_LIMIT => {
                content.unchecked = Some(format!("a body of {bytes} bytes is too large to be kept and checked"));
            }
            bytes => content.fails(format!("the body of {bytes} bytes is not UTF-8 text")),
        }
        return content;
    };
    if body.is_empty() {
        content.wrong.push("the body is empty".to_string());
        return content;
    }
    let Some(dialect) = dialect else {
        content.unchecked = Some("the body is protobuf, which is not read here".to_string());
        return content;
    };
    match exposition::parse(body, dialect) {
        Ok(exposition) => {
            if exposition.is_empty() {
                content.wrong.push("the body holds no sample".to_string());
            }
            content.exposition = Some(exposition);
        }
        Err(bad) => content.fails(format!("malformed exposition: {bad}")),
    }
    content
}

/// Classes an answered scrape: `late`, `contained`, `invalid`, `served`, in this order. `contents` are those of all
/// requests, in the order of the record.
pub(super) fn class(record: &Record<'_>, contents: &[Content<'_>], index: usize, bound_us: u64) -> Answer {
    let request = &record.requests[index];
    let content = &contents[index];
    let Some(exchange) = request.exchange() else {
        return Answer { class: Outcome::Invalid, wrong: Vec::new(), canary: CanaryMoved::NotChecked };
    };
    let (canary, canary_problem) = canary::moved(record, contents, index);
    let of = |class| Answer { class, wrong: Vec::new(), canary };
    if exchange.total_us > bound_us {
        return of(Outcome::Late);
    }
    let header = |name: &str| {
        exchange.headers.iter().any(|(header, value)| header.eq_ignore_ascii_case(name) && !value.trim().is_empty())
    };
    let honest = header(STALE_HEADER) || header(MISSING_HEADER);
    let mut wrong = content.wrong.clone();
    match exchange.status {
        Some(200) if honest && wrong.is_empty() => return of(Outcome::Contained),
        Some(200) => {}
        Some(503) if exchange.body.as_deref().is_some_and(|body| !body.trim().is_empty()) => {
            return of(Outcome::Contained);
        }
        Some(503) => wrong.push("status 503 without a reason in the body".to_string()),
        Some(status) => wrong.push(format!("status {status}")),
        None => wrong.push("no status line".to_string()),
    }
    if content.exposition.is_some() {
        wrong.extend(missing_families(record, contents, request, content));
        wrong.extend(canary_problem);
    }
    Answer { class: if wrong.is_empty() { Outcome::Served } else { Outcome::Invalid }, wrong, canary }
}

/// Families that the endpoint showed before the mistake was armed and does not show now. Those that the child declared
/// volatile may come and go.
fn missing_families(
    record: &Record<'_>,
    contents: &[Content<'_>],
    request: &Request<'_>,
    content: &Content<'_>,
) -> Option<String> {
    if request.purpose == Purpose::Before {
        return None;
    }
    let before = record
        .requests
        .iter()
        .zip(contents)
        .rfind(|(other, _)| other.purpose == Purpose::Before && other.url == request.url)?
        .1;
    let with_samples = |content: &Content<'_>| -> Vec<String> {
        let families = content.exposition.iter().flat_map(|exposition| &exposition.families);
        families.filter(|family| !family.samples.is_empty()).map(|family| family.name.to_string()).collect()
    };
    let now: std::collections::BTreeSet<String> = with_samples(content).into_iter().collect();
    let missing: Vec<String> = with_samples(before)
        .into_iter()
        .filter(|name| !now.contains(name) && !record.volatile.contains(name))
        .map(|name| format!("`{}`", exposition::excerpt(&name)))
        .collect();
    let named = missing.iter().take(5).cloned().collect::<Vec<_>>().join(", ");
    match missing.len() {
        0 => None,
        1 => Some(format!("the family {named} was exposed before and is missing")),
        n if n <= 5 => Some(format!("{n} families were exposed before and are missing: {named}")),
        n => Some(format!("{n} families were exposed before and are missing: {named} and {} more", n - 5)),
    }
}
