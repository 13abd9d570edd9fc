//! An executable or library as a file: where its code, its unwinding tables and its symbols are; parsed once per file.

use super::SampleError;
use super::access::{lives, not_permitted};
use super::bytes::Bytes;
use super::elf::{self, Section, Segment, Symbol, Tables};
use super::locations::Locations;
use super::memory;
use super::proc::{self, Mapping};
use super::symbolize::Names;
use super::unwind::Entries;
use super::window::Window;
use crate::model::{Gap, RawModule};
use std::collections::HashMap;
use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

/// Larger files are not looked at.
const MAX_FILE: u64 = 2 << 30;
/// Bytes of all files of one process: it may map as many as it likes, and files with holes cost it nothing.
const MAX_FILES: u64 = 3 << 30;

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
    pub(super) entries: Entries,
    pub(super) names: Names,
    pub(super) locations: Locations,
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
            entries: Entries::default(),
            names: Names::default(),
            locations: Locations::default(),
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

    /// A word as the file holds it, before the loader and the program have changed it.
    pub(super) fn initial(&self, address: u64) -> Option<u64> {
        Some(u64::from_le_bytes(self.data(address, 8).try_into().ok()?))
    }

    /// A word of a read-only segment.
    fn constant(&self, address: u64) -> Option<u64> {
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

    /// The data symbols whose mangled name satisfies `matches`.
    pub(super) fn data_symbols(&self, matches: impl Fn(&str) -> bool) -> Vec<Symbol> {
        self.symbols().iter().filter(|s| !s.code && self.symbol_name(s).is_some_and(&matches)).copied().collect()
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

/// A file as it lies in a process.
#[derive(Clone)]
pub(super) struct Mapped {
    pub(super) start: u64,
    pub(super) end: u64,
    pub(super) bias: u64,
    pub(super) exe: bool,
    /// The C library, the loader or the kernel's own page: never the application's code.
    pub(super) system: bool,
    /// File name without directories.
    pub(super) name: String,
    pub(super) image: Arc<Image>,
}

/// All files of a process, ascending by address.
#[derive(Clone, Default)]
pub(super) struct Layout {
    modules: Vec<Mapped>,
}

impl Layout {
    /// A layout of these modules.
    #[cfg(test)]
    pub(super) fn of(mut modules: Vec<Mapped>) -> Layout {
        modules.sort_by_key(|module| module.start);
        Layout { modules }
    }

    /// The module that covers a runtime address.
    pub(super) fn find(&self, address: u64) -> Option<&Mapped> {
        let index = self.modules.partition_point(|module| module.start <= address).checked_sub(1)?;
        self.modules.get(index).filter(|module| address < module.end)
    }

    /// Whether a runtime address lies in executable code of a file.
    pub(super) fn is_code(&self, address: u64) -> bool {
        self.find(address).is_some_and(|module| !module.image.code(address.wrapping_sub(module.bias), 1).is_empty())
    }

    /// Every module.
    pub(super) fn modules(&self) -> &[Mapped] {
        &self.modules
    }

    /// What is missing because files were changed while they were being read.
    pub(super) fn lost(&self) -> Vec<Gap> {
        let lost = self.modules.iter().filter(|module| module.image.bytes.is_lost());
        let gap = |module: &Mapped| Gap {
            what: format!("parts of the file `{}`", module.name),
            why: "it was changed while it was being read".to_owned(),
            uncovers: false,
        };
        lost.map(gap).collect()
    }

    /// A word of a read-only segment of any file, by runtime address.
    pub(super) fn read_only_word(&self, address: u64) -> Option<u64> {
        // Read-only data lies in front of the code of the same file, within the same few megabytes.
        self.modules
            .iter()
            .filter(|m| address.abs_diff(m.start) < 1 << 30)
            .find_map(|module| module.image.constant(address.checked_sub(module.bias)?))
    }
}

/// What tells one file from another without reading it.
type FileId = (u64, u64, u64, i64, i64);

/// A file as a snapshot names it: path and build id.
type FileName = (String, Option<String>);

/// Parsed files, shared by all samples of an engine.
#[derive(Default)]
pub(super) struct Images {
    by_file: Mutex<HashMap<FileId, Arc<Image>>>,
    by_path: Mutex<HashMap<FileName, Arc<Image>>>,
}

/// A cache of files that nobody asks for again must not grow without bound.
const MAX_IMAGES: usize = 256;

impl Images {
    /// Finds and parses the executable mappings of a process.
    pub(super) fn modules(
        &self,
        pid: i32,
        mappings: &[Mapping],
        gaps: &mut Vec<Gap>,
    ) -> Result<Vec<RawModule>, SampleError> {
        let exe = std::fs::read_link(format!("/proc/{pid}/exe")).map_err(|e| proc::failure(pid, "exe", &e))?;
        let exe = exe.to_string_lossy();
        let mut modules = Vec::new();
        let mut room = MAX_FILES;
        for mapping in mappings.iter().filter(|m| m.executable && (m.path.starts_with('/') || m.path == "[vdso]")) {
            let main = mapping.path == exe;
            let image = match self.open(pid, mapping, main, room) {
                Ok(image) => image,
                Err(_) if main && !memory::is_readable(pid, mapping.start) && lives(pid) => {
                    return Err(not_permitted(pid));
                }
                Err(reason) if main => return Err(SampleError::WrongArchitecture { pid, reason }),
                Err(reason) => {
                    let name = file_name(&mapping.path);
                    gaps.push(Gap { what: format!("the code of `{name}`"), why: reason, uncovers: false });
                    continue;
                }
            };
            room = room.saturating_sub(image.bytes.len() as u64);
            let offset = if mapping.path == "[vdso]" { 0 } else { mapping.offset };
            let Some(bias) = image.bias(mapping.start, offset) else { continue };
            let build_id = image.build_id.clone();
            let mut by_path = self.by_path.lock().unwrap_or_else(PoisonError::into_inner);
            if by_path.len() >= MAX_IMAGES {
                by_path.clear();
            }
            by_path.insert((mapping.path.clone(), build_id.clone()), image);
            modules.push(RawModule {
                path: mapping.path.clone(),
                exe: main,
                start: mapping.start,
                end: mapping.end,
                bias,
                build_id,
            });
        }
        Ok(modules)
    }

    fn open(&self, pid: i32, mapping: &Mapping, main: bool, room: u64) -> Result<Arc<Image>, String> {
        if mapping.path == "[vdso]" {
            let mut bytes = vec![0; usize::try_from(mapping.end - mapping.start).unwrap_or(0).min(1 << 20)];
            let read = memory::read_process(pid, mapping.start, &mut bytes);
            bytes.truncate(read);
            return Image::parse(bytes).map(Arc::new);
        }
        // A deleted or replaced executable is still there under `exe`; a library in a container is there under `root`.
        let inside = format!("/proc/{pid}/root{}", mapping.path.trim_end_matches(" (deleted)"));
        let mapped = format!("/proc/{pid}/map_files/{:x}-{:x}", mapping.start, mapping.end);
        let first = if main { format!("/proc/{pid}/exe") } else { inside };
        let mut reason = "it cannot be opened".to_owned();
        for path in [first, mapped] {
            match self.load(&path, room) {
                Ok(image) if is_mapped(&image, pid, mapping) => return Ok(image),
                Ok(_) => reason = "the file was replaced while the process runs".into(),
                Err(e) => reason = e,
            }
        }
        Err(reason)
    }

    fn load(&self, path: &str, room: u64) -> Result<Arc<Image>, String> {
        // A target may map what blocks whoever opens it, such as a pipe.
        let mut options = File::options();
        std::os::unix::fs::OpenOptionsExt::custom_flags(options.read(true), libc::O_NONBLOCK);
        let file = options.open(path).map_err(|e| e.to_string())?;
        let meta = file.metadata().map_err(|e| e.to_string())?;
        if !meta.is_file() || meta.len() > MAX_FILE {
            return Err("no regular file of a reasonable size".into());
        }
        let id = (meta.dev(), meta.ino(), meta.len(), meta.mtime(), meta.mtime_nsec());
        if let Some(image) = self.by_file.lock().unwrap_or_else(PoisonError::into_inner).get(&id) {
            return Ok(image.clone());
        }
        if meta.len() > room {
            return Err(format!("the files of the process are larger than {} GiB together", MAX_FILES >> 30));
        }
        let mut magic = [0; 4];
        file.read_exact_at(&mut magic, 0).map_err(|e| e.to_string())?;
        if magic != *b"\x7fELF" {
            return Err("not an ELF file".into());
        }
        let image = Arc::new(Image::parse(Bytes::of(file).map_err(|e| e.to_string())?)?);
        let mut by_file = self.by_file.lock().unwrap_or_else(PoisonError::into_inner);
        if by_file.len() >= MAX_IMAGES {
            by_file.clear();
        }
        by_file.insert(id, image.clone());
        Ok(image)
    }

    /// The layout of a snapshot, from the files seen before or from the disk if they are still the same.
    pub(super) fn layout(&self, modules: &[RawModule], gaps: &mut Vec<Gap>) -> Layout {
        let mut mapped = Vec::new();
        for module in modules {
            let key = (module.path.clone(), module.build_id.clone());
            let known = self.by_path.lock().unwrap_or_else(PoisonError::into_inner).get(&key).cloned();
            let image = known
                .or_else(|| self.load(&module.path, MAX_FILE).ok())
                .filter(|image| image.build_id == module.build_id);
            let name = file_name(&module.path).to_owned();
            let Some(image) = image else {
                let why = "the file is not there, or another build of it".to_owned();
                gaps.push(Gap { what: format!("the code of `{name}`"), why, uncovers: false });
                continue;
            };
            mapped.push(Mapped {
                start: module.start,
                end: module.end,
                bias: module.bias,
                exe: module.exe,
                system: is_system(&name),
                name,
                image,
            });
        }
        mapped.sort_by_key(|module| module.start);
        Layout { modules: mapped }
    }
}

/// Whether the file holds the code that lies in the process, or another build of it.
fn is_mapped(image: &Image, pid: i32, mapping: &Mapping) -> bool {
    let mut there = [0; 256];
    let read = memory::read_process(pid, mapping.start, &mut there);
    let start = usize::try_from(mapping.offset).unwrap_or(usize::MAX);
    let end = start.saturating_add(there.len()).min(image.bytes.len());
    let here = image.bytes.get(start..end).unwrap_or_default();
    let length = read.min(here.len());
    length > 0 && there[..length] == here[..length]
}

/// The last component of a path.
pub(super) fn file_name(path: &str) -> &str {
    path.trim_end_matches(" (deleted)").rsplit('/').next().unwrap_or(path)
}

fn is_system(name: &str) -> bool {
    ["libc.so", "libc-", "libpthread", "ld-linux", "ld-musl", "libgcc_s", "libm.so", "libdl", "librt", "[vdso]"]
        .iter()
        .any(|prefix| name.starts_with(prefix))
}
