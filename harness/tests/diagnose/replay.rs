//! A snapshot that was explained once can be explained again without the process.

use crate::locks::lock_edges;
use crate::target::{ENGINE, Target};
use gatherlock::diagnose::Engine;
use gatherlock::model::{Relation, Snapshot};

#[test]
fn a_saved_snapshot_says_the_same_when_the_process_is_gone() {
    for case in ["ab-ba-std", "guard-in-handler-future", "signal-handler", "frozen-observer"] {
        let target = Target::start(case);
        let serves = |explained: &gatherlock::model::Explained| {
            explained.spins.iter().any(|spin| spin.unchanged)
                || explained
                    .edges
                    .iter()
                    .any(|e| e.relation == Relation::Holds && e.stable && e.count_agrees == Some(true))
        };
        let (first, second, explained) = target.explained(serves);
        drop(target);
        let through_json = |snapshot: &Snapshot| -> Snapshot {
            serde_json::from_str(&serde_json::to_string(snapshot).unwrap()).unwrap()
        };
        // An engine that has never seen the process.
        let replayed = Engine::new().explain(Some(&through_json(&first)), &mut through_json(&second), false);
        assert_eq!(lock_edges(&replayed), lock_edges(&explained), "{case}");
        assert_eq!(replayed.threads, explained.threads, "{case}");
        assert_eq!(replayed.spins, explained.spins, "{case}");
        // And the engine that has, after the process has ended.
        let again = ENGINE.explain(Some(&first), &mut second.clone(), false);
        assert_eq!(again.edges, explained.edges, "{case}");
    }
}
