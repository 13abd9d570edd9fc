//! A busy, healthy service must never be called deadlocked.

use crate::target::{ENGINE, Target};
use gatherlock::graph::WaitGraph;
use gatherlock::model::Relation;

/// Samples of the contended service.
const SAMPLES: usize = 30;

#[test]
fn a_contended_service_has_no_cycle() {
    let target = Target::start("contended");
    let (mut contended, mut accounted) = (0, 0);
    let mut first = ENGINE.sample(target.pid()).unwrap();
    for _ in 0..SAMPLES {
        let mut second = ENGINE.sample(target.pid()).unwrap();
        let explained = ENGINE.explain(Some(&first), &mut second, true);
        let graph = WaitGraph::new(&explained);
        assert_eq!(graph.cycles().len() + graph.self_waits().len(), 0, "{:#?}", explained.edges);
        for resource in explained.resources.iter().filter(|resource| resource.kind.is_lock()) {
            contended += 1;
            accounted += u32::from(resource.holders.is_some_and(|holders| holders.word == holders.found));
        }
        assert!(explained.edges.iter().all(|e| e.relation != Relation::Holds || e.count_agrees.is_some()));
        first = second;
    }
    // Without contention the test would prove nothing.
    assert!(contended > 0, "no thread ever waited for a lock");
    println!("{contended} contended locks, {accounted} with all holders accounted for");
}
