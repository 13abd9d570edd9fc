//! Where the fuzzer gets at the engine: each function takes what a target could have made up, and asks it everything the
//! engine asks.

use super::elf::{self, Tables};
use super::image::Image;
use super::images::Images;
use super::layout::Layout;
use super::made::{self, BASE, STACK};
use super::memory::Memory;
use super::unwind::{self, RIP};
use super::{explain, files, proc, tasks};
use crate::diagnose::moment::Moment;
use crate::model::Snapshot;
use std::cell::Cell;
use std::collections::BTreeMap;

/// Places of an executable that matter, by name: headers, and every section.
pub(crate) fn regions(bytes: &[u8]) -> Vec<(String, usize, usize)> {
    let tables = Tables::read(&bytes.to_vec().into()).unwrap();
    let number = |at: usize, size: usize| {
        let mut word = [0; 8];
        word[..size].copy_from_slice(&bytes[at..at + size]);
        u64::from_le_bytes(word) as usize
    };
    // Offset of the section headers, their size and number; the same of the program headers.
    let (sections, size, count) = (number(40, 8), number(58, 2), number(60, 2));
    let (programs, program, programs_count) = (number(32, 8), number(54, 2), number(56, 2));
    let mut regions = vec![
        ("ELF header".to_owned(), 0, 64),
        ("program headers".to_owned(), programs, programs + program * programs_count),
        ("section headers".to_owned(), sections, sections + size * count),
    ];
    let place = |offset: u64, size: u64| (offset as usize, (offset + size) as usize);
    regions.extend(tables.sections.into_iter().map(|(name, section)| {
        let (start, end) = place(section.offset, section.size);
        (name, start, end)
    }));
    regions
}

/// First addresses of functions of an executable.
pub(crate) fn functions(bytes: &[u8]) -> Vec<u64> {
    let symbols = elf::symbols(&bytes.to_vec().into());
    symbols.iter().filter(|symbol| symbol.code).map(|symbol| symbol.address).collect()
}

fn layout(bytes: Vec<u8>) -> Option<Layout> {
    let length = bytes.len() as u64;
    Some(made::layout(Image::parse(bytes).ok()?, length))
}

/// An executable, asked about these link-time addresses; how many of them have a name.
pub(crate) fn executable(bytes: Vec<u8>, addresses: &[u64]) -> Option<usize> {
    let layout = layout(bytes)?;
    let module = &layout.modules()[0];
    let image = &module.image;
    let mut named = 0;
    for &address in addresses {
        let frames = module.image.frames(address);
        assert!(!frames.is_empty());
        named += usize::from(frames.iter().any(|frame| !frame.function.is_empty()));
        image.function(address);
        image.symbol(address, false);
        image.initial(address);
        image.bias(BASE, address);
        image.function_bounds(address);
        image.never_returns(address);
        image.hints(address);
        layout.is_code(BASE.wrapping_add(address));
        layout.read_only_word(BASE.wrapping_add(address));
    }
    image.words_named(|name| name.contains("HASHTABLE"));
    image.has_symbols();
    image.versions("parking_lot_core");
    Some(named)
}

/// Source lines of an executable, at these link-time addresses; how many have one.
pub(crate) fn lines(bytes: Vec<u8>, addresses: &[u64]) -> Option<usize> {
    let layout = layout(bytes)?;
    let module = &layout.modules()[0];
    let frames = |address: &u64| module.image.frames(*address);
    Some(addresses.iter().filter(|address| frames(address).iter().any(|frame| frame.line.is_some())).count())
}

/// A thread that stands in an executable, on this stack, unwound; how many frames it has.
pub(crate) fn stack(bytes: Vec<u8>, pc: u64, values: &[u64], stack: Vec<u8>) -> Option<usize> {
    let layout = layout(bytes)?;
    let mut registers = made::registers(values, 256);
    registers[RIP] = Some(BASE.wrapping_add(pc));
    let snapshot = made::snapshot(stack, &registers, BTreeMap::new());
    let memory = Memory::new(&snapshot, &layout, false);
    let budget = Cell::new(unwind::BUDGET);
    let (frames, _) = unwind::unwind(&layout, registers, |address| memory.word(address), &budget);
    Some(frames.len())
}

/// A value that is a return address into the executable of [`stack`], or an address on its stack.
pub(crate) fn address(of_code: bool, offset: u64) -> u64 {
    if of_code { BASE.wrapping_add(offset) } else { STACK.wrapping_add(offset % 4096) }
}

/// A text of the kernel, read as each of those that the engine reads.
pub(crate) fn texts(bytes: &[u8]) {
    proc::read_mappings(bytes);
    let text = String::from_utf8_lossy(bytes);
    let mut task = tasks::Task::default();
    tasks::parse_stat(&text, &mut task);
    tasks::parse_status(bytes, &mut task);
    for line in text.lines().take(64) {
        let inode = line.split_whitespace().nth(9).unwrap_or_default();
        files::describe_line(line, inode, "TCP");
    }
    crate::diagnose::access::fuzzed(bytes);
}

/// The files that samples refer to.
pub(crate) struct Files(Images);

/// Two samples of a process: they are explained, the second also without the first.
pub(crate) fn samples(files: &Files, first: &Snapshot, second: &Snapshot) -> usize {
    let explanation = explain::explain(&files.0, Some(first), None, second, false, &[], &[]);
    let known = explain::prepare(&files.0, first);
    let again = explain::explain(&files.0, Some(first), Some(&known), second, false, &[], &[]);
    assert_eq!(again.explained, explanation.explained, "what is known of the first sample changes nothing");
    explain::explain(&files.0, None, None, second, false, &[], &[]);
    explanation.explained.threads.len()
}

/// Two real samples of a process, and the files that they refer to.
pub(crate) fn real_samples(pid: i32) -> (Files, Snapshot, Snapshot) {
    let (images, history) = (Images::default(), super::sample::History::default());
    let sample = || super::tracer::sample(pid, Moment::Now, &images, &history, |_| ()).unwrap().0;
    let (first, mut second) = (sample(), sample());
    second.words.append(&mut explain::explain(&images, Some(&first), None, &second, true, &[], &[]).read);
    (Files(images), first, second)
}
