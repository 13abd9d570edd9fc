//! The canary: a counter that the parent bumps between scrapes, so that an answer nobody updates cannot pass for a good
//! one; and the count of updates that got lost on the way.

use super::exposition::{self, Dialect};
use super::record::Record;
use crate::model::{CanaryMoved, Command, Content};
use std::borrow::Cow;

/// The name under which a child journals how many updates it made ([`ChildEvent::Count`](crate::model::ChildEvent)).
pub const UPDATES_MADE: &str = "updates_made";

/// The family that exposes those updates; all its series are summed up.
pub const UPDATES_SERIES: &str = "gatherlock_updates_total";

/// Whether the canary rose in this scrape by at least the bumps that were carried out since the last scrape of the same
/// endpoint that showed it; and if not, what is wrong.
///
/// Only bumps that began after that scrape had ended and were done before this one was sent are asked for: whether an
/// overlapping one is in either is a matter of luck. A counter that is not exposed yet counts as 0.
pub(super) fn moved(record: &Record<'_>, contents: &[Cow<'_, Content>], index: usize) -> (CanaryMoved, Option<String>) {
    let request = &record.requests[index];
    let (Some(series), Some(_)) = (record.canary, &contents[index].families) else {
        return (CanaryMoved::NotChecked, None);
    };
    let earlier = record.requests[..index].iter().zip(contents).rev().find_map(|(other, content)| {
        let (ended_us, _) = other.end?;
        let fits = other.url == request.url && ended_us <= request.sent_us && content.families.is_some();
        fits.then_some((ended_us, content.canary))
    });
    let Some((since_us, before)) = earlier else {
        return (CanaryMoved::NotChecked, None);
    };
    let bumps = record
        .commands
        .iter()
        .filter(|c| c.command == Command::Bump && c.at_us >= since_us)
        .filter(|c| c.done_us.is_some_and(|done| done <= request.sent_us))
        .count();
    if bumps == 0 {
        return (CanaryMoved::NotChecked, None);
    }
    let before = before.unwrap_or(0.0);
    let name = exposition::excerpt(series);
    match contents[index].canary {
        None => (CanaryMoved::No, Some(format!("the canary `{name}` is missing"))),
        Some(now) if now - before >= bumps as f64 => (CanaryMoved::Yes, None),
        Some(now) => {
            let problem =
                format!("the canary `{name}` did not move: {before} before, {now} now, bumped {bumps} in between");
            (CanaryMoved::No, Some(problem))
        }
    }
}

/// The canary's value: the sum over all series with its name and at least its labels.
pub(super) fn value_of(series: &str, exposition: &exposition::Exposition<'_>) -> Option<f64> {
    let line = format!("{series} 0\n");
    match exposition::parse(&line, Dialect::Text) {
        Ok(parsed) => {
            let wanted = parsed.samples().next()?;
            let labels: Vec<(&str, Cow<'_, str>)> = wanted.labels.clone();
            exposition.value(wanted.name, &labels)
        }
        Err(_) => exposition.value(series, &[]),
    }
}

/// Updates that were made and are not in the last exposition: those counted by the child minus those exposed. `None` if
/// the child counts none or no exposition was seen.
pub(super) fn lost_updates(record: &Record<'_>, contents: &[Cow<'_, Content>]) -> Option<u64> {
    let made = *record.counts.get(UPDATES_MADE)?;
    let (_, last) = record
        .requests
        .iter()
        .zip(contents)
        .filter_map(|(request, content)| Some((request.end?.0, content.families.as_ref().map(|_| content.updates)?)))
        .max_by_key(|(ended_us, _)| *ended_us)?;
    // Nothing of the family: all of them are lost.
    let exposed = last.unwrap_or(0.0);
    let exposed = if exposed.is_finite() && exposed > 0.0 { exposed as u64 } else { 0 };
    Some(made.saturating_sub(exposed))
}
