//! A diagnosis on a terminal, in the manner of a thread dump.

use super::pen::{Pen, Style};
use crate::model::{CycleStep, Diagnosis, Outcome};
use crate::render::waits::{self, Piece};
use crate::render::{digest, text};

/// Stacks shown for threads that are in no cycle and serve no request.
const OTHERS: usize = 3;
/// Stacks shown in all.
const STACKS: usize = 16;

/// Draws the whole diagnosis.
pub(super) fn draw(pen: &mut Pen, diagnosis: &Diagnosis) {
    head(pen, diagnosis);
    if !diagnosis.cycle.is_empty() {
        pen.end();
        cycle(pen, diagnosis, &diagnosis.cycle);
        order(pen, diagnosis, &diagnosis.cycle);
    }
    let (tellers, more) = waits::tellers(diagnosis);
    if !tellers.is_empty() {
        pen.end();
    }
    for (thread, notes) in tellers {
        pen.put(Style::Bold, &waits::who_thread(thread));
        pen.put(Style::Dim, &format!("  {}", waits::doing(thread)));
        pen.end();
        for note in notes {
            pen.put(Style::Plain, "  ");
            pen.flow(Style::Yellow, &note, 4, 3);
        }
    }
    if more > 0 {
        pen.put(Style::Dim, &format!("{} more: see the stacks", text::count(more, "thread")));
        pen.end();
    }
    for suspect in diagnosis.suspects.iter().take(8) {
        pen.heading("Suspected, not proven");
        cycle(pen, diagnosis, suspect);
        order(pen, diagnosis, suspect);
    }
    around(pen, diagnosis);
    evidence(pen, diagnosis);
    if !diagnosis.advice.is_empty() {
        pen.heading("Fix");
        for advice in diagnosis.advice.iter().take(24) {
            let mark = pen.bullet();
            pen.put(Style::Green, &mark);
            pen.flow(Style::Plain, &text::sentence(advice), text::width(&mark), 8);
        }
    }
    stacks(pen, diagnosis);
    if !diagnosis.gaps.is_empty() {
        pen.heading("Not seen");
        for gap in diagnosis.gaps.iter().take(24) {
            let mark = pen.bullet();
            pen.put(Style::Yellow, &mark);
            let decides = if gap.uncovers { "; no outcome may rest on it" } else { "" };
            let says = format!("{}: {}{decides}", text::sentence(&gap.what), text::sentence(&gap.why));
            pen.flow(Style::Plain, &says, text::width(&mark), 6);
        }
    }
}

/// What stands beside the outcome, and the reasons of a wrong answer. What decided it is the sentence at the top.
fn evidence(pen: &mut Pen, diagnosis: &Diagnosis) {
    let decisive = diagnosis.evidence.iter().filter(|evidence| evidence.decisive && evidence.detector == "scrape");
    let reasons: Vec<&String> = decisive.flat_map(|evidence| &evidence.because).collect();
    if !reasons.is_empty() {
        pen.heading("What is wrong");
        for reason in reasons.into_iter().take(24) {
            let mark = pen.bullet();
            pen.put(Style::Red, &mark);
            pen.flow(Style::Plain, &text::sentence(reason), text::width(&mark), 8);
        }
    }
    let beside: Vec<_> = diagnosis.evidence.iter().filter(|evidence| !evidence.decisive).take(24).collect();
    if !beside.is_empty() {
        pen.heading("Beside it");
        for evidence in beside {
            let mark = pen.bullet();
            pen.put(Style::Plain, &mark);
            pen.flow(Style::Plain, &text::sentence(&evidence.says), text::width(&mark), 8);
        }
    }
}

fn head(pen: &mut Pen, diagnosis: &Diagnosis) {
    let style = if diagnosis.outcome.is_none_or(|o| o == Outcome::Served) { Style::Green } else { Style::Red };
    pen.put(style, &waits::headline(diagnosis));
    let (word, means) = waits::confidence(diagnosis);
    let samples = text::count(diagnosis.samples as usize, "sample");
    // How sure it is matters where the process was looked into.
    let claims = diagnosis.samples > 0 && !diagnosis.threads.is_empty();
    if claims {
        pen.put(Style::Dim, &format!("  {word} from {samples}"));
    }
    pen.end();
    pen.flow(Style::Plain, &text::sentence(&diagnosis.summary), 0, 8);
    if claims {
        pen.flow(Style::Dim, &format!("{word}: {means}"), 0, 4);
    }
    let target = &diagnosis.target;
    let parts: Vec<String> = [
        target.exe.as_deref().map(text::name),
        target.pid.map(|pid| match target.inner_pid {
            Some(inner) => format!("pid {pid} ({inner} in its container)"),
            None => format!("pid {pid}"),
        }),
        target.url.as_deref().map(text::name),
    ]
    .into_iter()
    .flatten()
    .collect();
    if !parts.is_empty() {
        fact(pen, "target", &parts.join(", "));
    }
    let probes = &diagnosis.probes;
    if let Some(metrics) = &probes.metrics {
        fact(pen, "scrape", &digest::exchange(metrics));
        let phases = digest::phases(metrics);
        if !phases.is_empty() {
            fact(pen, "", &phases);
        }
    }
    if let Some(health) = &probes.health {
        fact(pen, "health", &digest::exchange(health));
    }
    if let Some(view) = &probes.prometheus {
        let says = format!(
            "up {}, scrape_duration_seconds {:.3}, scrape_samples_scraped {}",
            view.up, view.scrape_duration_seconds, view.scrape_samples_scraped
        );
        fact(pen, "prometheus", &says);
    } else if probes.metrics.as_ref().is_some_and(|metrics| metrics.error.is_none() && metrics.status.is_some()) {
        fact(pen, "prometheus", "not known: what it would make of this answer was not checked");
    }
}

fn fact(pen: &mut Pen, label: &str, says: &str) {
    pen.put(Style::Dim, &format!("{label:<12}"));
    pen.flow(Style::Plain, says, 12, 4);
}

fn cycle(pen: &mut Pen, diagnosis: &Diagnosis, cycle: &[CycleStep]) {
    for step in waits::steps(diagnosis, cycle) {
        pen.put(Style::Bold, &waits::who(&step.step.thread));
        pen.end();
        let waits_for = &step.step.waits_for;
        let wait = format!("  {:<16} ", waits::waiting(waits_for.mode));
        pen.put(Style::Yellow, &wait);
        pen.flow(Style::Cyan, &waits::what_in_full(step.resource, &waits_for.resource), text::width(&wait), 3);
        site(pen, step.wait.and_then(|edge| edge.site.as_deref()), &waits::known(step.wait, step.resource));
        let hold = format!("  {:<16} ", step.holding());
        pen.put(Style::Red, &hold);
        let itself = step.step.thread.tid == step.step.held_by.tid;
        let holder = if itself { "itself".to_string() } else { waits::who(&step.step.held_by) };
        pen.flow(Style::Bold, &holder, text::width(&hold), 3);
        site(pen, step.hold.and_then(|edge| edge.site.as_deref()), &step.hold_known());
        for note in step.wait.iter().chain(&step.hold).filter_map(|edge| edge.note.as_deref()) {
            pen.cell(Style::Plain, "", 19);
            pen.flow(Style::Dim, &format!("because {}", text::sentence(note)), 19, 3);
        }
    }
}

fn site(pen: &mut Pen, site: Option<&str>, known: &str) {
    pen.cell(Style::Plain, "", 19);
    let site = site.map_or(String::new(), |site| format!("in {} ", text::line(site, 240)));
    pen.flow(Style::Dim, &format!("{site}[{known}]"), 19, 3);
}

/// The lock order, a column for each thread, as lockdep draws it: two columns, each below the other's first line.
fn order(pen: &mut Pen, diagnosis: &Diagnosis, cycle: &[CycleStep]) {
    let steps = waits::steps(diagnosis, cycle);
    let orders = waits::orders(&steps);
    if orders.is_empty() {
        return;
    }
    pen.heading("Lock order");
    let column = (pen.width.saturating_sub(4)) / orders.len().max(1);
    if orders.len() > 3 || column < 24 {
        for order in &orders {
            let says = format!("{}: {} → {}", waits::who(order.thread), order.has, order.wants);
            pen.put(Style::Plain, "  ");
            pen.flow(Style::Plain, &says, 4, 3);
        }
        return;
    }
    let mut row = |style: Style, parts: &[String]| {
        pen.put(Style::Plain, "  ");
        for part in parts {
            let part = text::fit(&pen.plain(part), column - 2, pen.ellipsis());
            pen.cell(style, &part, column);
        }
        pen.end();
    };
    row(Style::Bold, &orders.iter().map(|order| waits::who(order.thread)).collect::<Vec<_>>());
    // Each thread takes its first lock before any of them asks for its second: that interleaving is the deadlock.
    for at in 0..orders.len() {
        let first = |n: usize| if n == at { orders[n].has.clone() } else { String::new() };
        row(Style::Plain, &(0..orders.len()).map(first).collect::<Vec<_>>());
    }
    for at in 0..orders.len() {
        let second = |n: usize| if n == at { format!("{}  (waits)", orders[n].wants) } else { String::new() };
        row(Style::Yellow, &(0..orders.len()).map(second).collect::<Vec<_>>());
    }
}

fn around(pen: &mut Pen, diagnosis: &Diagnosis) {
    let behind = waits::behind(diagnosis);
    let runtime = waits::runtime(diagnosis);
    if behind.is_empty() && runtime.is_none() {
        return;
    }
    pen.end();
    if !behind.is_empty() {
        let groups: Vec<String> = behind
            .iter()
            .take(6)
            .map(|(name, mode, n)| format!("{} for {mode} {name}", text::count(*n, "thread")))
            .collect();
        let more = if behind.len() > 6 { format!(", and {} more", behind.len() - 6) } else { String::new() };
        fact(pen, "behind it", &format!("{}{more}", text::list(&groups)));
    }
    if let Some(runtime) = runtime {
        fact(pen, "runtime", &runtime);
    }
}

fn stacks(pen: &mut Pen, diagnosis: &Diagnosis) {
    let groups = waits::groups(diagnosis);
    if groups.is_empty() {
        return;
    }
    pen.heading("Stacks, innermost frame first");
    let (mut shown, mut others, mut left_out) = (0, 0, 0);
    for group in &groups {
        let first = group.threads[0];
        others += usize::from(!group.matters);
        if !pen.full && (shown == STACKS || (!group.matters && others > OTHERS)) {
            left_out += group.threads.len();
            continue;
        }
        shown += 1;
        pen.put(Style::Bold, &waits::who_thread(first));
        let more = group.threads.len() - 1;
        let same =
            if more > 0 { format!(" and {} with the same stack", text::count(more, "thread")) } else { String::new() };
        pen.put(Style::Dim, &format!("{same}  {}", waits::doing(first)));
        pen.end();
        let notes = waits::notes(diagnosis, first);
        for (_, note) in notes.iter().filter(|(at, _)| at.is_none()) {
            pen.put(Style::Cyan, "       - ");
            pen.flow(Style::Cyan, note, 9, 3);
        }
        let pieces = if pen.full { waits::unfolded(&first.stack) } else { waits::fold(&first.stack) };
        for piece in pieces.into_iter().take(if pen.full { usize::MAX } else { 64 }) {
            let at = match piece {
                Piece::Runtime(_, frames) => {
                    pen.put(Style::Dim, &format!("       … {}", text::count(frames.len(), "runtime frame")));
                    pen.end();
                    continue;
                }
                Piece::Frame(at, frame) => {
                    let (function, place) = waits::frame(frame);
                    pen.put(Style::Plain, &format!("  #{at:<3} "));
                    pen.flow(Style::Plain, &format!("{function}  {place}"), 11, 3);
                    at
                }
            };
            for (_, note) in notes.iter().filter(|(place, _)| *place == Some(at)) {
                pen.put(Style::Cyan, "       - ");
                pen.flow(Style::Cyan, note, 9, 3);
            }
        }
        if first.stack.is_empty() {
            pen.put(Style::Dim, "       no stack");
            pen.end();
        }
        if first.omitted_frames > 0 {
            let frames = text::count(first.omitted_frames as usize, "outer frame");
            pen.put(Style::Dim, &format!("       … {frames} left out of the report"));
            pen.end();
        }
    }
    if left_out > 0 {
        let more = text::count(left_out, "thread");
        pen.put(Style::Dim, &format!("{more} more in the JSON report, or with `gatherlock diagnose --full`"));
        pen.end();
    }
}
