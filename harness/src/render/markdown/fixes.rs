//! The fixes compared, and what was measured apart from the trials, as tables of a step summary.

use super::escape::{code_cell, prose, prose_cell};
use super::page::Page;
use crate::model::Report;
use crate::render::fixes::tables;
use std::fmt::Write;

/// Adds a section for each table that there is.
pub(super) fn add(page: &mut Page, report: &Report) {
    for table in tables(report) {
        let mut out = format!("### {}\n\n{}\n\n|", table.title, prose(&table.says));
        for head in &table.head {
            let _ = write!(out, " {} |", prose_cell(head));
        }
        let _ = writeln!(out, "\n|{}", "---|".repeat(table.head.len()));
        for row in &table.rows {
            let cells: Vec<String> = row[1..].iter().map(|cell| prose_cell(cell)).collect();
            let _ = writeln!(out, "| {} | {} |", code_cell(&row[0]), cells.join(" | "));
        }
        out.push('\n');
        page.add("table", &out);
    }
}
