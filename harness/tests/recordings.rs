//! Recorded real hangs, and what the detectors must say of them; and for each a near miss, one fact away, of which they
//! must not say it.
//!
//! The files in `recordings/` were written by `gatherlock diagnose --save` on the catalogue's own scenarios and on a small
//! service, in optimised builds with line tables; only the runtime's frames were taken out of the stacks. A near miss changes
//! one fact of such a file, as a healthy or a merely different process would show it.

mod recordings_unnamed;

use gatherlock::detect::{Diagnosed, judge};
use gatherlock::gate::replay;
use gatherlock::model::{
    Confidence, Edge, Exchange, ExchangeError, Explained, Outcome, Provenance, Recording, Relation, ResourceKind,
    Thread,
};
use std::collections::BTreeSet;
use std::path::PathBuf;

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/recordings")
}

fn recording(name: &str) -> Recording {
    let path = folder().join(name).with_extension("json");
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// What is said of a recording, through the file's own format.
fn said(recording: &Recording) -> Diagnosed {
    replay(&serde_json::to_string(recording).unwrap()).unwrap().diagnosed
}

/// Changes what was seen in the process.
fn but(name: &str, change: impl FnOnce(&mut Explained)) -> Diagnosed {
    let mut recording = recording(name);
    change(recording.explained.as_mut().unwrap());
    said(&recording)
}

/// A recording, what must be said of it, and a near miss.
struct Golden {
    name: &'static str,
    outcome: Outcome,
    /// Whose evidence decides.
    detector: &'static str,
    /// Steps of the cycle.
    cycle: usize,
    /// A part of the sentence.
    story: &'static str,
    /// The fact by which the near miss differs.
    near: &'static str,
    change: fn(&mut Recording),
}

const fn golden(
    (name, outcome, detector, cycle): (&'static str, Outcome, &'static str, usize),
    story: &'static str,
    near: &'static str,
    change: fn(&mut Recording),
) -> Golden {
    Golden { name, outcome, detector, cycle, story, near, change }
}

const GOLDEN: [Golden; 25] = [
    golden(("cycle", Outcome::Deadlocked, "cycle", 2), "which `session-open`", "the holder of one lock moved", |r| {
        first(r, |e| e.relation == Relation::Holds).stable = false
    }),
    golden(("three-party", Outcome::Deadlocked, "cycle", 3), "Mutex<Cache>", "one lock counts another holder", |r| {
        first(r, |e| e.relation == Relation::Holds).count_agrees = Some(false)
    }),
    golden(
        ("self-wait", Outcome::Deadlocked, "self_wait", 1),
        "it waits for itself",
        "it waits for the lock in the mode in which it has it",
        |r| {
            let explained = seen(r);
            explained.edges.retain(|edge| edge.relation != Relation::Queued);
            explained.edges.iter_mut().filter(|edge| edge.relation == Relation::Waits).for_each(|edge| {
                edge.mode = gatherlock::model::Mode::Read;
            });
        },
    ),
    golden(
        ("queued-writer", Outcome::Deadlocked, "cycle", 2),
        "in its queue",
        "no writer is queued between the two reads",
        |r| {
            let writer = first(r, |e| e.relation == Relation::Queued).thread;
            seen(r).edges.retain(|edge| edge.thread != writer);
        },
    ),
    golden(
        ("signal-handler", Outcome::Deadlocked, "self_wait", 1),
        "children of metric vector",
        "that somebody holds it is a guess",
        |r| {
            let rule = "a guess".to_string();
            first(r, |e| e.relation == Relation::Holds).provenance = Provenance::Inferred { rule };
        },
    ),
    golden(
        ("children", Outcome::Deadlocked, "self_wait", 1),
        "`checkout` 13685 holds children of CounterVec `http_requests_total` (WRITE) and waits for it again (READ)",
        "its word counts another holder",
        |r| first(r, |e| e.relation == Relation::Holds).count_agrees = Some(false),
    ),
    golden(("spin", Outcome::Livelocked, "spin", 0), "spins on a word that does not change", "the word changes", |r| {
        seen(r).spins.iter_mut().for_each(|spin| spin.unchanged = false)
    }),
    golden(
        ("starved", Outcome::Starved, "starvation", 0),
        "all 4 workers of the runtime are blocked",
        "a fifth worker polls for I/O",
        one_worker_more,
    ),
    golden(
        ("guard-across-await", Outcome::Starved, "starvation", 0),
        "only worker is blocked; `main-runtime` 13919 waits for Mutex<Vec<String, Global>> (LOCK), which no thread's stack",
        "a second worker could run the task that holds the lock",
        one_worker_more,
    ),
    golden(
        ("full-pool", Outcome::Starved, "starvation", 0),
        "blocking pool is full, its 3 threads are stuck, and",
        "no job waits for a thread",
        |r| pool(r).queued = None,
    ),
    golden(
        ("busy", Outcome::Busy, "busy", 0),
        "runs the request, is on CPU and makes progress",
        "it used no CPU between the samples",
        |r| threads(r).for_each(|thread| thread.cpu_ms = 0),
    ),
    golden(
        ("actor", Outcome::Stalled, "stall", 0),
        "message on a channel",
        "it had another wait in the first sample",
        moved,
    ),
    golden(
        ("io", Outcome::Stalled, "stall", 0),
        "TCP peer 127.0.0.1",
        "it had another wait in the first sample",
        moved,
    ),
    golden(
        ("sleep", Outcome::Stalled, "stall", 0),
        "waits for the end of a sleep in",
        "it sleeps and wakes, and sleeps again",
        moved,
    ),
    golden(
        ("condvar", Outcome::Stalled, "stall", 0),
        "waits for condition variable in",
        "what its futex is was not recognised",
        |r| seen(r).resources.iter_mut().for_each(|resource| resource.kind = ResourceKind::Unknown),
    ),
    golden(
        ("channel", Outcome::Stalled, "stall", 0),
        "waits for message on a channel in",
        "it had another wait in the first sample",
        moved,
    ),
    golden(
        ("hot-lock", Outcome::Stalled, "stall", 0),
        "Mutex<Index>",
        "it had another wait in the first sample",
        moved,
    ),
    golden(
        ("suspended", Outcome::Stalled, "stall", 0),
        "it is suspended at an await",
        "a worker is blocked, which may run it",
        |r| seen(r).runtime.as_mut().unwrap().blocked = 1,
    ),
    golden(("contained", Outcome::Contained, "scrape", 0), "honest refusal", "the 503 gives no reason", |r| {
        answer(r, |metrics| metrics.body = None)
    }),
    golden(
        ("contained-residue", Outcome::Deadlocked, "self_wait", 1),
        "answers, but this stays stuck",
        "the thread goes on behind the refusal",
        |r| seen(r).edges.clear(),
    ),
    golden(
        ("late", Outcome::Late, "scrape", 0),
        "answers late; while it was waited for",
        "the same answer within the bound",
        |r| {
            r.explained = None;
            answer(r, |metrics| (metrics.total_us, metrics.body) = (900_000, Some("a 1\n".into())));
        },
    ),
    golden(
        ("invalid", Outcome::Invalid, "scrape", 0),
        "malformed exposition",
        "the same answer with a body that can be read",
        |r| answer(r, |metrics| metrics.body = Some("a 1\n".into())),
    ),
    golden(("served", Outcome::Served, "scrape", 0), "answers as it should", "the body is empty", |r| {
        answer(r, |metrics| (metrics.body, metrics.bytes) = (None, 0))
    }),
    golden(
        ("crashed", Outcome::Crashed, "scrape", 0),
        "the process ended during the scrape",
        "the process lives on",
        |r| r.died = false,
    ),
    golden(
        ("unreachable", Outcome::Unreachable, "scrape", 0),
        "cannot be reached",
        "somebody accepts and does not answer",
        |r| answer(r, |metrics| (metrics.error, metrics.total_us) = (Some(ExchangeError::HangLimit), 3_000_000)),
    ),
];

fn seen(recording: &mut Recording) -> &mut Explained {
    recording.explained.as_mut().unwrap()
}

fn first(recording: &mut Recording, is: impl Fn(&Edge) -> bool) -> &mut Edge {
    seen(recording).edges.iter_mut().find(|edge| is(edge)).unwrap()
}

fn threads(recording: &mut Recording) -> impl Iterator<Item = &mut Thread> {
    seen(recording).threads.iter_mut()
}

fn pool(recording: &mut Recording) -> &mut gatherlock::model::PoolState {
    seen(recording).runtime.as_mut().unwrap().pool.as_mut().unwrap()
}

fn moved(recording: &mut Recording) {
    seen(recording).edges.iter_mut().for_each(|edge| edge.stable = false);
}

fn one_worker_more(recording: &mut Recording) {
    let explained = seen(recording);
    let runtime = explained.runtime.as_mut().unwrap();
    runtime.workers += 1;
    runtime.driver = Some(explained.threads.last().unwrap().tid);
}

/// Another answer, judged by the same bounds.
fn answer(recording: &mut Recording, change: impl FnOnce(&mut Exchange)) {
    let metrics = recording.probes.metrics.as_mut().unwrap();
    change(metrics);
    recording.judged = Some(judge(metrics, recording.bound_ms * 1000, recording.hang_limit_ms * 1000));
}

/// Whether just this is said, on the strength of evidence.
fn says(golden: &Golden, found: &Diagnosed) -> bool {
    let decides = found.evidence.iter().any(|evidence| evidence.decisive && evidence.detector == golden.detector);
    found.diagnosis.outcome == Some(golden.outcome)
        && found.diagnosis.cycle.len() == golden.cycle
        && found.diagnosis.summary.contains(golden.story)
        && found.diagnosis.confidence > Confidence::Suspected
        && found.covered
        && decides
}

#[test]
fn each_hang_has_its_name_its_length_and_its_story() {
    for golden in &GOLDEN {
        let found = said(&recording(golden.name));
        let diagnosis = &found.diagnosis;
        let evidence = &found.evidence;
        assert!(
            says(golden, &found),
            "{}: {:?} {:?} {}\n{evidence:#?}",
            golden.name,
            diagnosis.outcome,
            diagnosis.confidence,
            diagnosis.summary
        );
    }
}

#[test]
fn each_has_a_near_miss_of_which_it_is_not_said() {
    for golden in &GOLDEN {
        let mut other = recording(golden.name);
        (golden.change)(&mut other);
        assert_ne!(other, recording(golden.name), "{}: {} changes nothing", golden.name, golden.near);
        let found = said(&other);
        assert!(!says(golden, &found), "{}: {}: {}", golden.name, golden.near, found.diagnosis.summary);
        // What is no cycle any more is called none.
        if golden.outcome == Outcome::Deadlocked {
            assert!(found.diagnosis.cycle.is_empty(), "{}: {}", golden.name, found.diagnosis.summary);
        }
    }
}

#[test]
fn every_outcome_every_detector_and_every_file_is_among_them() {
    let outcomes: Vec<Outcome> = GOLDEN.iter().map(|golden| golden.outcome).collect();
    for outcome in Outcome::ALL {
        assert!(outcomes.contains(&outcome), "{outcome} has no recording");
    }
    let detectors: BTreeSet<&str> = GOLDEN.iter().map(|golden| golden.detector).collect();
    assert_eq!(
        detectors.into_iter().collect::<Vec<_>>(),
        ["busy", "cycle", "scrape", "self_wait", "spin", "stall", "starvation"]
    );
    let files: BTreeSet<String> = std::fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().path().file_stem().unwrap().to_string_lossy().into_owned())
        .collect();
    let mut listed: BTreeSet<String> = GOLDEN.iter().map(|golden| golden.name.to_string()).collect();
    listed.extend(recordings_unnamed::UNNAMED.map(|unnamed| unnamed.name.to_string()));
    assert_eq!(files, listed);
}

#[test]
fn an_actor_that_may_answer_is_a_suspect_and_never_a_cycle() {
    let found = said(&recording("actor")).diagnosis;
    assert!(found.cycle.is_empty() && found.suspects.iter().any(|suspect| suspect.len() == 2), "{}", found.summary);
}

/// The recordings whose cycle rests on a lock that somebody holds.
const CYCLES: [&str; 6] = ["cycle", "three-party", "self-wait", "queued-writer", "signal-handler", "children"];

#[test]
fn a_cycle_of_which_one_edge_moved_is_none() {
    for name in CYCLES {
        let steps = said(&recording(name)).diagnosis.cycle;
        for step in &steps {
            let found = but(name, |explained| {
                let waits =
                    |edge: &&mut Edge| edge.thread == step.thread.tid && edge.resource == step.waits_for.resource;
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
