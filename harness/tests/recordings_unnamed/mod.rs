//! Recordings of hangs that cannot be explained to their end, and for each the near misses of which the same is not said.

use crate::{first, recording, said, seen};
use gatherlock::model::{Edge, Outcome, Provenance, Recording, Relation};

/// A change, and what is said then.
type Near = (fn(&mut Recording), &'static str);

/// A recording of what cannot be explained to its end: an outcome without a claim.
pub(crate) struct Unnamed {
    pub(crate) name: &'static str,
    /// A part of what is said of it.
    story: &'static str,
    /// Near misses: one fact less, and what is said instead.
    near: [Near; 2],
}

pub(crate) const UNNAMED: [Unnamed; 2] = [
    Unnamed {
        name: "leaked",
        story: "which no thread's stack will release: leaked, or in a suspended task; which is not visible",
        near: [
            (|r| seen(r).resources[1].holders.as_mut().unwrap().word = 0, "and who holds that is not established"),
            (|r| held_by(r, 5404), "waits for Mutex<f64> (LOCK), which `tokio-rt-worker` 5404 holds"),
        ],
    },
    Unnamed {
        name: "lazy",
        story: "one-time initialisation of static `orders::ORDERS` in {closure#0} (svc/src/main.rs:66); `order-intake` 5761 \
                runs it, and waits for prometheus Registry #1 (WRITE)",
        near: [
            (
                |r| {
                    let rule = "refers-to-the-same".into();
                    first(r, |e| e.resource == "channel-4" && e.relation == Relation::Holds).provenance =
                        Provenance::Inferred { rule };
                },
                "`order-intake` 5761 refers to it, too, and waits for prometheus Registry #1 (WRITE)",
            ),
            (
                |r| seen(r).edges.retain(|e| e.resource != "channel-4" || e.relation != Relation::Holds),
                "of static `orders::ORDERS` in {closure#0} (svc/src/main.rs:66)",
            ),
        ],
    },
];

/// A thread's stack goes on to release the lock of `leaked`, after all.
fn held_by(recording: &mut Recording, thread: i32) {
    let wait = first(recording, |e| e.resource == "lock-1").clone();
    let (relation, provenance, count_agrees) = (Relation::Holds, Provenance::Walked, Some(true));
    seen(recording).edges.push(Edge { thread, relation, provenance, count_agrees, ..wait });
    seen(recording).resources[1].holders.as_mut().unwrap().found = 1;
}

#[test]
fn what_is_not_established_is_said_and_not_claimed() {
    for Unnamed { name, story, near } in UNNAMED {
        let summary = |recording: &Recording| {
            let found = said(recording).diagnosis;
            assert_eq!(found.outcome, Some(Outcome::Stalled), "{name}: {}", found.summary);
            assert!(found.cycle.is_empty(), "{name}: {}", found.summary);
            found.summary
        };
        let whole = summary(&recording(name));
        assert!(whole.contains(story), "{name}: {whole}");
        for (change, instead) in near {
            let mut other = recording(name);
            change(&mut other);
            let said = summary(&other);
            assert!(!said.contains(story) && said.contains(instead), "{name}: {said}");
        }
    }
}
