//! What people call a lock: by the function that takes or releases it, by the object it lies in, by its type.

use super::holders::Held;
use super::layout::Layout;
use super::memory::Memory;
use super::objects;
use super::rules::{self, Pattern};
use super::stacks::{self, Named, Stack};
use super::symbolize::Logical;
use super::waits::{Key, Wait};
use crate::model::ResourceKind;
use std::collections::BTreeMap;

/// What the function that touches a lock says about the lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Meaning {
    Registry,
    Children,
    CollectLock,
    Family,
}

/// The functions of metrics libraries that take locks; the kind of lock must fit, too.
const MEANINGS: &[(Pattern, ResourceKind, Meaning)] = &[
    (
        Pattern { path: "prometheus::registry::Registry", file: "/src/registry.rs", name: "" },
        ResourceKind::ParkingLotRwLock,
        Meaning::Registry,
    ),
    (
        Pattern { path: "prometheus::vec::MetricVec", file: "/src/vec.rs", name: "" },
        ResourceKind::ParkingLotRwLock,
        Meaning::Children,
    ),
    (
        Pattern { path: "prometheus::histogram::Histogram", file: "/src/histogram.rs", name: "" },
        ResourceKind::StdMutex,
        Meaning::CollectLock,
    ),
    (
        Pattern { path: "prometheus_client::metrics::family::", file: "/src/metrics/family.rs", name: "" },
        ResourceKind::ParkingLotRwLock,
        Meaning::Family,
    ),
];

/// Names every lock, by address.
pub(super) fn locks(
    stacks: &[Stack<'_>],
    waits: &[Wait],
    held: &[Held],
    memory: &Memory<'_>,
    layout: &Layout,
) -> BTreeMap<u64, String> {
    let mut registries = 0;
    let mut names = BTreeMap::new();
    for held in held {
        let address = held.lock.address;
        // Who waits stands in the very function that takes the lock; who holds may be anywhere in it.
        let waiting = waits.iter().filter(|w| w.key == Key::Lock(address)).map(|w| (w.thread, w.acquirer, true));
        let holding = held.holds.iter().map(|hold| (hold.thread, hold.frame, false));
        let touched: Vec<(&Named, bool)> = waiting
            .chain(holding)
            .filter_map(|(thread, frame, waits)| Some((stacks.get(thread)?.frames.get(frame)?, waits)))
            .collect();
        let meaning = touched.iter().find_map(|(frame, _)| meaning(frame, held.lock.kind));
        let near = || objects::description_near(address, &|address| memory.aligned(address));
        let name = match meaning {
            Some((Meaning::Registry, _)) => {
                registries += 1;
                Some(format!("prometheus Registry #{registries}"))
            }
            Some((Meaning::Children, function)) => {
                let vector = vector(function);
                Some(
                    near().map_or_else(|| format!("children of a {vector}"), |x| format!("children of {vector} `{x}`")),
                )
            }
            Some((Meaning::CollectLock, _)) => {
                Some(near().map_or_else(
                    || "collect lock of a Histogram".into(),
                    |x| format!("collect lock of Histogram `{x}`"),
                ))
            }
            Some((Meaning::Family, _)) => Some("metrics of a prometheus_client Family".to_owned()),
            // By what lies in memory, where no name tells.
            None if held.lock.kind == ResourceKind::ParkingLotRwLock && is_registry(address, memory, layout) => {
                registries += 1;
                Some(format!("prometheus Registry #{registries}"))
            }
            None => layout
                .variable(address)
                .or_else(|| content(stacks, waits, held))
                .or_else(|| nameless(held, &touched, memory))
                .or_else(|| touched.first().map(|(frame, waits)| taken_in(frame, *waits, layout))),
        };
        names.insert(address, name.unwrap_or_else(|| "a lock without a name".to_owned()));
    }
    names
}

fn is_registry(lock: u64, memory: &Memory<'_>, layout: &Layout) -> bool {
    objects::is_registry(lock, &|address| memory.word(address), &|address| layout.is_code(address))
}

/// What a lock belongs to, by the objects around it, where the functions that touch it have no names.
fn nameless(held: &Held, touched: &[(&Named, bool)], memory: &Memory<'_>) -> Option<String> {
    let address = held.lock.address;
    let read = |address: u64| memory.aligned(address);
    if !touched.iter().all(|(frame, _)| frame.is_nameless()) {
        return None;
    }
    match held.lock.kind {
        ResourceKind::StdMutex => {
            objects::collect_lock_of(address, &read).map(|name| format!("collect lock of Histogram `{name}`"))
        }
        ResourceKind::ParkingLotRwLock => {
            objects::description_near(address, &read).map(|name| format!("lock in the object of metric `{name}`"))
        }
        _ => None,
    }
}

fn meaning(frame: &Named, kind: ResourceKind) -> Option<(Meaning, &Logical)> {
    let function = frame.user()?;
    let krate = rules::crate_of(function);
    if !(krate.starts_with("prometheus") || function.function.contains("prometheus")) {
        return None;
    }
    let row = MEANINGS.iter().find(|(pattern, of, _)| *of == kind && rules::any(&[*pattern], function))?;
    Some((row.2, function))
}

/// Which vector it is, where the build says so: `get_or_create_metric<…::CounterVecBuilder<…>>`.
fn vector(function: &Logical) -> &'static str {
    let generic = function.generic.as_deref().unwrap_or(&function.function);
    match generic {
        g if g.contains("HistogramVecBuilder") => "HistogramVec",
        g if g.contains("CounterVecBuilder") && g.contains("AtomicU64") => "IntCounterVec",
        g if g.contains("CounterVecBuilder") => "CounterVec",
        g if g.contains("GaugeVecBuilder") && g.contains("AtomicI64") => "IntGaugeVec",
        g if g.contains("GaugeVecBuilder") => "GaugeVec",
        _ => "metric vector",
    }
}

/// `Mutex<Inventory>`, where the functions between the lock and its user say what is in it: of those who wait, all frames
/// down to the one that wants the lock; of those who hold it, what was inlined into their frame.
fn content(stacks: &[Stack<'_>], waits: &[Wait], held: &Held) -> Option<String> {
    let shape = match held.lock.kind {
        ResourceKind::ParkingLotMutex | ResourceKind::StdMutex => "Mutex",
        _ => "RwLock",
    };
    let wanted = waits.iter().filter(|wait| wait.key == Key::Lock(held.lock.address));
    let wanted = wanted.filter_map(|wait| stacks.get(wait.thread)?.frames.get(..=wait.acquirer));
    let owned = held.holds.iter().filter_map(|hold| stacks.get(hold.thread)?.frames.get(hold.frame..=hold.frame));
    let content = wanted.chain(owned).find_map(|frames| {
        let names = frames.iter().flat_map(|frame| frame.names.iter());
        let lock_code = names.take_while(|f| f.function.is_empty() || rules::is_lock_code(f));
        lock_code.filter_map(|f| f.generic.as_deref()).find_map(last_argument)
    })?;
    Some(format!("{shape}<{content}>"))
}

/// The last generic argument of a function's name, without paths: `lock<RawMutex, app::State<u8>>` => `State<u8>`.
fn last_argument(function: &str) -> Option<String> {
    // `lock<…>`, not `<…>::lock`.
    let (name, list) = function.split_once('<')?;
    let list = list.strip_suffix('>').filter(|_| !name.is_empty())?;
    let mut depth = 0i32;
    let mut start = 0;
    for (at, c) in list.char_indices() {
        match c {
            '<' | '(' | '[' => depth += 1,
            '>' | ')' | ']' => depth -= 1,
            ',' if depth == 0 => start = at + 1,
            _ => {}
        }
    }
    let argument = list.get(start..)?.trim();
    // A closure or a lock's own type is no answer to "what does it protect".
    let plain = !argument.is_empty() && !argument.contains('{') && !argument.starts_with("parking_lot::raw");
    // The allocator that everybody has tells nobody anything.
    plain.then(|| without_paths(&argument.replace(", alloc::alloc::Global>", ">")))
}

/// `a::b<c::d>` => `b<d>`.
fn without_paths(name: &str) -> String {
    let mut out = String::new();
    let mut ident = String::new();
    let mut chars = name.chars().peekable();
    while let Some(c) = chars.next() {
        if c.is_alphanumeric() || c == '_' {
            ident.push(c);
        } else if c == ':' && chars.peek() == Some(&':') {
            chars.next();
            ident.clear();
        } else {
            out.push_str(&std::mem::take(&mut ident));
            out.push(c);
        }
    }
    out + &ident
}

fn taken_in(frame: &Named, waits: bool, layout: &Layout) -> String {
    let verb = if waits { "taken" } else { "released" };
    format!("lock {verb} in {}", stacks::site(frame, frame.user(), layout))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vectors_by_the_builder_that_a_build_tells() {
        let of = |generic: &str| vector(&Logical { generic: Some(generic.to_owned()), ..Logical::default() });
        for (builder, name) in [
            ("counter::CounterVecBuilder<prometheus::atomic64::AtomicF64>", "CounterVec"),
            ("counter::CounterVecBuilder<prometheus::atomic64::AtomicU64>", "IntCounterVec"),
            ("gauge::GaugeVecBuilder<prometheus::atomic64::AtomicF64>", "GaugeVec"),
            ("gauge::GaugeVecBuilder<prometheus::atomic64::AtomicI64>", "IntGaugeVec"),
            ("histogram::HistogramVecBuilder", "HistogramVec"),
        ] {
            assert_eq!(of(&format!("get_or_create_metric<prometheus::{builder}>")), name);
        }
        assert_eq!(of("get_or_create_metric<app::Blocking>"), "metric vector");
        assert_eq!(vector(&Logical::default()), "metric vector", "a build without type information");
    }

    #[test]
    fn types_without_their_paths() {
        assert_eq!(
            last_argument("lock<parking_lot::raw_mutex::RawMutex, app::State<a::B>>").as_deref(),
            Some("State<B>")
        );
        assert_eq!(last_argument("lock<app::Inventory>").as_deref(), Some("Inventory"));
        assert_eq!(
            last_argument("read<(), std::collections::hash::map::HashMap<u8, a::C>>").as_deref(),
            Some("HashMap<u8, C>")
        );
        let vector = "lock<alloc::vec::Vec<alloc::string::String, alloc::alloc::Global>>";
        assert_eq!(last_argument(vector).as_deref(), Some("Vec<String>"));
        assert_eq!(last_argument("lock"), None);
        assert_eq!(last_argument("with<a::{{closure}}>"), None);
        assert_eq!(last_argument(">x<"), None);
        assert_eq!(last_argument("<std::sys::sync::mutex::futex::Mutex>::lock"), None);
    }
}
