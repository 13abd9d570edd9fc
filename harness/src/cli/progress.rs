//! Progress on stderr: a bar with the running cases on a terminal, a plain line for each ended trial in a log.

use crate::gate::{Observer, RunEvent};
use crate::model::{CaseId, ModelReport, TrialReport, Verdict};
use indicatif::{ProgressBar, ProgressStyle};
use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Shows a run's events on stderr.
pub(super) struct Progress {
    bar: Option<ProgressBar>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    trials: usize,
    ended: usize,
    running: BTreeMap<CaseId, usize>,
    /// Model checks that have ended, and how many there will be.
    checks: (u64, u64),
}

impl State {
    fn stopped(&mut self, case: &CaseId) {
        if let Some(n) = self.running.get_mut(case) {
            *n -= 1;
        }
        self.running.retain(|_, n| *n > 0);
    }
}

impl Progress {
    /// A bar if stderr is a terminal, lines otherwise.
    pub(super) fn new() -> Progress {
        let bar = std::io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::new(0);
            if let Ok(style) = ProgressStyle::with_template("{elapsed_precise} {bar:24} {pos}/{len} {wide_msg}") {
                bar.set_style(style.progress_chars("━━╌"));
            }
            bar.enable_steady_tick(Duration::from_millis(200));
            bar
        });
        Progress { bar, state: Mutex::new(State::default()) }
    }

    /// Takes the bar away, so that what follows is not drawn over.
    pub(super) fn done(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }

    fn line(&self, text: &str) {
        match &self.bar {
            Some(bar) => bar.println(text),
            None => eprintln!("{text}"),
        }
    }
}

impl Observer for Progress {
    fn event(&self, event: &RunEvent<'_>) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        match event {
            RunEvent::Planned { cases, trials, skipped, jobs } => {
                state.trials = *trials;
                if let Some(bar) = &self.bar {
                    bar.set_length(*trials as u64);
                }
                self.line(&format!("{trials} trials of {cases} cases, {jobs} side by side; {skipped} cases skipped"));
            }
            RunEvent::Started { case } => *state.running.entry((*case).clone()).or_default() += 1,
            RunEvent::Ended { case, trial, verdict } => {
                state.ended += 1;
                state.stopped(case);
                if self.bar.is_none() || *verdict != Verdict::Held {
                    self.line(&ended(&state, case, trial, *verdict));
                }
            }
            RunEvent::SetAside { case, reason } => {
                state.stopped(case);
                self.line(&format!("set aside, to be run again alone: {case}: {reason}"));
            }
            RunEvent::Checking { checks } => {
                state.checks = (0, *checks);
                if let Some(bar) = &self.bar {
                    bar.set_length(state.trials as u64 + checks);
                }
                self.line(&format!("{checks} checks of the models"));
            }
            RunEvent::Checked { report } => {
                state.checks.0 += 1;
                if self.bar.is_none() || report.verdict != Verdict::Held {
                    self.line(&checked(&state, report));
                }
            }
            RunEvent::Problem { what } => self.line(&format!("problem: {what}")),
        }
        if let Some(bar) = &self.bar {
            bar.set_position(state.ended as u64 + state.checks.0);
            let names: Vec<String> = state.running.keys().map(ToString::to_string).collect();
            bar.set_message(names.join("  "));
        }
    }
}

fn sign(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Held => "ok",
        Verdict::Inconclusive => "??",
        Verdict::Vanished | Verdict::Violated => "!!",
    }
}

fn checked(state: &State, report: &ModelReport) -> String {
    let (done, of) = state.checks;
    let width = of.to_string().len();
    let mut line = format!(
        "[{done:>width$}/{of}] {} {:<11} {} under {} on {}",
        sign(report.verdict),
        report.outcome,
        report.name,
        report.engine,
        report.crate_version
    );
    if let Some(why) = &report.why {
        line.push_str(&format!("  {}: {why}", report.verdict));
    }
    line
}

fn ended(state: &State, case: &CaseId, trial: &TrialReport, verdict: Verdict) -> String {
    let sign = sign(verdict);
    let width = state.trials.to_string().len();
    let outcome = trial.outcome.map_or("void", |outcome| outcome.word());
    let mut line = format!("[{:>width$}/{}] {sign} {outcome:<11} {case}", state.ended, state.trials);
    if verdict != Verdict::Held {
        line.push_str(&format!("  {verdict}"));
    }
    if let Some(void) = &trial.void {
        line.push_str(&format!(": {}", void.reason));
    }
    line
}
