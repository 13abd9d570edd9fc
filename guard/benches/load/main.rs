//! What a scrape costs and what it costs others: every way to serve the same metrics, in one run, as ratios to the naive
//! handler.
//!
//! One scrape after the other with pauses, 32 scrapers at once, and a scraper beside threads that update and register as
//! fast as they can. Between the subjects the run alternates, so that a busy moment of the machine hits all of them.

mod fixes;
mod subject;

use fixes::fixes;
use nix::time::{ClockId, clock_gettime};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};
use subject::{Subject, subjects};

/// Processor time of this process, all threads together.
fn processor() -> Duration {
    clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID).expect("Linux has this clock").into()
}

fn quantile(sorted: &[Duration], part: f64) -> Duration {
    sorted[((sorted.len() - 1) as f64 * part).round() as usize]
}

fn median(of: &[Duration]) -> Duration {
    let mut sorted = of.to_vec();
    sorted.sort();
    quantile(&sorted, 0.5)
}

/// The median of what each round's figure is to the first subject's figure of the same round: what slows one round down
/// slows both.
fn paired(of: &[Duration], to: &[Duration]) -> f64 {
    let mut ratios: Vec<f64> = of.iter().zip(to).map(|(of, to)| of.as_secs_f64() / to.as_secs_f64()).collect();
    ratios.sort_by(f64::total_cmp);
    ratios[ratios.len() / 2]
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
struct Alone {
    waited: Vec<Vec<Duration>>,
    used: Vec<Vec<Duration>>,
}

fn measure(subjects: &[Subject], series: usize) -> Alone {
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
    Alone { waited, used }
}

impl Alone {
    fn show(&self, series: usize) {
        for (what, all) in [("answer", &self.waited), ("processors", &self.used)] {
            let first = format!("{series}, {what} | {}", millis(median(&all[0])));
            row(first, all[1..].iter().map(|one| format!("{:.2}", paired(one, &all[0]))));
        }
    }

    fn costs(&self, subjects: &[Subject]) -> Vec<String> {
        let of = |(at, subject): (usize, &Subject)| {
            let (answer, processors) =
                (paired(&self.waited[at], &self.waited[0]), paired(&self.used[at], &self.used[0]));
            let variant = subject.variant?;
            Some(format!(r#"{{"variant": "{variant}", "answer": {answer:.3}, "processors": {processors:.3}}}"#))
        };
        subjects.iter().enumerate().filter_map(of).collect()
    }
}

fn alone(cpus: usize) {
    const COSTS: usize = 10_000;
    println!("\n## One scrape: time until the answer, and processor time\n");
    let mut costs = Vec::new();
    let mut reference = Duration::ZERO;
    for series in [1_000, COSTS, 100_000] {
        let subjects = subjects(series);
        if series == 1_000 {
            head("series", &subjects);
        }
        let alone = measure(&subjects, series);
        alone.show(series);
        if series == COSTS {
            costs = alone.costs(&subjects);
            reference = median(&alone.waited[0]);
        }
    }
    println!("\n## The same with the handlers of fix 1\n");
    let subjects = fixes(COSTS);
    head("series", &subjects);
    let alone = measure(&subjects, COSTS);
    alone.show(COSTS);
    costs.extend(alone.costs(&subjects).into_iter().skip(1));
    let Some(folder) = std::env::var_os("GATHERLOCK_FIGURES") else { return };
    let text = format!(
        r#"{{"cost": {{"measured": "{}", "cpus": {cpus}, "series": {COSTS}, "reference": "naive", "reference_ms": {:.3}, "of": [{}]}}}}"#,
        humantime::format_rfc3339_seconds(SystemTime::now()),
        reference.as_secs_f64() * 1e3,
        costs.join(", ")
    );
    std::fs::create_dir_all(&folder).expect("the folder of figures");
    std::fs::write(Path::new(&folder).join("cost.json"), text + "\n").expect("the folder takes a file");
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

/// How often somebody does something: without pause, or at this interval.
#[derive(Clone, Copy, PartialEq)]
enum Pace {
    Full,
    Every(Duration),
}

/// Does it until `going` says no, and how long that took each time. At an interval it is counted from when it was due:
/// whoever waits long makes what comes meanwhile wait, too.
fn paced(act: impl Fn(), pace: Pace, going: impl Fn() -> bool) -> Vec<Duration> {
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
                    // What the timer adds is not the subject's doing.
                    due = due.max(Instant::now());
                }
            }
        }
        act();
        waits.push(due.elapsed());
    }
    waits
}

fn pressed(subject: &Subject, series: usize, load: &Load, seen: &mut Seen) {
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
        let registrar = register.map(|register| scope.spawn(move || paced(register, load.registrations, going)));
        let scrape = || {
            (subject.scrape)();
        };
        seen.scrapes.extend(paced(scrape, load.scrapes, || began.elapsed() < Duration::from_millis(400)));
        stop.store(true, Ordering::Relaxed);
        updater.join().expect("no panic");
        seen.registers.extend(registrar.into_iter().flat_map(|registrar| registrar.join().expect("no panic")));
    });
    seen.updates += updates.load(Ordering::Relaxed) as f64 / began.elapsed().as_secs_f64() / ROUNDS as f64;
}

/// Many short ones: the subjects take turns, so that what else happens on the machine hits all of them alike.
const ROUNDS: usize = 16;

/// Beside a thread that updates without pause.
struct Load {
    title: &'static str,
    scrapes: Pace,
    registrations: Pace,
}

/// A scraper beside a thread that updates without pause and one that registers.
fn under_load(load: &Load) {
    const SERIES: usize = 10_000;
    println!("\n## {}\n", load.title);
    let subjects = subjects(SERIES);
    let mut seen: Vec<Seen> = subjects.iter().map(|_| Seen::default()).collect();
    for _ in 0..ROUNDS {
        for (subject, seen) in subjects.iter().zip(&mut seen) {
            pressed(subject, SERIES, load, seen);
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
    durations("register, p99", &at(0.99, |seen| &seen.registers));
    durations("register, p99.9", &at(0.999, |seen| &seen.registers));
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
    // Only some of it: `cargo bench -p gatherlock-guard --bench load -- alone`.
    let asked: Vec<String> = std::env::args().skip(1).filter(|arg| !arg.starts_with('-')).collect();
    let wants = |part: &str| asked.is_empty() || asked.iter().any(|asked| asked == part);
    println!("{cpus} processors. The second column is the naive handler's own figure, the others are ratios to it.");
    if wants("alone") {
        alone(cpus);
    }
    if wants("crowd") {
        crowd();
    }
    let often = Pace::Every(Duration::from_micros(200));
    let loads = [
        Load {
            title: "10 000 series; scrapes, updates and registrations at full speed",
            scrapes: Pace::Full,
            registrations: Pace::Full,
        },
        Load {
            title: "10 000 series; scrapes and updates at full speed, 5 000 registrations a second",
            scrapes: Pace::Full,
            registrations: often,
        },
        Load {
            title: "10 000 series; updates at full speed, 5 000 registrations and 20 scrapes a second",
            scrapes: Pace::Every(Duration::from_millis(50)),
            registrations: often,
        },
    ];
    if wants("load") {
        loads.iter().for_each(under_load);
    }
}
