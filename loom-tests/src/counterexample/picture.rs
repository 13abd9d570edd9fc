//! How it can happen: one column for each thread, one row for each step that still counts at the end.

use super::labels::Labels;
use crate::shim::{Action, Recorded};
use crate::waits::End;

struct Row {
    event: usize,
    thread: usize,
    text: String,
}

/// The picture, without a final newline.
pub(super) fn draw(recorded: &Recorded, end: &End, labels: &Labels) -> String {
    let mut rows: Vec<Row> = Vec::new();
    for hold in &end.holds {
        let text = format!("{} {}: has it", hold.mode.word(), labels.label(hold.object));
        rows.push(Row { event: hold.event, thread: hold.thread, text });
    }
    for wait in &end.waits {
        let whom = end.blockers(wait, recorded);
        let whom: Vec<&str> = whom
            .iter()
            .map(|thread| if *thread == wait.thread { "itself" } else { recorded.threads[*thread].as_str() })
            .collect();
        let whom = if whom.is_empty() { String::new() } else { format!(" for {}", whom.join(", ")) };
        let how = if wait.action == Action::BlockedByReaders { "claims it, waits" } else { "waits" };
        let text = format!("{} {}: {how}{whom}", wait.mode.word(), labels.label(wait.object));
        rows.push(Row { event: wait.event, thread: wait.thread, text });
    }
    rows.sort_by_key(|row| row.event);
    let mut columns: Vec<usize> = rows.iter().map(|row| row.thread).collect();
    columns.sort_unstable();
    columns.dedup();

    let cell = |row: &Row| format!("{}. {}", row.event + 1, row.text);
    let width = |column: usize| {
        let cells = rows.iter().filter(|row| row.thread == column).map(|row| cell(row).chars().count());
        cells.chain([recorded.threads[column].chars().count()]).max().unwrap_or_default()
    };
    let widths: Vec<usize> = columns.iter().map(|column| width(*column)).collect();
    let line = |texts: Vec<String>| {
        let padded: Vec<String> = texts.iter().zip(&widths).map(|(text, width)| format!("{text:width$}")).collect();
        padded.join(" | ").trim_end().to_owned()
    };
    let mut lines = vec![
        line(columns.iter().map(|column| recorded.threads[*column].clone()).collect()),
        widths.iter().map(|width| "-".repeat(*width)).collect::<Vec<_>>().join("-+-"),
    ];
    for row in &rows {
        lines.push(line(
            columns.iter().map(|column| if row.thread == *column { cell(row) } else { String::new() }).collect(),
        ));
    }
    lines.join("\n")
}
