//! What is damaged, and who reads it: one row an area.

use super::mutate::{Random, damage, text};
use super::small;
use crate::diagnose::fuzzed;
use crate::model::{RawModule, Snapshot};
use crate::probe::{procfs, socket};
use crate::render::{html, json, markdown, terminal};
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// A kind of input.
pub(super) struct Area {
    pub(super) name: &'static str,
    /// Cases of the tests.
    pub(super) cases: u64,
    /// Bytes that a case may hold, its copy of the input included.
    pub(super) memory: usize,
    /// Reads the real input and gives what runs a case.
    pub(super) prepare: fn() -> Case,
}

/// Runs a case.
pub(super) type Case = Box<dyn FnMut(&mut Random)>;

const MIB: usize = 1 << 20;

pub(super) const AREAS: &[Area] = &[
    Area { name: "elf", cases: 1000, memory: 96 * MIB, prepare: elf },
    Area { name: "unwind", cases: 800, memory: 96 * MIB, prepare: unwind },
    Area { name: "dwarf", cases: 1500, memory: 32 * MIB, prepare: dwarf },
    Area { name: "dwarf-large", cases: 10, memory: 512 * MIB, prepare: dwarf_large },
    Area { name: "procfs", cases: 2000, memory: 16 * MIB, prepare: procfs },
    Area { name: "sample", cases: 300, memory: 96 * MIB, prepare: sample },
    Area { name: "recording", cases: 500, memory: 64 * MIB, prepare: recording },
];

/// Small programs and libraries of the system, as far as they are here.
fn executables() -> Vec<Vec<u8>> {
    let paths = [
        "/proc/self/exe",
        "/usr/bin/true",
        "/usr/bin/sleep",
        "/lib/x86_64-linux-gnu/libc.so.6",
        "/lib64/ld-linux-x86-64.so.2",
        "/usr/lib64/libc.so.6",
    ];
    let small = |bytes: &Vec<u8>| bytes.len() < 4 * MIB && bytes.starts_with(b"\x7fELF\x02");
    let found: Vec<Vec<u8>> = paths.iter().filter_map(|path| std::fs::read(path).ok()).filter(small).collect();
    assert!(!found.is_empty(), "no small program of the system is here");
    found
}

/// A file with what is known of it: the regions to damage, and where its functions begin.
struct Known {
    bytes: Vec<u8>,
    regions: Vec<(usize, usize)>,
    functions: Vec<u64>,
}

impl Known {
    /// Its regions are those whose names satisfy `wanted`.
    fn new(bytes: Vec<u8>, wanted: fn(&str) -> bool) -> Known {
        let regions = fuzzed::regions(&bytes).into_iter().filter(|(name, ..)| wanted(name));
        let regions: Vec<_> = regions.map(|(_, start, end)| (start, end)).filter(|(start, end)| start < end).collect();
        assert!(!regions.is_empty());
        Known { functions: fuzzed::functions(&bytes), regions, bytes }
    }

    /// A copy, damaged in its regions, mostly.
    fn damaged(&self, random: &mut Random) -> Vec<u8> {
        let mut bytes = self.bytes.clone();
        for _ in 0..=random.below(3) {
            let whole = (0, bytes.len());
            let (start, end) = if random.once_in(20) { whole } else { *random.one(&self.regions) };
            damage(random, &mut bytes, start, end);
        }
        if random.once_in(25) {
            bytes.truncate(random.below(self.bytes.len()));
        }
        bytes
    }
}

/// Addresses worth asking about: of functions, and none at all.
fn addresses(random: &mut Random, functions: &[u64], length: usize, count: usize) -> Vec<u64> {
    let mut one = || {
        if functions.is_empty() || random.once_in(4) {
            random.awkward(length)
        } else {
            let inside = random.below(64) as u64;
            random.one(functions).wrapping_add(inside)
        }
    };
    (0..count).map(|_| one()).collect()
}

fn elf() -> Case {
    let tables = |name: &str| {
        let tables = ["ELF header", "program headers", "section headers", ".symtab", ".strtab", ".shstrtab"];
        let more = [".dynsym", ".dynstr", ".rela.dyn", ".rela.plt", ".note.gnu.build-id", ".rodata", ".data.rel.ro"];
        tables.contains(&name) || more.contains(&name)
    };
    let files: Vec<Known> = executables().into_iter().map(|bytes| Known::new(bytes, tables)).collect();
    for file in &files {
        let known = &file.functions[..file.functions.len().min(8)];
        let named = fuzzed::executable(file.bytes.clone(), known);
        assert_eq!(named, Some(known.len()), "undamaged, its functions have names");
    }
    Box::new(move |random| {
        let file = random.one(&files);
        let bytes = file.damaged(random);
        let addresses = addresses(random, &file.functions, bytes.len(), 12);
        fuzzed::executable(bytes, &addresses);
    })
}

fn unwind() -> Case {
    let tables = |name: &str| name.starts_with(".eh_frame") || name == "program headers";
    let files: Vec<Known> = executables().into_iter().map(|bytes| Known::new(bytes, tables)).collect();
    Box::new(move |random| {
        let file = random.one(&files);
        let bytes = file.damaged(random);
        let functions = &file.functions;
        let length = file.bytes.len();
        let pc = addresses(random, functions, length, 1)[0];
        let mut value = || {
            let offset = if functions.is_empty() { random.next() % length as u64 } else { *random.one(functions) };
            match random.below(4) {
                0 => random.awkward(length),
                1 => fuzzed::address(false, random.next()),
                _ => fuzzed::address(true, offset.wrapping_add(random.next() % 64)),
            }
        };
        let registers: Vec<u64> = (0..17).map(|_| value()).collect();
        let stack: Vec<u8> = (0..512).flat_map(|_| value().to_le_bytes()).collect();
        fuzzed::stack(bytes, pc, &registers, stack);
    })
}

fn dwarf() -> Case {
    let debug = |name: &str| name.starts_with(".debug_");
    let files: Vec<Known> = small::libraries().into_iter().map(|bytes| Known::new(bytes, debug)).collect();
    for file in &files {
        let lines = fuzzed::lines(file.bytes.clone(), &file.functions);
        assert!(lines.is_some_and(|lines| lines >= 3), "undamaged, its functions have lines: {lines:?}");
    }
    Box::new(move |random| {
        let file = random.one(&files);
        let bytes = file.damaged(random);
        let mut asked = addresses(random, &file.functions, bytes.len(), 6);
        asked.extend(&file.functions);
        fuzzed::lines(bytes, &asked);
    })
}

fn dwarf_large() -> Case {
    let file = Known::new(std::fs::read("/proc/self/exe").unwrap(), |name| name.starts_with(".debug_"));
    // Functions of this crate have lines in every build of its tests.
    let bias = bias();
    let known = [dwarf_large as fn() -> Case, elf as fn() -> Case].map(|function| (function as usize as u64) - bias);
    assert_eq!(fuzzed::lines(file.bytes.clone(), &known), Some(known.len()), "undamaged, its functions have lines");
    Box::new(move |random| {
        let bytes = file.damaged(random);
        let mut asked = addresses(random, &file.functions, bytes.len(), 6);
        asked.extend(known);
        fuzzed::lines(bytes, &asked);
    })
}

/// Where this executable lies, less where it was linked.
fn bias() -> u64 {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    let exe = std::env::current_exe().unwrap();
    let first = maps.lines().find(|line| line.ends_with(&*exe.to_string_lossy())).unwrap();
    u64::from_str_radix(first.split('-').next().unwrap(), 16).unwrap()
}

fn procfs() -> Case {
    // A busy machine has megabytes of sockets; what they look like is seen in the first ones.
    let read = |name: &str| {
        let mut text = std::fs::read(format!("/proc/self/{name}")).unwrap_or_default();
        text.truncate(1 << 15);
        text
    };
    let texts: Vec<Vec<u8>> =
        ["maps", "stat", "status", "syscall", "schedstat", "net/tcp", "net/tcp6"].into_iter().map(read).collect();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    assert!(socket::fuzzed(&read("net/tcp")) > 0, "undamaged, it holds a socket");
    drop(listener);
    Box::new(move |random| {
        let number = random.next();
        let text = text(random, random_text(&texts, number));
        fuzzed::texts(&text);
        procfs::fuzzed(&text);
        socket::fuzzed(&text);
    })
}

fn random_text(texts: &[Vec<u8>], number: u64) -> &[u8] {
    &texts[(number % texts.len() as u64) as usize]
}

/// Ends with its owner.
struct Sleeper(Child);

impl Drop for Sleeper {
    fn drop(&mut self) {
        // Fails only if it has ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A sample of a process of this executable that sleeps, with its whole code at hand.
fn sample() -> Case {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "diagnose::live::killed::sleeper", "--ignored", "--nocapture"]);
    let mut sleeper = Sleeper(command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap());
    let out = std::io::BufReader::new(sleeper.0.stdout.take().unwrap());
    assert!(std::io::BufRead::lines(out).map_while(Result::ok).any(|line| line == "ready"));
    let pid = i32::try_from(sleeper.0.id()).unwrap();
    let (images, first, second) = fuzzed::real_samples(pid);
    drop(sleeper);
    assert_eq!(fuzzed::samples(&images, &first, &second), second.threads.len());
    Box::new(move |random| {
        let (mut one, mut other) = (first.clone(), second.clone());
        for _ in 0..=random.below(6) {
            let snapshot = if random.once_in(4) { &mut one } else { &mut other };
            change(random, snapshot);
        }
        fuzzed::samples(&images, &one, &other);
    })
}

/// Changes one thing of a sample.
fn change(random: &mut Random, snapshot: &mut Snapshot) {
    let known: Vec<u64> =
        snapshot.words.keys().copied().chain(snapshot.threads.iter().map(|t| t.stack_start)).collect();
    let number = |random: &mut Random| {
        if known.is_empty() || random.once_in(2) { random.awkward(1 << 20) } else { *random.one(&known) }
    };
    let which = random.below(snapshot.threads.len());
    let value = number(random);
    let Some(thread) = snapshot.threads.get_mut(which) else { return };
    match random.below(12) {
        0 | 1 => {
            let end = thread.stack.len();
            damage(random, &mut thread.stack, 0, end);
        }
        2 | 3 => {
            let at = random.below(thread.registers.len().max(1));
            if let Some(register) = thread.registers.get_mut(at) {
                *register = (!random.once_in(5)).then_some(value);
            }
        }
        4 => thread.stack_start = value,
        5 => {
            let call = *random.one(&[202i64, 219, 7, 0, 1, 232, 281, 271, 35, -1, i64::MAX]);
            thread.syscall = (!random.once_in(4)).then_some((call, [value, 128, 2, 0, 0, 0]));
        }
        6 => thread.stack.truncate(random.below(thread.stack.len() + 1)),
        7 => {
            let key = number(random);
            let token = *random.one(&[0, 8, 16, 20, 99]);
            snapshot.parked.push(crate::model::ParkedThread { thread_data: value, key, token });
        }
        8 => {
            let word = number(random);
            snapshot.words.insert(value & !7, word);
        }
        9 => {
            let at = random.below(snapshot.modules.len());
            if let Some(RawModule { start, end, bias, exe, .. }) = snapshot.modules.get_mut(at) {
                match random.below(4) {
                    0 => *start = value,
                    1 => *end = value,
                    2 => *bias = value,
                    _ => *exe = !*exe,
                }
            }
        }
        10 => {
            thread.registers.truncate(random.below(18));
            thread.switches = value;
            thread.name = "a\u{1b}[31m\n`<b>|".repeat(1 + random.below(40));
        }
        _ => {
            snapshot.taken_us = value;
            let copy = snapshot.threads[which].clone();
            snapshot.threads.push(copy);
        }
    }
}

fn recording() -> Case {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/recordings");
    let mut paths: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let texts: Vec<Vec<u8>> = paths.iter().map(|path| std::fs::read(path).unwrap()).collect();
    assert!(!texts.is_empty() && texts.iter().all(|text| replayed(text)), "undamaged, they are replayed");
    Box::new(move |random| {
        let number = random.next();
        let whole = random_text(&texts, number);
        // Damage that leaves it JSON gets further: mostly digits and strings are changed.
        let bytes = if random.once_in(3) { text(random, whole) } else { still_json(random, whole) };
        replayed(&bytes);
    })
}

/// Replays a recording and shows it in every way; whether it was one.
fn replayed(bytes: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else { return false };
    let Ok(replayed) = crate::gate::replay(text) else { return false };
    let report = crate::gate::look_report(&replayed.diagnosed, &replayed.recording, Vec::new(), 0);
    let shown = [
        html::render(&report),
        markdown::render(&report),
        terminal::render(&report, &terminal::TerminalOptions::default()),
    ];
    assert!(shown.iter().all(|text| !text.is_empty()));
    let again = json::parse(&json::render(&report)).unwrap();
    assert_eq!(again.diagnosis, report.diagnosis);
    true
}

/// Changes values of a JSON document, and leaves it one.
fn still_json(random: &mut Random, whole: &[u8]) -> Vec<u8> {
    let mut document: serde_json::Value = serde_json::from_slice(whole).unwrap();
    for _ in 0..=random.below(5) {
        let mut path = String::new();
        let mut at = &document;
        // A way down, to a leaf or to where it ends.
        while !random.once_in(9) {
            let (step, next) = match at {
                serde_json::Value::Object(map) if !map.is_empty() => {
                    let (name, next) = map.iter().nth(random.below(map.len())).unwrap();
                    (name.replace('~', "~0").replace('/', "~1"), next)
                }
                serde_json::Value::Array(list) if !list.is_empty() => {
                    let index = random.below(list.len());
                    (index.to_string(), &list[index])
                }
                _ => break,
            };
            path = format!("{path}/{step}");
            at = next;
        }
        let place = document.pointer_mut(&path).unwrap();
        let number = random.awkward(1000);
        *place = match (random.below(7), &*place) {
            (0, _) => serde_json::Value::Null,
            (1, serde_json::Value::Number(_)) | (2, _) => number.into(),
            (3, serde_json::Value::String(text)) => format!("{text}\u{202e}\u{1b}]0;x\u{7}<script>|`{number}").into(),
            (4, serde_json::Value::String(text)) => text.repeat(1 + random.below(300)).into(),
            (5, serde_json::Value::Array(list)) => {
                let kept = random.below(list.len() + 1);
                serde_json::Value::Array(list.iter().take(kept).chain(list).cloned().collect())
            }
            (_, serde_json::Value::Bool(value)) => (!value).into(),
            (_, serde_json::Value::Number(_)) => (number % 8).into(),
            (_, old) => old.clone(),
        };
    }
    serde_json::to_vec(&document).unwrap()
}
