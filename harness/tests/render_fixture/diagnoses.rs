//! Diagnoses made by hand: a self-wait, cycles of two and three threads, a spin, and a suspect that could not be proven.

use gatherlock::model::*;

const REGISTRY: &str = "prometheus Registry #1";

fn thread(tid: i32, name: &str, state: &str, serves: bool, stack: Vec<StackFrame>) -> Thread {
    let asleep = state == "S";
    Thread {
        tid,
        name: name.into(),
        state: state.into(),
        wchan: asleep.then(|| "futex_wait_queue".into()),
        syscall: asleep.then(|| "futex".into()),
        cpu_ms: if asleep { 0 } else { 1_998 },
        serves_request: serves,
        stack: stack.into(),
        ..Thread::default()
    }
}

fn frame(function: &str, file: &str, line: u32) -> StackFrame {
    StackFrame {
        function: function.into(),
        file: Some(file.into()),
        line: Some(line),
        module: "svc".into(),
        ..StackFrame::default()
    }
}

fn runtime(functions: &[&str]) -> Vec<StackFrame> {
    let one =
        |function: &&str| StackFrame { runtime: true, ..frame(function, "tokio-1.54.1/src/runtime/task/raw.rs", 271) };
    functions.iter().map(one).collect()
}

fn gather_stack(top: Vec<StackFrame>) -> Vec<StackFrame> {
    let mut stack = top;
    stack.push(frame("prometheus::registry::Registry::gather", "prometheus-0.14.0/src/registry.rs", 276));
    stack.push(frame("svc::handlers::metrics", "svc-0.1.0/src/handlers.rs", 41));
    stack.extend(runtime(&[
        "<axum::handler::HandlerService as tower::Service>::call",
        "hyper::proto::h1::dispatch::Dispatcher::poll_catch",
        "tokio::runtime::task::raw::poll",
        "tokio::runtime::scheduler::multi_thread::worker::Context::run_task",
        "std::sys::thread::unix::Thread::new::thread_start",
    ]));
    stack
}

fn lock(id: &str, kind: ResourceKind, name: &str, address: u64) -> Resource {
    let holders = Some(Holders { word: 1, found: 1 });
    Resource { id: id.into(), kind, name: name.into(), address: Some(address), holders, event: None }
}

fn waits(tid: i32, resource: &str, mode: Mode, site: &str) -> Edge {
    Edge {
        thread: tid,
        resource: resource.into(),
        relation: Relation::Waits,
        mode,
        provenance: Provenance::Read,
        count_agrees: None,
        stable: true,
        site: Some(site.into()),
        note: None,
    }
}

fn holds(tid: i32, resource: &str, mode: Mode, site: &str) -> Edge {
    let provenance = if mode == Mode::Exclusive { Provenance::Read } else { Provenance::Walked };
    Edge { relation: Relation::Holds, provenance, count_agrees: Some(true), ..waits(tid, resource, mode, site) }
}

fn step(from: (i32, &str), resource: &str, mode: Mode, to: (i32, &str)) -> CycleStep {
    let who = |(tid, name): (i32, &str)| ThreadRef { tid, name: name.into() };
    CycleStep { thread: who(from), waits_for: WaitsFor { resource: resource.into(), mode }, held_by: who(to) }
}

fn base(outcome: Outcome, confidence: Confidence, summary: &str) -> Diagnosis {
    Diagnosis {
        target: Target {
            url: Some("http://127.0.0.1:40311/metrics".into()),
            pid: Some(25_150),
            inner_pid: None,
            exe: Some("svc".into()),
        },
        outcome: Some(outcome),
        summary: summary.into(),
        confidence,
        probes: Probes {
            metrics: Some(Exchange {
                connected_us: Some(85),
                sent_us: Some(125),
                total_us: 3_000_000,
                error: Some(ExchangeError::HangLimit),
                ..Exchange::default()
            }),
            health: Some(Exchange { total_us: 910, status: Some(200), bytes: 2, ..Exchange::default() }),
            prometheus: Some(PrometheusView { up: 0, scrape_duration_seconds: 1.0, scrape_samples_scraped: 0 }),
            connection: None,
        },
        threads: vec![],
        resources: vec![],
        samples: 2,
        runtime: Some(RuntimeState { workers: 4, blocked: 1, driver: Some(25_162), ..RuntimeState::default() }),
        blocked_behind: vec![],
        edges: vec![],
        cycle: vec![],
        suspects: vec![],
        gaps: vec![],
        advice: vec![],
        evidence: vec![],
    }
}

fn idle(tid: i32) -> Thread {
    let mut stack = runtime(&["<std::sys::sync::condvar::futex::Condvar>::wait", "tokio::runtime::park::Inner::park"]);
    stack.extend(runtime(&["tokio::runtime::scheduler::multi_thread::worker::run"]));
    thread(tid, "tokio-rt-worker", "S", false, stack)
}

/// `collect()` wants the lock whose holder registers a metric; three more scrapes queue behind.
pub(crate) fn two_threads() -> Diagnosis {
    let mut found = base(
        Outcome::Deadlocked,
        Confidence::Inferred,
        "Two threads wait for each other: gather() holds the registry and wants SessionState, open_session() holds \
         SessionState and wants the registry.",
    );
    let (worker, opener) = ((25_161, "tokio-rt-worker"), (25_160, "session-open"));
    let collect = "<svc::SessionCollector as prometheus::core::Collector>::collect";
    found.threads = vec![
        Thread {
            holds: vec!["lock-1".into()],
            waits_for: Some(WaitsFor { resource: "lock-2".into(), mode: Mode::Exclusive }),
            ..thread(
                25_161,
                "tokio-rt-worker",
                "S",
                true,
                gather_stack(vec![
                    frame(
                        "<std::sys::sync::mutex::futex::Mutex>::lock_contended",
                        "std/src/sys/sync/mutex/futex.rs",
                        115,
                    ),
                    frame(collect, "svc-0.1.0/src/sessions.rs", 50),
                ]),
            )
        },
        Thread {
            holds: vec!["lock-2".into()],
            waits_for: Some(WaitsFor { resource: "lock-1".into(), mode: Mode::Write }),
            ..thread(
                25_160,
                "session-open",
                "S",
                false,
                vec![
                    frame(
                        "<parking_lot::raw_rwlock::RawRwLock>::lock_exclusive_slow",
                        "parking_lot-0.12.5/src/raw_rwlock.rs",
                        742,
                    ),
                    frame("prometheus::registry::Registry::register", "prometheus-0.14.0/src/registry.rs", 261),
                    frame("svc::sessions::open_session", "svc-0.1.0/src/sessions.rs", 68),
                ],
            )
        },
        idle(25_162),
        idle(25_163),
    ];
    for tid in 25_200..25_203 {
        let top = frame(
            "<parking_lot::raw_rwlock::RawRwLock>::lock_shared_slow",
            "parking_lot-0.12.5/src/raw_rwlock.rs",
            820,
        );
        found.threads.push(Thread {
            waits_for: Some(WaitsFor { resource: "lock-1".into(), mode: Mode::Read }),
            ..thread(tid, "tokio-rt-worker", "S", true, gather_stack(vec![top]))
        });
        found.blocked_behind.push(tid);
    }
    found.resources = vec![
        lock("lock-1", ResourceKind::ParkingLotRwLock, REGISTRY, 0x55c1_cc8a_3920),
        lock("lock-2", ResourceKind::StdMutex, "SessionState", 0x55c1_cc8a_3af0),
    ];
    found.edges = vec![
        waits(25_161, "lock-2", Mode::Exclusive, &format!("{collect} (sessions.rs:50)")),
        holds(25_161, "lock-1", Mode::Read, "prometheus::registry::Registry::gather (registry.rs:276)"),
        holds(25_160, "lock-2", Mode::Exclusive, "svc::sessions::open_session (sessions.rs:68)"),
        waits(25_160, "lock-1", Mode::Write, "prometheus::registry::Registry::register (registry.rs:261)"),
    ];
    found.edges.extend((25_200..25_203).map(|tid| Edge {
        note: Some("a queued writer goes before new readers".into()),
        ..waits(tid, "lock-1", Mode::Read, "prometheus::registry::Registry::gather (registry.rs:276)")
    }));
    found.cycle = vec![step(worker, "lock-2", Mode::Exclusive, opener), step(opener, "lock-1", Mode::Write, worker)];
    found.advice = vec![
        "collect() must not take a lock that is also held around register(): snapshot the state before gather()."
            .into(),
        "Or register every metric at start-up, before any lock is taken.".into(),
    ];
    found
}

/// `register()` inside `collect()`.
pub(crate) fn self_wait() -> Diagnosis {
    let mut found = base(
        Outcome::Deadlocked,
        Confidence::Inferred,
        "A thread waits for a lock that it holds itself: register() inside collect(), under the registry's read lock.",
    );
    let worker = (4_711, "tokio-rt-worker");
    let mut stack = gather_stack(vec![
        frame("<parking_lot::raw_rwlock::RawRwLock>::lock_exclusive_slow", "parking_lot-0.12.5/src/raw_rwlock.rs", 742),
        frame("prometheus::registry::Registry::register", "prometheus-0.14.0/src/registry.rs", 261),
        frame("<svc::LazyCollector as prometheus::core::Collector>::collect", "svc-0.1.0/src/lazy.rs", 22),
    ]);
    stack[2].inlined = true;
    found.threads = vec![
        Thread {
            holds: vec!["lock-1".into()],
            waits_for: Some(WaitsFor { resource: "lock-1".into(), mode: Mode::Write }),
            ..thread(4_711, "tokio-rt-worker", "S", true, stack)
        },
        idle(4_712),
    ];
    found.resources = vec![lock("lock-1", ResourceKind::ParkingLotRwLock, REGISTRY, 0x7f31_0400_1920)];
    let wants = waits(4_711, "lock-1", Mode::Write, "prometheus::registry::Registry::register (registry.rs:261)");
    let note = Some("a queued writer goes first".into());
    found.edges = vec![
        Edge { relation: Relation::Queued, note, ..wants.clone() },
        wants,
        holds(4_711, "lock-1", Mode::Read, "prometheus::registry::Registry::gather (registry.rs:276)"),
    ];
    found.cycle = vec![step(worker, "lock-1", Mode::Write, worker)];
    found.advice = vec!["Register the metric before the registry is gathered, never inside collect().".into()];
    found
}

/// Three threads, three locks, all proven.
pub(crate) fn three_threads() -> Diagnosis {
    let mut found = base(
        Outcome::Deadlocked,
        Confidence::Proven,
        "Three threads wait in a ring: the scrape for the cache, the refresher for the index, the compactor for the registry.",
    );
    let ring = [(311, "tokio-rt-worker"), (312, "refresher"), (313, "compactor")];
    let locks = [("lock-2", "Cache"), ("lock-3", "Index"), ("lock-1", REGISTRY)];
    let modes = [Mode::Exclusive, Mode::Write, Mode::Write];
    found.resources = vec![
        lock("lock-1", ResourceKind::ParkingLotRwLock, REGISTRY, 0x5600_0000_1000),
        lock("lock-2", ResourceKind::ParkingLotMutex, "Cache", 0x5600_0000_2000),
        lock("lock-3", ResourceKind::StdRwLock, "Index", 0x5600_0000_3000),
    ];
    for (at, (tid, name)) in ring.into_iter().enumerate() {
        let next = ring[(at + 1) % 3];
        let site = format!("svc::{}::run", name.replace('-', "_"));
        found.edges.push(waits(tid, locks[at].0, modes[at], &site));
        let held = if locks[at].0 == "lock-1" { Mode::Read } else { modes[at] };
        let hold = holds(next.0, locks[at].0, held, &format!("svc::{}::run", next.1.replace('-', "_")));
        found.edges.push(Edge { provenance: Provenance::Traced, ..hold });
        found.cycle.push(step((tid, name), locks[at].0, modes[at], next));
        let frames = vec![frame(&site, "svc-0.1.0/src/cache.rs", 90 + at as u32)];
        let frames = if at == 0 { gather_stack(frames) } else { frames };
        found.threads.push(Thread {
            waits_for: Some(WaitsFor { resource: locks[at].0.into(), mode: modes[at] }),
            ..thread(tid, name, "S", at == 0, frames)
        });
    }
    found
}

/// A thread spins for a frozen observer.
pub(crate) fn spin() -> Diagnosis {
    let mut found = base(
        Outcome::Livelocked,
        Confidence::Inferred,
        "gather() spins in HistogramCore::proto: 2589 observations started, 2588 finished, and the missing one is frozen in observe().",
    );
    let proto = "prometheus::histogram::HistogramCore::proto";
    found.threads = vec![
        Thread {
            waits_for: Some(WaitsFor { resource: "spin-1".into(), mode: Mode::Event }),
            ..thread(
                720,
                "tokio-rt-worker",
                "R",
                true,
                gather_stack(vec![frame(proto, "prometheus-0.14.0/src/histogram.rs", 512)]),
            )
        },
        thread(
            725,
            "observer",
            "S",
            false,
            vec![frame("prometheus::histogram::HistogramCore::observe", "prometheus-0.14.0/src/histogram.rs", 455)],
        ),
    ];
    found.resources = vec![Resource {
        id: "spin-1".into(),
        kind: ResourceKind::SpinWord,
        name: "Histogram `lat`: count of shard 1".into(),
        address: Some(0x7f00_0000_8810),
        holders: None,
        event: None,
    }];
    let rule = Provenance::Inferred { rule: "prometheus-histogram-proto".into() };
    found.edges = vec![
        waits(720, "spin-1", Mode::Event, proto),
        Edge {
            provenance: rule,
            count_agrees: None,
            ..holds(725, "spin-1", Mode::Event, "prometheus::histogram::HistogramCore::observe")
        },
    ];
    found.advice = vec![
        "Nothing in the application is wrong; the spin in prometheus 0.14.0 has no bound. Gather off the runtime."
            .into(),
    ];
    found
}

/// A wait for a channel, with the cycle only suspected.
pub(crate) fn actor() -> Diagnosis {
    let mut found = base(
        Outcome::Stalled,
        Confidence::Suspected,
        "The scrape waits for a reply on a channel; who would reply cannot be read from memory.",
    );
    let (worker, actor) = ((801, "tokio-rt-worker"), (802, "actor"));
    found.threads = vec![
        Thread {
            waits_for: Some(WaitsFor { resource: "chan-1".into(), mode: Mode::Event }),
            holds: vec!["lock-1".into()],
            ..thread(
                801,
                "tokio-rt-worker",
                "S",
                true,
                gather_stack(vec![frame(
                    "<svc::Asker as prometheus::core::Collector>::collect",
                    "svc-0.1.0/src/actor.rs",
                    31,
                )]),
            )
        },
        Thread {
            waits_for: Some(WaitsFor { resource: "lock-1".into(), mode: Mode::Write }),
            ..thread(
                802,
                "actor",
                "S",
                false,
                vec![frame("prometheus::registry::Registry::register", "prometheus-0.14.0/src/registry.rs", 261)],
            )
        },
    ];
    found.resources = vec![
        lock("lock-1", ResourceKind::ParkingLotRwLock, REGISTRY, 0x5581_0000_1000),
        Resource {
            id: "chan-1".into(),
            kind: ResourceKind::Channel,
            name: "std::sync::mpsc channel".into(),
            address: None,
            holders: None,
            event: Some(Event::Message),
        },
    ];
    let rule = Provenance::Inferred { rule: "channel-peer-by-name".into() };
    found.edges = vec![
        waits(801, "chan-1", Mode::Event, "<svc::Asker as prometheus::core::Collector>::collect (actor.rs:31)"),
        holds(801, "lock-1", Mode::Read, "prometheus::registry::Registry::gather (registry.rs:276)"),
        waits(802, "lock-1", Mode::Write, "prometheus::registry::Registry::register (registry.rs:261)"),
        Edge {
            provenance: rule,
            count_agrees: None,
            stable: false,
            ..holds(802, "chan-1", Mode::Event, "svc::actor::run")
        },
    ];
    found.suspects = vec![vec![step(worker, "chan-1", Mode::Event, actor), step(actor, "lock-1", Mode::Write, worker)]];
    found.gaps = vec![Gap {
        what: "who will send on the channel".into(),
        why: "a channel does not record its senders".into(),
        uncovers: true,
    }];
    found.advice = vec!["Do not wait for an actor in collect(); let it publish its numbers beforehand.".into()];
    found
}
