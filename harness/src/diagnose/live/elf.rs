//! The tables of an ELF file, with every count and length bounded: what a hostile file declares costs no more than a few
//! times its own size.

use super::bytes::Bytes;
use super::window::Window;
use gimli::Reader;
use object::read::elf::{ElfFile64, FileHeader, ProgramHeader, SectionHeader, SectionTable, Sym};
use object::{Endianness, elf};
use std::ffi::CStr;

/// More sections than this are not looked at: linkers write some forty.
const MAX_SECTIONS: usize = 4096;
/// More loadable segments than this are not looked at: every read of a word asks each of them.
const MAX_SEGMENTS: usize = 256;
/// Bytes of a section's name.
const MAX_SECTION_NAME: usize = 64;
/// Bytes of a symbol's name.
const MAX_SYMBOL_NAME: usize = 1 << 16;
/// More symbols than this are not kept.
const MAX_SYMBOLS: usize = 4_000_000;
/// Bytes of a section of notes, and notes in it.
const MAX_NOTES: (u64, usize) = (1 << 16, 64);

/// A loadable segment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Segment {
    pub(super) address: u64,
    pub(super) offset: u64,
    pub(super) size: u64,
    /// Bytes that it takes in memory, some of which the file may not hold.
    pub(super) room: u64,
    pub(super) executable: bool,
    pub(super) writable: bool,
}

/// A section: link-time address and place in the file, which may be none.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Section {
    pub(super) address: u64,
    pub(super) offset: u64,
    pub(super) size: u64,
}

/// A function or object of the symbol table.
#[derive(Clone, Copy, Debug)]
pub(super) struct Symbol {
    pub(super) address: u64,
    pub(super) size: u64,
    /// Where its name lies in the file, and how long it is.
    pub(super) name: (u32, u32),
    pub(super) code: bool,
}

/// What is kept of an ELF file.
pub(super) struct Tables {
    pub(super) segments: Vec<Segment>,
    /// Those that lie in the file as they are, by name.
    pub(super) sections: Vec<(String, Section)>,
    pub(super) build_id: Option<String>,
}

type File<'a> = ElfFile64<'a, Endianness, &'a Bytes>;

impl Tables {
    /// Reads a file; the error says in words what is wrong with it.
    pub(super) fn read(bytes: &Bytes) -> Result<Tables, String> {
        let file = File::parse(bytes).map_err(|e| format!("not a 64-bit ELF file: {e}"))?;
        let endian = file.endian();
        if file.elf_header().e_machine(endian) != elf::EM_X86_64 {
            return Err("not built for x86_64".into());
        }
        let loaded = file.elf_program_headers().iter().filter(|header| header.p_type(endian) == elf::PT_LOAD);
        let segments = loaded
            .take(MAX_SEGMENTS)
            .map(|header| Segment {
                address: header.p_vaddr(endian),
                offset: header.p_offset(endian),
                size: header.p_filesz(endian),
                room: header.p_memsz(endian),
                executable: header.p_flags(endian) & elf::PF_X != Default::default(),
                writable: header.p_flags(endian) & elf::PF_W != Default::default(),
            })
            .collect();
        Ok(Tables { segments, sections: sections(bytes, &file), build_id: build_id(bytes, &file) })
    }
}

/// The name at this place of a section, up to a zero, if that comes within `longest` bytes.
fn text(names: &[u8], start: u32, longest: usize) -> Option<&[u8]> {
    let start = start as usize;
    let end = names.len().min(start.checked_add(longest + 1)?);
    Some(CStr::from_bytes_until_nul(names.get(start..end)?).ok()?.to_bytes())
}

/// A section of names, as far as the file holds it, and where it begins.
fn strings<'a>(
    table: &SectionTable<'a, elf::FileHeader64<Endianness>, &'a Bytes>,
    index: object::SectionIndex,
    endian: Endianness,
    bytes: &'a Bytes,
) -> (u64, &'a [u8]) {
    let range = table.section(index).ok().and_then(|section| section.file_range(endian));
    let (start, size) = range.unwrap_or_default();
    let end = start.saturating_add(size).min(bytes.len() as u64);
    (start, bytes.get(start as usize..end as usize).unwrap_or_default())
}

fn sections(bytes: &Bytes, file: &File<'_>) -> Vec<(String, Section)> {
    let (table, endian) = (file.elf_section_table(), file.endian());
    let Ok(names) = file.elf_header().section_strings_index(endian, bytes) else { return Vec::new() };
    let (_, names) = strings(table, names, endian, bytes);
    let named = |section: &elf::SectionHeader64<Endianness>| {
        // A compressed section would have to be inflated, to any size.
        let plain = section.sh_flags(endian) & elf::SHF_COMPRESSED == Default::default();
        let (offset, size) = section.file_range(endian).filter(|_| plain)?;
        let name = text(names, section.sh_name(endian), MAX_SECTION_NAME)?;
        let name = std::str::from_utf8(name).ok().filter(|name| !name.is_empty())?;
        Some((name.to_owned(), Section { address: section.sh_addr(endian), offset, size }))
    };
    table.iter().take(MAX_SECTIONS).filter_map(named).collect()
}

/// The symbols of a file, ascending by address.
pub(super) fn symbols(bytes: &Bytes) -> Vec<Symbol> {
    let Ok(file) = File::parse(bytes) else { return Vec::new() };
    let endian = file.endian();
    let mut found = Vec::new();
    // Names share their tails at most; a table in which all of them are the same endless one is not worth reading.
    let mut budget = bytes.len().saturating_mul(2);
    for table in [file.elf_symbol_table(), file.elf_dynamic_symbol_table()] {
        let (start, names) = strings(file.elf_section_table(), table.string_section(), endian, bytes);
        for symbol in table.iter() {
            if found.len() >= MAX_SYMBOLS || budget == 0 {
                break;
            }
            let place = symbol.st_shndx(endian);
            let kind = symbol.st_type();
            let defined = !place.is_special() || place == elf::SHN_XINDEX;
            let address = symbol.st_value(endian);
            if !defined || address == 0 || !matches!(kind, elf::STT_FUNC | elf::STT_OBJECT | elf::STT_NOTYPE) {
                continue;
            }
            let Some(at) = start.checked_add(symbol.st_name(endian).into()) else { continue };
            let Some(name) = text(names, symbol.st_name(endian), MAX_SYMBOL_NAME).filter(|name| !name.is_empty())
            else {
                continue;
            };
            budget = budget.saturating_sub(name.len());
            // Marks between code and data.
            if kind == elf::STT_NOTYPE && symbol.st_bind() == elf::STB_LOCAL && name.starts_with(b"$") {
                continue;
            }
            let (Ok(at), Ok(length)) = (u32::try_from(at), u32::try_from(name.len())) else { continue };
            let (size, code) = (symbol.st_size(endian), kind == elf::STT_FUNC);
            found.push(Symbol { address, size, name: (at, length), code });
        }
    }
    found.sort_by_key(|symbol| (symbol.address, symbol.size));
    found
}

/// Addresses of the variables of eight bytes whose name satisfies `matches`.
pub(super) fn words(bytes: &Bytes, matches: impl Fn(&[u8]) -> bool) -> Vec<u64> {
    let Ok(file) = File::parse(bytes) else { return Vec::new() };
    let endian = file.endian();
    let mut found = Vec::new();
    let mut budget = bytes.len().saturating_mul(2);
    for table in [file.elf_symbol_table(), file.elf_dynamic_symbol_table()] {
        let section = file.elf_section_table().section(table.string_section());
        let (start, size) = section.ok().and_then(|section| section.file_range(endian)).unwrap_or_default();
        let variables = table.iter().take(MAX_SYMBOLS).filter(|symbol| {
            let place = symbol.st_shndx(endian);
            symbol.st_type() == elf::STT_OBJECT
                && symbol.st_size(endian) == 8
                && symbol.st_value(endian) != 0
                && (!place.is_special() || place == elf::SHN_XINDEX)
        });
        for symbol in variables {
            let at = start.saturating_add(symbol.st_name(endian).into());
            let end = at.saturating_add(MAX_SYMBOL_NAME as u64 + 1).min(start.saturating_add(size));
            let (Ok(at), Ok(end)) = (usize::try_from(at), usize::try_from(end)) else { continue };
            // Of the names, only those that are asked for are read.
            let Ok(name) = Window::new(bytes, at, end).read_null_terminated_slice() else { continue };
            let Ok(name) = name.to_slice() else { continue };
            let Some(left) = budget.checked_sub(name.len() + 1) else { break };
            budget = left;
            if matches(&name) {
                found.push(symbol.st_value(endian));
            }
        }
    }
    found
}

fn build_id(bytes: &Bytes, file: &File<'_>) -> Option<String> {
    let endian = file.endian();
    let sections = file.elf_section_table().iter().take(MAX_SECTIONS);
    let of_sections = sections
        .filter(|section| section.sh_type(endian) == elf::SHT_NOTE && section.sh_size(endian) <= MAX_NOTES.0)
        .filter_map(|section| section.notes(endian, bytes).ok().flatten());
    let segments = file.elf_program_headers().iter().take(MAX_SECTIONS);
    let of_segments = segments
        .filter(|segment| segment.p_type(endian) == elf::PT_NOTE && segment.p_filesz(endian) <= MAX_NOTES.0)
        .filter_map(|segment| segment.notes(endian, bytes).ok().flatten());
    for mut notes in of_sections.chain(of_segments) {
        for _ in 0..MAX_NOTES.1 {
            let Ok(Some(note)) = notes.next() else { break };
            if note.name() == elf::ELF_NOTE_GNU && note.n_type(endian) == elf::NT_GNU_BUILD_ID {
                return Some(note.desc().iter().take(64).map(|byte| format!("{byte:02x}")).collect());
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicU64;

    /// What is looked for.
    #[used]
    static GATHERLOCK_WORD_OF_THE_TEST: AtomicU64 = AtomicU64::new(7);

    #[test]
    fn a_variable_of_eight_bytes_is_found_by_name_without_reading_all_symbols() {
        let bytes = Bytes::of(std::fs::File::open("/proc/self/exe").unwrap()).unwrap();
        let named = |name: &[u8]| name.windows(27).any(|part| part == b"GATHERLOCK_WORD_OF_THE_TEST");
        let all = symbols(&bytes);
        let name = |symbol: &Symbol| {
            let (start, length) = (symbol.name.0 as usize, symbol.name.1 as usize);
            bytes.get(start..start + length).unwrap()
        };
        let expected: Vec<u64> = all.iter().filter(|symbol| named(name(symbol))).map(|symbol| symbol.address).collect();
        assert_eq!(expected.len(), 1);
        assert_eq!(words(&bytes, named), expected);
        assert!(words(&bytes, |_| true).len() < all.iter().filter(|symbol| !symbol.code).count());
    }
}
