//! Who holds and who waits, in every shape in which locks hang a `/metrics`.

use crate::target::Target;
use gatherlock::model::{Explained, Mode, Provenance, Relation, ResourceKind, Snapshot};

/// The edges of locks and spins as lines, sorted: who does what to which resource, and how sure that is.
pub(crate) fn lock_edges(explained: &Explained) -> Vec<String> {
    let mut lines = Vec::new();
    for edge in &explained.edges {
        let resource = explained.resources.iter().find(|r| r.id == edge.resource).unwrap();
        if !resource.kind.is_lock() && resource.kind != ResourceKind::SpinWord {
            continue;
        }
        let thread = explained.threads.iter().find(|t| t.tid == edge.thread).unwrap();
        let who = if thread.serves_request { "request" } else { thread.name.as_str() };
        let verb = match edge.relation {
            Relation::Holds => "holds",
            Relation::Waits => "waits for",
            Relation::Queued => "is queued for",
        };
        let sure = match (&edge.provenance, edge.relation, edge.count_agrees) {
            (Provenance::Walked, Relation::Holds, Some(true))
            | (Provenance::Read, Relation::Waits | Relation::Queued, None) => "",
            _ => " (uncertain)",
        };
        let moved = if edge.stable { "" } else { " (moved)" };
        // Unoptimised code does not inline parking_lot's functions, and only those carry the type of what it protects.
        let untyped = cfg!(debug_assertions) && resource.name.starts_with("lock taken in diagnose::service::");
        let name = if untyped { "(app)" } else { resource.name.as_str() };
        lines.push(format!("{who} {verb} {} {name} {}{sure}{moved}", resource.kind.word(), edge.mode.word()));
    }
    lines.sort();
    lines
}

/// Starts the case and demands exactly these edges of locks, each unchanged in two samples and accounted for.
fn expect(case: &str, edges: &[&str]) -> (Target, Snapshot, Snapshot, Explained) {
    let target = Target::start(case);
    let (first, second, explained) = target.explained(|explained| lock_edges(explained) == edges);
    assert_eq!(lock_edges(&explained), edges, "{case}: gaps {:#?}", explained.gaps);
    (target, first, second, explained)
}

/// What a lock of the application is called.
macro_rules! app {
    ($name:literal) => {
        if cfg!(debug_assertions) { "(app)" } else { $name }
    };
}

const REGISTRY: &str = "parking_lot::RwLock prometheus Registry #1";

#[test]
fn registering_in_collect_is_a_self_wait() {
    let (_target, _, _, explained) = expect(
        "register-in-collect",
        &[
            &format!("request holds {REGISTRY} READ"),
            &format!("request is queued for {REGISTRY} WRITE"),
            &format!("request waits for {REGISTRY} WRITE"),
        ],
    );
    let wait = explained.edges.iter().find(|e| e.relation == Relation::Waits && e.mode == Mode::Write).unwrap();
    let site = wait.site.as_deref().unwrap();
    assert!(site.starts_with("prometheus::registry::Registry::register"), "{site}");
    assert!(!site.contains("(/"), "{site} names a directory of this machine");
}

#[test]
fn gathering_in_collect_waits_for_the_queued_writer() {
    let (_target, _, _, explained) = expect(
        "gather-in-collect",
        &[
            &format!("late-register is queued for {REGISTRY} WRITE"),
            &format!("late-register waits for {REGISTRY} WRITE"),
            &format!("request holds {REGISTRY} READ"),
            &format!("request waits for {REGISTRY} READ"),
        ],
    );
    let queued = explained.edges.iter().find(|e| e.relation == Relation::Queued).unwrap();
    assert_eq!(queued.note.as_deref(), Some("a queued writer goes first"));
}

#[test]
fn ab_ba_over_a_parking_lot_mutex() {
    expect(
        "ab-ba-parking-lot",
        &[
            &format!("request holds {REGISTRY} READ"),
            &format!("request waits for parking_lot::Mutex {} LOCK", app!("Mutex<Inventory>")),
            &format!("session-open holds parking_lot::Mutex {} LOCK", app!("Mutex<Inventory>")),
            &format!("session-open is queued for {REGISTRY} WRITE"),
            &format!("session-open waits for {REGISTRY} WRITE"),
        ],
    );
}

/// The edges of an AB-BA deadlock over a `std` mutex.
fn ab_ba_std() -> Vec<String> {
    vec![
        format!("request holds {REGISTRY} READ"),
        "request waits for std::sync::Mutex Mutex<Inventory> LOCK".into(),
        "session-open holds std::sync::Mutex Mutex<Inventory> LOCK".into(),
        format!("session-open is queued for {REGISTRY} WRITE"),
        format!("session-open waits for {REGISTRY} WRITE"),
    ]
}

#[test]
fn ab_ba_over_a_std_mutex() {
    let edges = ab_ba_std();
    expect("ab-ba-std", &edges.iter().map(String::as_str).collect::<Vec<_>>());
}

#[test]
fn whoever_merely_refers_to_a_mutex_does_not_hold_it() {
    let edges = ab_ba_std();
    expect("bystander", &edges.iter().map(String::as_str).collect::<Vec<_>>());
}

#[test]
fn a_cycle_of_three_over_both_kinds_of_mutex() {
    expect(
        "three-party",
        &[
            &format!("cache-owner holds parking_lot::Mutex {} LOCK", app!("Mutex<Inventory>")),
            "cache-owner waits for std::sync::Mutex Mutex<Inventory> LOCK",
            "index-owner holds std::sync::Mutex Mutex<Inventory> LOCK",
            &format!("index-owner is queued for {REGISTRY} WRITE"),
            &format!("index-owner waits for {REGISTRY} WRITE"),
            &format!("request holds {REGISTRY} READ"),
            &format!("request waits for parking_lot::Mutex {} LOCK", app!("Mutex<Inventory>")),
        ],
    );
}

#[test]
fn a_std_mutex_locked_twice_by_one_function() {
    expect(
        "std-mutex-twice",
        &[
            "request holds std::sync::Mutex Mutex<Inventory> LOCK",
            "request waits for std::sync::Mutex Mutex<Inventory> LOCK",
        ],
    );
}

const MAP: &str = if cfg!(debug_assertions) {
    "parking_lot::RwLock (app)"
} else {
    "parking_lot::RwLock RwLock<HashMap<u64, u64, RandomState, Global>>"
};

#[test]
fn two_guards_in_one_expression_write_then_read() {
    expect("write-then-read", &[&format!("request holds {MAP} WRITE"), &format!("request waits for {MAP} READ")]);
}

#[test]
fn two_guards_in_one_expression_read_then_write() {
    expect(
        "read-then-write",
        &[
            &format!("request holds {MAP} READ"),
            &format!("request is queued for {MAP} WRITE"),
            &format!("request waits for {MAP} WRITE"),
        ],
    );
}

#[test]
fn a_read_guard_in_a_handlers_future() {
    expect(
        "guard-in-handler-future",
        &[
            &format!("tokio-rt-worker holds {MAP} READ"),
            &format!("tokio-rt-worker waits for {MAP} READ"),
            &format!("writer is queued for {MAP} WRITE"),
            &format!("writer waits for {MAP} WRITE"),
        ],
    );
}

#[test]
fn the_official_clients_registry_behind_a_std_rwlock() {
    expect(
        "client-registry-cycle",
        &[
            "late-register holds std::sync::Mutex Mutex<u64> LOCK",
            "late-register is queued for std::sync::RwLock RwLock<Registry> WRITE",
            "late-register waits for std::sync::RwLock RwLock<Registry> WRITE",
            "request holds std::sync::RwLock RwLock<Registry> READ",
            "request waits for std::sync::Mutex Mutex<u64> LOCK",
        ],
    );
}

#[test]
fn the_official_clients_family_asked_twice_in_one_expression() {
    const FAMILY: &str = "parking_lot::RwLock metrics of a prometheus_client Family";
    let mut edges = ["holds {} READ", "is queued for {} WRITE", "waits for {} WRITE"]
        .map(|edge| format!("tokio-rt-worker {}", edge.replace("{}", FAMILY)))
        .to_vec();
    for case in ["client-family-twice", "client-family-again"] {
        expect(case, &edges.iter().map(String::as_str).collect::<Vec<_>>());
    }
    // Another one waits for the first of the two guards, and its code goes on to drop both.
    let target = Target::start("client-family-twice");
    target.explained(|explained| lock_edges(explained) == edges);
    edges.push(format!("tokio-rt-worker waits for {FAMILY} READ"));
    edges.sort();
    target.scrape_again();
    let (_, _, explained) = target.explained(|explained| lock_edges(explained) == edges);
    assert_eq!(lock_edges(&explained), edges, "{:#?}", explained.gaps);
}

#[test]
fn a_signal_handler_wants_what_the_interrupted_function_holds() {
    const CHILDREN: &str = "parking_lot::RwLock children of metric vector `requests`";
    expect(
        "signal-handler",
        &[
            &format!("request waits for {CHILDREN} READ"),
            &format!("updater holds {CHILDREN} WRITE"),
            &format!("updater waits for {CHILDREN} READ"),
        ],
    );
}

#[test]
fn a_frozen_observer_makes_the_collector_spin() {
    let (_target, _, _, explained) = expect("frozen-observer", &["request waits for spin Histogram `lat` EVENT"]);
    let [spin] = explained.spins.as_slice() else { panic!("{:?}", explained.spins) };
    assert!(spin.unchanged, "{spin:?}");
    let culprit = explained.threads.iter().find(|t| Some(t.tid) == spin.culprit).expect("no culprit");
    assert_eq!(culprit.name, "observer");
}

#[test]
fn a_blocking_pool_thread_that_serves_the_request() {
    let (_target, _, _, explained) = expect(
        "offload",
        &[
            &format!("request holds {REGISTRY} READ"),
            &format!("request is queued for {REGISTRY} WRITE"),
            &format!("request waits for {REGISTRY} WRITE"),
        ],
    );
    let runtime = explained.runtime.unwrap();
    assert_eq!((runtime.workers, runtime.blocked), (3, 0));
}

#[test]
fn a_leaked_guard_is_a_gap_and_no_holder() {
    let (_target, _, _, explained) =
        expect("leaked-guard", &["request waits for std::sync::Mutex Mutex<Inventory> LOCK"]);
    let gap = explained.gaps.iter().find(|gap| gap.what.contains("(lock-1)")).expect("no gap");
    assert!(gap.uncovers && gap.why.contains("1 holder"), "{gap:?}");
}

/// AB-BA over the registry: the request wants `lock` in one mode, `session-open` has it in another and registers.
fn expect_cross(case: &str, lock: &str, wanted: &str, held: &str) {
    expect(
        case,
        &[
            &format!("request holds {REGISTRY} READ"),
            &format!("request waits for {lock} {wanted}"),
            &format!("session-open holds {lock} {held}"),
            &format!("session-open is queued for {REGISTRY} WRITE"),
            &format!("session-open waits for {REGISTRY} WRITE"),
        ],
    );
}

#[test]
fn statics_of_both_kinds() {
    const MUTEX: &str = "std::sync::Mutex static `diagnose::service::locks::COUNTS`";
    const TABLE: &str = "parking_lot::RwLock static `diagnose::service::locks::TABLE`";
    expect_cross("static-mutex", MUTEX, "LOCK", "LOCK");
    expect_cross("static-rwlock", TABLE, "READ", "WRITE");
}

#[test]
fn a_guard_in_a_struct_and_a_guard_in_a_temporary() {
    for case in ["guard-in-struct", "guard-in-temporary"] {
        expect_cross(case, "std::sync::Mutex Mutex<Inventory>", "LOCK", "LOCK");
    }
}

const TABLE: &str = "std::sync::RwLock RwLock<Inventory>";

/// One thread reads, then writes.
fn expect_reentry(case: &str, who: &str) {
    expect(
        case,
        &[
            &format!("{who} holds {TABLE} READ"),
            &format!("{who} is queued for {TABLE} WRITE"),
            &format!("{who} waits for {TABLE} WRITE"),
        ],
    );
}

#[test]
fn a_std_rwlock_read_then_written_by_one_thread() {
    expect_reentry("std-read-then-write", "request");
}

#[test]
fn a_holder_beside_one_that_is_not_seen_is_uncertain_and_no_cycle() {
    let (_target, _, _, explained) = expect(
        "one-of-two-leaked",
        &[
            &format!("request holds {TABLE} READ (uncertain)"),
            &format!("request is queued for {TABLE} WRITE"),
            &format!("request waits for {TABLE} WRITE"),
        ],
    );
    let graph = gatherlock::graph::WaitGraph::new(&explained);
    assert_eq!((graph.cycles().len(), graph.self_waits().len(), graph.suspects().len()), (0, 0, 1));
}

#[test]
fn a_read_guard_of_a_handler_over_gather() {
    expect_reentry("handler-guard-over-gather", "request");
}

#[test]
fn a_std_rwlock_read_twice_with_a_writer_in_between() {
    expect(
        "std-recursive-read",
        &[
            &format!("request holds {TABLE} READ"),
            &format!("request waits for {TABLE} READ"),
            &format!("writer is queued for {TABLE} WRITE"),
            &format!("writer waits for {TABLE} WRITE"),
        ],
    );
}

#[test]
fn a_parking_lot_mutex_locked_twice_by_one_function() {
    let mutex = app!("Mutex<Inventory>");
    expect(
        "parking-lot-mutex-twice",
        &[
            &format!("request holds parking_lot::Mutex {mutex} LOCK"),
            &format!("request waits for parking_lot::Mutex {mutex} LOCK"),
        ],
    );
}

#[test]
fn a_mutex_locked_twice_by_a_handler() {
    expect(
        "handler-mutex-twice",
        &[
            "tokio-rt-worker holds std::sync::Mutex Mutex<Inventory> LOCK",
            "tokio-rt-worker waits for std::sync::Mutex Mutex<Inventory> LOCK",
        ],
    );
}

#[test]
fn a_cycle_over_locks_of_two_crates() {
    expect(
        "mixed-kinds",
        &[
            "reader holds std::sync::RwLock RwLock<u64> READ",
            &format!("reader waits for parking_lot::Mutex {} LOCK", app!("Mutex<Inventory>")),
            &format!("request holds parking_lot::Mutex {} LOCK", app!("Mutex<Inventory>")),
            "request is queued for std::sync::RwLock RwLock<u64> WRITE",
            "request waits for std::sync::RwLock RwLock<u64> WRITE",
        ],
    );
}

#[test]
fn two_registries_are_told_apart() {
    const OTHER: &str = "parking_lot::RwLock prometheus Registry #2";
    let target = Target::start("two-registries");
    let verbs = ["holds", "is queued for", "waits for"];
    let modes = ["READ", "WRITE", "WRITE"];
    let mut edges: Vec<String> = verbs
        .iter()
        .zip(modes)
        .flat_map(|(verb, mode)| [REGISTRY, OTHER].map(|lock| format!("request {verb} {lock} {mode}")))
        .collect();
    edges.sort();
    let (_, _, explained) = target.explained(|explained| lock_edges(explained) == edges);
    assert_eq!(lock_edges(&explained), edges);
    let graph = gatherlock::graph::WaitGraph::new(&explained);
    assert_eq!((graph.cycles().len(), graph.self_waits().len()), (1, 0));
}

#[test]
fn the_collect_lock_behind_a_spinning_collector_has_the_histograms_name() {
    let target = Target::start("frozen-observer");
    let spins = |explained: &Explained| explained.spins.iter().any(|spin| spin.unchanged);
    target.explained(spins);
    target.scrape_again();
    let edges = ["holds", "waits for"]
        .map(|verb| format!("request {verb} std::sync::Mutex collect lock of Histogram `lat` LOCK"));
    // Until the second request stands at the lock in two samples.
    let shows = |explained: &Explained| edges.iter().all(|edge| lock_edges(explained).contains(edge));
    let (_, _, explained) = target.explained(|explained| shows(explained) && spins(explained));
    assert!(shows(&explained), "{:#?}", lock_edges(&explained));
}

#[test]
fn a_lock_held_by_a_suspended_task_has_no_holder() {
    let (_target, _, _, explained) =
        expect("guard-in-suspended-task", &["request waits for std::sync::Mutex Mutex<Inventory> LOCK"]);
    let gap = explained.gaps.iter().find(|gap| gap.what.contains("(lock-1)")).expect("no gap");
    assert!(gap.why.contains("a leaked guard, or one in a suspended task, which is not visible"), "{gap:?}");
}
