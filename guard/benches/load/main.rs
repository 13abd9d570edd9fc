//! What a scrape costs and what it costs others: every way to serve the same metrics, in one run, as ratios to the naive
//! handler.
//!
//! One scrape after the other with pauses, 32 scrapers at once, and a scraper beside threads that update and register as
//! fast as they can. Between the subjects the run alternates, so that a busy moment of the machine hits all of them.

mod fixes;
mod pressed;
mod subject;
mod waits;

use fixes::fixes;
use nix::time::{ClockId, clock_gettime};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};
use subject::{Subject, of_prometheus, subjects};

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

fn middle(mut of: Vec<f64>) -> f64 {
    of.sort_by(f64::total_cmp);
    of[of.len() / 2]
}

/// The median of what each round's figure is to the first subject's figure of the same round: what slows one round down
/// slows both, and a round that was disturbed counts as one.
fn paired(of: &[f64], to: &[f64]) -> f64 {
    middle(of.iter().zip(to).map(|(of, to)| of / to).collect())
}

fn seconds(of: &[Duration]) -> Vec<f64> {
    of.iter().map(Duration::as_secs_f64).collect()
}

fn millis(of: Duration) -> String {
    format!("{:.2} ms", of.as_secs_f64() * 1e3)
}

/// As many threads as can write without pause while one processor is left to the scrape.
fn writers() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get).saturating_sub(1).max(1)
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
            let done = (subject.scrape)();
            let took = began.elapsed();
            assert!(done.bytes > series);
            drop(done);
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
            row(first, all[1..].iter().map(|one| format!("{:.2}", paired(&seconds(one), &seconds(&all[0])))));
        }
    }

    fn costs(&self, subjects: &[Subject]) -> Vec<String> {
        let of = |(at, subject): (usize, &Subject)| {
            let ratio = |all: &[Vec<Duration>]| paired(&seconds(&all[at]), &seconds(&all[0]));
            let (answer, processors) = (ratio(&self.waited), ratio(&self.used));
            let variant = subject.variant?;
            Some(format!(r#"{{"variant": "{variant}", "answer": {answer:.3}, "processors": {processors:.3}}}"#))
        };
        subjects.iter().enumerate().filter_map(of).collect()
    }
}

fn alone(cpus: usize) {
    const COSTS: usize = 10_000;
    const MANY: usize = 50;
    println!("\n## One scrape: time until the answer, and processor time; all series in one vector\n");
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
    println!("\n## The same in {MANY} vectors\n");
    for series in [COSTS, 100_000] {
        let subjects = of_prometheus(series, MANY);
        if series == COSTS {
            head("series", &subjects);
        }
        measure(&subjects, series).show(series);
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

/// How many a crowd of scrapers is.
const SCRAPERS: usize = 32;

/// Scrapes a second of [`SCRAPERS`] threads that scrape as fast as they can.
fn crowd() {
    println!("\n## {SCRAPERS} scrapers at once: scrapes a second\n");
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

fn main() {
    let cpus = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    // Only some of it: `cargo xtask bench guard alone clocked`.
    let asked: Vec<String> = std::env::args().skip(1).filter(|arg| !arg.starts_with('-')).collect();
    let wants = |part: &str| asked.is_empty() || asked.iter().any(|asked| asked == part);
    println!("{cpus} processors. The second column is the naive handler's own figure, the others are ratios to it.");
    if wants("alone") {
        alone(cpus);
    }
    if wants("crowd") {
        crowd();
    }
    pressed::all(wants);
}
