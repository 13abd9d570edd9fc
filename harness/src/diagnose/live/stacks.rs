//! The stacks of a snapshot, unwound and named.

use super::layout::Layout;
use super::locations::Hints;
use super::memory::Memory;
use super::rules;
use super::symbolize::Logical;
use super::unwind::{self, End, Frame, RIP, Registers};
use crate::diagnose::shorten;
use crate::model::{RawThread, StackFrame};
use std::cell::Cell;
use std::sync::Arc;

/// One thread with its frames, innermost first.
pub(super) struct Stack<'a> {
    pub(super) raw: &'a RawThread,
    pub(super) frames: Vec<Named>,
    pub(super) end: End,
}

/// A physical frame and what is known about it.
pub(super) struct Named {
    pub(super) frame: Frame,
    /// The logical frames, innermost first; never empty.
    pub(super) names: Arc<[Logical]>,
    /// The file that holds its code.
    pub(super) module: String,
    /// Of a function without a name: the source files whose code it contains.
    pub(super) hints: Hints,
    /// Whether its code is the C library's, the loader's or the kernel's.
    pub(super) system: bool,
}

impl Named {
    /// The function that the linker knows.
    pub(super) fn physical(&self) -> &Logical {
        // `frames` promises that there is one.
        &self.names[self.names.len() - 1]
    }

    /// Whether nothing is known of it but where it lies.
    pub(super) fn is_nameless(&self) -> bool {
        !self.system && self.names.iter().all(|frame| frame.function.is_empty())
    }

    /// Of a function without a name: the source files whose code is in it, but for those of `std` and of locks, whose code
    /// is in everything.
    pub(super) fn hinted(&self) -> impl Iterator<Item = &str> {
        const EVERYWHERE: [&str; 7] =
            ["core/", "alloc/", "std/", "lock_api-", "parking_lot-", "parking_lot_core-", "hashbrown-"];
        let everywhere = |file: &str| EVERYWHERE.iter().any(|krate| file.starts_with(krate));
        self.hints.iter().map(|file| &**file).filter(move |file| !everywhere(file))
    }

    /// Whether nothing but lock code is in it.
    pub(super) fn is_lock_code(&self) -> bool {
        self.system || self.names.iter().all(rules::is_lock_code)
    }

    /// The innermost function in it that is no lock code.
    pub(super) fn user(&self) -> Option<&Logical> {
        self.names.iter().find(|frame| !rules::is_lock_code(frame))
    }
}

impl Stack<'_> {
    /// Every logical frame, innermost first.
    pub(super) fn logical(&self) -> impl Iterator<Item = &Logical> {
        self.frames.iter().flat_map(|frame| frame.names.iter())
    }

    /// Whether no frame outside the C library has a name.
    pub(super) fn is_nameless(&self) -> bool {
        self.frames.iter().all(|frame| frame.system || frame.is_nameless())
    }

    /// The innermost function without a name of which anything is known: what it contains code of.
    pub(super) fn innermost_hint(&self) -> Option<&Named> {
        self.frames.iter().find(|frame| frame.hinted().next().is_some())
    }

    /// The innermost frame that is the application's or a library's, not the runtime's nor lock code; with its function.
    pub(super) fn application(&self) -> Option<(usize, &Logical)> {
        self.frames.iter().enumerate().filter(|(_, frame)| !frame.system).find_map(|(index, frame)| {
            let own = |f: &&Logical| !rules::is_runtime(f) && !rules::is_lock_code(f) && !f.function.is_empty();
            frame.names.iter().find(own).map(|function| (index, function))
        })
    }
}

/// Unwinds and names every thread.
pub(super) fn build<'a>(threads: &'a [RawThread], layout: &Layout, memory: &Memory<'_>) -> Vec<Stack<'a>> {
    let budget = Cell::new(unwind::BUDGET);
    threads
        .iter()
        .map(|raw| {
            let mut registers: Registers = [None; 17];
            for (slot, value) in registers.iter_mut().zip(&raw.registers) {
                *slot = *value;
            }
            let (frames, end) = if registers[RIP].is_some() {
                unwind::unwind(layout, registers, |address| memory.word(address), &budget)
            } else {
                (Vec::new(), End::Lost("no registers".into()))
            };
            Stack { raw, frames: frames.into_iter().map(|frame| name(layout, frame)).collect(), end }
        })
        .collect()
}

fn name(layout: &Layout, frame: Frame) -> Named {
    match layout.find(frame.lookup()) {
        Some(module) => {
            let names = module.image.frames(frame.lookup().wrapping_sub(module.bias));
            let nameless = !module.system && names.iter().all(|name| name.function.is_empty());
            let place = frame.lookup().wrapping_sub(module.bias);
            let hints = if nameless { module.image.hints(place) } else { Hints::default() };
            Named { names, hints, module: module.name.clone(), system: module.system, frame }
        }
        None => Named {
            names: Arc::new([Logical::default()]),
            hints: Hints::default(),
            module: String::new(),
            system: false,
            frame,
        },
    }
}

/// The stack as reports show it.
pub(super) fn present(stack: &Stack<'_>, layout: &Layout) -> Vec<StackFrame> {
    let mut shown = Vec::new();
    for frame in &stack.frames {
        for logical in frame.names.iter() {
            let nameless = logical.function.is_empty();
            shown.push(StackFrame {
                function: if nameless { place(frame, layout) } else { shorten(&logical.function) },
                file: logical.file.clone(),
                line: logical.line,
                module: frame.module.clone(),
                inlined: logical.inlined,
                address: nameless.then_some(frame.frame.pc),
                runtime: frame.system || rules::is_runtime(logical),
            });
        }
    }
    shown
}

/// `module+0xoffset`, for a frame without a name; with the source file whose code is in it, if only one is.
fn place(frame: &Named, layout: &Layout) -> String {
    let at = match layout.find(frame.frame.lookup()) {
        Some(module) => format!("{}+{:#x}", module.name, frame.frame.pc.wrapping_sub(module.bias)),
        None => format!("{:#x}", frame.frame.pc),
    };
    let mut files = frame.hinted();
    match (files.next(), files.next()) {
        (Some(file), None) => format!("{at} (code of {file})"),
        _ => at,
    }
}

/// `function (file:line)`, as edges tell where they stand.
pub(super) fn site(frame: &Named, function: Option<&Logical>, layout: &Layout) -> String {
    let Some(logical) = function.filter(|f| !f.function.is_empty()) else { return place(frame, layout) };
    match (&logical.file, logical.line) {
        (Some(file), Some(line)) => format!("{} ({file}:{line})", spoken(&logical.function)),
        _ => shorten(&logical.function),
    }
}

/// A function for a sentence that tells its file and line as well: line tables give an inlined closure no name but a number.
fn spoken(function: &str) -> String {
    match function {
        f if f.starts_with("{closure") => "a closure".to_string(),
        f if f.starts_with("{async") => "an async body".to_string(),
        f => shorten(f),
    }
}
