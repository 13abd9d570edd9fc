//! What an answered scrape is worth: whether it came in time, is honest where it says less, and says what it should.

use super::canary::{self, UPDATES_SERIES};
use super::exposition::{self, Dialect, Fault, Taken, parse_content_type};
use super::prometheus::{MOST_REDIRECTS, REDIRECTS};
use super::record::{Record, Request};
use crate::model::{CanaryMoved, ChildEvent, Content, Exchange, Fact, Observation, Outcome, Purpose};
use std::borrow::Cow;

/// Response header of a body that is not current: how old it is, in words or seconds.
pub const STALE_HEADER: &str = "x-gatherlock-stale";

/// Response header of a partial body: what is missing from it.
pub const MISSING_HEADER: &str = "x-gatherlock-missing";

/// The largest body that a scrape keeps; a larger one cannot be checked.
pub const BODY_LIMIT: u64 = 4 << 20;

/// Notes what Prometheus makes of the body, unless it never comes to read it.
fn taken(content: &mut Content, takes: bool, samples: u64) {
    content.prometheus.get_or_insert((takes, samples));
}

/// Reads the bodies that have not been read yet and lets go of them: a storm's are hundreds of megabytes, and what they say
/// is asked for more than once.
pub fn read_bodies(observations: &mut [Observation]) {
    let canary = observations.iter().find_map(|observation| match &observation.fact {
        Fact::Child { event: ChildEvent::Ready { canary, .. } } => Some(canary.clone()),
        _ => None,
    });
    let canary = canary.flatten();
    for observation in observations {
        if let Fact::Ended { exchange, .. } = &mut observation.fact
            && exchange.content.is_none()
        {
            exchange.content = Some(Box::new(content(exchange, canary.as_deref())));
            if exchange.status == Some(200) {
                exchange.body = None;
            }
        }
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

/// Reads a body with status 200; other answers have no content. `canary` is the series that the child bumps.
pub(super) fn content(exchange: &Exchange, canary: Option<&str>) -> Content {
    let mut content = Content::default();
    if exchange.status != Some(200) {
        return content;
    }
    let content_type = parse_content_type(exchange.content_type.as_deref());
    let dialect = match &content_type {
        Ok(content_type) => content_type.dialect,
        Err(bad) => {
            taken(&mut content, false, 0);
            content.wrong.push(bad.to_string());
            // The body is read all the same, so that all that is wrong with it is said at once.
            let ends = exchange.body.as_deref().is_some_and(|body| body.trim_end().ends_with("# EOF"));
            Some(if ends { Dialect::OpenMetrics } else { Dialect::Text })
        }
    };
    let encoded = exchange.headers.iter().find(|(name, value)| name == "content-encoding" && value != "identity");
    if let Some((_, encoding)) = encoded.filter(|_| exchange.bytes > 0) {
        content.unchecked = Some(format!(
            "the body came with `Content-Encoding: {}`, although none was asked for, and is not decoded here",
            exposition::excerpt(encoding)
        ));
        return content;
    }
    let Some(body) = exchange.body.as_deref() else {
        match exchange.bytes {
            0 => empty(&mut content, dialect),
            bytes if bytes > BODY_LIMIT => {
                content.unchecked = Some(format!("a body of {bytes} bytes is too large to be kept and checked"));
            }
            bytes => content.wrong.push(format!("the body of {bytes} bytes is not UTF-8 text")),
        }
        return content;
    };
    if body.is_empty() {
        empty(&mut content, dialect);
        return content;
    }
    let Some(dialect) = dialect else {
        content.unchecked = Some("the body is protobuf, which is not read here".to_string());
        return content;
    };
    // OpenMetrics has an end mark and no order that Prometheus could overlook; what it makes of a fault is not known here.
    let read = (dialect == Dialect::Text).then(|| exposition::taken(body));
    match exposition::parse(body, dialect) {
        Ok(exposition) => {
            match read {
                Some(Taken { samples, fault: Some((line, expected)) }) => {
                    taken(&mut content, false, samples);
                    content.wrong.push(format!("Prometheus fails on line {line}, where it expects {expected}"));
                }
                _ => taken(&mut content, true, exposition.len()),
            }
            if exposition.is_empty() {
                content.wrong.push("the body holds no sample".to_string());
            }
            content.samples = exposition.len();
            content.canary = canary.and_then(|series| canary::value_of(series, &exposition));
            content.updates = exposition.value(UPDATES_SERIES, &[]);
            let with_samples = exposition.families.iter().filter(|family| !family.samples.is_empty());
            content.families = Some(with_samples.map(|family| family.name.to_string()).collect());
        }
        Err(bad) => {
            let html = body
                .trim_start()
                .get(..5)
                .is_some_and(|start| start.eq_ignore_ascii_case("<html") || start.eq_ignore_ascii_case("<!doc"));
            let fault = match html {
                true => "the body is no exposition: it looks like HTML".to_string(),
                false => format!("malformed exposition: {bad}"),
            };
            if let Some(Taken { samples, fault: refused }) = read {
                taken(&mut content, refused.is_none(), samples);
                // Of a series that is given twice Prometheus keeps one sample only.
                let loses = matches!(bad.fault, Fault::DuplicateSeries(_));
                content.tolerated = (content.prometheus == Some((true, samples)) && !loses).then(|| fault.clone());
            }
            content.wrong.push(fault);
        }
    }
    content
}

/// Where a redirect leads, and why it was not followed. A query may hold a secret.
fn leads(exchange: &Exchange) -> String {
    match exchange.location.as_deref().map(|to| exposition::excerpt(to.split('?').next().unwrap_or_default())) {
        None => " without a Location".to_string(),
        Some(_) if exchange.redirects.len() >= MOST_REDIRECTS => {
            format!(" at request {}: nobody follows redirects further", MOST_REDIRECTS + 1)
        }
        Some(to) => format!(" to `{to}`, which was not followed here"),
    }
}

/// Prometheus takes an empty body for a target without metrics, except in OpenMetrics, which ends with a mark.
fn empty(content: &mut Content, dialect: Option<Dialect>) {
    taken(content, dialect != Some(Dialect::OpenMetrics), 0);
    content.wrong.push("the body is empty".to_string());
}

/// Classes an answered scrape: `late`, `contained`, `invalid`, `served`, in this order. `contents` are those of all
/// requests, in the order of the record.
pub(super) fn class(record: &Record<'_>, contents: &[Cow<'_, Content>], index: usize, bound_us: u64) -> Answer {
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
        Some(status) if REDIRECTS.contains(&status) => wrong.push(format!("status {status}{}", leads(exchange))),
        Some(status) => wrong.push(format!("status {status}")),
        None => wrong.push("no status line".to_string()),
    }
    if content.families.is_some() {
        wrong.extend(missing_families(record, contents, request, content));
        wrong.extend(canary_problem);
    }
    Answer { class: if wrong.is_empty() { Outcome::Served } else { Outcome::Invalid }, wrong, canary }
}

/// Families that the endpoint showed before the mistake was armed and does not show now. Those that the child declared
/// volatile may come and go.
fn missing_families(
    record: &Record<'_>,
    contents: &[Cow<'_, Content>],
    request: &Request<'_>,
    content: &Content,
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
    let now = content.families.as_ref()?;
    let missing: Vec<String> = (before.families.iter().flatten())
        .filter(|name| !now.contains(*name) && !record.volatile.contains(name))
        .map(|name| format!("`{}`", exposition::excerpt(name)))
        .collect();
    let named = missing.iter().take(5).cloned().collect::<Vec<_>>().join(", ");
    match missing.len() {
        0 => None,
        1 => Some(format!("the family {named} was exposed before and is missing")),
        n if n <= 5 => Some(format!("{n} families were exposed before and are missing: {named}")),
        n => Some(format!("{n} families were exposed before and are missing: {named} and {} more", n - 5)),
    }
}
