//! Where output goes: colour or not, how wide, and the files of a report.

use super::args::FileFormat;
use crate::gate::write_atomically;
use crate::model::Report;
use crate::render::terminal::TerminalOptions;
use crate::render::{html, json, junit, markdown};
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};

/// Narrower than this, tables wrap in the terminal rather than in the renderer.
const LEAST_WIDTH: usize = 60;
/// Wider than this, lines are hard to read.
const MOST_WIDTH: usize = 160;
/// What a CI log shows without wrapping.
const LOG_WIDTH: usize = 120;

/// How stdout is to be written: `NO_COLOR` (non-empty) and `CLICOLOR_FORCE` are honoured; a stdout that is no terminal
/// gets no colour.
pub(super) fn terminal_options() -> TerminalOptions {
    let set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty() && value != "0");
    let terminal = std::io::stdout().is_terminal();
    let width =
        if terminal { usize::from(console::Term::stdout().size().1).clamp(LEAST_WIDTH, MOST_WIDTH) } else { LOG_WIDTH };
    let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    TerminalOptions { color: !no_color && (set("CLICOLOR_FORCE") || terminal), width, unicode: true }
}

/// Prints a document. Whoever reads it may stop early, as `head` does: that is no error.
pub(super) fn print_document(text: &str) -> Result<(), String> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(format!("cannot write to stdout: {error}")),
        _ => Ok(()),
    }
}

impl FileFormat {
    fn file_name(self) -> &'static str {
        match self {
            FileFormat::Json => "report.json",
            FileFormat::Html => "report.html",
            FileFormat::Md => "report.md",
            FileFormat::Junit => "junit.xml",
        }
    }

    fn render(self, report: &Report) -> String {
        match self {
            FileFormat::Json => json::render(report),
            FileFormat::Html => html::render(report),
            FileFormat::Md => markdown::render(report),
            FileFormat::Junit => junit::render(report),
        }
    }
}

/// Writes the given files, each whole or not at all, and returns their paths.
pub(super) fn write_files(report: &Report, formats: &[FileFormat], folder: &Path) -> Result<Vec<PathBuf>, String> {
    std::fs::create_dir_all(folder).map_err(|error| format!("cannot create `{}`: {error}", folder.display()))?;
    let mut written = Vec::new();
    for format in formats {
        let path = folder.join(format.file_name());
        write_atomically(&path, format.render(report).as_bytes())
            .map_err(|error| format!("cannot write `{}`: {error}", path.display()))?;
        written.push(path);
    }
    Ok(written)
}
