//! A model check and its counterexample in words and in columns; shared by all views.

use super::text;
use crate::model::{Agreement, Counterexample, LockWait, ModelReport, Progress, Report, Verdict};

/// Most threads that are given a column.
const COLUMNS: usize = 8;

/// How it can happen: one column for each thread, one row for each step that still counts at the end.
pub(super) struct Picture {
    /// The threads that hold or wait.
    pub(super) threads: Vec<String>,
    /// The steps, in order.
    pub(super) rows: Vec<PictureRow>,
}

/// A step that still counts at the end.
pub(super) struct PictureRow {
    /// The step's number.
    pub(super) step: usize,
    /// Whose column.
    pub(super) column: usize,
    /// What happened.
    pub(super) text: String,
    /// Whether it is a wait.
    pub(super) waits: bool,
}

/// The picture of a counterexample.
pub(super) fn picture(trace: &Counterexample) -> Picture {
    let acts = |thread: &String| {
        trace.holds.iter().any(|held| held.thread == *thread) || trace.waits.iter().any(|wait| wait.thread == *thread)
    };
    let threads: Vec<&String> = trace.threads.iter().filter(|thread| acts(thread)).take(COLUMNS).collect();
    let column = |thread: &String| threads.iter().position(|known| *known == thread);
    let mut rows: Vec<PictureRow> = Vec::new();
    for held in &trace.holds {
        let Some(column) = column(&held.thread) else { continue };
        let text = format!("{} {}: has it", text::name(&held.operation), text::name(&held.lock));
        rows.push(PictureRow { step: held.step, column, text, waits: false });
    }
    for wait in &trace.waits {
        let Some(column) = column(&wait.thread) else { continue };
        let how = if wait.progress == Progress::WaitsForReaders { "claims it, waits" } else { "waits" };
        let text = format!("{} {}: {how}{}", text::name(&wait.operation), text::name(&wait.lock), for_whom(wait));
        rows.push(PictureRow { step: wait.step, column, text, waits: true });
    }
    rows.sort_by_key(|row| row.step);
    Picture { threads: threads.into_iter().map(|thread| text::name(thread)).collect(), rows }
}

/// ` for main`, ` for itself`, or nothing if nobody is known.
fn for_whom(wait: &LockWait) -> String {
    let whom: Vec<String> = wait
        .waits_for
        .iter()
        .take(COLUMNS)
        .map(|thread| if *thread == wait.thread { "itself".to_string() } else { text::name(thread) })
        .collect();
    if whom.is_empty() { String::new() } else { format!(" for {}", text::list(&whom)) }
}

/// The end of the execution in a sentence for each thread that waits.
pub(super) fn sentences(trace: &Counterexample) -> Vec<String> {
    let sentence = |wait: &LockWait| {
        let held: Vec<String> = trace
            .holds
            .iter()
            .filter(|held| held.thread == wait.thread)
            .map(|held| format!("{} ({})", text::name(&held.lock), text::name(&held.operation)))
            .collect();
        let holds = if held.is_empty() { String::new() } else { format!("holds {} and ", text::list(&held)) };
        let for_whom = match for_whom(wait) {
            none if none.is_empty() && wait.is_lock => String::new(),
            none if none.is_empty() => ", and nothing in the model wakes it; no circle of locks says why".to_string(),
            whom => whom,
        };
        let claims = match wait.progress {
            Progress::WaitsForReaders => "; new readers queue behind it",
            _ => "",
        };
        let thread = text::name(&wait.thread);
        let (to, lock) = (text::name(&wait.operation), text::name(&wait.lock));
        format!("{thread} {holds}waits to {to} {lock}{for_whom}{claims}")
    };
    let joins = |wait: &&LockWait| wait.operation != "join";
    trace.waits.iter().filter(joins).take(COLUMNS).map(sentence).collect()
}

/// One line: the circle, or what it is stuck on.
pub(super) fn headline(trace: &Counterexample) -> String {
    match trace.cycle.as_slice() {
        [] => "Nobody can go on, and no circle of locks says why".to_string(),
        [one] => format!("{} waits for itself", text::name(one)),
        several => {
            let ring = from_the_body(trace, several);
            let names: Vec<String> = ring.iter().chain(ring.first()).take(12).map(|name| text::name(name)).collect();
            format!("Each waits for the next: {}", names.join(" → "))
        }
    }
}

/// A circle told from the thread that comes first in the model, which is the one that scrapes.
fn from_the_body<'a>(trace: &Counterexample, cycle: &'a [String]) -> Vec<&'a String> {
    let rank = |name: &String| trace.threads.iter().position(|thread| thread == name);
    let first = (0..cycle.len()).min_by_key(|at| rank(&cycle[*at])).unwrap_or(0);
    cycle.iter().cycle().skip(first).take(cycle.len()).collect()
}

/// Which counterexample of a model's checks to show: the shortest, of the newest version.
pub(super) fn telling<'a>(checks: &[&'a ModelReport]) -> Option<&'a ModelReport> {
    let steps = |check: &ModelReport| check.counterexample.as_ref().map(|trace| trace.steps.len());
    checks.iter().rev().copied().filter(|check| check.counterexample.is_some()).min_by_key(|check| steps(check))
}

/// `exhaustive up to 3 preemptions`, `1000 schedules sampled`, `shown by one execution`.
pub(super) fn strength(model: &ModelReport) -> String {
    let strength = &model.strength;
    match (strength.kind.as_str(), strength.preemptions) {
        ("exhausted", _) => "exhaustive".to_string(),
        ("bounded", Some(n)) => format!("exhaustive up to {n} preemptions"),
        ("sampled", _) => format!("{} schedules sampled", strength.executions),
        ("witness", _) => "shown by one execution".to_string(),
        ("limit", _) => "given up at a limit".to_string(),
        (other, _) => text::name(other),
    }
}

/// Checks of one model that say the same on several versions, as one line.
pub(super) struct Line<'a> {
    /// The first of them.
    pub(super) first: &'a ModelReport,
    /// The versions.
    pub(super) versions: Vec<String>,
    /// How long they took together, in seconds.
    pub(super) seconds: f64,
}

/// The checks of a model, those that differ in the version only put together.
pub(super) fn lines<'a>(checks: &[&'a ModelReport]) -> Vec<Line<'a>> {
    let mut lines: Vec<Line<'a>> = Vec::new();
    let key = |m: &ModelReport| (m.engine.clone(), m.outcome.clone(), m.verdict, m.why.clone());
    let counts = |m: &ModelReport| (m.strength.kind.clone(), m.strength.preemptions, m.strength.executions);
    for check in checks {
        let version = text::name(&check.crate_version);
        let same = |line: &&mut Line<'_>| key(line.first) == key(check) && counts(line.first) == counts(check);
        match lines.iter_mut().find(same) {
            Some(line) if !line.versions.contains(&version) => {
                line.versions.push(version);
                line.seconds += check.strength.seconds;
            }
            _ => lines.push(Line { first: check, versions: vec![version], seconds: check.strength.seconds }),
        }
    }
    lines
}

/// Every model with its checks, in the order in which they were made.
pub(super) fn by_model(models: &[ModelReport]) -> Vec<(&str, Vec<&ModelReport>)> {
    group(models, |model| model.name.as_str())
}

/// Every scenario with the checks of its models.
pub(super) fn by_scenario(models: &[ModelReport]) -> Vec<(&str, Vec<&ModelReport>)> {
    group(models, ModelReport::scenario)
}

fn group<'a>(
    models: &'a [ModelReport],
    key: impl Fn(&'a ModelReport) -> &'a str,
) -> Vec<(&'a str, Vec<&'a ModelReport>)> {
    let mut groups: Vec<(&str, Vec<&ModelReport>)> = Vec::new();
    for model in models {
        match groups.iter_mut().find(|(known, _)| *known == key(model)) {
            Some((_, group)) => group.push(model),
            None => groups.push((key(model), vec![model])),
        }
    }
    groups
}

/// The worst verdict.
pub(super) fn worst(checks: &[&ModelReport]) -> Option<Verdict> {
    checks.iter().map(|check| check.verdict).max()
}

/// What was found, each word once: `deadlock`, or `deadlock, none` if the checks differ.
pub(super) fn found(checks: &[&ModelReport]) -> String {
    let mut words: Vec<String> = Vec::new();
    for check in checks {
        let word = text::name(&check.outcome);
        if !words.contains(&word) {
            words.push(word);
        }
    }
    words.join(", ")
}

/// `128 checks of 32 models: all held`, or how many did not.
pub(super) fn tally(models: &[ModelReport]) -> String {
    let of = |verdict| models.iter().filter(|model| model.verdict == verdict).count();
    let checks = format!("{} of {}", text::count(models.len(), "check"), text::count(by_model(models).len(), "model"));
    let verdicts = [Verdict::Held, Verdict::Violated, Verdict::Vanished, Verdict::Inconclusive];
    let parts: Vec<String> = verdicts
        .into_iter()
        .map(|verdict| (of(verdict), verdict))
        .filter(|(n, _)| *n > 0)
        .map(|(n, verdict)| format!("{n} {verdict}"))
        .collect();
    format!("{checks}: {}", parts.join(", "))
}

/// The order in which comparisons are shown: what contradicts first.
pub(super) const AGREEMENTS: [Agreement; 5] =
    [Agreement::Refuted, Agreement::Held, Agreement::Outside, Agreement::Alone, Agreement::Open];

/// `14 held, 9 outside the model`, refuted always named.
pub(super) fn agreement_tally(report: &Report) -> String {
    let of = |agreement| report.reality.iter().filter(|row| row.agreement == agreement).count();
    let parts: Vec<String> = AGREEMENTS
        .into_iter()
        .map(|agreement| (of(agreement), agreement))
        .filter(|(n, agreement)| *n > 0 || *agreement == Agreement::Refuted)
        .map(|(n, agreement)| format!("{n} {}", agreement.word()))
        .collect();
    parts.join(", ")
}

/// What was seen live: `deadlocked 4, contained 1`.
pub(super) fn live(row: &crate::model::Reality) -> String {
    let words: Vec<String> = row.live.iter().take(16).map(|(word, n)| format!("{} {n}", text::name(word))).collect();
    if words.is_empty() { "–".to_string() } else { words.join(", ") }
}

/// What the models of a row found, each word once.
pub(super) fn modelled(row: &crate::model::Reality) -> String {
    let mut words: Vec<String> = row.models.values().map(|word| text::name(word)).collect();
    words.sort();
    words.dedup();
    words.truncate(16);
    if words.is_empty() { "–".to_string() } else { words.join(", ") }
}
