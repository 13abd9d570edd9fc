//! The stacks of a snapshot, unwound and named.

use super::layout::Layout;
use super::locations::Hints;
use super::memory::Memory;
use super::rules;
use super::symbolize::Logical;
use super::unwind::{self, End, Frame, RIP, Registers};
use crate::diagnose::shorten;
use crate::model::{RawModule, RawThread, Snapshot, StackFrame};
use std::cell::Cell;
use std::collections::HashMap;
use std::sync::Arc;

/// One thread with its frames, innermost first.
pub(super) struct Stack<'a> {
    pub(super) raw: &'a RawThread,
    pub(super) frames: Arc<Vec<Named>>,
    pub(super) end: End,
    /// Whether they follow from its registers, its own stack and the files, and from nothing else.
    pub(super) alone: bool,
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

/// The stacks of a sample, kept for a later one of the same process.
pub(super) struct Known {
    pid: i32,
    taken_us: u64,
    modules: Vec<RawModule>,
    stacks: HashMap<i32, (Arc<Vec<Named>>, End)>,
}

impl Known {
    /// Keeps what follows from each thread alone.
    pub(super) fn of(sample: &Snapshot, stacks: Vec<Stack<'_>>) -> Known {
        let alone = stacks.into_iter().filter(|stack| stack.alone);
        let stacks = alone.map(|stack| (stack.raw.tid, (stack.frames, stack.end))).collect();
        Known { pid: sample.pid, taken_us: sample.taken_us, modules: sample.modules.clone(), stacks }
    }

    /// Whether they are those of `first`, and hold for a sample with these modules.
    pub(super) fn serves(&self, first: &Snapshot, modules: &[RawModule]) -> bool {
        self.pid == first.pid && self.taken_us == first.taken_us && self.modules == modules && first.modules == modules
    }

    /// The stack of a thread whose registers and stack are, byte by byte, what they were in the first sample: unwinding it
    /// once more would give the same frames.
    fn same(&self, before: &RawThread, now: &RawThread) -> Option<(Arc<Vec<Named>>, End)> {
        let same =
            before.registers == now.registers && before.stack_start == now.stack_start && before.stack == now.stack;
        self.stacks.get(&now.tid).filter(|_| same).cloned()
    }
}

/// Unwinds and names every thread; not those that `known` has from the first sample and that stand as they stood there.
pub(super) fn build<'a>(
    threads: &'a [RawThread],
    layout: &Layout,
    memory: &Memory<'_>,
    known: Option<(&Known, &HashMap<i32, &RawThread>)>,
) -> Vec<Stack<'a>> {
    let budget = Cell::new(unwind::BUDGET);
    threads
        .iter()
        .map(|raw| {
            let before = known.and_then(|(known, before)| known.same(before.get(&raw.tid)?, raw));
            if let Some((frames, end)) = before {
                return Stack { raw, frames, end, alone: true };
            }
            let mut registers: Registers = [None; 17];
            for (slot, value) in registers.iter_mut().zip(&raw.registers) {
                *slot = *value;
            }
            let alone = Cell::new(true);
            let read = |address: u64| {
                own(raw, address).or_else(|| {
                    alone.set(false);
                    memory.word(address)
                })
            };
            let (frames, end) = if registers[RIP].is_some() {
                unwind::unwind(layout, registers, read, &budget)
            } else {
                (Vec::new(), End::Lost("no registers".into()))
            };
            let frames = frames.into_iter().map(|frame| name(layout, frame)).collect();
            Stack { raw, frames: Arc::new(frames), end, alone: alone.get() }
        })
        .collect()
}

/// The eight bytes at an address of the thread's own stack.
fn own(thread: &RawThread, address: u64) -> Option<u64> {
    let offset = usize::try_from(address.checked_sub(thread.stack_start)?).ok()?;
    Some(u64::from_le_bytes(thread.stack.get(offset..offset.checked_add(8)?)?.try_into().ok()?))
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

/// Stacks as reports show them: hundreds of threads may stand at the same instructions.
#[derive(Default)]
pub(super) struct Presented(HashMap<Vec<(u64, bool)>, Arc<Vec<StackFrame>>>);

impl Presented {
    pub(super) fn of(&mut self, stack: &Stack<'_>, layout: &Layout) -> Arc<Vec<StackFrame>> {
        let at = stack.frames.iter().map(|named| (named.frame.pc, named.frame.returns)).collect();
        Arc::clone(self.0.entry(at).or_insert_with(|| Arc::new(present(stack, layout))))
    }
}

fn present(stack: &Stack<'_>, layout: &Layout) -> Vec<StackFrame> {
    let mut shown = Vec::new();
    for frame in stack.frames.iter() {
        for logical in frame.names.iter() {
            let nameless = logical.function.is_empty();
            shown.push(StackFrame {
                function: if nameless { place(frame, layout) } else { rules::shown(logical).to_owned() },
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnose::live::made;
    use std::collections::BTreeMap;

    /// Whether the second sample's only stack is the one that was kept of the first.
    fn is_kept(first: &Snapshot, second: &Snapshot) -> bool {
        let layout = Layout::default();
        let stacks = |sample: &Snapshot| {
            let memory = Memory::new(sample, &layout, false);
            build(&sample.threads, &layout, &memory, None).iter().map(|stack| stack.frames.len()).collect::<Vec<_>>()
        };
        let memory = Memory::new(first, &layout, false);
        let known = Known::of(first, build(&first.threads, &layout, &memory, None));
        let before: HashMap<i32, &RawThread> = first.threads.iter().map(|thread| (thread.tid, thread)).collect();
        let kept = known.stacks[&1].0.clone();
        let known = Some((&known, &before)).filter(|(known, _)| known.serves(first, &second.modules));
        let memory = Memory::new(second, &layout, false);
        let built = build(&second.threads, &layout, &memory, known);
        assert_eq!(built.iter().map(|stack| stack.frames.len()).collect::<Vec<_>>(), stacks(second));
        Arc::ptr_eq(&built[0].frames, &kept)
    }

    #[test]
    fn a_stack_is_kept_only_for_a_thread_that_stands_byte_by_byte_as_it_stood() {
        let mut registers = made::registers(&[7; 17], 256);
        registers[RIP] = Some(made::BASE);
        let first = made::snapshot(vec![1; 512], &registers, BTreeMap::new());
        assert!(is_kept(&first, &first));
        let changed = |change: &dyn Fn(&mut Snapshot)| {
            let mut second = first.clone();
            change(&mut second);
            is_kept(&first, &second)
        };
        assert!(changed(&|second| second.words.extend([(8, 8)])), "what is not the thread's own");
        assert!(!changed(&|second| second.threads[0].stack[511] = 2));
        assert!(!changed(&|second| second.threads[0].stack.truncate(511)));
        assert!(!changed(&|second| second.threads[0].stack_start += 8));
        assert!(!changed(&|second| second.threads[0].registers[3] = Some(8)));
        assert!(!changed(&|second| second.threads[0].tid = 2));
        let module = RawModule { path: "/x".into(), exe: true, start: 1, end: 2, bias: 1, build_id: None };
        assert!(!changed(&|second| second.modules.push(module.clone())));
    }

    #[test]
    fn a_stack_that_refers_to_other_memory_is_not_kept() {
        let raw = RawThread { tid: 1, stack_start: made::STACK, stack: vec![1; 16], ..RawThread::default() };
        assert_eq!(own(&raw, made::STACK + 8), Some(u64::from_le_bytes([1; 8])));
        for outside in [made::STACK - 1, made::STACK + 9, 0, u64::MAX] {
            assert_eq!(own(&raw, outside), None, "{outside:#x}");
        }
        let sample = made::snapshot(vec![1; 512], &made::registers(&[7; 16], 256), BTreeMap::new());
        let stack = Stack { raw: &sample.threads[0], frames: Arc::default(), end: End::Bottom, alone: false };
        assert!(Known::of(&sample, vec![stack]).stacks.is_empty());
    }
}
