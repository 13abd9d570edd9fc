//! A scraper beside threads that update and register: what each of them waits for the others.

use super::subject::{Subject, naive, subjects};
use super::waits::{Spent, Waits, observed, so_far};
use super::{SCRAPERS, head, middle, paired, row, writers};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

const SERIES: usize = 10_000;

/// How often somebody does something: without pause, or at this interval.
#[derive(Clone, Copy, PartialEq)]
enum Pace {
    Full,
    Every(Duration),
}

impl Pace {
    fn a_second(times: u32) -> Pace {
        Pace::Every(Duration::from_secs(1) / times)
    }
}

/// Who updates and registers.
#[derive(Clone, Copy, PartialEq)]
enum Writing {
    /// One thread updates without pause, another registers at this pace.
    Apart(Pace),
    /// Each of so many threads does both without pause: a registration after every [`BATCH`] updates.
    Together(usize),
}

/// What goes on beside the scraper, and for how long in each round.
struct Load {
    title: String,
    /// How many scrapers, each at the pace of `scrapes`.
    scrapers: usize,
    scrapes: Pace,
    writing: Writing,
    round: Duration,
    /// The subjects take turns, so that what else happens on the machine hits all of them alike.
    rounds: u32,
}

/// How many updates are made between two looks at the time, and between two registrations of a thread that does both.
const BATCH: usize = 64;

/// What the threads of a subject saw, all rounds together.
#[derive(Default)]
struct Seen {
    scrapes: Waits,
    registers: Waits,
    /// The same without what the registrar stood in line for a processor meanwhile: what it waited for others' locks.
    locks: Waits,
    updates: u64,
    /// How many updates a thread made a second, and a second that it was on a processor, in each round.
    rates: Vec<f64>,
    own_rates: Vec<f64>,
    updater: Spent,
    /// The same as the updater's where the same threads do both.
    registrar: Spent,
}

/// Sleeps until then; whether there was time to.
fn slept_until(due: Instant) -> bool {
    let early = due.saturating_duration_since(Instant::now());
    std::thread::sleep(early);
    early > Duration::ZERO
}

/// Above this a wait is worth asking how much of it was time in line; all of it that there is lies in such waits.
const LONG: Duration = Duration::from_micros(50);

/// Does it until `going` says no. `waits` gets how long that took each time, `locks` the same without what the thread has
/// stood in line since it last slept. By the clock it is counted from when it was due, as whoever waits long makes what comes
/// meanwhile wait, too; but that the thread was woken late is not the subject's doing.
fn paced(act: impl Fn(), pace: Pace, waits: &mut Waits, locks: &mut Waits, going: impl Fn() -> bool) {
    let mut line = so_far().1;
    let mut due = Instant::now();
    let mut woken = due;
    while going() {
        let from = match pace {
            Pace::Full => Instant::now(),
            Pace::Every(interval) => {
                due += interval;
                if slept_until(due) {
                    line = so_far().1;
                    woken = Instant::now();
                }
                due.max(woken)
            }
        };
        act();
        let mut wait = from.elapsed();
        waits.add(wait);
        if wait > LONG {
            let now = so_far().1;
            wait = wait.saturating_sub(now - line);
            // Without pause the next wait begins here; who is behind the clock has been waiting already.
            if pace == Pace::Full {
                line = now;
            }
        }
        locks.add(wait);
    }
}

/// On lines of its own: what threads read and write all the time must not lie beside what others write.
#[repr(align(128))]
struct Apart<T>(T);

/// A batch of updates, from the series behind this one on.
fn batch(subject: &Subject, number: &mut usize) {
    for _ in 0..BATCH {
        *number = (*number + 7919) % SERIES;
        (subject.update)(*number);
    }
}

/// What one of the threads that do both saw.
#[derive(Default)]
struct Wrote {
    registers: Waits,
    locks: Waits,
    updates: u64,
    spent: Spent,
}

/// Updates and registers by turns until `going` says no.
fn write(subject: &Subject, writer: usize, going: impl Fn() -> bool) -> Wrote {
    // Built on this thread's own stack, away from what the others write.
    let mut wrote = Apart(Wrote::default());
    let Wrote { registers, locks, updates, spent } = &mut wrote.0;
    observed(spent, || {
        let (mut number, mut last, mut line) = (writer * SERIES / 7, Instant::now(), so_far().1);
        while going() {
            batch(subject, &mut number);
            *updates += BATCH as u64;
            let Some(register) = &subject.register else { continue };
            // Time in line since the last registration belongs to the updates.
            if last.elapsed() > LONG {
                line = so_far().1;
            }
            let from = Instant::now();
            register(writer);
            last = Instant::now();
            let mut wait = last - from;
            registers.add(wait);
            if wait > LONG {
                let now = so_far().1;
                wait = wait.saturating_sub(now - line);
                line = now;
            }
            locks.add(wait);
        }
    });
    wrote.0
}

/// The scrapers of a round, which it lasts as long as; adds how long each scrape took.
fn scraped(subject: &Subject, load: &Load, scrapes: &mut Waits) {
    let began = Instant::now();
    let scraper = || {
        let mut own = Apart(Waits::default());
        let scrape = || {
            (subject.scrape)();
        };
        paced(scrape, load.scrapes, &mut own.0, &mut Waits::default(), || began.elapsed() < load.round);
        own.0
    };
    std::thread::scope(|scope| {
        let others: Vec<_> = (1..load.scrapers).map(|_| scope.spawn(scraper)).collect();
        scrapes.merge(&scraper());
        others.into_iter().for_each(|other| scrapes.merge(&other.join().expect("no panic")));
    });
}

fn press(subject: &Subject, load: &Load, seen: &mut Seen) {
    match load.writing {
        Writing::Apart(registrations) => press_apart(subject, load, registrations, seen),
        Writing::Together(writers) => press_together(subject, load, writers, seen),
    }
}

fn press_together(subject: &Subject, load: &Load, writers: usize, seen: &mut Seen) {
    let stop = Apart(AtomicBool::new(false));
    let going = || !stop.0.load(Ordering::Relaxed);
    std::thread::scope(|scope| {
        let writing: Vec<_> = (0..writers).map(|writer| scope.spawn(move || write(subject, writer, going))).collect();
        scraped(subject, load, &mut seen.scrapes);
        stop.0.store(true, Ordering::Relaxed);
        for wrote in writing.into_iter().map(|writing| writing.join().expect("no panic")) {
            seen.registers.merge(&wrote.registers);
            seen.locks.merge(&wrote.locks);
            seen.updates += wrote.updates;
            seen.updater.merge(&wrote.spent);
            seen.registrar.merge(&wrote.spent);
        }
    });
}

fn press_apart(subject: &Subject, load: &Load, registrations: Pace, seen: &mut Seen) {
    let stop = Apart(AtomicBool::new(false));
    let going = || !stop.0.load(Ordering::Relaxed);
    let Seen { scrapes, registers, locks, updates, updater, registrar, .. } = seen;
    std::thread::scope(|scope| {
        let updating = || {
            let (mut number, mut count) = (0, 0);
            while going() {
                batch(subject, &mut number);
                count += BATCH as u64;
            }
            count
        };
        let updating = scope.spawn(move || *updates += observed(updater, updating));
        let register = subject.register.as_ref();
        let registering = register.map(|register| {
            scope.spawn(move || {
                let mut own = Apart((std::mem::take(registers), std::mem::take(locks)));
                let (waits, without_line) = (&mut own.0.0, &mut own.0.1);
                observed(registrar, || paced(|| register(0), registrations, waits, without_line, going));
                (*registers, *locks) = own.0;
            })
        });
        scraped(subject, load, scrapes);
        stop.0.store(true, Ordering::Relaxed);
        updating.join().expect("no panic");
        registering.into_iter().for_each(|registering| registering.join().expect("no panic"));
    });
}

fn micros(nanos: f64) -> String {
    format!("{:.1} µs", nanos / 1e3)
}

fn under(load: &Load) {
    println!("\n## {}\n", load.title);
    let subjects = subjects(SERIES);
    let mut seen: Vec<Seen> = subjects.iter().map(|_| Seen::default()).collect();
    for _ in 0..load.rounds {
        for (subject, seen) in subjects.iter().zip(&mut seen) {
            let (updates, wall, own) = (seen.updates, seen.updater.wall, seen.updater.on_processor);
            press(subject, load, seen);
            let made = (seen.updates - updates) as f64;
            seen.rates.push(made / (seen.updater.wall - wall).as_secs_f64());
            seen.own_rates.push(made / (seen.updater.on_processor - own).as_secs_f64());
        }
    }
    head("", &subjects);
    show(load, &seen);
}

fn show(load: &Load, seen: &[Seen]) {
    let pauses = matches!(load.writing, Writing::Apart(Pace::Every(_)));
    /// The first one's own figure, the others as ratios to it; `None` where nothing of the kind was done.
    fn ratios(name: &str, seen: &[Seen], shown: impl Fn(f64) -> String, of: impl Fn(&Seen) -> Option<f64>) {
        let first = of(&seen[0]).expect("the naive handler has it");
        let ratio = |seen| of(seen).map_or("–".to_string(), |of| format!("{:.3}", of / first));
        row(format!("{name} | {}", shown(first)), seen[1..].iter().map(ratio));
    }
    let wait = |name: &str, waits: fn(&Seen) -> &Waits, of: &dyn Fn(&Waits) -> f64| {
        ratios(name, seen, micros, |seen| (!waits(seen).is_empty()).then(|| of(waits(seen))));
    };
    wait("scrape, median", |seen| &seen.scrapes, &|waits| waits.quantile(0.5));
    wait("scrape, p99", |seen| &seen.scrapes, &|waits| waits.quantile(0.99));
    wait("register, p99", |seen| &seen.registers, &|waits| waits.quantile(0.99));
    wait("register, p99.9", |seen| &seen.registers, &|waits| waits.quantile(0.999));
    wait("register, p99.9, not in line", |seen| &seen.locks, &|waits| waits.quantile(0.999));
    if !pauses {
        let moment = |name: &str, waits: fn(&Seen) -> &Waits| {
            ratios(name, seen, micros, |seen| {
                let any = !waits(seen).is_empty();
                any.then(|| waits(seen).at_any_moment(0.999, seen.registrar.wall))
            });
        };
        moment("register, p99.9 of moments", |seen| &seen.registers);
        moment("register, p99.9 of moments, not in line", |seen| &seen.locks);
    }
    wait("register, longest", |seen| &seen.registers, &|waits| waits.quantile(1.0));
    let rate = |name: &str, of: fn(&Seen) -> &Vec<f64>| {
        let first = format!("{name} | {:.2} M", middle(of(&seen[0]).clone()) / 1e6);
        row(first, seen[1..].iter().map(|seen_of| format!("{:.3}", paired(of(seen_of), of(&seen[0])))));
    };
    rate("updates a second", |seen| &seen.rates);
    rate("updates a second on a processor", |seen| &seen.own_rates);
    let count = |of: f64| format!("{of}");
    let made = |waits: &Waits| (!waits.is_empty()).then_some(waits.len() as f64);
    ratios("registrations made", seen, count, |seen| made(&seen.registers));
    ratios("scrapes made", seen, count, |seen| made(&seen.scrapes));
    let parts = |name: &str, of: &dyn Fn(&Seen) -> f64| {
        let shown = |seen: &Seen| match of(seen) {
            part if part.is_nan() => "–".to_string(),
            part => format!("{:.1} %", part * 100.0),
        };
        row(format!("{name} | {}", shown(&seen[0])), seen[1..].iter().map(shown));
    };
    let who = if matches!(load.writing, Writing::Together(_)) { "the writer" } else { "the updater" };
    parts(&format!("{who} ran"), &|seen| seen.updater.part(seen.updater.on_processor));
    parts(&format!("{who} stood in line"), &|seen| seen.updater.part(seen.updater.in_line));
    parts(&format!("{who} was blocked"), &|seen| seen.updater.part(seen.updater.blocked()));
    if load.writing == Writing::Apart(Pace::Full) {
        parts("the registrar ran", &|seen| seen.registrar.part(seen.registrar.on_processor));
        parts("the registrar stood in line", &|seen| seen.registrar.part(seen.registrar.in_line));
        parts("the registrar was blocked", &|seen| seen.registrar.part(seen.registrar.blocked()));
    }
}

/// The most scrapes a second, in steps of 10, at which the naive handler makes 95 of 100 that are due, beside updates and
/// registrations at full speed.
fn naive_keeps_up() -> u32 {
    const STEP: u32 = 10;
    let naive = naive(SERIES, 1);
    let round = Duration::from_secs(3);
    let mut kept = STEP;
    for times in (STEP..200).step_by(STEP as usize) {
        let (scrapes, writing) = (Pace::a_second(times), Writing::Apart(Pace::Full));
        let load = Load { title: String::new(), scrapers: 1, scrapes, writing, round, rounds: 1 };
        let mut seen = Seen::default();
        press(&naive, &load, &mut seen);
        let part = seen.scrapes.len() as f64 / (f64::from(times) * round.as_secs_f64());
        println!(
            "- {times} scrapes a second due: {:.0} % made, updates {:.2} M",
            part * 100.0,
            seen.updates as f64 / 3e6
        );
        if part < 0.95 {
            break;
        }
        kept = times;
    }
    kept
}

/// Every load, or those asked for by name. In all but `closed` every handler gets the same scrapes, as scrapers send them: by
/// the clock, whether or not the last one was quick. In `closed` a scraper that is answered sooner asks sooner, and takes the
/// more of the processors the better its handler is.
pub(super) fn all(wants: impl Fn(&str) -> bool) {
    let (long, short) = (Duration::from_millis(1500), Duration::from_millis(400));
    let (ten, full) = (Pace::a_second(10), Writing::Apart(Pace::Full));
    let often = Writing::Apart(Pace::a_second(5_000));
    let run = |title: &str, scrapes, writing, round, rounds| {
        under(&Load { title: format!("10 000 series; {title}"), scrapers: 1, scrapes, writing, round, rounds });
    };
    if wants("together") {
        let writers = writers();
        let title = format!(
            "threads that update at full speed and register after every {BATCH} updates: {writers}; 10 scrapes a second"
        );
        run(&title, ten, Writing::Together(writers), long, 20);
    }
    if wants("crowded") {
        let writers = writers();
        under(&Load {
            title: format!(
                "10 000 series; {SCRAPERS} scrapers at once beside threads that update at full speed and register after \
                 every {BATCH} updates: {writers}"
            ),
            scrapers: SCRAPERS,
            scrapes: Pace::Full,
            writing: Writing::Together(writers),
            round: long,
            rounds: 16,
        });
    }
    if wants("clocked") {
        run("updates and registrations at full speed, 10 scrapes a second", ten, full, long, 20);
    }
    if wants("most") {
        println!("\n## How many scrapes a second the naive handler keeps up with\n");
        let most = naive_keeps_up();
        let title =
            format!("updates and registrations at full speed, {most} scrapes a second, which naive keeps up with");
        run(&title, Pace::a_second(most), full, long, 8);
    }
    if wants("closed") {
        run("scrapes, updates and registrations at full speed", Pace::Full, full, short, 16);
        run("scrapes and updates at full speed, 5 000 registrations a second", Pace::Full, often, short, 16);
    }
    if wants("equal") {
        let title = "updates at full speed, 5 000 registrations and 20 scrapes a second";
        run(title, Pace::a_second(20), often, short, 16);
    }
}
