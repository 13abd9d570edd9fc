//! A model, what it must show, and whether it does.

use crate::explore::{Exploration, Explorer, Finding, Limits, Search, Strength};
use crate::signature::Signature;
use gatherlock::model::Verdict;
use std::sync::Arc;

/// A model and what it must show.
#[derive(Clone, Copy, Debug)]
pub struct Model {
    /// Its name, e.g. `gather-in-collect` or `inc-during-gather[metric=histogram]`: the live scenario's, if there is one.
    pub name: &'static str,
    /// One line: what it teaches.
    pub lesson: &'static str,
    /// How many threads it has, the body included.
    pub threads: usize,
    /// What it must show.
    pub expect: Expect,
    /// Its body.
    pub body: fn(),
}

/// What a model must show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expect {
    /// No execution hangs.
    None,
    /// An execution deadlocks, in exactly this way.
    Deadlock(Signature),
    /// An execution hangs without a circle of locks, in exactly this way.
    Blocked(Signature),
}

impl Expect {
    /// The word used in reports.
    pub fn word(self) -> &'static str {
        match self {
            Expect::None => "none",
            Expect::Deadlock(_) => "deadlock",
            Expect::Blocked(_) => "blocked",
        }
    }
}

/// A model's or a live row's name without its parameters.
pub fn scenario(name: &str) -> &str {
    gatherlock::model::model_scenario(name)
}

/// A model's exploration and what it says about the expectation.
#[derive(Clone, Debug)]
pub struct Checked {
    /// What was found.
    pub exploration: Exploration,
    /// Whether that is what was expected.
    pub verdict: Verdict,
    /// Why not, if not.
    pub why: Option<String>,
}

impl Model {
    /// The live scenario's id: the name without parameters.
    pub fn scenario(&self) -> &'static str {
        scenario(self.name)
    }

    /// Explores the model and grades what was found.
    ///
    /// # Panics
    /// If called inside a model.
    pub fn check(&self, search: Search, limits: Limits) -> Checked {
        self.check_by(Explorer::new(search).limits(limits))
    }

    /// Lets `explorer` explore the model, and grades what was found.
    ///
    /// # Panics
    /// If called inside a model.
    pub fn check_by(&self, explorer: Explorer) -> Checked {
        let exploration = explorer.run_body(Arc::new(self.body));
        let (verdict, why) = self.grade(&exploration);
        Checked { exploration, verdict, why }
    }

    fn grade(&self, exploration: &Exploration) -> (Verdict, Option<String>) {
        let found = &exploration.finding;
        let signature = match (&self.expect, found) {
            (_, Finding::Inconclusive { reason }) => return (Verdict::Inconclusive, Some(reason.clone())),
            (Expect::None, Finding::None) => return self.grade_absence(exploration),
            (Expect::Deadlock(signature), Finding::Deadlock(trace))
            | (Expect::Blocked(signature), Finding::Blocked(trace)) => signature.check(trace),
            (Expect::Deadlock(_) | Expect::Blocked(_), Finding::None) => {
                let why = format!("expected {}, found none, {}", self.expect.word(), exploration.strength);
                return (Verdict::Vanished, Some(why));
            }
            (_, Finding::Panicked { message, .. }) => Err(format!("the model panicked: {message}")),
            (expected, found) => Err(format!("expected {}, found {}", expected.word(), found.word())),
        };
        match signature {
            Ok(()) => (Verdict::Held, None),
            Err(why) => (Verdict::Violated, Some(why)),
        }
    }

    /// "Nothing hangs" is worth something only if there was something to choose from.
    fn grade_absence(&self, exploration: &Exploration) -> (Verdict, Option<String>) {
        let explored = exploration.executions;
        let all = matches!(exploration.strength, Strength::Exhausted | Strength::Bounded { .. });
        if explored == 0 || (all && self.threads > 1 && explored < 2) {
            let why = format!(
                "{} threads, {explored} execution(s): the threads never meet, the model is wrong",
                self.threads
            );
            return (Verdict::Inconclusive, Some(why));
        }
        (Verdict::Held, None)
    }
}
