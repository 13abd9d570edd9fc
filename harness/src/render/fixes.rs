//! The variants side by side, and what was measured apart from the trials: the words, which each view puts in its own frame.

use super::{digest::number, text};
use crate::model::{FixReport, Fixes, NodeFigures, PageCheck, PageFigures, Report, ServerFigures};

/// Rows of a table that are shown.
const ROWS: usize = 200;

/// What is counted of each variant.
const COUNTED: [&str; 7] = [
    "variant",
    "rows",
    "answered in the bound",
    "threads leaked per scrape",
    "recovered",
    "lost updates",
    "canary moved",
];

/// A table of clean text, and the sentence above it.
pub(super) struct Table {
    pub(super) title: &'static str,
    /// What the columns count.
    pub(super) says: String,
    pub(super) head: Vec<&'static str>,
    /// The first cell of each is its name.
    pub(super) rows: Vec<Vec<String>>,
}

/// Every table that the report has something for.
pub(super) fn tables(report: &Report) -> Vec<Table> {
    let figures = report.figures.as_ref();
    let fixes = report.fixes.as_ref().map(|fixes| compared(report, fixes));
    let server = figures.and_then(|figures| figures.server.as_ref()).map(server);
    let pages = figures.and_then(|figures| figures.pages.as_ref()).map(pages);
    [fixes, server, pages].into_iter().flatten().collect()
}

fn compared(report: &Report, fixes: &Fixes) -> Table {
    let cost = report.figures.as_ref().and_then(|figures| figures.cost.as_ref());
    let costs = cost.map_or("The cost of a scrape was not measured here.".to_string(), |cost| {
        format!(
            "Cost: the time until the answer of one scrape of {} series, as a multiple of the {:.2} ms with {}; measured {} on {}.",
            cost.series,
            cost.reference_ms,
            text::name(&cost.reference),
            text::name(&cost.measured),
            text::count(cost.cpus as usize, "processor")
        )
    });
    Table {
        title: "The fixes compared",
        says: format!(
            "All trials of the {} that hung with {}. Answered: in the bound, by the judged scrape. Contained: an honest refusal, \
             or a page that says what is stale or missing. Threads: the most that a scrape took and kept, per scrape sent, in any \
             trial that scraped an endpoint more than once; one that all scrapes wait for makes 0.33 of three. Recovered: served \
             again after the cause was released, of those where it was. Lost updates: the most in a trial of any row. \
             Canary: moved, where there was an answer to look for it. {costs}",
            text::count(fixes.hang.len(), "row"),
            text::name(&fixes.reference)
        ),
        head: [&COUNTED[..], if cost.is_some() { &["cost of a scrape"] } else { &[] }].concat(),
        rows: fixes.variants.iter().take(ROWS).map(|fix| variant(fix, fixes, cost.is_some())).collect(),
    }
}

fn variant(fix: &FixReport, fixes: &Fixes, costs: bool) -> Vec<String> {
    let not_measured = || "not measured".to_string();
    let name = text::name(&fix.variant);
    let of = |n: u32, all: u32| if all == 0 { not_measured() } else { format!("{n} of {all}") };
    let parts = [(fix.served, "served"), (fix.contained, "contained"), (fix.wrong, "wrong")];
    let parts: Vec<String> = parts.iter().filter(|(n, _)| *n > 0).map(|(n, how)| format!("{n} {how}")).collect();
    let how = if parts.is_empty() { String::new() } else { format!(": {}", parts.join(", ")) };
    let counted = [
        fix.fix.as_ref().map_or(name.clone(), |fix| format!("{name} ({})", text::name(fix))),
        format!("{} of {}", fix.rows, fixes.hang.len()),
        format!("{}{how}", of(fix.answered(), fix.trials)),
        fix.threads_leaked_per_scrape.map_or_else(not_measured, number),
        of(fix.recovered, fix.released),
        fix.lost_updates.map_or_else(not_measured, |lost| lost.to_string()),
        if fix.canary_checked == 0 { "no answer".to_string() } else { of(fix.canary_moved, fix.canary_checked) },
    ];
    let cost = costs.then(|| fix.cost.map_or_else(not_measured, |cost| format!("{cost:.2}")));
    counted.into_iter().chain(cost).collect()
}

fn server(figures: &ServerFigures) -> Table {
    let row = |node: &NodeFigures| {
        let missing: Vec<String> = node.missing_groups.iter().take(16).map(|group| text::name(group)).collect();
        vec![
            text::name(&node.node),
            text::name(&node.case.to_string()),
            number(node.up),
            format!("{:.3}", node.scrape_duration_seconds),
            number(node.samples_before),
            number(node.samples_after),
            node.canary.map_or("no sample".to_string(), number),
            if missing.is_empty() { "–".to_string() } else { missing.join(", ") },
        ]
    };
    Table {
        title: "Seen by a real Prometheus",
        says: format!(
            "{}, which scraped these nodes every {} s with a timeout of {} s; read back from its API on {}, after the mistakes \
             were armed and the canaries bumped to 1.",
            text::name(&figures.version),
            number(figures.scrape_interval_seconds),
            number(figures.scrape_timeout_seconds),
            text::name(&figures.measured)
        ),
        head: vec![
            "node",
            "case",
            "up",
            "scrape_duration_seconds",
            "scrape_samples_scraped before",
            "after",
            "canary",
            "groups missing",
        ],
        rows: figures.nodes.iter().take(ROWS).map(row).collect(),
    }
}

fn pages(figures: &PageFigures) -> Table {
    let row = |page: &PageCheck| {
        let says: Vec<String> = page.says.iter().take(16).map(|line| text::name(line)).collect();
        let exit = page.exit_code.map_or("–".to_string(), |code| code.to_string());
        let says = if says.is_empty() { "–".to_string() } else { says.join("; ") };
        vec![text::name(&page.of), page.verdict().to_string(), exit, says, text::name(&page.content_type)]
    };
    Table {
        title: "Read by promtool",
        says: format!(
            "What promtool check metrics of {} said of each page on {}.",
            text::name(&figures.version),
            text::name(&figures.measured)
        ),
        head: vec!["page of", "verdict", "exit code", "it said", "Content-Type"],
        rows: figures.pages.iter().take(ROWS).map(row).collect(),
    }
}
