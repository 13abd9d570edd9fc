//! A thread is frozen inside `Histogram::observe`, between its two counters, and every scrape spins until it thaws.
//!
//! `observe()` counts an observation as begun, finds its bucket, and counts it as finished. When a histogram is gathered
//! it waits until as many have finished as had begun: a loop that compares two numbers and does nothing else, without a
//! pause and without an end. An observer needs nanoseconds, so the loop is short; unless the observer is not running at all.
//! A debugger holds it, a cgroup freezer stops half of the process, a signal handler on that thread sleeps, a real-time
//! thread takes its processor: then `gather()` burns a whole core for as long as that lasts, and further scrapes wait behind
//! it for the histogram's `collect_lock`.
//!
//! No lock is involved between the two, so no detector of deadlocks sees it, and in a profile it looks like work. The Java
//! client had the same loop in the same place, and bounded it.
//!
//! Nothing of the application runs between the two counters, so no gate can stand there. But the table of buckets is read
//! there: it lies on a page of its own that is made inaccessible, the observer faults on it, and the fault handler holds it
//! until the parent releases it, gives the page back and returns.
//!
//! ```text
//! observer   begun += 1 ── reads the bucket table: page fault, held .................. ── finished += 1
//! scrape     READ registry ── collect() ── collect_lock ── finished == begun? no. No. No. ...
//! scrape 2   READ registry ── collect() ── waits for collect_lock
//! ```
//!
//! ## Run it
//! `cargo xtask repro 'observer-frozen-mid-observe*'`
//!
//! ## What it prints
//! ```text
//!                                              timeout-                  timeout-
//!                               naive          inline       offload      offload
//! ──────────────────────────────────────────────────────────────────────────────────
//! update during gather
//!   observer-frozen-mid-observe ✓ livelocked   ✓ livelocked ✓ livelocked ✓ contained
//!                                 +0.33/scrape   +1/scrape    +1/scrape    +1/scrape
//!                                 recovers       recovers     recovers     recovers
//!   observer-frozen-mid-observe ✓ livelocked   ✓ livelocked ✓ livelocked ✓ contained
//!     prometheus=0.13.4           +0.33/scrape   +1/scrape    +1/scrape    +1/scrape
//!                                 recovers       recovers     recovers     recovers
//!
//!                               try-lock       atomics    exporter   official
//! ─────────────────────────────────────────────────────────────────────────────────
//! update during gather
//!   observer-frozen-mid-observe ✓ livelocked   ✓ served   ✓ ~busy    ✓ stalled
//!                                 +0.33/scrape   recovers   recovers   +0.33/scrape
//!                                 recovers                             recovers
//!   observer-frozen-mid-observe ✓ livelocked   –          –          –
//!     prometheus=0.13.4           +0.67/scrape
//!                                 recovers
//!
//!                               guarded
//! ────────────────────────────────────────────
//! update during gather
//!   observer-frozen-mid-observe ✓ contained
//!                                 +0.33/scrape
//!                                 recovers
//!
//!   naive            livelocked  `tokio-rt-worker` 1282 spins on a word that does not change (Histogram
//!                                `request_seconds`: 2 observations started, 1 finished; collecting waits for the
//!                                rest); `observer` 1284 is inside the code that should change it
//!   official         stalled     the request on `tokio-rt-worker` 1414 waits for Mutex<Inner> (LOCK), which
//!                                `observer` 1416 holds; `observer` 1416 waits for poll of files in
//!                                poll<nix::poll_timeout::PollTimeout> (nix-0.31.3/src/poll.rs:229)
//! ```

use super::handlers;
use super::prometheus::{Histogram, HistogramOpts, Registry};
use crate::isolate::{self, Isolated, Pages, isolated};
use crate::lesson::{Cell, Lesson};
use crate::official_registry;
use crate::setting::Setting;
use crate::stage::{App, Stage};
use crate::variants::atomics::write_metric;
use crate::variants::{Library, Variant, atomics, because, exporter, official};
use gatherlock::catalogue::Problem;
use gatherlock::model::{Command, Company, Drive, Outcome, Release};
use prometheus_client::metrics::histogram;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Buckets of the histogram: so many that no other allocation on the way to a histogram is as large as their table.
const BUCKETS: u32 = 61;

fn bounds() -> impl Iterator<Item = f64> {
    (1..=BUCKETS).map(|n| f64::from(n) / 10.0)
}

/// An observation that belongs into the first bucket.
const OBSERVED: f64 = 0.05;

/// The trap: the observer is frozen at `arm` and thawed at `release`. `pages` says, as late as possible, where it shall be
/// caught.
fn drive(
    app: App,
    stage: &Stage,
    mut pages: impl FnMut() -> Result<Pages, Problem> + 'static,
    observe: impl Fn() + Clone + Send + 'static,
) -> App {
    let stage = stage.clone();
    app.on(Command::Arm, move || {
        isolate::keep(pages()?)?;
        let observe = observe.clone();
        stage.actor("observer", move || {
            observe();
            Ok(())
        })?;
        isolate::wait_for_fault();
        stage.journal().reached("the observer is frozen inside observe()");
        Ok(())
    })
    .on(Command::Release, || {
        isolate::let_go();
        Ok(())
    })
}

/// The whole table, if that is what was isolated: it begins with the first bound.
fn table(isolated: Isolated) -> Result<Pages, Problem> {
    match isolated.words().first() {
        Some(first) if Some(f64::from_bits(*first)) == bounds().next() => Ok(isolated.after_boundary()),
        _ => Err("something else than the bucket table was isolated".into()),
    }
}

fn on_prometheus(stage: &Stage) -> Result<App, Problem> {
    let registry = Registry::new();
    let bump = handlers::canary(&registry)?;
    let bounds: Vec<f64> = bounds().collect();
    let size = size_of_val(bounds.as_slice());
    let options = HistogramOpts::new("request_seconds", "Duration of requests").buckets(bounds);
    let (seconds, isolated) = isolated(size, 0, || Histogram::with_opts(options))?;
    let (seconds, pages) = (seconds?, table(isolated)?);
    seconds.observe(OBSERVED);
    registry.register(Box::new(seconds.clone()))?;
    let app = App::new(handlers::routes(stage.setting.variant, registry, stage.deadline()), bump);
    Ok(drive(app, stage, move || Ok(pages.clone()), move || seconds.observe(OBSERVED)))
}

/// `prometheus-client` keeps a histogram behind a mutex: the observer is frozen while it holds that.
fn on_official(stage: &Stage) -> Result<App, Problem> {
    let registry = official_registry::SharedRegistry::default();
    let (routes, bump) = official::routes(&registry);
    // The table holds a bound and a count for each bucket, one for +Inf, and has grown to the next power of two.
    let size = (BUCKETS as usize + 1).next_power_of_two() * size_of::<(f64, u64)>();
    let (seconds, isolated) = isolated(size, 0, || histogram::Histogram::new(bounds()))?;
    let pages = table(isolated)?;
    seconds.observe(OBSERVED);
    official_registry::write(&registry).register("request_seconds", "Duration of requests", seconds.clone());
    Ok(drive(App::new(routes, bump), stage, move || Ok(pages.clone()), move || seconds.observe(OBSERVED)))
}

/// `metrics-exporter-prometheus` keeps observations in blocks of 64 until a scrape takes them out. A block counts how many
/// were begun and marks which are finished, and `render()` spins, yielding, until the two agree: the same wait. Counters and
/// observations lie in one allocation, so the page boundary is put into its middle and the side without the counters kept.
fn on_exporter(stage: &Stage) -> Result<App, Problem> {
    const SLOTS: usize = 64;
    const SLOT: usize = 16;
    const BLOCK: usize = SLOTS * SLOT + 3 * size_of::<usize>();
    let (routes, bump) = exporter::routes()?;
    let observe = || metrics::histogram!("request_seconds").record(OBSERVED);
    observe();
    let pages = move || {
        // The scrape before took the last block away, so this observation makes a new one.
        let ((), block) = isolated(BLOCK, BLOCK / 2 / SLOT * SLOT, observe)?;
        let first = block.words().iter().position(|word| *word == OBSERVED.to_bits());
        match first.ok_or("the observation is not in the block that was isolated")? * size_of::<u64>() {
            // The slots come first, the counters last: the next observation goes into the half before the boundary.
            at if at < SLOT => Ok(block.before_boundary()),
            // The other way round: fill the slots up to the boundary, and the next one lies behind it.
            _ => {
                (1..SLOTS / 2 + 2).for_each(|_| observe());
                Ok(block.after_boundary())
            }
        }
    };
    Ok(drive(App::new(routes, bump), stage, pages, observe))
}

/// The same two counters, by hand; the page prints them and does not compare.
fn on_atomics(stage: &Stage) -> Result<App, Problem> {
    let counters = Arc::new([AtomicU64::new(0), AtomicU64::new(0)]);
    let read = counters.clone();
    let (routes, bump) = atomics::routes(move |text| {
        let [begun, finished] = &*read;
        write_metric(text, "requests_begun_total", "counter", "Requests begun", begun.load(Ordering::Relaxed));
        write_metric(text, "requests_finished_total", "counter", "Requests finished", finished.load(Ordering::Relaxed));
    });
    let size = BUCKETS as usize * size_of::<f64>();
    let (buckets, isolated) = isolated(size, 0, || {
        let mut buckets = Vec::with_capacity(BUCKETS as usize);
        buckets.extend(bounds());
        Arc::new(buckets)
    })?;
    let pages = table(isolated)?;
    Ok(drive(
        App::new(routes, bump),
        stage,
        move || Ok(pages.clone()),
        move || {
            counters[0].fetch_add(1, Ordering::Relaxed);
            if buckets.iter().any(|bound| OBSERVED <= *bound) {
                counters[1].fetch_add(1, Ordering::Relaxed);
            }
        },
    ))
}

fn play(stage: &Stage) -> Result<App, Problem> {
    match stage.setting.variant.library() {
        Library::Prometheus => on_prometheus(stage),
        Library::Official => on_official(stage),
        Library::Exporter => on_exporter(stage),
        Library::Atomics => on_atomics(stage),
    }
}

pub(crate) const LESSON: Lesson = Lesson {
    id: "observer-frozen-mid-observe",
    family: "update during gather",
    source: include_str!("observer_frozen_mid_observe.rs"),
    origin: &["prometheus/client_java#2336"],
    company: Company::Background,
    // A spin is a spin after half a second; each second of it would take a processor for three.
    bound_ms: Some(500),
    drive: Drive::Scrapes { extra: 2 },
    release: Release::AtEnd,
    advice: &[
        "freeze or trace the whole process, never single threads, and do not sleep in signal handlers",
        "give observers and scrapes the same scheduling class: a starved observer makes every scrape spin",
        "gather on a thread of its own behind a deadline, so that the spin costs one core and no async worker",
    ],
    expect,
    play,
};

fn expect(setting: &Setting) -> Cell {
    let livelocked = |because| Cell::must(Outcome::Livelocked, because).recovers(true);
    match setting.variant {
        Variant::Naive => livelocked(
            "gather() compares the histogram's finished observations with the begun ones until they are equal, and the observer \
             that would make them equal does not run",
        ),
        Variant::TimeoutInline => livelocked(because::TIMER_CANNOT_FIRE),
        Variant::Offload => livelocked(because::NO_DEADLINE),
        Variant::TimeoutOffload => Cell::contained_leaking(1.0, because::TIMER_FIRES).recovers(true),
        Variant::TryLock => livelocked("no lock stands between observer and scrape, so there is nothing to try"),
        Variant::Official => Cell::must(
            Outcome::Stalled,
            "observe() holds the histogram's mutex while it is frozen; encode() sleeps on it: no spin, and no cycle either",
        )
        .recovers(true),
        Variant::Atomics => {
            Cell::must(Outcome::Served, "the page prints both counters and waits for neither").recovers(true)
        }
        Variant::Exporter => Cell::may(
            [Outcome::Livelocked, Outcome::Busy],
            "render() spins and yields until the block's observations are all finished, and one never is; whether this reads as \
             a spin or as work depends on whether a rule knows the loop",
        )
        .recovers(true),
        Variant::Guarded => Cell::contained_once(3, because::ONE_THREAD).recovers(true),
    }
}
