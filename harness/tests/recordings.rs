//! Recorded real hangs, and what the detectors must say of them; and for each a near miss, one fact away, of which they
//! must not say it.
//!
//! The files in `recordings/` were written by `gatherlock diagnose --save` on the catalogue's own scenarios, in an
//! optimised build with line tables; only the runtime's frames were taken out of the stacks. A near miss changes one fact
//! of such a file, as a healthy or a merely different process would show it.

use gatherlock::gate::replay;
use gatherlock::model::{Confidence, Outcome, Provenance, Recording, Relation};
use std::path::PathBuf;

fn recording(name: &str) -> Recording {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/recordings").join(name).with_extension("json");
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// What is said of a recording, through the file's own format.
fn said(recording: &Recording) -> gatherlock::detect::Diagnosed {
    replay(&serde_json::to_string(recording).unwrap()).unwrap().diagnosed
}

/// Changes what was seen in the process.
fn but(name: &str, change: impl FnOnce(&mut gatherlock::model::Explained)) -> gatherlock::detect::Diagnosed {
    let mut recording = recording(name);
    change(recording.explained.as_mut().unwrap());
    said(&recording)
}

#[test]
fn each_hang_has_its_name_its_length_and_its_story() {
    for (name, outcome, cycle, story) in [
        ("cycle", Outcome::Deadlocked, 2, "which `session-open`"),
        ("three-party", Outcome::Deadlocked, 3, "Mutex<Cache>"),
        ("self-wait", Outcome::Deadlocked, 1, "it waits for itself"),
        ("queued-writer", Outcome::Deadlocked, 2, "in its queue"),
        ("signal-handler", Outcome::Deadlocked, 1, "children of metric vector"),
        ("spin", Outcome::Livelocked, 0, "spins on a word that does not change"),
        ("starved", Outcome::Starved, 0, "all 4 workers of the runtime are blocked"),
        ("guard-across-await", Outcome::Starved, 0, "only worker is blocked"),
        ("actor", Outcome::Stalled, 0, "message on a channel"),
        ("io", Outcome::Stalled, 0, "TCP peer 127.0.0.1"),
        ("hot-lock", Outcome::Stalled, 0, "Mutex<Index>"),
        ("contained", Outcome::Contained, 0, "honest refusal"),
    ] {
        let found = said(&recording(name));
        let diagnosis = &found.diagnosis;
        assert_eq!((diagnosis.outcome, diagnosis.cycle.len()), (Some(outcome), cycle), "{name}: {}", diagnosis.summary);
        assert!(diagnosis.summary.contains(story), "{name}: {}", diagnosis.summary);
        assert!(found.covered, "{name}: explained to its end");
        let claims = diagnosis.confidence > Confidence::Suspected;
        assert!(claims, "{name}: {:?}", diagnosis.confidence);
    }
}

#[test]
fn an_actor_that_may_answer_is_a_suspect_and_never_a_cycle() {
    let found = said(&recording("actor")).diagnosis;
    assert!(found.cycle.is_empty() && found.suspects.iter().any(|suspect| suspect.len() == 2), "{}", found.summary);
}

/// The recordings whose cycle rests on a lock that somebody holds.
const CYCLES: [&str; 5] = ["cycle", "three-party", "self-wait", "queued-writer", "signal-handler"];

#[test]
fn a_cycle_of_which_one_edge_moved_is_none() {
    for name in CYCLES {
        let steps = said(&recording(name)).diagnosis.cycle;
        for step in &steps {
            let found = but(name, |explained| {
                let waits = |edge: &&mut gatherlock::model::Edge| {
                    edge.thread == step.thread.tid && edge.resource == step.waits_for.resource
                };
                explained.edges.iter_mut().filter(waits).for_each(|edge| {
                    if edge.relation != Relation::Holds {
                        edge.stable = false;
                    }
                });
            });
            let tid = step.thread.tid;
            assert_ne!(
                found.diagnosis.outcome,
                Some(Outcome::Deadlocked),
                "{name}, {tid}: {}",
                found.diagnosis.summary
            );
            assert!(found.diagnosis.cycle.is_empty() && !found.covered, "{name}, {tid}");
        }
    }
}

#[test]
fn a_cycle_whose_lock_counts_other_holders_is_none() {
    for name in CYCLES {
        let found = but(name, |explained| {
            for edge in explained.edges.iter_mut().filter(|edge| edge.relation == Relation::Holds) {
                edge.count_agrees = Some(false);
            }
        });
        assert_ne!(found.diagnosis.outcome, Some(Outcome::Deadlocked), "{name}: {}", found.diagnosis.summary);
        assert!(found.diagnosis.cycle.is_empty() && !found.covered, "{name}");
    }
}

#[test]
fn a_cycle_with_a_guessed_edge_is_a_suspect() {
    for name in CYCLES {
        let found = but(name, |explained| {
            for edge in explained.edges.iter_mut().filter(|edge| edge.relation == Relation::Holds) {
                edge.provenance = Provenance::Inferred { rule: "a guess".into() };
            }
        });
        assert_ne!(found.diagnosis.outcome, Some(Outcome::Deadlocked), "{name}: {}", found.diagnosis.summary);
        assert!(found.diagnosis.cycle.is_empty() && !found.diagnosis.suspects.is_empty(), "{name}");
    }
}

#[test]
fn a_cycle_whose_holder_goes_on_is_none() {
    // The same two threads, but the second one has what it wants and does something with it.
    for name in ["cycle", "three-party"] {
        let last = said(&recording(name)).diagnosis.cycle.last().unwrap().thread.tid;
        let found = but(name, |explained| {
            explained.edges.retain(|edge| edge.thread != last || edge.relation == Relation::Holds);
            for thread in explained.threads.iter_mut().filter(|thread| thread.tid == last) {
                thread.waits_for = None;
                thread.state = "R".into();
                thread.cpu_ms = 200;
            }
        });
        assert_ne!(found.diagnosis.outcome, Some(Outcome::Deadlocked), "{name}: {}", found.diagnosis.summary);
        assert!(found.diagnosis.cycle.is_empty() && found.diagnosis.suspects.is_empty(), "{name}");
    }
}

#[test]
fn a_spin_whose_word_moves_is_busy() {
    let found = but("spin", |explained| explained.spins.iter_mut().for_each(|spin| spin.unchanged = false));
    assert_eq!(found.diagnosis.outcome, Some(Outcome::Busy), "{}", found.diagnosis.summary);
}

#[test]
fn a_runtime_with_a_worker_left_is_not_starved() {
    for name in ["starved", "guard-across-await"] {
        let found = but(name, |explained| {
            let runtime = explained.runtime.as_mut().unwrap();
            runtime.workers += 1;
            runtime.driver = Some(explained.threads.last().unwrap().tid);
        });
        assert_ne!(found.diagnosis.outcome, Some(Outcome::Starved), "{name}: {}", found.diagnosis.summary);
    }
}

#[test]
fn a_wait_that_moved_does_not_explain_a_stall() {
    for name in ["io", "hot-lock", "actor"] {
        let found = but(name, |explained| explained.edges.iter_mut().for_each(|edge| edge.stable = false));
        assert_eq!(found.diagnosis.outcome, Some(Outcome::Stalled), "{name}: {}", found.diagnosis.summary);
        assert!(!found.covered && found.diagnosis.confidence == Confidence::Suspected, "{name}");
    }
}

#[test]
fn a_hang_that_was_not_looked_into_has_no_name() {
    for name in CYCLES {
        let blind = Recording { explained: None, ..recording(name) };
        let found = said(&blind);
        assert_eq!((found.diagnosis.outcome, found.covered), (Some(Outcome::Stalled), false), "{name}");
        assert!(found.diagnosis.cycle.is_empty(), "{name}");
    }
}

#[test]
fn an_answer_in_time_is_served_whatever_else_is_slow() {
    // The same process behind an endpoint that does answer: a stall elsewhere is no finding, a standing deadlock is.
    let answered = |name: &str| {
        let mut recording = recording(name);
        let judged = recording.judged.as_mut().unwrap();
        judged.outcome = Some(Outcome::Served);
        let metrics = recording.probes.metrics.as_mut().unwrap();
        (metrics.error, metrics.status, metrics.total_us) = (None, Some(200), 1_000);
        said(&recording).diagnosis.outcome
    };
    for name in ["starved", "io", "hot-lock", "actor"] {
        assert_eq!(answered(name), Some(Outcome::Served), "{name}");
    }
    for name in CYCLES {
        assert_eq!(answered(name), Some(Outcome::Deadlocked), "{name}");
    }
    assert_eq!(answered("spin"), Some(Outcome::Livelocked));
}
