//! Entries of DWARF: which addresses one covers, what it is called, and what reading it costs.

use super::window::Window;
use gimli::{Abbreviation, Attribute, AttributeValue, EntriesRaw, RangeListsOffset, Reader, UnitOffset, UnitRef};

/// What an entry costs beside its attributes.
const ENTRY: u64 = 2;
/// Bytes of a string.
const MAX_STRING: usize = 1 << 16;

/// What is left to be spent.
pub(super) struct Budget(pub(super) u64);

impl Budget {
    /// Pays; `None` once nothing is left.
    pub(super) fn pay(&mut self, cost: u64) -> Option<()> {
        self.0 = self.0.saturating_sub(cost);
        (self.0 > 0).then_some(())
    }
}

/// Addresses of one function of a unit.
#[derive(Clone, Copy)]
pub(super) struct FunctionRange {
    pub(super) begin: u64,
    pub(super) end: u64,
    pub(super) entry: UnitOffset,
}

/// The attributes that say which addresses an entry covers.
#[derive(Default)]
pub(super) struct Ranges {
    pub(super) low: Option<u64>,
    high: Option<u64>,
    size: Option<u64>,
    list: Option<RangeListsOffset>,
}

impl Ranges {
    pub(super) fn see<'a>(&mut self, unit: UnitRef<'_, Window<'a>>, attribute: &Attribute<Window<'a>>) {
        match (attribute.name(), attribute.value()) {
            (gimli::DW_AT_low_pc, value) => self.low = unit.attr_address(value).ok().flatten(),
            (gimli::DW_AT_high_pc, AttributeValue::Udata(size)) => self.size = Some(size),
            (gimli::DW_AT_high_pc, value) => self.high = unit.attr_address(value).ok().flatten(),
            (gimli::DW_AT_ranges, value) => self.list = unit.attr_ranges_offset(value).ok().flatten(),
            _ => {}
        }
    }

    pub(super) fn each(
        &self,
        unit: UnitRef<'_, Window<'_>>,
        budget: &mut Budget,
        mut found: impl FnMut(u64, u64),
    ) -> Option<()> {
        let mut add = |begin: u64, end: u64| {
            if begin < end {
                found(begin, end);
            }
        };
        match (self.list, self.low, self.high, self.size) {
            (Some(list), ..) => {
                let mut ranges = unit.ranges(list).ok()?;
                // One by one: what is no range, such as a new base, costs as much.
                while let Some(raw) = ranges.next_raw().ok()? {
                    budget.pay(16)?;
                    if let Some(range) = ranges.convert_raw(raw).ok()? {
                        add(range.begin, range.end);
                    }
                }
            }
            (None, Some(low), Some(high), _) => add(low, high),
            (None, Some(low), None, Some(size)) => add(low, low.wrapping_add(size)),
            _ => {}
        }
        Some(())
    }
}

/// Reads the code of an entry and pays for it.
pub(super) fn abbreviation<'b>(
    entries: &mut EntriesRaw<'b, Window<'_>>,
    budget: &mut Budget,
) -> Option<Option<&'b Abbreviation>> {
    let abbreviation = entries.read_abbreviation().ok()?;
    // Attributes may be declared that take no room at all.
    budget.pay(ENTRY + abbreviation.map_or(0, |abbreviation| abbreviation.attributes().len() as u64))?;
    Some(abbreviation)
}

/// A string, if it is of a reasonable length.
pub(super) fn string<'a>(unit: UnitRef<'_, Window<'a>>, value: AttributeValue<Window<'a>>) -> Option<String> {
    let text = unit.attr_string(value).ok()?;
    if text.len() > MAX_STRING {
        return None;
    }
    Some(text.to_string_lossy().ok()?.into_owned())
}

/// Which addresses belong to which function of a unit, ascending.
pub(super) fn functions(unit: UnitRef<'_, Window<'_>>, budget: &mut Budget) -> Vec<FunctionRange> {
    let mut found = Vec::new();
    // What is damaged in the middle ends the list there.
    let _ = collect(unit, budget, &mut found);
    found.sort_unstable_by_key(|range| range.begin);
    found
}

fn collect(unit: UnitRef<'_, Window<'_>>, budget: &mut Budget, found: &mut Vec<FunctionRange>) -> Option<()> {
    let mut entries = unit.entries_raw(None).ok()?;
    while !entries.is_empty() {
        let entry = entries.next_offset();
        let Some(abbreviation) = abbreviation(&mut entries, budget)? else { continue };
        if abbreviation.tag() != gimli::DW_TAG_subprogram {
            entries.skip_attributes(abbreviation.attributes()).ok()?;
            continue;
        }
        let mut ranges = Ranges::default();
        for specification in abbreviation.attributes() {
            ranges.see(unit, &entries.read_attribute(*specification).ok()?);
        }
        ranges.each(unit, budget, |begin, end| found.push(FunctionRange { begin, end, entry }))?;
    }
    Some(())
}

/// Bytes of a table of abbreviations, up to the zero that ends it.
pub(super) fn table_length(table: Window<'_>) -> Option<usize> {
    let mut reader = table;
    loop {
        if reader.read_uleb128().ok()? == 0 {
            return Some(table.len() - reader.len());
        }
        reader.read_uleb128().ok()?;
        reader.read_u8().ok()?;
        loop {
            let (name, form) = (reader.read_uleb128().ok()?, reader.read_uleb128().ok()?);
            if form == u64::from(gimli::DW_FORM_implicit_const.0) {
                reader.read_sleb128().ok()?;
            }
            if name == 0 && form == 0 {
                break;
            }
        }
    }
}
