//! Functions and source lines from DWARF, for addresses of a file that nobody vouches for.
//!
//! Only what covers an address is read: its unit's list of functions, the one function, the unit's lines. Nothing recurses,
//! and everything that is read is paid for from one budget, a multiple of the size of the debug information: entries that
//! refer to the same long list, or units that share one endless table, use it up instead of the time and the memory.

use super::entries::{Budget, FunctionRange, Ranges, abbreviation, functions, string, table_length};
use super::image::Image;
use super::lines::Lines;
use super::window::Window;
use gimli::{
    Abbreviation, Abbreviations, AttributeValue, DebugAbbrevOffset, DebugInfoOffset, DebugLineOffset, Dwarf,
    DwarfFileType, EntriesRaw, Reader, Section, SectionId, Unit, UnitHeader, UnitOffset, UnitRef, UnitType,
};
use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::Arc;

/// What may be spent: so much for each byte of debug information, and something to begin with.
const FACTOR: u64 = 24;
const SPARE: u64 = 16 << 20;
/// Inlined functions at one address.
const MAX_INLINES: usize = 64;
/// References followed to the name of a function.
const MAX_HOPS: usize = 16;
/// Units looked into for one address.
const MAX_UNITS: usize = 8;

/// One logical function at an address, as DWARF tells it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Found {
    /// Not demangled.
    pub(super) name: Option<String>,
    /// The bare name with its generic arguments, where `name` is a symbol, which may have lost them.
    pub(super) generic: Option<String>,
    pub(super) file: Option<String>,
    pub(super) line: Option<u32>,
}

/// What is known of the units of a file; filled on demand.
pub(super) struct Units {
    units: Vec<Known>,
    /// Ascending by end.
    ranges: Vec<UnitRange>,
    abbreviations: HashMap<usize, Option<Arc<Abbreviations>>>,
    budget: Budget,
}

/// One unit.
struct Known {
    offset: usize,
    functions: Option<Vec<FunctionRange>>,
    lines: Option<Option<Lines>>,
}

struct UnitRange {
    begin: u64,
    end: u64,
    /// The least `begin` of this one and all behind it.
    least: u64,
    unit: usize,
}

/// A unit opened: where its lines are, and what addresses it covers.
struct Opened<'a> {
    unit: Unit<Window<'a>>,
    lines: Option<DebugLineOffset>,
    ranges: Ranges,
}

/// The sections, as they lie in the file.
pub(super) fn sections(image: &Image) -> Dwarf<Window<'_>> {
    let load = |id: SectionId| Ok::<_, Infallible>(image.window(image.named(id.name()).unwrap_or_default()));
    let Ok(sections) = Dwarf::load(load);
    sections
}

impl Units {
    /// Reads which unit covers which addresses; `None` if there is no debug information.
    pub(super) fn read(image: &Image) -> Option<Units> {
        let dwarf = sections(image);
        let names = [SectionId::DebugInfo, SectionId::DebugAbbrev, SectionId::DebugLine, SectionId::DebugRanges];
        let sizes = names.iter().chain([&SectionId::DebugRngLists]).filter_map(|id| image.named(id.name()));
        let size = sizes.map(|section| image.window(section).len() as u64).sum::<u64>();
        if dwarf.debug_info.reader().is_empty() {
            return None;
        }
        let budget = Budget(size.saturating_mul(FACTOR).saturating_add(SPARE));
        let mut known = Units { units: Vec::new(), ranges: Vec::new(), abbreviations: HashMap::new(), budget };
        let mut headers = dwarf.units();
        while let Ok(Some(header)) = headers.next() {
            let Some(offset) = header.debug_info_offset() else { continue };
            let index = known.units.len();
            known.units.push(Known { offset: offset.0, functions: None, lines: None });
            if !matches!(header.type_(), UnitType::Compilation) {
                continue;
            }
            let Some(opened) = known.open(&dwarf, header) else { continue };
            let (ranges, unit) = (&mut known.ranges, UnitRef::new(&dwarf, &opened.unit));
            let add = |begin, end| ranges.push(UnitRange { begin, end, least: 0, unit: index });
            if opened.ranges.each(unit, &mut known.budget, add).is_none() && known.budget.pay(0).is_none() {
                break;
            }
        }
        known.ranges.sort_unstable_by_key(|range| (range.end, range.unit));
        let mut least = u64::MAX;
        for range in known.ranges.iter_mut().rev() {
            least = least.min(range.begin);
            range.least = least;
        }
        Some(known)
    }

    /// The table of abbreviations at an offset; a table that is not paid for is none.
    fn table(&mut self, dwarf: &Dwarf<Window<'_>>, offset: DebugAbbrevOffset) -> Option<Arc<Abbreviations>> {
        if let Some(known) = self.abbreviations.get(&offset.0) {
            return known.clone();
        }
        let mut table = *dwarf.debug_abbrev.reader();
        let length = table.skip(offset.0).ok().and_then(|()| table_length(table));
        let table = length.and_then(|length| {
            self.budget.pay(length as u64)?;
            dwarf.debug_abbrev.abbreviations(offset).ok().map(Arc::new)
        });
        self.abbreviations.insert(offset.0, table.clone());
        table
    }

    /// Reads the first entry of a unit, but not its lines.
    fn open<'a>(&mut self, dwarf: &Dwarf<Window<'a>>, header: UnitHeader<Window<'a>>) -> Option<Opened<'a>> {
        let table = self.table(dwarf, header.debug_abbrev_offset())?;
        let encoding = header.encoding();
        let mut entries = header.entries_raw(&table, None).ok()?;
        let abbreviation = abbreviation(&mut entries, &mut self.budget)??;
        let mut attributes = Vec::new();
        entries.read_attributes(abbreviation.attributes(), &mut attributes).ok()?;
        let mut unit = Unit {
            header,
            abbreviations: table.clone(),
            name: None,
            comp_dir: None,
            low_pc: 0,
            str_offsets_base: gimli::DebugStrOffsetsBase::default_for_encoding_and_file(encoding, DwarfFileType::Main),
            addr_base: gimli::DebugAddrBase(0),
            loclists_base: gimli::DebugLocListsBase::default_for_encoding_and_file(encoding, DwarfFileType::Main),
            rnglists_base: gimli::DebugRngListsBase::default_for_encoding_and_file(encoding, DwarfFileType::Main),
            line_program: None,
            dwo_id: None,
        };
        let mut lines = None;
        for attribute in &attributes {
            match attribute.value() {
                AttributeValue::DebugStrOffsetsBase(base) => unit.str_offsets_base = base,
                AttributeValue::DebugAddrBase(base) => unit.addr_base = base,
                AttributeValue::DebugRngListsBase(base) => unit.rnglists_base = base,
                AttributeValue::DebugLineRef(offset) if attribute.name() == gimli::DW_AT_stmt_list => {
                    lines = Some(offset)
                }
                _ => {}
            }
        }
        let mut ranges = Ranges::default();
        for attribute in &attributes {
            ranges.see(UnitRef::new(dwarf, &unit), attribute);
        }
        let folder = attributes.iter().find(|attribute| attribute.name() == gimli::DW_AT_comp_dir);
        unit.comp_dir = folder.and_then(|attribute| dwarf.attr_string(&unit, attribute.value()).ok());
        unit.low_pc = ranges.low.unwrap_or(0);
        Some(Opened { unit, lines, ranges })
    }

    /// The functions at a link-time address, innermost first, as far as they can be told.
    pub(super) fn at(&mut self, image: &Image, address: u64) -> Vec<Found> {
        let dwarf = sections(image);
        let first = self.ranges.partition_point(|range| range.end <= address);
        let covers = |range: &&UnitRange| range.begin <= address;
        let behind = self.ranges[first..].iter().take_while(|range| range.least <= address);
        let mut units: Vec<usize> =
            behind.take(1 << 16).filter(covers).take(MAX_UNITS).map(|range| range.unit).collect();
        units.dedup();
        for unit in units {
            match self.within(&dwarf, unit, address) {
                Some(found) if !found.is_empty() => return found,
                _ => {}
            }
        }
        Vec::new()
    }

    fn within(&mut self, dwarf: &Dwarf<Window<'_>>, index: usize, address: u64) -> Option<Vec<Found>> {
        let header = dwarf.debug_info.header_from_offset(DebugInfoOffset(self.units[index].offset)).ok()?;
        let opened = self.open(dwarf, header)?;
        let unit = UnitRef::new(dwarf, &opened.unit);
        if self.units[index].functions.is_none() {
            let functions = functions(unit, &mut self.budget);
            self.units[index].functions = Some(functions);
        }
        if self.units[index].lines.is_none() {
            let lines = opened.lines.and_then(|offset| Lines::read(unit, offset, &mut self.budget));
            self.units[index].lines = Some(lines);
        }
        let functions = self.units[index].functions.as_deref().unwrap_or_default();
        let function = functions
            .binary_search_by(|range| match (address < range.begin, address >= range.end) {
                (true, _) => std::cmp::Ordering::Greater,
                (_, true) => std::cmp::Ordering::Less,
                _ => std::cmp::Ordering::Equal,
            })
            .ok()
            .map(|at| functions[at].entry);
        let place = self.units[index].lines.as_ref().and_then(|lines| lines.as_ref()?.at(address));
        let file = |this: &mut Units, file: u64| -> Option<String> {
            let lines = this.units[index].lines.as_mut()?.as_mut()?;
            lines.file(unit, file, &mut this.budget)
        };
        let Some(function) = function else {
            let (number, line) = place?;
            return Some(vec![Found { file: file(self, number), line, ..Found::default() }]);
        };
        let chain = self.chain(unit, function, address)?;
        let mut place = place;
        let mut found = Vec::new();
        for call in chain.into_iter().rev() {
            let (number, line) = place.map_or((None, None), |(file, line)| (Some(file), line));
            let file = number.and_then(|number| file(self, number));
            let (name, generic) = call.title.names();
            found.push(Found { name, generic, file, line });
            place = Some((call.file.unwrap_or(u64::MAX), call.line));
        }
        Some(found)
    }

    /// The function and what was inlined into it at an address, outermost first.
    fn chain(&mut self, unit: UnitRef<'_, Window<'_>>, function: UnitOffset, address: u64) -> Option<Vec<Call>> {
        let mut entries = unit.entries_raw(Some(function)).ok()?;
        let abbreviation_of_function = abbreviation(&mut entries, &mut self.budget)??;
        let (outer, _) = self.call(unit, &mut entries, abbreviation_of_function)?;
        let mut chain = vec![outer];
        // For each entry of an inlined function around the next one: its depth, and whether the address is in it.
        let mut around: Vec<(isize, bool)> = Vec::new();
        while entries.next_depth() > 0 && !entries.is_empty() {
            let depth = entries.next_depth();
            while around.last().is_some_and(|(of, _)| *of >= depth) {
                around.pop();
            }
            let Some(abbreviation) = abbreviation(&mut entries, &mut self.budget)? else { continue };
            let inside = around.iter().all(|(_, inside)| *inside) && chain.len() == around.len() + 1;
            if abbreviation.tag() == gimli::DW_TAG_inlined_subroutine && inside && chain.len() <= MAX_INLINES {
                let (call, ranges) = self.call(unit, &mut entries, abbreviation)?;
                let mut covers = false;
                ranges.each(unit, &mut self.budget, |begin, end| covers |= begin <= address && address < end)?;
                if covers {
                    chain.push(call);
                }
                around.push((depth, covers));
            } else {
                entries.skip_attributes(abbreviation.attributes()).ok()?;
                // What lies in another function, or in one without the address, is none of ours.
                if matches!(abbreviation.tag(), gimli::DW_TAG_inlined_subroutine | gimli::DW_TAG_subprogram) {
                    around.push((depth, false));
                }
            }
        }
        Some(chain)
    }

    /// The attributes of a function or of a place into which one was inlined.
    fn call<'a>(
        &mut self,
        unit: UnitRef<'_, Window<'a>>,
        entries: &mut EntriesRaw<'_, Window<'a>>,
        abbreviation: &Abbreviation,
    ) -> Option<(Call, Ranges)> {
        let mut call = Call::default();
        let mut ranges = Ranges::default();
        let mut origin = None;
        for specification in abbreviation.attributes() {
            let attribute = entries.read_attribute(*specification).ok()?;
            match attribute.name() {
                name if Title::tells(name) => call.title.see(name, string(unit, attribute.value())),
                gimli::DW_AT_abstract_origin | gimli::DW_AT_specification => origin = Some(attribute.value()),
                gimli::DW_AT_call_file => {
                    if let AttributeValue::FileIndex(file) = attribute.value()
                        && (file > 0 || unit.header.version() >= 5)
                    {
                        call.file = Some(file);
                    }
                }
                gimli::DW_AT_call_line => {
                    call.line = attribute.udata_value().map(|line| line as u32).filter(|line| *line != 0);
                }
                _ => ranges.see(unit, &attribute),
            }
        }
        if !call.title.is_known()
            && let Some(origin) = origin
        {
            call.title = self.title(unit, origin).unwrap_or_default();
        }
        Some((call, ranges))
    }

    /// The name of the function that an attribute refers to, possibly in another unit.
    fn title<'a>(&mut self, unit: UnitRef<'_, Window<'a>>, reference: AttributeValue<Window<'a>>) -> Option<Title> {
        let dwarf = unit.dwarf;
        let mut other: Option<Unit<Window<'a>>> = None;
        let mut reference = reference;
        for _ in 0..MAX_HOPS {
            let entry = match reference {
                AttributeValue::UnitRef(entry) => entry,
                AttributeValue::DebugInfoRef(offset) => {
                    let index = self.units.partition_point(|known| known.offset <= offset.0).checked_sub(1)?;
                    let header = dwarf.debug_info.header_from_offset(DebugInfoOffset(self.units[index].offset)).ok()?;
                    let entry = offset.to_unit_offset(&header)?;
                    other = Some(self.open(dwarf, header)?.unit);
                    entry
                }
                _ => return None,
            };
            let unit = UnitRef::new(dwarf, other.as_ref().unwrap_or(unit.unit));
            let mut entries = unit.entries_raw(Some(entry)).ok()?;
            let abbreviation = abbreviation(&mut entries, &mut self.budget)??;
            let (mut title, mut next) = (Title::default(), None);
            for specification in abbreviation.attributes() {
                let attribute = entries.read_attribute(*specification).ok()?;
                match attribute.name() {
                    name if Title::tells(name) => title.see(name, string(unit, attribute.value())),
                    gimli::DW_AT_abstract_origin | gimli::DW_AT_specification => next = Some(attribute.value()),
                    _ => {}
                }
            }
            match next {
                _ if title.is_known() => return Some(title),
                Some(next) => reference = next,
                None => return None,
            }
        }
        None
    }
}

/// What a function is called.
#[derive(Default)]
struct Title {
    symbol: Option<String>,
    bare: Option<String>,
}

impl Title {
    /// Whether an attribute is a part of it.
    fn tells(attribute: gimli::DwAt) -> bool {
        matches!(attribute, gimli::DW_AT_linkage_name | gimli::DW_AT_MIPS_linkage_name | gimli::DW_AT_name)
    }

    fn see(&mut self, attribute: gimli::DwAt, text: Option<String>) {
        match attribute {
            gimli::DW_AT_name => self.bare = text,
            _ => self.symbol = text,
        }
    }

    fn is_known(&self) -> bool {
        self.symbol.is_some() || self.bare.is_some()
    }

    /// The name, and the generic arguments that it may have lost.
    fn names(self) -> (Option<String>, Option<String>) {
        match self.symbol {
            Some(symbol) => (Some(symbol), self.bare.filter(|bare| bare.contains('<'))),
            None => (self.bare, None),
        }
    }
}

/// A function, or a place into which one was inlined.
#[derive(Default)]
struct Call {
    title: Title,
    file: Option<u64>,
    line: Option<u32>,
}

#[cfg(test)]
mod tests {
    use super::super::image::Image;
    use super::*;
    use std::borrow::Cow;
    use std::collections::BTreeSet;

    /// addr2line, which knows no bounds, as the measure: the same functions, files and lines.
    fn measure(image: &Image, addresses: &[u64]) -> Vec<Vec<Found>> {
        let context = addr2line::Context::from_dwarf(sections(image)).unwrap();
        let one = |address: &u64| {
            let mut frames = context.find_frames(*address).skip_all_loads().unwrap();
            let mut found = Vec::new();
            while let Ok(Some(frame)) = frames.next() {
                let name = frame.function.as_ref().and_then(|name| name.raw_name().ok().map(Cow::into_owned));
                let (file, line) =
                    frame.location.map_or((None, None), |place| (place.file.map(str::to_owned), place.line));
                found.push(Found { name, generic: None, file, line });
            }
            found
        };
        addresses.iter().map(one).collect()
    }

    #[test]
    fn a_symbol_names_a_function_and_its_bare_name_the_types() {
        let title = |symbol: Option<&str>, bare: Option<&str>| {
            let mut title = Title::default();
            title.see(gimli::DW_AT_name, bare.map(str::to_owned));
            title.see(gimli::DW_AT_linkage_name, symbol.map(str::to_owned));
            title.names()
        };
        let text = |text: &str| Some(text.to_owned());
        assert_eq!(title(Some("_ZN1a1bE"), Some("b<u8>")), (text("_ZN1a1bE"), text("b<u8>")));
        assert_eq!(title(Some("_ZN1a1bE"), Some("b")), (text("_ZN1a1bE"), None));
        assert_eq!(title(None, Some("b<u8>")), (text("b<u8>"), None));
        assert_eq!(title(None, None), (None, None));
        assert!(!Title::default().is_known());
    }

    #[test]
    fn it_says_what_addr2line_says() {
        let image = Image::parse(std::fs::read("/proc/self/exe").unwrap()).unwrap();
        let all: Vec<u64> = super::super::fuzzed::functions(image.bytes().get(0..image.bytes().len()).unwrap());
        // Every so many functions, at some places in them.
        let addresses: Vec<u64> =
            all.iter().step_by(1 + all.len() / 700).flat_map(|at| [*at, at + 9, at + 31]).collect();
        let wanted = measure(&image, &addresses);
        let mut units = Units::read(&image).unwrap();
        let mut different = BTreeSet::new();
        let mut typed = 0;
        for (address, wanted) in addresses.iter().zip(&wanted) {
            let mut found = units.at(&image, *address);
            typed += found.iter_mut().filter_map(|found| found.generic.take()).count();
            if found != *wanted {
                different.insert(format!("{address:#x}: {found:#?} instead of {wanted:#?}"));
            }
        }
        assert!(typed > 10, "{typed} functions whose symbols have lost their types");
        assert!(different.is_empty(), "{} of {}: {}", different.len(), addresses.len(), different.first().unwrap());
        assert!(wanted.iter().filter(|found| found.len() > 1).count() > 50, "nothing was inlined");
        let cut = |found: &&Vec<Found>| found.iter().any(|found| found.line.is_some() && found.file.is_some());
        assert!(wanted.iter().filter(cut).count() > 300, "few lines");
    }
}
