//! Progress on stderr: a bar on a terminal, a line for each check in a log, and one now and then during a long one.

use gatherlock::model::{ModelReport, Verdict};
use indicatif::{ProgressBar, ProgressStyle};
use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How often a log hears of a check that takes long.
const NOW_AND_THEN: Duration = Duration::from_secs(20);
/// How often the figures of a bar are renewed.
const TICK: Duration = Duration::from_millis(250);

/// Every execution of every check of this process.
pub(crate) static EXECUTIONS: AtomicU64 = AtomicU64::new(0);

/// Shows how far the checks are.
pub(crate) struct Progress {
    bar: Option<ProgressBar>,
    total: usize,
    begun: Instant,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    ended: usize,
    running: BTreeMap<usize, (String, Instant)>,
    told: Option<Instant>,
    done: bool,
}

impl Progress {
    /// For `total` checks.
    pub(crate) fn new(total: usize) -> Progress {
        let bar = std::io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::new(total as u64);
            if let Ok(style) = ProgressStyle::with_template("{elapsed_precise} {bar:24} {pos}/{len} {wide_msg}") {
                bar.set_style(style.progress_chars("━━╌"));
            }
            bar
        });
        Progress { bar, total, begun: Instant::now(), state: Mutex::default() }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A check begins.
    pub(crate) fn started(&self, number: usize, what: String) {
        self.state().running.insert(number, (what, Instant::now()));
    }

    /// A check ended.
    pub(crate) fn ended(&self, number: usize, report: &ModelReport) {
        let mut state = self.state();
        state.ended += 1;
        state.running.remove(&number);
        if self.bar.is_some() && report.verdict == Verdict::Held {
            return;
        }
        let sign = match report.verdict {
            Verdict::Held => "ok",
            Verdict::Inconclusive => "??",
            Verdict::Vanished | Verdict::Violated => "!!",
        };
        let line = format!(
            "[{:>3}/{}] {sign} {:<12} {:<8} {}  {}: {} in {:.2} s{}",
            state.ended,
            self.total,
            report.outcome,
            report.engine,
            report.crate_version,
            report.name,
            report.strength.executions,
            report.strength.seconds,
            report.why.as_ref().map(|why| format!(": {why}")).unwrap_or_default(),
        );
        match &self.bar {
            Some(bar) => bar.println(line),
            None => eprintln!("{line}"),
        }
    }

    /// Renews the figures until [`Progress::done`]; for a thread of its own.
    pub(crate) fn keep_showing(&self) {
        loop {
            std::thread::sleep(TICK);
            let mut state = self.state();
            if state.done {
                return;
            }
            let executions = EXECUTIONS.load(Ordering::Relaxed);
            let speed = executions as f64 / self.begun.elapsed().as_secs_f64();
            let long = |since: &Instant| since.elapsed() >= NOW_AND_THEN;
            let names: Vec<String> = state
                .running
                .values()
                .map(|(what, since)| format!("{what}, {} s", since.elapsed().as_secs()))
                .collect();
            let says = format!("{executions} executions, {speed:.0}/s  {}", names.join("; "));
            match &self.bar {
                Some(bar) => {
                    bar.set_position(state.ended as u64);
                    bar.set_message(says);
                }
                None if state.running.values().any(|(_, since)| long(since))
                    && state.told.as_ref().is_none_or(long) =>
                {
                    state.told = Some(Instant::now());
                    eprintln!("… {says}");
                }
                None => {}
            }
        }
    }

    /// Takes the bar away.
    pub(crate) fn done(&self) {
        self.state().done = true;
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
