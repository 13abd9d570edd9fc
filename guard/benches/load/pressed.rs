//! A scraper beside a thread that updates without pause and one that registers: what each of them waits for the others.

use super::subject::{Subject, naive, subjects};
use super::{head, row};
use hdrhistogram::Histogram;
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

/// What goes on beside a thread that updates without pause, and for how long in each round.
struct Load {
    title: String,
    scrapes: Pace,
    registrations: Pace,
    round: Duration,
    /// The subjects take turns, so that what else happens on the machine hits all of them alike.
    rounds: u32,
}

/// What the threads of a subject saw, all rounds together.
#[derive(Default)]
struct Seen {
    scrapes: Waits,
    registers: Waits,
    /// The same without what the registrar stood in line for a processor meanwhile: what it waited for others' locks.
    locks: Waits,
    updates: u64,
    updater: Spent,
    registrar: Spent,
}

/// Waits in nanoseconds, to three digits: there may be tens of millions.
struct Waits(Histogram<u64>);

impl Default for Waits {
    fn default() -> Waits {
        Waits(Histogram::new(3).expect("three digits are possible"))
    }
}

impl Waits {
    fn add(&mut self, wait: Duration) {
        self.0 += u64::try_from(wait.as_nanos()).unwrap_or(u64::MAX);
    }

    fn quantile(&self, part: f64) -> f64 {
        self.0.value_at_quantile(part) as f64
    }

    /// The wait that a call at a random moment would exceed with probability 1 − `part`. A loop that calls without pause makes
    /// one call of a long wait and millions of short ones, so that of its calls hardly any is long, however much of the time
    /// it waits; counted by moments, a wait weighs what it takes.
    fn at_any_moment(&self, part: f64) -> f64 {
        let waits: Vec<(f64, f64)> =
            self.0.iter_recorded().map(|at| (at.value_iterated_to() as f64, at.count_at_value() as f64)).collect();
        let total: f64 = waits.iter().map(|(wait, count)| wait * count).sum();
        // Who comes into a wait of w at a random moment waits longer than x with probability (w − x) / w. From the longest
        // down, until x lies between two waits.
        let (mut longer, mut count) = (0.0, 0.0);
        for (at, (wait, times)) in waits.iter().enumerate().rev() {
            longer += wait * times;
            count += times;
            let x = (longer - (1.0 - part) * total) / count;
            if x >= at.checked_sub(1).map_or(0.0, |at| waits[at].0) {
                return x;
            }
        }
        0.0
    }
}

/// How a thread spent its time. What remains of `wall` it was blocked or slept.
#[derive(Default)]
struct Spent {
    wall: Duration,
    on_processor: Duration,
    /// It could have run, but others did.
    in_line: Duration,
}

impl Spent {
    fn part(&self, of: Duration) -> f64 {
        of.as_secs_f64() / self.wall.as_secs_f64()
    }

    fn blocked(&self) -> Duration {
        self.wall.saturating_sub(self.on_processor + self.in_line)
    }
}

/// Processor time and time in line of the calling thread so far.
fn so_far() -> (Duration, Duration) {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").expect("Linux has it");
    let mut numbers = text.split_whitespace().map(|word| Duration::from_nanos(word.parse().expect("a number")));
    let mut next = || numbers.next().expect("three numbers");
    (next(), next())
}

/// Does it, and adds how the time was spent.
fn observed<T>(spent: &mut Spent, act: impl FnOnce() -> T) -> T {
    let (began, (ran, stood)) = (Instant::now(), so_far());
    let result = act();
    let (has_run, has_stood) = so_far();
    spent.wall += began.elapsed();
    spent.on_processor += has_run - ran;
    spent.in_line += has_stood - stood;
    result
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

fn press(subject: &Subject, load: &Load, seen: &mut Seen) {
    let stop = Apart(AtomicBool::new(false));
    let began = Instant::now();
    let going = || !stop.0.load(Ordering::Relaxed);
    let Seen { scrapes, registers, locks, updates, updater, registrar } = seen;
    std::thread::scope(|scope| {
        let updating = || {
            let (mut number, mut count) = (0, 0);
            while going() {
                for _ in 0..64 {
                    number = (number + 7919) % SERIES;
                    (subject.update)(number);
                }
                count += 64;
            }
            count
        };
        let updating = scope.spawn(move || *updates += observed(updater, updating));
        let register = subject.register.as_ref();
        let registering = register.map(|register| {
            scope.spawn(move || {
                let mut own = Apart((std::mem::take(registers), std::mem::take(locks)));
                let (waits, without_line) = (&mut own.0.0, &mut own.0.1);
                observed(registrar, || paced(register, load.registrations, waits, without_line, going));
                (*registers, *locks) = own.0;
            })
        });
        let scrape = || {
            (subject.scrape)();
        };
        paced(scrape, load.scrapes, scrapes, &mut Waits::default(), || began.elapsed() < load.round);
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
            press(subject, load, seen);
        }
    }
    head("", &subjects);
    show(load, &seen);
}

fn show(load: &Load, seen: &[Seen]) {
    /// The first one's own figure, the others as ratios to it; `None` where nothing of the kind was done.
    fn ratios(name: &str, seen: &[Seen], shown: impl Fn(f64) -> String, of: impl Fn(&Seen) -> Option<f64>) {
        let first = of(&seen[0]).expect("the naive handler has it");
        let ratio = |seen| of(seen).map_or("–".to_string(), |of| format!("{:.3}", of / first));
        row(format!("{name} | {}", shown(first)), seen[1..].iter().map(ratio));
    }
    let wait = |name: &str, waits: fn(&Seen) -> &Waits, of: &dyn Fn(&Waits) -> f64| {
        ratios(name, seen, micros, |seen| (!waits(seen).0.is_empty()).then(|| of(waits(seen))));
    };
    wait("scrape, median", |seen| &seen.scrapes, &|waits| waits.quantile(0.5));
    wait("scrape, p99", |seen| &seen.scrapes, &|waits| waits.quantile(0.99));
    wait("register, p99", |seen| &seen.registers, &|waits| waits.quantile(0.99));
    wait("register, p99.9", |seen| &seen.registers, &|waits| waits.quantile(0.999));
    wait("register, p99.9, not in line", |seen| &seen.locks, &|waits| waits.quantile(0.999));
    if load.registrations == Pace::Full {
        wait("register, p99.9 of moments", |seen| &seen.registers, &|waits| waits.at_any_moment(0.999));
        wait("register, p99.9 of moments, not in line", |seen| &seen.locks, &|waits| waits.at_any_moment(0.999));
    }
    wait("register, longest", |seen| &seen.registers, &|waits| waits.quantile(1.0));
    let rate = |seen: &Seen| Some(seen.updates as f64 / seen.updater.wall.as_secs_f64());
    ratios("updates a second", seen, |of| format!("{:.2} M", of / 1e6), rate);
    let own = |seen: &Seen| Some(seen.updates as f64 / seen.updater.on_processor.as_secs_f64());
    ratios("updates a second on a processor", seen, |of| format!("{:.2} M", of / 1e6), own);
    let count = |of: f64| format!("{of}");
    let made = |waits: &Waits| (!waits.0.is_empty()).then_some(waits.0.len() as f64);
    ratios("registrations made", seen, count, |seen| made(&seen.registers));
    ratios("scrapes made", seen, count, |seen| made(&seen.scrapes));
    let parts = |name: &str, of: &dyn Fn(&Seen) -> f64| {
        let shown = |seen: &Seen| match of(seen) {
            part if part.is_nan() => "–".to_string(),
            part => format!("{:.1} %", part * 100.0),
        };
        row(format!("{name} | {}", shown(&seen[0])), seen[1..].iter().map(shown));
    };
    parts("the updater ran", &|seen| seen.updater.part(seen.updater.on_processor));
    parts("the updater stood in line", &|seen| seen.updater.part(seen.updater.in_line));
    parts("the updater was blocked", &|seen| seen.updater.part(seen.updater.blocked()));
    if load.registrations == Pace::Full {
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
        let load =
            Load { title: String::new(), scrapes: Pace::a_second(times), registrations: Pace::Full, round, rounds: 1 };
        let mut seen = Seen::default();
        press(&naive, &load, &mut seen);
        let part = seen.scrapes.0.len() as f64 / (f64::from(times) * round.as_secs_f64());
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

/// Every load, or those asked for by name. In the first two, updates and registrations run without pause and every handler
/// gets the same scrapes, as scrapers send them: by the clock, whether or not the last one was quick. In the third a scraper
/// that is answered sooner asks sooner, and takes the more of the processors the better its handler is.
pub(super) fn all(wants: impl Fn(&str) -> bool) {
    let (long, short) = (Duration::from_millis(1500), Duration::from_millis(400));
    let often = Pace::a_second(5_000);
    let run = |title: &str, scrapes, registrations, round, rounds| {
        under(&Load { title: format!("10 000 series; {title}"), scrapes, registrations, round, rounds });
    };
    if wants("clocked") {
        let title = "updates and registrations at full speed, 10 scrapes a second";
        run(title, Pace::a_second(10), Pace::Full, long, 20);
    }
    if wants("most") {
        println!("\n## How many scrapes a second the naive handler keeps up with\n");
        let most = naive_keeps_up();
        let title =
            format!("updates and registrations at full speed, {most} scrapes a second, which naive keeps up with");
        run(&title, Pace::a_second(most), Pace::Full, long, 8);
    }
    if wants("closed") {
        run("scrapes, updates and registrations at full speed", Pace::Full, Pace::Full, short, 16);
        run("scrapes and updates at full speed, 5 000 registrations a second", Pace::Full, often, short, 16);
    }
    if wants("equal") {
        let title = "updates at full speed, 5 000 registrations and 20 scrapes a second";
        run(title, Pace::a_second(20), often, short, 16);
    }
}
