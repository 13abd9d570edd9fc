//! What functions are, by name: the tables that tell lock code, runtime code and exposition code from the application's.
//!
//! A physical function is known by its path (`prometheus::registry::Registry::gather`). A function that was inlined in a
//! build with line tables only has a bare name (`gather`), and its file tells whose it is.

use super::symbolize::{Logical, Ruled};
use crate::diagnose::shorten;
use crate::model::Event;
use std::borrow::Cow;

/// A function, described for both cases; empty parts match nothing (`path`) or anything (`name`).
#[derive(Clone, Copy, Debug)]
pub(super) struct Pattern {
    /// A part of the function's path.
    pub(super) path: &'static str,
    /// A part of the file's path.
    pub(super) file: &'static str,
    /// The bare name that goes with `file`.
    pub(super) name: &'static str,
}

const fn pattern(path: &'static str, file: &'static str, name: &'static str) -> Pattern {
    Pattern { path, file, name }
}

impl Pattern {
    fn matches(&self, frame: &Logical) -> bool {
        if !self.path.is_empty() && as_path(&frame.function).contains(self.path) {
            return true;
        }
        let Some(file) = &frame.file else { return false };
        !self.file.is_empty()
            && file.contains(self.file)
            && (self.name.is_empty() || bare(&frame.function).starts_with(self.name))
    }
}

/// Whether a pattern that asks for no name describes a function without one that contains code of this file.
pub(super) fn hints(patterns: &[Pattern], file: &str) -> bool {
    patterns.iter().any(|p| p.name.is_empty() && !p.file.is_empty() && file.contains(p.file))
}

/// Whether any pattern describes the frame.
pub(super) fn any(patterns: &[Pattern], frame: &Logical) -> bool {
    patterns.iter().any(|pattern| pattern.matches(frame))
}

/// What the tables say of a function, each asked once.
fn ruled(frame: &Logical) -> &Ruled {
    frame.ruling.0.get_or_init(|| {
        let krate = find_crate(frame);
        Ruled {
            runtime: find_runtime(frame, &krate),
            lock_code: find_lock_code(frame, &krate),
            serves_request: any(SERVES_REQUEST, frame),
            events: events(frame),
            shown: shorten(&frame.function),
            krate,
        }
    })
}

/// A thread whose stack shows one of these runs a request of the judged endpoint.
const SERVES_REQUEST: &[Pattern] = &[
    pattern("prometheus::registry::Registry::gather", "", ""),
    pattern("prometheus::registry::RegistryCore::gather", "/src/registry.rs", "gather"),
    pattern("prometheus::gather", "", ""),
    pattern("prometheus::encoder::text::TextEncoder", "/src/encoder/text.rs", "encode"),
    pattern("as prometheus::encoder::Encoder>::encode", "/src/encoder/pb.rs", "encode"),
    pattern("prometheus_client::encoding", "prometheus-client-", "encode"),
    // Where gathering itself was inlined, a collector at work shows it.
    pattern("as prometheus::core::Collector>::collect", "", ""),
    pattern("as prometheus::metrics::Collector>::collect", "", ""),
    pattern("as prometheus_client::collector::Collector>::encode", "", ""),
    pattern("PrometheusHandle::render", "metrics-exporter-prometheus-", "render"),
    pattern("::metrics_handler", "", ""),
    pattern("gatherlock_scenarios::variants::", "scenarios/src/variants/", ""),
];

/// See [`SERVES_REQUEST`].
pub(super) fn serves_request(frame: &Logical) -> bool {
    ruled(frame).serves_request
}

/// Functions of metrics libraries that a handler calls to write its page.
const PAGE_WRITERS: [&str; 7] = [
    "prometheus::registry::Registry::gather",
    "prometheus::gather",
    "prometheus::encoder::text::TextEncoder",
    "as prometheus::encoder::Encoder>::encode",
    "prometheus_client::encoding::",
    "metrics_exporter_prometheus::recorder::PrometheusHandle::render",
    "metrics_exporter_prometheus::formatting::",
];

/// Whether calling a function of this name is writing a page.
pub(super) fn is_page_writer(function: &str) -> bool {
    let function = as_path(function);
    PAGE_WRITERS.iter().any(|part| function.contains(part))
}

/// Functions that may panic while a page is written: where names are missing, their code tells of a request.
const WRITES_PAGE: &[Pattern] = &[
    pattern("", "src/encoder/text.rs", ""),
    pattern("", "src/encoder/pb.rs", ""),
    pattern("", "src/encoding/text.rs", ""),
    pattern("", "metrics-exporter-prometheus-", ""),
];

/// Whether code of this file in a function without a name tells that the function serves a request.
pub(super) fn writes_page(file: &str) -> bool {
    file.contains("prometheus") && hints(WRITES_PAGE, file)
}

/// What a wait on a futex that is no lock is, by the frames above it; the first match wins.
const EVENTS: &[(Pattern, Event)] = &[
    (
        Pattern { path: "tokio::runtime::blocking::pool::Inner::run", file: "tokio-", name: "wait_for_task" },
        Event::PoolWork,
    ),
    (
        Pattern {
            path: "tokio::runtime::scheduler::multi_thread::park",
            file: "src/runtime/scheduler/multi_thread/park.rs",
            name: "",
        },
        Event::RuntimeWork,
    ),
    (Pattern { path: "tokio::runtime::park", file: "src/runtime/park.rs", name: "" }, Event::Future),
    (Pattern { path: "std::thread::lifecycle::JoinInner", file: "std/src/thread/", name: "join" }, Event::ThreadEnd),
    (Pattern { path: "std::thread::JoinHandle", file: "std/src/thread/", name: "scope" }, Event::ThreadEnd),
    (Pattern { path: "pthread_join", file: "", name: "" }, Event::ThreadEnd),
    (Pattern { path: "std::sync::mpmc", file: "std/src/sync/mpmc/", name: "recv" }, Event::Message),
    (Pattern { path: "", file: "std/src/sync/mpmc/", name: "send" }, Event::Room),
    (Pattern { path: "std::sync::mpsc", file: "std/src/sync/mpsc", name: "" }, Event::Message),
    (Pattern { path: "crossbeam_channel", file: "crossbeam-channel-", name: "" }, Event::Message),
    (Pattern { path: "flume::", file: "flume-", name: "" }, Event::Message),
    (Pattern { path: "std::sync::barrier", file: "std/src/sync/barrier.rs", name: "" }, Event::Barrier),
    (Pattern { path: "std::sys::sync::once", file: "std/src/sys/sync/once/", name: "" }, Event::Initialisation),
    (Pattern { path: "parking_lot::once", file: "parking_lot-0.12", name: "call_once" }, Event::Initialisation),
    (Pattern { path: "futures_executor", file: "futures-executor-", name: "" }, Event::Future),
    (Pattern { path: "ondvar", file: "/condvar", name: "" }, Event::Condvar),
    (Pattern { path: "std::thread::park", file: "std/src/thread/", name: "park" }, Event::Unpark),
    (Pattern { path: "Parker::park", file: "/thread_parking/", name: "" }, Event::Unpark),
];

/// The rows of [`EVENTS`] that describe the frame, a bit for each.
fn events(frame: &Logical) -> u32 {
    let described = EVENTS.iter().enumerate().filter(|(_, (pattern, _))| pattern.matches(frame));
    described.fold(0, |bits, (row, _)| bits | 1 << row)
}

/// The event that these frames wait for.
pub(super) fn event<'a>(frames: impl Iterator<Item = &'a Logical>) -> Option<Event> {
    const { assert!(EVENTS.len() < 32) };
    let bits = frames.fold(0, |bits, frame| bits | ruled(frame).events);
    EVENTS.get(bits.trailing_zeros() as usize).map(|(_, event)| *event)
}

/// The event that functions without names wait for which contain code of these files.
pub(super) fn hinted_event<'a>(files: impl Iterator<Item = &'a str>) -> Option<Event> {
    let files: Vec<&str> = files.collect();
    EVENTS.iter().find(|(pattern, _)| files.iter().any(|file| hints(&[*pattern], file))).map(|(_, event)| *event)
}

/// The name of the function as reports show it.
pub(super) fn shown(frame: &Logical) -> &str {
    &ruled(frame).shown
}

/// Crates whose frames a reader folds away.
const RUNTIME_CRATES: &[&str] = &[
    "std",
    "core",
    "alloc",
    "test",
    "tokio",
    "tokio_util",
    "hyper",
    "hyper_util",
    "axum",
    "axum_core",
    "tower",
    "tower_service",
    "tower_layer",
    "tower_http",
    "futures",
    "futures_util",
    "futures_core",
    "futures_executor",
    "futures_channel",
    "mio",
    "h2",
    "http",
    "http_body",
    "http_body_util",
    "httparse",
    "pin_project_lite",
    "hashbrown",
    "actix_web",
    "actix_http",
    "actix_rt",
    "actix_server",
    "warp",
    "rocket",
    "tonic",
    "matchit",
    "bytes",
    "scoped_tls",
    "rayon_core",
    "tracing",
];

/// Whether the frame belongs to the runtime, the server or std.
pub(super) fn is_runtime(frame: &Logical) -> bool {
    ruled(frame).runtime
}

fn find_runtime(frame: &Logical, krate: &str) -> bool {
    RUNTIME_CRATES.contains(&krate)
        || ["__rust_try", "_start", "main", "clone", "start_thread"].contains(&frame.function.as_str())
        || frame.function.starts_with("__libc_start")
        || frame.function.starts_with("__rust_")
}

/// Whether the frame is part of a lock's implementation: between the code that wants the lock and the kernel.
pub(super) fn is_lock_code(frame: &Logical) -> bool {
    ruled(frame).lock_code
}

fn find_lock_code(frame: &Logical, krate: &str) -> bool {
    match krate {
        "parking_lot" | "parking_lot_core" | "lock_api" => true,
        "std" => {
            const PATHS: [&str; 4] = ["std::sync::", "std::sys::sync::", "std::sys::pal::", "std::sys::futex"];
            const FILES: [&str; 2] = ["std/src/sync/", "std/src/sys/"];
            let path = head(&frame.function);
            PATHS.iter().any(|prefix| path.starts_with(prefix))
                || frame.file.as_ref().is_some_and(|file| FILES.iter().any(|prefix| file.starts_with(prefix)))
        }
        _ => frame.function == "syscall",
    }
}

/// The crate a frame belongs to, with underscores; empty if unknown.
pub(super) fn crate_of(frame: &Logical) -> &str {
    &ruled(frame).krate
}

fn find_crate(frame: &Logical) -> String {
    let path = head(&frame.function);
    let ident = path.split(|c: char| !(c.is_alphanumeric() || c == '_')).next().unwrap_or_default();
    if path[ident.len()..].starts_with("::") {
        return ident.to_owned();
    }
    // A bare name: the first directory of the file is `crate-version`.
    let Some(dir) = frame.file.as_ref().and_then(|file| file.split_once('/')).map(|(dir, _)| dir) else {
        return String::new();
    };
    let end = dir
        .match_indices('-')
        .find(|(at, _)| dir[at + 1..].starts_with(|c: char| c.is_ascii_digit()))
        .map_or(dir.len(), |(at, _)| at);
    dir[..end].replace('-', "_")
}

/// The function's path without what stands before its first crate: `<std::…`, `<&mut std::…`, `<T as std::…`.
fn head(function: &str) -> &str {
    let mut rest = function;
    loop {
        let before = rest;
        for prefix in ["<", "&", "*", "(", "[", "mut ", "const ", "dyn ", "impl "] {
            rest = rest.strip_prefix(prefix).unwrap_or(rest);
        }
        if rest == before {
            break;
        }
    }
    let ident = rest.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(rest.len());
    // `<T as X>::f`: a type parameter says nothing, the trait does.
    rest[ident..].strip_prefix(" as ").unwrap_or(rest)
}

/// A method as the older mangling tells it: `<a::B<C>>::f` => `a::B<C>::f`. That of a trait stays, `<A as B>::f`.
fn as_path(function: &str) -> Cow<'_, str> {
    let Some(inside) = function.strip_prefix('<') else { return Cow::Borrowed(function) };
    let mut depth = 1;
    for (at, c) in inside.char_indices() {
        match c {
            '<' => depth += 1,
            // `->` closes nothing.
            '>' if !inside[..at].ends_with('-') => depth -= 1,
            ' ' if depth == 1 && inside[at..].starts_with(" as ") => break,
            _ => {}
        }
        if depth == 0 {
            return Cow::Owned([&inside[..at], &inside[at + 1..]].concat());
        }
    }
    Cow::Borrowed(function)
}

/// The last component of a path without generic arguments: `a::b<c::d>` => `b`, `<A as B>::c` => `c`.
pub(super) fn bare(function: &str) -> &str {
    let (mut depth, mut start, mut end) = (0i32, 0, function.len());
    for (at, c) in function.char_indices() {
        match c {
            '<' => {
                if depth == 0 && at > start {
                    end = at;
                }
                depth += 1;
            }
            '>' => depth -= 1,
            ':' if depth == 0 => {
                start = at + 1;
                end = function.len();
            }
            _ => {}
        }
    }
    function.get(start..end.max(start)).unwrap_or(function)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(function: &str, file: &str) -> Logical {
        Logical { function: function.into(), file: (!file.is_empty()).then(|| file.into()), ..Logical::default() }
    }

    #[test]
    fn a_method_is_one_in_both_manglings() {
        for (function, path) in [
            ("<prometheus::registry::Registry>::gather", "prometheus::registry::Registry::gather"),
            ("<a::B<c::D<E>>>::f::<G>", "a::B<c::D<E>>::f::<G>"),
            ("<a::B<fn(u8) -> u8>>::f", "a::B<fn(u8) -> u8>::f"),
            ("<A as b::C<D>>::f", "<A as b::C<D>>::f"),
            ("<a::B<<C as D>::E>>::f", "a::B<<C as D>::E>::f"),
            ("a::B::f", "a::B::f"),
            ("<", "<"),
            ("<a", "<a"),
        ] {
            assert_eq!(as_path(function), path);
        }
        for function in [
            "<prometheus::registry::Registry>::gather",
            "<prometheus::registry::RegistryCore>::gather",
            "<metrics_exporter_prometheus::recorder::PrometheusHandle>::render",
        ] {
            assert!(
                serves_request(&frame(function, "")) && is_page_writer(function) || function.contains("Core"),
                "{function}"
            );
        }
        assert_eq!(event([frame("<tokio::runtime::blocking::pool::Inner>::run", "")].iter()), Some(Event::PoolWork));
        assert_eq!(
            event([frame("<std::sys::sync::thread_parking::futex::Parker>::park", "")].iter()),
            Some(Event::Unpark)
        );
    }

    #[test]
    fn crates_are_told_by_path_or_by_file() {
        for (function, file, krate) in [
            ("prometheus::registry::Registry::gather", "", "prometheus"),
            ("<svc::Coll as prometheus::core::Collector>::collect", "", "svc"),
            ("<F as axum::handler::Handler<(),S>>::call", "", "axum"),
            ("<&mut std::fs::File as std::io::Read>::read", "", "std"),
            ("lock<svc::State>", "std/src/sync/poison/mutex.rs", "std"),
            ("read", "lock_api-0.4.14/src/rwlock.rs", "lock_api"),
            ("with_label_values", "prometheus-client-0.25.2/src/x.rs", "prometheus_client"),
            ("main", "", ""),
        ] {
            assert_eq!(crate_of(&frame(function, file)), krate, "{function} in {file}");
        }
    }

    #[test]
    fn bare_names() {
        for (function, name) in [
            ("a::b<c::d>", "b"),
            ("<A as B>::c", "c"),
            ("lock<svc::State>", "lock"),
            ("x::{{closure}}", "{{closure}}"),
            ("a::<impl b::C>::d", "d"),
            ("", ""),
        ] {
            assert_eq!(bare(function), name);
        }
    }

    #[test]
    fn lock_code_is_not_the_code_that_locks() {
        assert!(is_lock_code(&frame("std::sys::sync::mutex::futex::Mutex::lock_contended", "")));
        assert!(is_lock_code(&frame("<parking_lot::raw_rwlock::RawRwLock as lock_api::rwlock::RawRwLock>::lock", "")));
        assert!(is_lock_code(&frame("lock<svc::State>", "std/src/sync/poison/mutex.rs")));
        assert!(!is_lock_code(&frame("std::thread::park", "")));
        assert!(!is_lock_code(&frame("<svc::Coll as prometheus::core::Collector>::collect", "svc/src/main.rs")));
    }

    #[test]
    fn who_serves_a_request() {
        assert!(serves_request(&frame("prometheus::registry::Registry::gather", "")));
        assert!(serves_request(&frame("gather", "prometheus-0.14.0/src/registry.rs")));
        assert!(serves_request(&frame("service::metrics_handler::{{closure}}", "")));
        assert!(serves_request(&frame("<app::C as prometheus::metrics::Collector>::collect", "")));
        assert!(!serves_request(&frame("register", "prometheus-0.14.0/src/registry.rs")));
        assert!(!serves_request(&frame(
            "prometheus::registry::Registry::register",
            "prometheus-0.14.0/src/registry.rs"
        )));
    }
}
