//! From what the groups brought to an HTTP answer, without any web framework's types.

use crate::accept;
use crate::flight::Arrival;
use crate::format::Format;
use crate::inner::{Group, Inner};
use crate::own::{self, Ended, GroupState};
use crate::page::{Content, Landed};
use bytes::Bytes;
use std::fmt::Write;
use std::time::{Duration, Instant};

/// What an endpoint needs to know of an HTTP request; header values as text, none if absent or not text.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// `GET`, `HEAD`, …
    pub method: &'a str,
    /// The header `Accept`.
    pub accept: Option<&'a str>,
    /// The header `Accept-Encoding`.
    pub accept_encoding: Option<&'a str>,
    /// The header `X-Prometheus-Scrape-Timeout-Seconds`.
    pub scrape_timeout: Option<&'a str>,
}

impl Request<'_> {
    /// A GET without headers.
    #[must_use]
    pub fn get() -> Request<'static> {
        Request { method: "GET", accept: None, accept_encoding: None, scrape_timeout: None }
    }
}

/// An HTTP answer.
#[derive(Clone, Debug)]
pub struct Answer {
    /// 200, 405 or 503.
    pub status: u16,
    /// Lower-case names; values are printable ASCII. `content-length` is among them.
    pub headers: Vec<(&'static str, String)>,
    /// The body in pieces, which several answers may share; none for HEAD.
    pub body: Vec<Bytes>,
}

impl Answer {
    /// The value of a header, if it is there.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| *known == name).map(|(_, value)| value.as_str())
    }

    /// The body in one piece.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        self.body.concat()
    }

    fn new(status: u16, content_type: &str, body: Vec<Bytes>) -> Answer {
        let length: usize = body.iter().map(Bytes::len).sum();
        let headers = vec![("content-type", content_type.to_string()), ("content-length", length.to_string())];
        Answer { status, headers, body }
    }

    fn plain(status: u16, text: String, head: bool) -> Answer {
        Answer::new(status, "text/plain; charset=utf-8", vec![Bytes::from(text)]).without_body_if(head)
    }

    fn without_body_if(mut self, head: bool) -> Answer {
        if head {
            self.body.clear();
        }
        self
    }
}

/// What is remembered of a request until its answer.
pub(crate) struct Facts {
    head: bool,
    format: Format,
    pub(crate) compressed: bool,
    begun: Instant,
    budget: Duration,
}

impl Facts {
    pub(crate) fn new(request: &Request<'_>, begun: Instant, budget: Duration) -> Facts {
        #[cfg(feature = "gzip")]
        let compressed = accept::takes_gzip(request.accept_encoding);
        #[cfg(not(feature = "gzip"))]
        let compressed = false;
        Facts { head: request.method == "HEAD", format: accept::format(request.accept), compressed, begun, budget }
    }
}

/// The refusal of methods other than GET and HEAD.
pub(crate) fn wrong_method(request: &Request<'_>) -> Option<Answer> {
    if matches!(request.method, "GET" | "HEAD") {
        return None;
    }
    let mut answer = Answer::plain(405, "metrics are read with GET or HEAD\n".to_string(), false);
    answer.headers.push(("allow", "GET, HEAD".to_string()));
    Some(answer)
}

pub(crate) fn closed(facts: &Facts) -> Answer {
    Answer::plain(503, "no metrics: the endpoint is shut down\n".to_string(), facts.head)
}

/// What of a group goes into the answer.
struct Choice<'a> {
    page: Option<(&'a Landed, &'a Content)>,
    stale: bool,
    /// Why the group is missing, or why its values are not fresh.
    reason: Option<String>,
    stuck: bool,
    last: Option<&'a Landed>,
}

/// The answer, and how the scrape is to be counted.
pub(crate) fn assemble(inner: &Inner, arrivals: &[Arrival<Landed>], facts: &Facts) -> (Answer, Ended) {
    let now = Instant::now();
    let choose = |(group, arrival)| choose(inner.settings.stale, group, arrival, now);
    let choices: Vec<Choice<'_>> = inner.groups.iter().zip(arrivals).map(choose).collect();
    if choices.iter().all(|choice| choice.page.is_none()) {
        return (refusal(inner, &choices, facts, now), Ended::Refused);
    }
    let pages: Vec<&Content> = choices.iter().filter_map(|choice| choice.page).map(|(_, content)| content).collect();
    let open = facts.format == Format::OpenMetrics && pages.iter().all(|page| page.format == Format::OpenMetrics);
    let format = if open { Format::OpenMetrics } else { Format::Text };
    let tail = tail(inner, &choices, format, now);
    let content_type = match format {
        Format::Text => "text/plain; version=0.0.4; charset=utf-8",
        Format::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
    };
    let mut answer = match compressed(inner, facts, format, &pages, &tail) {
        Some(body) => {
            let mut answer = Answer::new(200, content_type, body);
            answer.headers.push(("content-encoding", "gzip".to_string()));
            answer
        }
        None => {
            let in_format = |page: &&Content| match (&page.text, format) {
                (Some(text), Format::Text) => text.clone(),
                _ => page.body.clone(),
            };
            let body = pages.iter().map(in_format).chain([Bytes::from(tail)]).collect();
            Answer::new(200, content_type, body)
        }
    };
    let age = |choice: &Choice<'_>| choice.page.map(|(page, _)| now.saturating_duration_since(page.begun));
    let stale = choices.iter().filter(|choice| choice.stale).filter_map(age).max();
    if let Some(age) = stale {
        answer.headers.push(("x-gatherlock-stale", format!("{:.3}", age.as_secs_f64())));
    }
    let missing = missing(&inner.groups, &choices);
    let ended = match (&missing, stale) {
        (Some(_), _) => Ended::Partial,
        (None, Some(_)) => Ended::Stale,
        (None, None) => Ended::Served,
    };
    if let Some(missing) = missing {
        answer.headers.push(("x-gatherlock-missing", missing));
    }
    if let Some(reasons) = reasons(&inner.groups, &choices) {
        answer.headers.push(("x-gatherlock-reason", reasons));
    }
    (answer.without_body_if(facts.head), ended)
}

fn choose<'a>(limit: Option<Duration>, group: &Group, arrival: &'a Arrival<Landed>, now: Instant) -> Choice<'a> {
    let last = arrival.fresh.as_deref().or(arrival.good.as_deref());
    let overdue = arrival.fresh.is_none();
    let reason = match &arrival.fresh {
        Some(page) => match &page.content {
            Ok(content) => {
                return Choice { page: Some((page, content)), stale: false, reason: None, stuck: false, last };
            }
            Err(reason) => reason.clone(),
        },
        None => in_flight(group, now),
    };
    let good = arrival.good.as_deref().and_then(|page| page.content.as_ref().ok().map(|content| (page, content)));
    // A body that landed while the scrape was waiting is no older than the wait and the collection before it.
    let young = |page: &Landed| limit.is_some_and(|limit| now.saturating_duration_since(page.begun) <= limit);
    let page = good.filter(|(page, _)| (overdue && arrival.landed_meanwhile) || young(page));
    Choice { page, stale: page.is_some(), reason: Some(reason), stuck: overdue, last }
}

/// Where a group's thread is, in words.
fn in_flight(group: &Group, now: Instant) -> String {
    let Some(flying) = group.progress.get() else { return "its collection has not begun".to_string() };
    let (what, since) = match flying.inside {
        Some((inside, since)) => (format!("the collector of `{}`", inside.escape_debug()), since),
        None => ("its collection".to_string(), flying.since),
    };
    let seconds = now.saturating_duration_since(since).as_secs_f64();
    let wall = flying.since_wall + since.saturating_duration_since(flying.since);
    format!("{what} has not returned for {seconds:.1} s, since {}", humantime::format_rfc3339_seconds(wall))
}

/// What an answer cannot know, and how to find it out.
fn doubt(groups: &[Group], choices: &[Choice<'_>]) -> Option<String> {
    let stuck = groups.iter().zip(choices).filter(|(_, choice)| choice.stuck);
    let threads: Vec<String> = stuck.map(|(group, _)| format!("`{}`", group.thread_name())).collect();
    (!threads.is_empty()).then(|| {
        format!(
            "an application thread may be dead in a cycle with it; to see who waits for whom, run: gatherlock diagnose \
             --pid {}   (thread {})",
            std::process::id(),
            threads.join(", ")
        )
    })
}

fn refusal(inner: &Inner, choices: &[Choice<'_>], facts: &Facts, now: Instant) -> Answer {
    let waited = now.saturating_duration_since(facts.begun).as_secs_f64();
    let budget = facts.budget.as_secs_f64();
    let mut text = format!("no metrics: this scrape waited {waited:.2} s of the {budget:.2} s it has\n");
    for (group, choice) in inner.groups.iter().zip(choices) {
        let reason = choice.reason.as_deref().unwrap_or("it is missing");
        let _infallible = writeln!(text, "group `{}`: {reason}", group.name);
    }
    if let Some(doubt) = doubt(&inner.groups, choices) {
        let _infallible = write!(
            text,
            "{doubt}\n\
             This answer frees nothing: who is dead stays dead until the process restarts. Further scrapes add no stuck \
             thread, and are served again once the collection ends.\n"
        );
    }
    Answer::plain(503, text, facts.head)
}

/// Why groups are missing or stale, or families missing, in an answer that has others, as a header value.
fn reasons(groups: &[Group], choices: &[Choice<'_>]) -> Option<String> {
    let mut told = Vec::new();
    for (group, choice) in groups.iter().zip(choices) {
        told.extend(choice.reason.as_ref().map(|reason| format!("{}: {reason}", group.name)));
        let families = choice.page.map_or(&[][..], |(_, content)| &content.missing);
        told.extend(families.iter().map(|(family, reason)| format!("{}/{family}: {reason}", group.name)));
    }
    told.extend(doubt(groups, choices));
    let printable = |c: char| if c == ' ' || c.is_ascii_graphic() { c } else { '?' };
    (!told.is_empty()).then(|| shortened(told.join("; ").chars().map(printable).collect()))
}

/// Some scrapers refuse long headers; a longer value, all of it ASCII, ends in dots.
fn shortened(mut value: String) -> String {
    const LONGEST: usize = 1024;
    if value.len() > LONGEST {
        value.truncate(LONGEST);
        value.push_str("...");
    }
    value
}

/// The names of what is missing, as a header value: `group` for a whole group, `group/family` for a part of one.
fn missing(groups: &[Group], choices: &[Choice<'_>]) -> Option<String> {
    let mut names = Vec::new();
    for (group, choice) in groups.iter().zip(choices) {
        match choice.page {
            None => names.push(group.name.clone()),
            Some((_, content)) => {
                let printable = |c: char| if c.is_ascii_graphic() { c } else { '?' };
                let family =
                    |(family, _): &(String, String)| family.chars().take(128).map(printable).collect::<String>();
                names.extend(content.missing.iter().map(|missing| format!("{}/{}", group.name, family(missing))));
            }
        }
    }
    (!names.is_empty()).then(|| shortened(names.join(", ")))
}

/// What follows the groups' bodies.
fn tail(inner: &Inner, choices: &[Choice<'_>], format: Format, now: Instant) -> String {
    if !inner.settings.own_metrics {
        return if format == Format::OpenMetrics { "# EOF\n".to_string() } else { String::new() };
    }
    let since = |instant: Instant| now.saturating_duration_since(instant).as_secs_f64();
    let mut states = Vec::with_capacity(choices.len());
    for (group, choice) in inner.groups.iter().zip(choices) {
        let flying = group.progress.get();
        states.push(GroupState {
            name: &group.name,
            in_flight: flying.as_ref().map_or(0.0, |flying| since(flying.since)),
            took: choice.last.map(|page| page.took.as_secs_f64()),
            age: choice.page.map(|(page, _)| since(page.begun)),
            stuck: choice.stuck,
            inside: flying
                .and_then(|flying| flying.inside)
                .filter(|_| choice.stuck)
                .map(|(at, from)| (at, since(from))),
            panics: choice.last.map_or(&[], |page| &page.panics),
            missing: choice
                .page
                .map_or(&[][..], |(_, content)| &content.missing)
                .iter()
                .map(|(of, _)| of.as_str())
                .collect(),
        });
    }
    own::write(&inner.counts, inner.flights.waiting(), &states, format)
}

#[cfg(feature = "gzip")]
fn compressed(inner: &Inner, facts: &Facts, format: Format, pages: &[&Content], tail: &str) -> Option<Vec<Bytes>> {
    let wanted = &inner.wanted;
    if !facts.compressed {
        return None;
    }
    wanted.note(format);
    // A page is compressed only if a scrape asked before it was collected.
    let pieces = pages.iter().map(|page| page.compressed.as_ref()?.in_format(format));
    let pieces: Option<Vec<_>> = pieces.collect();
    pieces.map(|pieces| crate::gzip::string_together(pieces, tail.as_bytes()))
}

#[cfg(not(feature = "gzip"))]
fn compressed(_: &Inner, _: &Facts, _: Format, _: &[&Content], _: &str) -> Option<Vec<Bytes>> {
    None
}
