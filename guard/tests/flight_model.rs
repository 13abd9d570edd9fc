//! The hand-over of `src/flight.rs`, compiled over loom's locks and explored in every schedule up to a stated number of
//! preemptions; and the same models over broken copies of it, which must fail: a model that cannot fail shows nothing.

#![allow(clippy::duplicate_mod, reason = "the same source over different locks is the point")]

#[path = "model/flight.rs"]
mod flight;
#[path = "model/runs.rs"]
mod runs;

use runs::{Bound, expect_deadlock, explore, holds};

/// The library's own source over loom's locks.
#[path = "."]
mod real {
    pub(crate) mod sync {
        pub(crate) use loom::sync::{Condvar, Mutex, MutexGuard};
    }
    #[path = "../src/deadline.rs"]
    pub(crate) mod deadline;
    #[allow(dead_code)]
    #[path = "../src/flight.rs"]
    pub(crate) mod flight;
}

/// The same without the timeout branch.
#[path = "."]
mod no_timeout {
    pub(crate) mod sync {
        pub(crate) use loom::sync::{Condvar, Mutex, MutexGuard};
    }
    pub(crate) mod deadline {
        pub(crate) fn gives_up(_passed: bool) -> bool {
            false
        }
    }
    #[allow(dead_code)]
    #[path = "../src/flight.rs"]
    pub(crate) mod flight;
}

/// The same with a condition variable that nobody signals.
#[path = "."]
mod no_signal {
    pub(crate) mod sync {
        pub(crate) use loom::sync::{Mutex, MutexGuard};
        pub(crate) struct Condvar(loom::sync::Condvar);
        impl Condvar {
            pub(crate) fn new() -> Condvar {
                Condvar(loom::sync::Condvar::new())
            }
            pub(crate) fn wait<'a, T>(&self, guard: MutexGuard<'a, T>) -> loom::sync::LockResult<MutexGuard<'a, T>> {
                self.0.wait(guard)
            }
            pub(crate) fn notify_one(&self) {}
            pub(crate) fn notify_all(&self) {}
        }
    }
    #[path = "../src/deadline.rs"]
    pub(crate) mod deadline;
    #[allow(dead_code)]
    #[path = "../src/flight.rs"]
    pub(crate) mod flight;
}

flight::models!(real_models, super::real::flight);
flight::models!(no_timeout_models, super::no_timeout::flight);
flight::models!(no_signal_models, super::no_signal::flight);

#[test]
fn every_scrape_gets_values_from_after_its_arrival_and_flights_never_overlap() {
    holds("fresh", Bound::Preemptions(2), 5000, real_models::fresh);
}

#[test]
fn one_scrape_alone_is_answered_in_every_schedule() {
    holds("alone", Bound::None, 20, real_models::alone);
}

#[test]
fn a_scrape_behind_a_stuck_collector_is_answered_at_its_deadline_and_the_group_recovers() {
    holds("stuck", Bound::Preemptions(3), 5000, real_models::stuck);
}

#[test]
fn a_deadline_at_any_moment_leaves_every_scrape_with_one_answer() {
    holds("race", Bound::Preemptions(3), 1000, real_models::race);
}

#[test]
fn a_stuck_group_costs_only_its_own_page() {
    holds("groups", Bound::Preemptions(2), 3000, real_models::groups);
}

#[test]
fn closing_answers_everybody_and_ends_every_thread_without_waiting_for_a_stuck_collector() {
    holds("close", Bound::None, 5000, real_models::close);
}

#[test]
fn a_scrape_that_goes_away_leaves_nothing_behind() {
    holds("cancel", Bound::Preemptions(3), 1000, real_models::cancel);
}

#[test]
fn without_the_timeout_branch_a_model_fails() {
    expect_deadlock("without_the_timeout_branch_a_model_fails", no_timeout_models::stuck);
}

#[test]
fn without_the_signal_a_model_fails() {
    expect_deadlock("without_the_signal_a_model_fails", no_signal_models::fresh);
}

#[test]
fn the_broken_copies_are_otherwise_sound() {
    // So that what fails above is the branch taken out and nothing else.
    assert!(explore(Bound::Preemptions(1), no_timeout_models::fresh) > 100);
    assert!(explore(Bound::None, no_timeout_models::close) > 100);
}
