//! The fixes compared, and what was measured apart from the trials, as tables of the page.

use crate::model::Report;
use crate::render::fixes::{Table, tables};
use maud::{Markup, html};

/// A section for each table that there is.
pub(super) fn sections(report: &Report) -> Markup {
    html! { @for table in tables(report) { (section(&table)) } }
}

fn section(table: &Table) -> Markup {
    html! {
        section class="fixes" {
            h2 { (table.title) }
            p class="soft" { (table.says) }
            div class="wide" { table class="plain" {
                thead { tr { @for head in &table.head { th scope="col" { (head) } } } }
                tbody { @for row in &table.rows { tr {
                    th scope="row" { (row[0]) }
                    @for cell in &row[1..] { td { (cell) } }
                } } }
            } }
        }
    }
}
