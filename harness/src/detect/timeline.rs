//! A trial as points and spans on lanes: who asked, did, held and waited when.

use super::record::{Record, Request};
use super::scene::Scene;
use crate::model::{Mode, Outcome, Purpose, Relation, TimelineEntry, TimelineKind};

/// The lane of the parent's commands and of the deadlines.
const PARENT: &str = "parent";

/// All entries, by time and lane.
pub(super) fn timeline(
    record: &Record<'_>,
    classes: &[Option<Outcome>],
    scene: Option<&Scene<'_>>,
    bound_us: u64,
    hang_limit_us: u64,
) -> Vec<TimelineEntry> {
    let mut entries: Vec<TimelineEntry> =
        record.requests.iter().zip(classes).map(|(request, class)| span_of(record, request, *class)).collect();
    entries.extend(parent(record));
    entries.extend(deadlines(record, bound_us, hang_limit_us));
    entries.extend(record.reached.iter().map(|(at_us, point, tid)| {
        let lane = match (tid, scene) {
            (Some(tid), Some(scene)) => thread_lane(scene, *tid),
            (Some(tid), None) => format!("thread {tid}"),
            (None, _) => "child".to_string(),
        };
        mark(lane, *at_us, point.to_string())
    }));
    if let Some(scene) = scene {
        entries.extend(threads(record, scene));
    }
    entries.sort_by(|a, b| (a.from_us, &a.lane, &a.label).cmp(&(b.from_us, &b.lane, &b.label)));
    entries
}

fn mark(lane: impl Into<String>, at_us: u64, label: impl Into<String>) -> TimelineEntry {
    TimelineEntry { lane: lane.into(), from_us: at_us, to_us: None, kind: TimelineKind::Mark, label: label.into() }
}

fn span_of(record: &Record<'_>, request: &Request<'_>, class: Option<Outcome>) -> TimelineEntry {
    let what = if request.purpose == Purpose::Health { "health" } else { "scrape" };
    let mut lane = format!("{what} {}", request.number);
    if record.endpoints.len() > 1 && !request.endpoint.is_empty() {
        lane.push_str(&format!(" {}", request.endpoint));
    }
    let purpose = match request.purpose {
        Purpose::Before => "before",
        Purpose::Judged => "judged",
        Purpose::During => "during",
        Purpose::After => "after",
        Purpose::Health => "health",
    };
    let end = match (class, request.exchange().and_then(|exchange| exchange.status)) {
        (Some(class), Some(status)) => format!("{class}, status {status}"),
        (Some(class), None) => class.to_string(),
        (None, Some(status)) => format!("status {status}"),
        (None, None) => "no answer".to_string(),
    };
    TimelineEntry {
        lane,
        from_us: request.sent_us,
        to_us: request.end.map(|(at_us, _)| at_us),
        kind: TimelineKind::Request,
        label: format!("{purpose}: {end}"),
    }
}

fn parent<'a>(record: &'a Record<'a>) -> impl Iterator<Item = TimelineEntry> + 'a {
    let commands = record.commands.iter().map(|command| TimelineEntry {
        lane: PARENT.to_string(),
        from_us: command.at_us,
        to_us: command.done_us,
        kind: TimelineKind::Mark,
        label: command.command.word().to_string(),
    });
    let ready = record.ready_us.map(|at_us| mark("child", at_us, "ready"));
    let exit = record.exit.map(|exit| {
        let how = match (exit.code, exit.signal) {
            (_, Some(signal)) => format!("ended by signal {signal}"),
            (Some(code), None) => format!("exit {code}"),
            (None, None) => "ended".to_string(),
        };
        mark("child", exit.at_us, how)
    });
    let samples = record.samples.iter().map(|(number, at_us)| mark(PARENT, *at_us, format!("sample {number}")));
    commands.chain(ready).chain(exit).chain(samples)
}

/// The bound and the hang limit of the judged scrapes, as far as they were waited for.
fn deadlines(record: &Record<'_>, bound_us: u64, hang_limit_us: u64) -> Vec<TimelineEntry> {
    let mut marks = Vec::new();
    for request in record.scrapes(&[Purpose::Judged]) {
        let until = request.end.map_or(record.last_us, |(at_us, _)| at_us).max(record.last_us);
        for (after_us, label) in [(bound_us, "bound"), (hang_limit_us, "hang limit")] {
            let open = request.end.is_none_or(|(at_us, _)| at_us.saturating_sub(request.sent_us) >= after_us);
            let at_us = request.sent_us.saturating_add(after_us);
            if open && at_us <= until {
                marks.push(mark(PARENT, at_us, format!("{label} of scrape {}", request.number)));
            }
        }
    }
    marks
}

/// What threads held, waited for and did between the samples.
fn threads(record: &Record<'_>, scene: &Scene<'_>) -> Vec<TimelineEntry> {
    let Some((first, last)) = record.explained_at() else { return Vec::new() };
    let to_us = first.map(|_| last);
    let first = first.unwrap_or(last);
    let guessed = |edge: &&crate::model::Edge| edge.relation == Relation::Holds && edge.mode == Mode::Event;
    let edges = scene.explained.edges.iter().filter(|edge| !guessed(edge)).map(|edge| {
        let (kind, verb) = match edge.relation {
            Relation::Holds => (TimelineKind::Holds, "holds"),
            Relation::Waits => (TimelineKind::Waits, "waits for"),
            Relation::Queued => (TimelineKind::Waits, "queued for"),
        };
        TimelineEntry {
            lane: thread_lane(scene, edge.thread),
            // An edge that was not seen in both samples is known at the last one only.
            from_us: if edge.stable { first } else { last },
            to_us: to_us.filter(|_| edge.stable),
            kind,
            label: format!("{verb} {}", scene.wanted(edge)),
        }
    });
    let running = scene.explained.threads.iter().filter(|thread| {
        thread.state == "R" && thread.cpu_ms > 0 && (thread.serves_request || scene.spins(thread.tid))
    });
    let runs = running.map(|thread| TimelineEntry {
        lane: thread_lane(scene, thread.tid),
        from_us: first,
        to_us,
        kind: TimelineKind::Runs,
        label: format!("{} ms of CPU", thread.cpu_ms),
    });
    edges.chain(runs).collect()
}

fn thread_lane(scene: &Scene<'_>, tid: i32) -> String {
    match scene.thread(tid).map(|thread| thread.name.as_str()) {
        Some(name) if !name.is_empty() => format!("{name} {tid}"),
        _ => format!("thread {tid}"),
    }
}
