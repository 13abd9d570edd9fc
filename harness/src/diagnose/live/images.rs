//! The files of processes, found, opened and parsed, each once.

use super::bytes::Bytes;
use super::image::Image;
use super::layout::{Binary, Layout, Mapped, file_name, is_system};
use super::proc::{self, Mapping};
use super::remote;
use crate::diagnose::SampleError;
use crate::diagnose::access::{lives, not_permitted};
use crate::model::{Gap, RawModule};
use std::collections::HashMap;
use std::fs::File;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::sync::{Arc, Mutex, PoisonError};

/// Larger files are not looked at.
const MAX_FILE: u64 = 2 << 30;
/// Bytes of all files of one process: it may map as many as it likes, and files with holes cost it nothing.
const MAX_FILES: u64 = 3 << 30;

/// What tells one file from another without reading it.
type FileId = (u64, u64, u64, i64, i64);

/// A file as a snapshot names it: path and build id.
type FileName = (String, Option<String>);

/// Parsed files, shared by all samples of an engine.
#[derive(Default)]
pub(super) struct Images {
    by_file: Mutex<HashMap<FileId, Arc<Binary>>>,
    by_path: Mutex<HashMap<FileName, Arc<Binary>>>,
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
                Err(_) if main && !remote::is_readable(pid, mapping.start) && lives(pid) => {
                    return Err(not_permitted(pid));
                }
                Err(reason) if main => return Err(SampleError::WrongArchitecture { pid, reason }),
                Err(reason) => {
                    let name = file_name(&mapping.path);
                    gaps.push(Gap { what: format!("the code of `{name}`"), why: reason, uncovers: false });
                    continue;
                }
            };
            room = room.saturating_sub(image.bytes().len() as u64);
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

    fn open(&self, pid: i32, mapping: &Mapping, main: bool, room: u64) -> Result<Arc<Binary>, String> {
        if mapping.path == "[vdso]" {
            let mut bytes = vec![0; usize::try_from(mapping.end - mapping.start).unwrap_or(0).min(1 << 20)];
            let read = remote::read_process(pid, mapping.start, &mut bytes);
            bytes.truncate(read);
            return Image::parse(bytes).map(|image| Arc::new(Binary::new(image)));
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

    fn load(&self, path: &str, room: u64) -> Result<Arc<Binary>, String> {
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
        let image = Image::parse(Bytes::of(file).map_err(|e| e.to_string())?)?;
        let image = Arc::new(Binary::new(image));
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
        Layout::of(mapped)
    }
}

/// Whether the file holds the code that lies in the process, or another build of it.
fn is_mapped(image: &Image, pid: i32, mapping: &Mapping) -> bool {
    let mut there = [0; 256];
    let read = remote::read_process(pid, mapping.start, &mut there);
    let start = usize::try_from(mapping.offset).unwrap_or(usize::MAX);
    let end = start.saturating_add(there.len()).min(image.bytes().len());
    let here = image.bytes().get(start..end).unwrap_or_default();
    let length = read.min(here.len());
    length > 0 && there[..length] == here[..length]
}
