//! The models in a step summary: a row each, what contradicts what was seen live, and a counterexample for each that hangs.

use super::escape::{code, code_cell, escape_html, longest_run, prose, prose_cell};
use super::page::Page;
use crate::model::Report;
use crate::render::digest::sign;
use crate::render::interleaving::{self, AGREEMENTS};
use crate::render::{terminal, text};
use std::fmt::Write;

/// Adds what there is to say.
pub(super) fn add(page: &mut Page, report: &Report) {
    if report.models.is_empty() {
        return;
    }
    let groups = interleaving::by_model(&report.models);
    page.add(
        "heading",
        &format!(
            "### Models\n\n{}.\n\n| model | found | loom | shuttle | versions |\n|---|---|---|---|---|\n",
            prose(&interleaving::tally(&report.models))
        ),
    );
    for (name, checks) in &groups {
        let under = |engine: &str| {
            let mut all: Vec<String> = Vec::new();
            for check in checks.iter().filter(|check| check.engine == engine) {
                let executions = usize::try_from(check.strength.executions).unwrap_or(usize::MAX);
                let says = format!("{}, {}", interleaving::strength(check), text::count(executions, "execution"));
                if !all.contains(&says) {
                    all.push(says);
                }
            }
            prose_cell(&all.join("; "))
        };
        let mut versions: Vec<String> = checks.iter().map(|check| text::name(&check.crate_version)).collect();
        versions.sort();
        versions.dedup();
        let row = format!(
            "| {} {} | {} | {} | {} | {} |\n",
            sign(interleaving::worst(checks)),
            code_cell(name),
            prose_cell(&interleaving::found(checks)),
            under("loom"),
            under("shuttle"),
            prose_cell(&versions.join(", "))
        );
        page.add("model", &row);
        for check in checks.iter().filter(|check| check.why.is_some()) {
            let why = check.why.as_deref().unwrap_or_default();
            let (engine, version) = (prose_cell(&check.engine), prose_cell(&check.crate_version));
            page.add("model", &format!("| | {engine} on {version}: {} | | | |\n", prose_cell(why)));
        }
    }
    page.add("heading", "\n");
    reality(page, report);
    for (_, checks) in &groups {
        let Some(check) = interleaving::telling(checks) else { continue };
        let Some(trace) = &check.counterexample else { continue };
        let options = terminal::TerminalOptions { color: false, width: 110, unicode: true };
        let body = terminal::interleaving(trace, &options);
        let fence = "`".repeat(longest_run(&body, '`').max(2) + 1);
        let title = summary(&format!("{}: {}", text::name(&check.name), interleaving::headline(trace)));
        let replay = check.replay.as_deref().map_or(String::new(), |replay| format!("\nreplay: {}\n", code(replay)));
        let block =
            format!("<details><summary>{title}</summary>\n\n{fence}text\n{body}{fence}\n{replay}\n</details>\n\n");
        page.add("counterexample", &block);
    }
}

/// Text between tags, where Markdown is not looked for, and mentions are.
fn summary(text: &str) -> String {
    let text = escape_html(text).replace('`', "&#96;").replace(']', "&#93;").replace("://", "&#58;//");
    text.replace('@', "@<!-- -->")
}

fn reality(page: &mut Page, report: &Report) {
    if report.reality.is_empty() {
        return;
    }
    let mut out = format!("### Model against reality: {}\n\n", interleaving::agreement_tally(report));
    out.push_str("| scenario | live | model | agree | because |\n|---|---|---|---|---|\n");
    for agreement in AGREEMENTS {
        for row in report.reality.iter().filter(|row| row.agreement == agreement) {
            let _ = writeln!(
                out,
                "| {} | {} | {} | {} | {} |",
                code_cell(&row.scenario),
                prose_cell(&interleaving::live(row)),
                prose_cell(&interleaving::modelled(row)),
                agreement.word(),
                prose_cell(&row.says)
            );
        }
    }
    out.push('\n');
    page.add("comparison of models and trials", &out);
}
