//! An executable or library as a file: where its code, its unwinding tables and its symbols are; parsed once per file.

use super::bytes::Bytes;
use super::elf::{self, Section, Segment, Symbol, Tables};
use super::window::Window;
use std::ops::Range;
use std::sync::OnceLock;

/// A parsed file.
pub(super) struct Image {
    pub(super) build_id: Option<String>,
    bytes: Bytes,
    segments: Vec<Segment>,
    sections: Vec<(String, Section)>,
    pub(super) eh_frame: Section,
    pub(super) eh_frame_hdr: Section,
    pub(super) text: u64,
    /// Ascending by address; read when the first is asked for.
    symbols: OnceLock<Vec<Symbol>>,
}

impl Image {
    /// Parses a file; the error says in words what is wrong with it.
    pub(super) fn parse(bytes: impl Into<Bytes>) -> Result<Image, String> {
        let bytes = bytes.into();
        let Tables { segments, sections, build_id } = Tables::read(&bytes)?;
        let mut image = Image {
            build_id,
            segments,
            sections,
            symbols: OnceLock::new(),
            eh_frame: Section::default(),
            eh_frame_hdr: Section::default(),
            text: 0,
            bytes,
        };
        image.eh_frame = image.named(".eh_frame").unwrap_or_default();
        image.eh_frame_hdr = image.named(".eh_frame_hdr").unwrap_or_default();
        image.text = image.named(".text").map_or(0, |section| section.address);
        Ok(image)
    }

    /// The section of this name, if it lies in the file as it is.
    pub(super) fn named(&self, name: &str) -> Option<Section> {
        self.sections.iter().find(|(known, _)| known == name).map(|(_, section)| *section)
    }

    /// The file itself.
    pub(super) fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// Where a section lies in the file; empty unless the file holds all of it.
    fn extent(&self, section: Section) -> Range<usize> {
        let (start, end) = (section.offset as usize, section.offset.saturating_add(section.size) as usize);
        if start <= end && end <= self.bytes.len() { start..end } else { 0..0 }
    }

    /// A section's contents; empty unless the file holds all of them.
    pub(super) fn section(&self, section: Section) -> &[u8] {
        self.bytes.get(self.extent(section)).unwrap_or_default()
    }

    /// The same, to be read bit by bit.
    pub(super) fn window(&self, section: Section) -> Window<'_> {
        let extent = self.extent(section);
        Window::new(&self.bytes, extent.start, extent.end)
    }

    /// Up to so many bytes of code from a link-time address on, within its segment; empty if it is no code.
    pub(super) fn code(&self, address: u64, length: usize) -> &[u8] {
        let code = self.segments.iter().filter(|s| s.executable).find_map(|s| self.from(s, address, length));
        code.unwrap_or_default()
    }

    /// What the file holds from a link-time address on, as much as that within its segment, writable or not.
    pub(super) fn data(&self, address: u64, length: usize) -> &[u8] {
        self.segments.iter().find_map(|segment| self.from(segment, address, length)).unwrap_or_default()
    }

    /// Whether a link-time address lies in its code or data, also in what the file does not hold.
    pub(super) fn holds(&self, address: u64) -> bool {
        let inside = |segment: &Segment| address.checked_sub(segment.address).is_some_and(|at| at < segment.room);
        self.segments.iter().any(inside)
    }

    /// A word as the file holds it, before the loader and the program have changed it.
    pub(super) fn initial(&self, address: u64) -> Option<u64> {
        Some(u64::from_le_bytes(self.data(address, 8).try_into().ok()?))
    }

    /// A word of a read-only segment.
    pub(super) fn constant(&self, address: u64) -> Option<u64> {
        let word = self.segments.iter().filter(|s| !s.writable).find_map(|s| self.from(s, address, 8))?;
        Some(u64::from_le_bytes(word.try_into().ok()?))
    }

    fn from(&self, segment: &Segment, address: u64, length: usize) -> Option<&[u8]> {
        let offset = address.checked_sub(segment.address).filter(|offset| *offset < segment.size)?;
        let start = usize::try_from(segment.offset.checked_add(offset)?).ok()?;
        let end = usize::try_from(segment.offset.checked_add(segment.size)?).ok()?;
        let end = end.min(self.bytes.len()).min(start.saturating_add(length));
        self.bytes.get(start..end)
    }

    /// Runtime address minus link-time address, given where the kernel mapped file offset `offset`.
    pub(super) fn bias(&self, start: u64, offset: u64) -> Option<u64> {
        let segment = self.segments.iter().find(|s| {
            s.executable && (s.offset & !0xfff) <= offset && offset < s.offset.saturating_add(s.size.max(1))
        })?;
        Some(start.wrapping_sub(segment.address.wrapping_add(offset).wrapping_sub(segment.offset)))
    }

    fn symbols(&self) -> &[Symbol] {
        self.symbols.get_or_init(|| elf::symbols(&self.bytes))
    }

    /// The symbol that covers a link-time address: code or data as asked.
    pub(super) fn symbol(&self, address: u64, code: bool) -> Option<(&Symbol, &str)> {
        let symbols = self.symbols();
        let end = symbols.partition_point(|symbol| symbol.address <= address);
        // Aliases and markers without a size may lie between; a few steps back are enough.
        symbols[..end].iter().rev().take(16).find_map(|symbol| {
            let inside = address - symbol.address < symbol.size.max(1);
            (inside && symbol.code == code).then(|| Some((symbol, self.symbol_name(symbol)?))).flatten()
        })
    }

    /// Link-time addresses of the variables of eight bytes whose mangled name satisfies `matches`. It takes a fraction of
    /// what reading all symbols does.
    pub(super) fn words_named(&self, matches: impl Fn(&str) -> bool) -> Vec<u64> {
        elf::words(&self.bytes, |name| std::str::from_utf8(name).is_ok_and(&matches))
    }

    fn symbol_name(&self, symbol: &Symbol) -> Option<&str> {
        let (start, length) = (symbol.name.0 as usize, symbol.name.1 as usize);
        std::str::from_utf8(self.bytes.get(start..start.checked_add(length)?)?).ok()
    }

    /// Whether there is a symbol table worth the name.
    pub(super) fn has_symbols(&self) -> bool {
        self.symbols().iter().filter(|symbol| symbol.code).take(64).count() == 64
    }
}
