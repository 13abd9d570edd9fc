//! `gatherlock report FILE`: renders a report again, without running anything.

use super::args::ReportArgs;
use super::figures;
use super::output::{print_document, terminal_options, write_files};
use crate::gate::report_from_journal;
use crate::model::Report;
use crate::render::{json, terminal};
use std::path::Path;

/// Renders the files and prints the report; the exit code is the report's.
pub(super) fn run(args: &ReportArgs) -> Result<u8, String> {
    let mut report = load(&args.file)?;
    report.add_figures(figures::read(args.figures.as_deref())?);
    let folder = args.out.as_deref().or_else(|| args.file.parent()).unwrap_or(Path::new("."));
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let files = write_files(&report, &args.format, folder)?;
    let mut page = terminal::render(&report, &terminal_options());
    page.extend(files.iter().map(|path| format!("  {}\n", path.display())));
    print_document(&page)?;
    Ok(report.exit_code)
}

/// Reads `report.json` or a run's journal, told apart by what is in them.
fn load(path: &Path) -> Result<Report, String> {
    if path.extension().is_some_and(|extension| extension == "jsonl") {
        return report_from_journal(path);
    }
    let text = std::fs::read_to_string(path).map_err(|error| format!("cannot read `{}`: {error}", path.display()))?;
    json::parse(&text).map_err(|error| format!("`{}`: {error}", path.display()))
}
