//! The lines of one unit: which address is which line of which file.

use super::entries::{Budget, string};
use super::window::Window;
use gimli::{DebugLineOffset, Reader, Section, UnitRef};
use std::collections::HashMap;

/// What a row costs: about the memory it takes.
const ROW: u64 = 16;
/// What a file's name in the header of a table costs.
const NAME: u64 = 8;

/// The lines of one unit.
pub(super) struct Lines {
    offset: DebugLineOffset,
    sequences: Vec<Sequence>,
    rows: Vec<Row>,
    files: HashMap<u64, Option<String>>,
}

/// Addresses without a gap.
struct Sequence {
    start: u64,
    end: u64,
    rows: std::ops::Range<usize>,
}

#[derive(Clone, Copy)]
struct Row {
    address: u64,
    file: u32,
    line: u32,
}

/// The table at an offset, paid for by what it says it is long.
fn program<'a>(
    unit: UnitRef<'_, Window<'a>>,
    offset: DebugLineOffset,
    budget: &mut Budget,
    whole: bool,
) -> Option<gimli::IncompleteLineProgram<Window<'a>>> {
    let mut reader = *unit.dwarf.debug_line.reader();
    reader.skip(offset.0).ok()?;
    let length = u64::from(reader.read_u32().ok()?).min(reader.len() as u64);
    // The header alone is read again for each file that is named.
    budget.pay(if whole { length } else { 0 })?;
    let program = unit.dwarf.debug_line.program(offset, unit.header.address_size(), unit.comp_dir, unit.name).ok()?;
    let names = program.header().file_names().len() + program.header().include_directories().len();
    budget.pay(names as u64 * NAME)?;
    Some(program)
}

impl Lines {
    /// Reads the table at an offset.
    pub(super) fn read(unit: UnitRef<'_, Window<'_>>, offset: DebugLineOffset, budget: &mut Budget) -> Option<Lines> {
        let mut program = program(unit, offset, budget, true)?.rows();
        let mut lines = Lines { offset, sequences: Vec::new(), rows: Vec::new(), files: HashMap::new() };
        let mut first = 0;
        while let Ok(Some((_, row))) = program.next_row() {
            budget.pay(ROW)?;
            if row.end_sequence() {
                if let Some(start) = lines.rows.get(first).map(|row| row.address) {
                    let (end, rows) = (row.address(), first..lines.rows.len());
                    if start < end {
                        lines.sequences.push(Sequence { start, end, rows });
                    }
                }
                first = lines.rows.len();
                continue;
            }
            let row = Row {
                address: row.address(),
                file: u32::try_from(row.file_index()).unwrap_or(u32::MAX),
                line: row.line().map_or(0, |line| line.get() as u32),
            };
            match lines.rows[first..].last() {
                Some(last) if last.address == row.address => {
                    let at = lines.rows.len() - 1;
                    lines.rows[at] = row;
                }
                _ => lines.rows.push(row),
            }
        }
        lines.sequences.sort_by_key(|sequence| sequence.start);
        Some(lines)
    }

    /// File and line of an address.
    pub(super) fn at(&self, address: u64) -> Option<(u64, Option<u32>)> {
        let at = self.sequences.partition_point(|sequence| sequence.start <= address).checked_sub(1)?;
        let sequence = self.sequences.get(at).filter(|sequence| address < sequence.end)?;
        let rows = &self.rows[sequence.rows.clone()];
        let row = rows.get(rows.partition_point(|row| row.address <= address).checked_sub(1)?)?;
        Some((row.file.into(), (row.line != 0).then_some(row.line)))
    }

    /// The path of a file, by its number.
    pub(super) fn file(&mut self, unit: UnitRef<'_, Window<'_>>, number: u64, budget: &mut Budget) -> Option<String> {
        if let Some(known) = self.files.get(&number) {
            return known.clone();
        }
        let path = path(unit, self.offset, number, budget);
        self.files.insert(number, path.clone());
        path
    }
}

fn path(unit: UnitRef<'_, Window<'_>>, offset: DebugLineOffset, number: u64, budget: &mut Budget) -> Option<String> {
    let program = program(unit, offset, budget, false)?;
    let header = program.header();
    let file = header.file(number)?;
    let mut path = match unit.comp_dir {
        Some(folder) if folder.len() <= 4096 => folder.to_string_lossy().ok()?.into_owned(),
        _ => String::new(),
    };
    // The directory 0 is the one in which the compiler ran.
    if file.directory_index() != 0
        && let Some(folder) = file.directory(header)
    {
        push(&mut path, &string(unit, folder)?);
    }
    push(&mut path, &string(unit, file.path_name())?);
    Some(path)
}

fn push(path: &mut String, part: &str) {
    if part.starts_with('/') {
        path.clear();
    } else if !path.is_empty() && !path.ends_with('/') {
        path.push('/');
    }
    path.push_str(part);
}
