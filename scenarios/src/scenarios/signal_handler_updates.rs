//! A signal handler creates a series while the very thread that it interrupted holds that vector's lock.
//!
//! A signal handler runs on whatever thread the signal hits, between any two of its instructions. If the thread is inside
//! `with_label_values()` and has just taken the vector's write lock to create a series, and the handler counts the signal
//! in the same vector, it asks for a lock that can only be released by returning to the code which the handler has
//! interrupted. The thread waits for itself; every scrape after that waits for the thread.
//!
//! No other thread is involved, so no care about lock order helps. What a signal handler may do is a short list, and
//! taking a lock is not on it.
//!
//! It happened to a Python service whose `SIGCHLD` handler logged an error: logging counted, counting took a lock of
//! `prometheus_client`, and now and then the signal arrived while the main thread held it. A garbage collector that runs
//! callbacks does the same without any signal.
//!
//! Here the vector's builder, which runs under the vector's write lock, stops at a gate; then that thread is signalled, and
//! it must be seen parked on the vector's own lock before the scrape is sent.
//!
//! ```text
//! worker     with_label_values("7") ── WRITE children ── build() | SIGUSR1: with_label_values("signal")
//!                                                                |   waits for READ children, held further down its stack
//! scrape     READ registry ── collect() ── waits for READ children
//! ```
//!
//! ## Run it
//! `cargo xtask repro 'signal-handler-updates*'`
//!
//! ## What it prints
//! ```text
//!                                           timeout-                    timeout-
//!                          naive            inline         offload      offload
//! ─────────────────────────────────────────────────────────────────────────────────
//! recursive lock
//!   signal-handler-updates ✓ deadlocked     ✓ deadlocked   ✓ deadlocked ✓ contained
//!                            +0.67–1/scrape   +0.67/scrape   +1/scrape    +1/scrape
//!                            1 stuck          1 stuck        1 stuck      1 stuck
//!
//!                          try-lock       atomics  exporter official
//! ──────────────────────────────────────────────────────────────────────────
//! recursive lock
//!   signal-handler-updates ✓ deadlocked   ✓ served –        ✓ deadlocked
//!                            +0.67/scrape                     +0.33–1/scrape
//!                            1 stuck                          1 stuck
//!
//!                          guarded
//! ───────────────────────────────────────
//! recursive lock
//!   signal-handler-updates ✓ contained
//!                            +0.33/scrape
//!                            1 stuck
//!
//!   naive            deadlocked  the request on `tokio-rt-worker` 27329 waits for children of metric vector
//!                                `requests_total` (READ), which `worker` 27408 holds; `worker` 27408 holds
//!                                children of metric vector `requests_total` (WRITE) and waits for it again (READ):
//!                                it waits for itself
//! ```

use super::handlers;
use super::prometheus::core::{MetricVec, MetricVecBuilder};
use super::prometheus::{self, IntCounter, Opts, Registry, proto};
use crate::lesson::{Cell, Lesson};
use crate::official_registry;
use crate::setting::Setting;
use crate::stage::{App, Stage};
use crate::variants::atomics::write_metric;
use crate::variants::{Library, Variant, atomics, because, official};
use gatherlock::catalogue::{Gate, LockMemory, Problem, wait_until_parked};
use gatherlock::model::{Command, Company, Drive, Outcome, Release};
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::{Family, MetricConstructor};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// Far longer than anything that could keep a signalled thread from the lock.
const GIVE_UP: Duration = Duration::from_secs(8);

/// What the application does on `SIGUSR1`.
static ON_SIGNAL: OnceLock<Box<dyn Fn() + Send + Sync>> = OnceLock::new();

extern "C" fn count_signal(_: libc::c_int) {
    if let Some(action) = ON_SIGNAL.get() {
        action();
    }
}

/// Installs the handler. It runs on the stack of the thread that it interrupts.
fn on_signal(action: impl Fn() + Send + Sync + 'static) -> Result<(), Problem> {
    ON_SIGNAL.set(Box::new(action)).map_err(|_| "the handler of SIGUSR1 is installed already")?;
    let handler = SigAction::new(SigHandler::Handler(count_signal), SaFlags::SA_RESTART, SigSet::empty());
    // SAFETY: the handler does what a handler must not do, which is the point. It never unwinds, and the one thread that is
    // signalled stands in `poll` at a gate, outside of the allocator and of every other lock than the one in question.
    unsafe { sigaction(Signal::SIGUSR1, &handler)? };
    Ok(())
}

/// Sends `SIGUSR1` to thread `tid` of this process.
fn signal(tid: i32) -> Result<(), Problem> {
    // SAFETY: a system call that takes three numbers and no memory.
    let sent = unsafe { libc::syscall(libc::SYS_tgkill, libc::getpid(), tid, libc::SIGUSR1) };
    if sent == 0 { Ok(()) } else { Err(std::io::Error::last_os_error().into()) }
}

/// The trap: the worker creates series "7" and is held at `inside`; then it is signalled and `sprung` says when the handler
/// has done what it does.
fn drive(
    app: App,
    stage: &Stage,
    inside: Arc<Gate>,
    create: impl Fn() + Clone + Send + 'static,
    sprung: impl Fn(i32) -> Result<(), Problem> + 'static,
) -> App {
    let stage = stage.clone();
    app.on(Command::Arm, move || {
        inside.close();
        let create = create.clone();
        let worker = stage.actor("worker", move || {
            create();
            Ok(())
        })?;
        inside.wait_for_arrival();
        signal(worker)?;
        sprung(worker)
    })
}

/// Makes the counter of one peer; it runs under the vector's write lock.
#[derive(Clone)]
struct PeerBuilder {
    inside: Arc<Gate>,
}

impl MetricVecBuilder for PeerBuilder {
    type M = IntCounter;
    type P = Opts;

    fn build<V: AsRef<str>>(&self, opts: &Opts, values: &[V]) -> prometheus::Result<IntCounter> {
        self.inside.pass();
        let labelled = opts.variable_labels.iter().zip(values);
        let child = Opts::new(opts.name.clone(), opts.help.clone());
        IntCounter::with_opts(labelled.fold(child, |child, (label, value)| child.const_label(label, value.as_ref())))
    }
}

fn on_prometheus(stage: &Stage) -> Result<App, Problem> {
    let registry = Registry::new();
    let bump = handlers::canary(&registry)?;
    let inside = stage.gate("a series is being created, WRITE held")?;
    let opts = Opts::new("requests_total", "Requests by peer").variable_label("peer");
    let requests = MetricVec::create(proto::MetricType::COUNTER, PeerBuilder { inside: inside.clone() }, opts)?;
    requests.get_metric_with_label_values(&["1"])?.inc();
    registry.register(Box::new(requests.clone()))?;

    let in_handler = requests.clone();
    on_signal(move || {
        // The mistake: the thread below may hold the lock of this vector, and here it does.
        in_handler.with_label_values(&["signal"]).inc();
    })?;
    let (in_worker, watched, journal) = (requests.clone(), requests, stage.journal().clone());
    let app = App::new(handlers::routes(stage.setting.variant, registry, stage.deadline()), bump);
    Ok(drive(
        app,
        stage,
        inside,
        move || in_worker.with_label_values(&["7"]).inc(),
        move |worker| {
            // SAFETY: a vector is a single `Arc`, and that allocation comes from the C library.
            let children = unsafe { LockMemory::behind(&watched) };
            wait_until_parked(worker, &children, GIVE_UP)?;
            journal.reached("the worker is parked on its own vector");
            Ok(())
        },
    ))
}

/// Where the builder of the `prometheus-client` family stops. It is no field of the builder, so that the family is a
/// single pointer and its lock can be found.
static BUILDING: OnceLock<Arc<Gate>> = OnceLock::new();

/// The same for `prometheus-client`.
#[derive(Clone)]
struct OfficialPeerBuilder;

impl MetricConstructor<Counter> for OfficialPeerBuilder {
    fn new_metric(&self) -> Counter {
        if let Some(inside) = BUILDING.get() {
            inside.pass();
        }
        Counter::default()
    }
}

fn on_official(stage: &Stage) -> Result<App, Problem> {
    type Labels = Vec<(&'static str, &'static str)>;
    let registry = official_registry::SharedRegistry::default();
    let (routes, bump) = official::routes(&registry);
    let inside = stage.gate("a series is being created, WRITE held")?;
    BUILDING.set(inside.clone()).map_err(|_| "the builder's gate is set already")?;
    let requests = Family::<Labels, Counter, _>::new_with_constructor(OfficialPeerBuilder);
    requests.get_or_create(&vec![("peer", "1")]).inc();
    official_registry::write(&registry).register("requests", "Requests by peer", requests.clone());

    let (in_handler, in_worker) = (requests.clone(), requests.clone());
    on_signal(move || {
        // The same mistake.
        in_handler.get_or_create(&vec![("peer", "signal")]).inc();
    })?;
    let create = move || {
        in_worker.get_or_create(&vec![("peer", "7")]).inc();
    };
    let journal = stage.journal().clone();
    Ok(drive(App::new(routes, bump), stage, inside, create, move |worker| {
        // SAFETY: a family whose builder is empty is a single `Arc`, and that allocation comes from the C library.
        let children = unsafe { LockMemory::behind(&requests) };
        wait_until_parked(worker, &children, GIVE_UP)?;
        journal.reached("the worker is parked on its own family");
        Ok(())
    }))
}

/// The handler may use atomics, and there is nothing else to use: it interrupts the worker in the middle of its update
/// all the same.
fn on_atomics(stage: &Stage) -> Result<App, Problem> {
    let (inside, handled) = (stage.gate("an update is half made")?, Arc::new(Gate::silent("the signal was counted")?));
    let counters = Arc::new([AtomicU64::new(0), AtomicU64::new(0)]);
    let read = counters.clone();
    let (routes, bump) = atomics::routes(move |text| {
        let [requests, signals] = &*read;
        write_metric(text, "requests_total", "counter", "Requests", requests.load(Ordering::Relaxed));
        write_metric(text, "signals_total", "counter", "Signals", signals.load(Ordering::Relaxed));
    });
    let (in_handler, in_worker, says) = (counters.clone(), counters, handled.clone());
    on_signal(move || {
        in_handler[1].fetch_add(1, Ordering::Relaxed);
        says.open();
    })?;
    let held = inside.clone();
    let create = move || {
        held.pass();
        in_worker[0].fetch_add(1, Ordering::Relaxed);
    };
    Ok(drive(App::new(routes, bump), stage, inside, create, move |_| {
        handled.wait_until_open();
        Ok(())
    }))
}

fn play(stage: &Stage) -> Result<App, Problem> {
    match stage.setting.variant.library() {
        Library::Official => on_official(stage),
        Library::Atomics => on_atomics(stage),
        _ => on_prometheus(stage),
    }
}

pub(crate) const LESSON: Lesson = Lesson {
    id: "signal-handler-updates",
    family: "recursive lock",
    source: include_str!("signal_handler_updates.rs"),
    origin: &["canonical-ols/talisker#610", "prometheus/client_python#363"],
    company: Company::Together,
    bound_ms: None,
    drive: Drive::Scrapes { extra: 2 },
    release: Release::Never,
    advice: &[
        "in a signal handler only set an atomic or write to a pipe, and count on a thread of your own",
        "keep the handles of metrics that a handler needs: `inc()` on an existing counter is one atomic addition",
    ],
    expect,
    play,
};

fn expect(setting: &Setting) -> Cell {
    match setting.variant {
        Variant::Naive => Cell::must(
            Outcome::Deadlocked,
            "the handler waits for the vector's lock, whose write guard is held further down on its own stack; collect() of \
             that vector waits behind it",
        ),
        Variant::TimeoutInline => Cell::must(Outcome::Deadlocked, because::TIMER_CANNOT_FIRE),
        Variant::Offload => Cell::must(Outcome::Deadlocked, because::NO_DEADLINE),
        Variant::TimeoutOffload => Cell::contained_leaking(1.0, because::TIMER_FIRES),
        Variant::TryLock => Cell::must(Outcome::Deadlocked, "the lock is the vector's own, out of try_lock's reach"),
        Variant::Official => Cell::must(
            Outcome::Deadlocked,
            "the same with a family: get_or_create() constructs the metric under the family's write lock, and the handler \
             asks for that lock again; encode() waits behind it",
        ),
        Variant::Atomics => Cell::must(Outcome::Served, "the handler adds to an atomic and waits for nothing"),
        Variant::Exporter => {
            Cell::Skip("no code of the application runs while a series is created: nothing can be held under that lock")
        }
        Variant::Guarded => Cell::contained_once(3, because::ONE_THREAD),
    }
}
