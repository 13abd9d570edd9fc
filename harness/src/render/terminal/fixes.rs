//! The fixes compared, and what was measured apart from the trials, a paragraph for each row.

use super::pen::{Pen, Style};
use crate::model::Report;
use crate::render::fixes::tables;
use crate::render::text;

/// Columns of a row's name.
const NAME: usize = 23;

/// The sections, if there is anything to say.
pub(super) fn section(pen: &mut Pen, report: &Report) {
    for table in tables(report) {
        pen.heading(table.title);
        pen.flow(Style::Dim, &table.says, 0, 12);
        for row in &table.rows {
            pen.put(Style::Plain, "  ");
            pen.cell(Style::Bold, &text::fit(&pen.plain(&row[0]), NAME, pen.ellipsis()), NAME + 1);
            let cells = table.head.iter().zip(row).skip(1).map(|(head, cell)| format!("{head}: {cell}"));
            pen.flow(Style::Plain, &cells.collect::<Vec<_>>().join("; "), NAME + 3, 8);
        }
    }
}
