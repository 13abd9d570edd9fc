//! The part of the target process that hangs on locks in further shapes: statics, guards in structs, in temporaries and in
//! futures, both kinds of `RwLock`, and locks that no thread will release.

use super::{Gate, Inventory, Tid, gauge, named, on_collect, scrape};
use parking_lot::{Mutex as PlMutex, RwLock as PlRwLock};
use prometheus::Registry;
use std::sync::{Arc, Mutex, MutexGuard, RwLock};

static COUNTS: Mutex<Inventory> = Mutex::new(Inventory { items: 0 });
static TABLE: PlRwLock<Inventory> = PlRwLock::new(Inventory { items: 0 });

/// A guard that lives in something else, which is dropped.
struct Session<'a> {
    state: MutexGuard<'a, Inventory>,
    id: u64,
}

impl Drop for Session<'_> {
    #[inline(never)]
    fn drop(&mut self) {
        self.state.items += self.id;
    }
}

impl Inventory {
    #[inline(never)]
    fn refresh(&mut self, registry: &Registry, locked: &Gate, go: &Gate) {
        self.items += 1;
        register_between(registry, locked, go);
        self.items += 1;
    }
}

fn register_between(registry: &Registry, locked: &Gate, go: &Gate) {
    locked.open();
    go.pass();
    registry.register(Box::new(gauge("late"))).unwrap();
}

#[inline(never)]
fn under_static_mutex(registry: &Registry, locked: &Gate, go: &Gate) {
    let mut counts = COUNTS.lock().unwrap();
    counts.items += 1;
    register_between(registry, locked, go);
    counts.items += 1;
}

#[inline(never)]
fn under_static_rwlock(registry: &Registry, locked: &Gate, go: &Gate) {
    let mut table = TABLE.write();
    table.items += 1;
    register_between(registry, locked, go);
    table.items += 1;
}

#[inline(never)]
fn under_session(state: &Mutex<Inventory>, registry: &Registry, locked: &Gate, go: &Gate) {
    let session = Session { state: state.lock().unwrap(), id: 7 };
    register_between(registry, locked, go);
    drop(session);
}

#[inline(never)]
fn under_temporary(state: &Mutex<Inventory>, registry: &Registry, locked: &Gate, go: &Gate) {
    state.lock().unwrap().refresh(registry, locked, go);
}

/// One thread registers while it holds what `take` takes in the collector: AB-BA over the registry.
fn cross(
    registry: &Registry,
    take: impl Fn() -> u64 + Send + Sync + 'static,
    hold: impl FnOnce(&Registry, &Gate, &Gate) + Send + 'static,
) {
    let (locked, go) = (Gate::default(), Gate::default());
    let (l, g, r) = (locked.clone(), go.clone(), registry.clone());
    on_collect(registry, move |gauge| {
        g.open();
        l.pass();
        gauge.set(take() as f64);
    });
    named("session-open", move || hold(&r, &locked, &go));
}

const CASES: [&str; 13] = [
    "static-mutex",
    "static-rwlock",
    "guard-in-struct",
    "guard-in-temporary",
    "std-read-then-write",
    "one-of-two-leaked",
    "std-recursive-read",
    "parking-lot-mutex-twice",
    "mixed-kinds",
    "two-registries",
    "guard-in-suspended-task",
    "handler-mutex-twice",
    "handler-guard-over-gather",
];

pub(super) fn prepares(case: &str) -> bool {
    CASES.contains(&case)
}

pub(super) fn prepare(case: &str, registry: &Registry) {
    match case {
        "static-mutex" => cross(registry, || COUNTS.lock().unwrap().items, under_static_mutex),
        "static-rwlock" => cross(registry, || TABLE.read().items, under_static_rwlock),
        "guard-in-struct" | "guard-in-temporary" => {
            let state = Arc::new(Mutex::new(Inventory::default()));
            let (s, under) = (state.clone(), if case == "guard-in-struct" { under_session } else { under_temporary });
            cross(registry, move || s.lock().unwrap().items, move |r, locked, go| under(&state, r, locked, go));
        }
        "std-read-then-write" => {
            let table = RwLock::new(Inventory::default());
            on_collect(registry, move |_| {
                let seen = table.read().unwrap();
                table.write().unwrap().items += seen.items;
            });
        }
        "one-of-two-leaked" => {
            let table = RwLock::new(Inventory::default());
            on_collect(registry, move |_| {
                std::mem::forget(table.read().unwrap());
                let seen = table.read().unwrap();
                table.write().unwrap().items += seen.items;
            });
        }
        "std-recursive-read" => {
            let table = Arc::new(RwLock::new(Inventory::default()));
            let (inside, writer) = (Gate::default(), Tid::default());
            let (t, entered, tid) = (table.clone(), inside.clone(), writer.clone());
            on_collect(registry, move |gauge| {
                let first = t.read().unwrap();
                entered.open();
                tid.await_futex();
                gauge.set(again(&t) + first.items as f64);
            });
            named("writer", move || {
                inside.pass();
                writer.tell();
                table.write().unwrap().items += 1;
            });
        }
        "parking-lot-mutex-twice" => {
            let state = PlMutex::new(Inventory::default());
            on_collect(registry, move |gauge| {
                let first = state.lock();
                gauge.set((first.items + state.lock().items) as f64);
            });
        }
        "mixed-kinds" => {
            let (cache, table) = (Arc::new(PlMutex::new(Inventory::default())), Arc::new(RwLock::new(0u64)));
            let (a, b) = (Gate::default(), Gate::default());
            let (c, t, a1, b1) = (cache.clone(), table.clone(), a.clone(), b.clone());
            on_collect(registry, move |_| {
                let cache = c.lock();
                a1.open();
                b1.pass();
                *t.write().unwrap() += cache.items;
            });
            named("reader", move || {
                let table = table.read().unwrap();
                b.open();
                a.pass();
                cache.lock().items += *table;
            });
        }
        "two-registries" => {
            let other = Registry::new();
            let (a, b) = (Gate::default(), Gate::default());
            for (one, two, mine, theirs) in
                [(registry, other.clone(), a.clone(), b.clone()), (&other, registry.clone(), b, a)]
            {
                on_collect(one, move |_| {
                    mine.open();
                    theirs.pass();
                    two.register(Box::new(gauge("late"))).unwrap();
                });
            }
            named("other-scrape", move || drop(std::hint::black_box(scrape(&other))));
        }
        "guard-in-suspended-task" => {
            let (state, locked) = (Arc::new(Mutex::new(Inventory::default())), Gate::default());
            let (s, l) = (state.clone(), locked.clone());
            on_collect(registry, move |gauge| gauge.set(state.lock().unwrap().items as f64));
            named("local-tasks", move || suspend_with(s, l));
            locked.pass();
        }
        _ => {}
    }
}

#[inline(never)]
fn again(table: &RwLock<Inventory>) -> f64 {
    table.read().unwrap().items as f64
}

/// Runs a task that is suspended for ever while its guard lives in its future.
fn suspend_with(state: Arc<Mutex<Inventory>>, locked: Gate) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let tasks = tokio::task::LocalSet::new();
    #[expect(clippy::await_holding_lock, reason = "the mistake that is to be diagnosed")]
    tasks.spawn_local(async move {
        let mut state = state.lock().unwrap();
        locked.open();
        std::future::pending::<()>().await;
        state.items += 1;
    });
    runtime.block_on(tasks);
}

pub(super) fn handles(case: &str) -> bool {
    case.starts_with("handler-")
}

/// The handler itself holds a guard; that guard lives in its future, and there is no await while it does.
pub(super) fn handle(case: &str, registry: &Registry) -> String {
    let state = Arc::new(Mutex::new(Inventory::default()));
    if case == "handler-mutex-twice" {
        let first = state.lock().unwrap();
        return format!("{} {}", items(&state), first.items);
    }
    let table = Arc::new(RwLock::new(Inventory::default()));
    let t = table.clone();
    on_collect(registry, move |_| t.write().unwrap().items += 1);
    let guard = table.read().unwrap();
    let page = scrape(registry);
    format!("{page}{}", guard.items)
}

#[inline(never)]
fn items(state: &Mutex<Inventory>) -> u64 {
    state.lock().unwrap().items
}
