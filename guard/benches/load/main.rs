//! What a scrape costs and what it costs others: every way to serve the same metrics, in one run, as ratios to the naive
//! handler.
//!
//! One scrape after the other with pauses, 32 scrapers at once, and a scraper beside threads that update and register as
//! fast as they can. Between the subjects the run alternates, so that a busy moment of the machine hits all of them.

mod subject;

use nix::time::{ClockId, clock_gettime};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use subject::{Subject, subjects};

/// Processor time of this process, all threads together.
fn processor() -> Duration {
    clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID).expect("Linux has this clock").into()
}

fn quantile(sorted: &[Duration], part: f64) -> Duration {
    sorted[((sorted.len() - 1) as f64 * part).round() as usize]
}

fn median(mut of: Vec<Duration>) -> Duration {
    of.sort();
    quantile(&of, 0.5)
}

fn ratio(of: Duration, to: Duration) -> String {
    format!("{:.2}", of.as_secs_f64() / to.as_secs_f64())
}

fn millis(of: Duration) -> String {
    format!("{:.2} ms", of.as_secs_f64() * 1e3)
}

/// A table row: the first subject's own figures, then everybody's as ratios to them.
fn row(first: String, ratios: impl IntoIterator<Item = String>) {
    println!("| {first} | {} |", ratios.into_iter().collect::<Vec<_>>().join(" | "));
}

fn head(first: &str, subjects: &[Subject]) {
    row(format!("{first} | {}", subjects[0].name), subjects[1..].iter().map(|subject| subject.name.to_string()));
    row("---|---".to_string(), subjects[1..].iter().map(|_| "---".to_string()));
}

/// What one scrape takes for the scraper, and what it takes of the processors. After each there is a pause, as there is
/// between scrapes: what is left to do after the answer is done then, and counts as processor time.
fn alone() {
    for series in [1_000, 10_000, 100_000] {
        let subjects = subjects(series);
        let rounds = (200_000 / series).clamp(15, 60);
        let (mut waited, mut used) = (vec![Vec::new(); subjects.len()], vec![Vec::new(); subjects.len()]);
        for round in 0..=rounds {
            for (at, subject) in subjects.iter().enumerate() {
                let (began, had) = (Instant::now(), processor());
                let bytes = (subject.scrape)();
                let took = began.elapsed();
                assert!(bytes > series);
                std::thread::sleep(took.max(Duration::from_millis(2)));
                // The first round warms up.
                if round > 0 {
                    waited[at].push(took);
                    used[at].push(processor() - had);
                }
            }
        }
        if series == 1_000 {
            println!("\n## One scrape: time until the answer, and processor time\n");
            head("series", &subjects);
        }
        let (waited, used): (Vec<_>, Vec<_>) =
            (waited.into_iter().map(median).collect(), used.into_iter().map(median).collect());
        row(format!("{series}, answer | {}", millis(waited[0])), waited[1..].iter().map(|w| ratio(*w, waited[0])));
        row(format!("{series}, processors | {}", millis(used[0])), used[1..].iter().map(|u| ratio(*u, used[0])));
    }
}

/// Scrapes a second of 32 threads that scrape as fast as they can.
fn crowd() {
    const SCRAPERS: usize = 32;
    println!("\n## 32 scrapers at once: scrapes a second\n");
    for series in [1_000, 10_000] {
        let subjects = subjects(series);
        if series == 1_000 {
            head("series", &subjects);
        }
        let mut rates = vec![0.0; subjects.len()];
        for _ in 0..3 {
            for (at, subject) in subjects.iter().enumerate() {
                let (stop, scrapes) = (AtomicBool::new(false), AtomicU64::new(0));
                let began = Instant::now();
                std::thread::scope(|scope| {
                    for _ in 0..SCRAPERS {
                        scope.spawn(|| {
                            while !stop.load(Ordering::Relaxed) {
                                (subject.scrape)();
                                scrapes.fetch_add(1, Ordering::Relaxed);
                            }
                        });
                    }
                    std::thread::sleep(Duration::from_millis(700));
                    stop.store(true, Ordering::Relaxed);
                });
                rates[at] += scrapes.load(Ordering::Relaxed) as f64 / began.elapsed().as_secs_f64() / 3.0;
            }
        }
        row(format!("{series} | {:.0}", rates[0]), rates[1..].iter().map(|rate| format!("{:.1}", rate / rates[0])));
    }
}

/// What the threads beside a scraper saw.
#[derive(Default)]
struct Seen {
    scrapes: Vec<Duration>,
    registers: Vec<Duration>,
    updates: f64,
}

/// How often somebody registers: without pause, or at this interval.
#[derive(Clone, Copy, PartialEq)]
enum Pace {
    Full,
    Every(Duration),
}

/// Registers until `going` says no, and how long that took each time. At an interval it is counted from when it was due:
/// whoever waits for a long registration makes those that come meanwhile wait, too.
fn registrations(register: &(dyn Fn() + Sync), pace: Pace, going: impl Fn() -> bool) -> Vec<Duration> {
    let mut waits = Vec::new();
    let mut due = Instant::now();
    while going() {
        match pace {
            Pace::Full => due = Instant::now(),
            Pace::Every(interval) => {
                due += interval;
                let early = due.saturating_duration_since(Instant::now());
                if early > Duration::ZERO {
                    std::thread::sleep(early);
                    // What the timer adds is not the registry's doing.
                    due = due.max(Instant::now());
                }
            }
        }
        register();
        waits.push(due.elapsed());
    }
    waits
}

fn pressed(subject: &Subject, series: usize, pace: Pace, seen: &mut Seen) {
    let (stop, updates) = (AtomicBool::new(false), AtomicU64::new(0));
    let began = Instant::now();
    let going = || !stop.load(Ordering::Relaxed);
    std::thread::scope(|scope| {
        let updater = scope.spawn(|| {
            let mut number = 0;
            while going() {
                for _ in 0..64 {
                    number = (number + 7919) % series;
                    (subject.update)(number);
                }
                updates.fetch_add(64, Ordering::Relaxed);
            }
        });
        let register = subject.register.as_ref();
        let registrar = register.map(|register| scope.spawn(move || registrations(register, pace, going)));
        while began.elapsed() < Duration::from_millis(1500) {
            let began = Instant::now();
            (subject.scrape)();
            seen.scrapes.push(began.elapsed());
        }
        stop.store(true, Ordering::Relaxed);
        updater.join().expect("no panic");
        seen.registers.extend(registrar.into_iter().flat_map(|registrar| registrar.join().expect("no panic")));
    });
    seen.updates += updates.load(Ordering::Relaxed) as f64 / began.elapsed().as_secs_f64() / ROUNDS as f64;
}

const ROUNDS: usize = 4;

/// A scraper without pause beside a thread that updates without pause and one that registers.
fn under_load(pace: Pace, title: &str) {
    const SERIES: usize = 10_000;
    println!("\n## {title}\n");
    let subjects = subjects(SERIES);
    let mut seen: Vec<Seen> = subjects.iter().map(|_| Seen::default()).collect();
    for _ in 0..ROUNDS {
        for (subject, seen) in subjects.iter().zip(&mut seen) {
            pressed(subject, SERIES, pace, seen);
        }
    }
    let at = |part: f64, of: fn(&Seen) -> &Vec<Duration>| {
        move |seen: &Seen| {
            let mut sorted = of(seen).clone();
            sorted.sort();
            (!sorted.is_empty()).then(|| quantile(&sorted, part))
        }
    };
    head("", &subjects);
    let durations = |name: &str, quantile: &dyn Fn(&Seen) -> Option<Duration>| {
        let first = quantile(&seen[0]).expect("the naive handler has it");
        let others = seen[1..].iter().map(|seen| quantile(seen).map_or("–".to_string(), |of| ratio(of, first)));
        row(format!("{name} | {}", millis(first)), others);
    };
    durations("scrape, median", &at(0.5, |seen| &seen.scrapes));
    durations("scrape, p99", &at(0.99, |seen| &seen.scrapes));
    if pace != Pace::Full {
        durations("register, p99", &at(0.99, |seen| &seen.registers));
        durations("register, p99.9", &at(0.999, |seen| &seen.registers));
    }
    durations("register, longest", &at(1.0, |seen| &seen.registers));
    let counts = |name: &str, shown: &dyn Fn(f64) -> String, count: &dyn Fn(&Seen) -> f64| {
        let first = count(&seen[0]);
        let others = seen[1..].iter().map(|seen| match count(seen) {
            0.0 => "–".to_string(),
            of => format!("{:.2}", of / first),
        });
        row(format!("{name} | {}", shown(first)), others);
    };
    counts("updates a second", &|of| format!("{:.2} M", of / 1e6), &|seen| seen.updates);
    counts("registrations made", &|of| format!("{of}"), &|seen| seen.registers.len() as f64);
    counts("scrapes made", &|of| format!("{of}"), &|seen| seen.scrapes.len() as f64);
}

fn main() {
    let cpus = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    println!("{cpus} processors. The second column is the naive handler's own figure, the others are ratios to it.");
    alone();
    crowd();
    under_load(Pace::Full, "10 000 series, updates and registrations at full speed");
    let pace = Pace::Every(Duration::from_micros(200));
    under_load(pace, "10 000 series, updates at full speed, 5 000 registrations a second");
}
