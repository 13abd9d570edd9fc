//! The unwinding tables of a file: the entry that covers an address.

use super::image::Image;
use gimli::{
    BaseAddresses, CieOrFde, CommonInformationEntry, EhFrame, EhFrameHdr, EhFrameOffset, EndianSlice,
    FrameDescriptionEntry, LittleEndian, UnwindSection,
};
use std::sync::OnceLock;

/// Bytes of one entry of the unwinding tables; compilers write a few hundred at most.
const MAX_ENTRY: usize = 1 << 16;
/// Entries of a file whose own index is of no use.
const MAX_ENTRIES: usize = 4_000_000;
/// Entries before the last one that begins in front of an address, among which the one that covers it is looked for.
const OVERLAPS: usize = 16;

type Slice<'a> = EndianSlice<'a, LittleEndian>;

/// The unwinding section of a file, and what its addresses are relative to.
pub(super) fn tables(image: &Image) -> (EhFrame<Slice<'_>>, BaseAddresses) {
    let bases = BaseAddresses::default()
        .set_eh_frame(image.eh_frame.address)
        .set_eh_frame_hdr(image.eh_frame_hdr.address)
        .set_text(image.text);
    (EhFrame::new(image.section(image.eh_frame), LittleEndian), bases)
}

/// The unwinding entry that covers a link-time address.
pub(super) fn entry<'a>(
    image: &'a Image,
    entries: &Entries,
    section: &EhFrame<Slice<'a>>,
    bases: &BaseAddresses,
    address: u64,
) -> gimli::Result<FrameDescriptionEntry<Slice<'a>>> {
    // The one form that linkers write: a 32-bit count and sorted 32-bit offsets. Others make gimli overflow.
    let index = image.section(image.eh_frame_hdr);
    if index.first() != Some(&1) || index.get(2..4) != Some(&[0x03, 0x3b]) {
        return entries.find(image.section(image.eh_frame), section, bases, address);
    }
    let header = EhFrameHdr::new(index, LittleEndian).parse(bases, 8)?;
    let table = header.table().ok_or(gimli::Error::NoUnwindInfoForAddress)?;
    let place = table.lookup(address, bases)?.direct()?;
    // gimli's own step from here to the entry subtracts unchecked.
    let offset = place.checked_sub(header.eh_frame_ptr().direct()?).and_then(|offset| usize::try_from(offset).ok());
    let entry = at(image.section(image.eh_frame), section, bases, offset.ok_or(gimli::Error::NoUnwindInfoForAddress)?)?;
    if entry.contains(address) { Ok(entry) } else { Err(gimli::Error::NoUnwindInfoForAddress) }
}

/// The entry at this place of the section, if it and what it refers to are of a reasonable size.
fn at<'a>(
    bytes: &'a [u8],
    section: &EhFrame<Slice<'a>>,
    bases: &BaseAddresses,
    offset: usize,
) -> gimli::Result<FrameDescriptionEntry<Slice<'a>>> {
    let partial = section.partial_fde_from_offset(bases, EhFrameOffset(offset))?;
    if partial.entry_len() > MAX_ENTRY {
        return Err(gimli::Error::NoUnwindInfoForAddress);
    }
    partial.parse(|_, bases, offset| common(bytes, bases, offset))
}

/// What entries have in common, bounded: cut to a reasonable length, it does not parse.
fn common<'a>(
    bytes: &'a [u8],
    bases: &BaseAddresses,
    offset: EhFrameOffset,
) -> gimli::Result<CommonInformationEntry<Slice<'a>>> {
    let end = offset.0.saturating_add(MAX_ENTRY).min(bytes.len());
    EhFrame::new(bytes.get(..end).unwrap_or_default(), LittleEndian).cie_from_offset(bases, offset)
}

/// The unwinding entries of a file whose own index is missing, or of an unusual form; read once.
#[derive(Default)]
pub(super) struct Entries(OnceLock<Vec<(u64, usize)>>);

impl Entries {
    fn find<'a>(
        &self,
        bytes: &'a [u8],
        section: &EhFrame<Slice<'a>>,
        bases: &BaseAddresses,
        address: u64,
    ) -> gimli::Result<FrameDescriptionEntry<Slice<'a>>> {
        let known = self.0.get_or_init(|| Entries::read(bytes, section, bases));
        let end = known.partition_point(|(start, _)| *start <= address);
        let candidates = known[..end].iter().rev().take(OVERLAPS);
        candidates
            .filter_map(|(_, offset)| at(bytes, section, bases, *offset).ok())
            .find(|entry| entry.contains(address))
            .ok_or(gimli::Error::NoUnwindInfoForAddress)
    }

    /// First address and place of every entry, ascending.
    fn read<'a>(bytes: &'a [u8], section: &EhFrame<Slice<'a>>, bases: &BaseAddresses) -> Vec<(u64, usize)> {
        let mut found = Vec::new();
        let mut entries = section.entries(bases);
        // Honest files have a handful of common entries and name one after the other.
        let mut last: Option<(usize, CommonInformationEntry<Slice<'a>>)> = None;
        while let Ok(Some(entry)) = entries.next() {
            let CieOrFde::Fde(partial) = entry else { continue };
            if partial.entry_len() > MAX_ENTRY {
                continue;
            }
            let entry = partial.parse(|_, bases, offset| {
                if let Some((known, cie)) = &last
                    && *known == offset.0
                {
                    return Ok(cie.clone());
                }
                let cie = common(bytes, bases, offset)?;
                last = Some((offset.0, cie.clone()));
                Ok(cie)
            });
            if let Ok(entry) = entry {
                found.push((entry.initial_address(), entry.offset()));
            }
            if found.len() >= MAX_ENTRIES {
                break;
            }
        }
        found.sort_unstable();
        found
    }
}

/// The first link-time address of the function that covers `address`, and the one behind its last.
pub(super) fn function_bounds(image: &Image, entries: &Entries, address: u64) -> Option<(u64, u64)> {
    let (section, bases) = tables(image);
    let entry = entry(image, entries, &section, &bases, address).ok()?;
    Some((entry.initial_address(), entry.end_address()))
}
