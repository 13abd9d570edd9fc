//! The wait-for graph against hand-made pictures and against graph reduction, the textbook's other way to find deadlock.

use super::*;
use crate::model::*;
use proptest::prelude::*;
use std::collections::BTreeSet;

fn edge(thread: i32, relation: Relation, resource: &str, mode: Mode) -> Edge {
    Edge {
        thread,
        resource: resource.into(),
        relation,
        mode,
        provenance: Provenance::Read,
        count_agrees: None,
        stable: true,
        site: None,
        note: None,
    }
}

fn holds(thread: i32, resource: &str, mode: Mode) -> Edge {
    edge(thread, Relation::Holds, resource, mode)
}

fn waits(thread: i32, resource: &str, mode: Mode) -> Edge {
    edge(thread, Relation::Waits, resource, mode)
}

fn explained(edges: Vec<Edge>) -> Explained {
    let tids: BTreeSet<i32> = edges.iter().map(|edge| edge.thread).collect();
    let ids: BTreeSet<&str> = edges.iter().map(|edge| edge.resource.as_str()).collect();
    let resources = ids.into_iter().map(|id| Resource {
        id: id.into(),
        kind: match id.as_bytes()[0] {
            b'm' => ResourceKind::StdMutex,
            b'c' => ResourceKind::Channel,
            b's' => ResourceKind::SpinWord,
            _ => ResourceKind::ParkingLotRwLock,
        },
        name: id.into(),
        address: None,
        holders: None,
        event: None,
    });
    Explained {
        resources: resources.collect(),
        threads: tids.into_iter().map(|tid| Thread { tid, name: format!("t{tid}"), ..Thread::default() }).collect(),
        edges,
        samples: 2,
        ..Explained::default()
    }
}

fn threads_of(cycles: &[Cycle<'_>]) -> Vec<Vec<i32>> {
    cycles.iter().map(|cycle| cycle.threads().collect()).collect()
}

#[test]
fn who_rules_out_whom() {
    use Mode::{Event, Exclusive, Read, Upgradable, Write};
    let blocked = |held, wanted| {
        let explained = explained(vec![holds(1, "rw", held), waits(2, "rw", wanted)]);
        !WaitGraph::new(&explained).steps().is_empty()
    };
    for (held, wanted, expected) in [
        (Read, Read, false),
        (Read, Upgradable, false),
        (Read, Write, true),
        (Upgradable, Read, false),
        (Upgradable, Upgradable, true),
        (Upgradable, Write, true),
        (Write, Read, true),
        (Write, Upgradable, true),
        (Write, Write, true),
        (Exclusive, Exclusive, true),
        (Event, Event, true),
    ] {
        assert_eq!(blocked(held, wanted), expected, "{held:?} held, {wanted:?} wanted");
    }
}

#[test]
fn a_reader_waits_for_a_queued_writer_and_not_for_readers() {
    let edges = vec![
        holds(1, "rw", Mode::Read),
        edge(2, Relation::Queued, "rw", Mode::Write),
        waits(2, "rw", Mode::Write),
        waits(3, "rw", Mode::Read),
        waits(4, "rw", Mode::Write),
    ];
    let explained = explained(edges);
    let graph = WaitGraph::new(&explained);
    let steps: Vec<(i32, i32, bool)> = graph.steps().iter().map(|s| (s.waiter, s.blocker, s.is_queue())).collect();
    assert_eq!(steps, [(2, 1, false), (3, 2, true), (4, 1, false), (4, 2, true)]);
    assert!(graph.cycles().is_empty() && graph.self_waits().is_empty() && graph.suspects().is_empty());
}

#[test]
fn writers_that_are_queued_alike_do_not_wait_for_each_other() {
    let two = vec![
        waits(1, "rw", Mode::Write),
        edge(1, Relation::Queued, "rw", Mode::Write),
        waits(2, "rw", Mode::Write),
        edge(2, Relation::Queued, "rw", Mode::Write),
        waits(3, "rw", Mode::Read),
    ];
    let explained = explained(two);
    let graph = WaitGraph::new(&explained);
    assert!(graph.cycles().is_empty() && graph.suspects().is_empty(), "who holds the lock is not known");
    let readers: Vec<i32> = graph.steps().iter().map(|step| step.waiter).collect();
    assert_eq!(readers, [3, 3], "the reader comes after both");
}

#[test]
fn a_place_in_the_queue_is_a_wait() {
    let explained = explained(vec![
        holds(1, "rw", Mode::Read),
        edge(1, Relation::Queued, "rw", Mode::Write),
        waits(3, "rw", Mode::Read),
    ]);
    let graph = WaitGraph::new(&explained);
    assert_eq!(threads_of(graph.self_waits()), [[1]], "it reads, and is queued to write");
    assert_eq!(graph.reaches(3).unwrap().path.len(), 1);
}

#[test]
fn cycles_are_normalised_and_shortest_first() {
    let edges = vec![
        // 7 -> 5 -> 6 -> 7 over mutexes, 9 <-> 8, 4 for itself.
        holds(5, "m5", Mode::Exclusive),
        holds(6, "m6", Mode::Exclusive),
        holds(7, "m7", Mode::Exclusive),
        waits(7, "m5", Mode::Exclusive),
        waits(5, "m6", Mode::Exclusive),
        waits(6, "m7", Mode::Exclusive),
        holds(9, "m9", Mode::Exclusive),
        holds(8, "m8", Mode::Exclusive),
        waits(9, "m8", Mode::Exclusive),
        waits(8, "m9", Mode::Exclusive),
        holds(4, "m4", Mode::Exclusive),
        waits(4, "m4", Mode::Exclusive),
        // 3 waits for 4, 2 for 3, 1 for nobody.
        holds(3, "m3", Mode::Exclusive),
        waits(3, "m4", Mode::Exclusive),
        waits(2, "m3", Mode::Exclusive),
        holds(1, "m1", Mode::Exclusive),
    ];
    let forward = explained(edges.clone());
    let graph = WaitGraph::new(&forward);
    assert_eq!(threads_of(graph.cycles()), [vec![8, 9], vec![5, 6, 7]]);
    assert_eq!(threads_of(graph.self_waits()), [[4]]);
    assert_eq!(graph.behind(&graph.self_waits()[0]), [2, 3]);
    assert!(graph.behind(&graph.cycles()[0]).is_empty());
    let path = graph.reaches(2).unwrap();
    assert!(path.cycle.is_self_wait());
    assert_eq!(path.path.iter().map(|step| (step.waiter, step.blocker)).collect::<Vec<_>>(), [(2, 3), (3, 4)]);
    assert!(graph.reaches(1).is_none() && graph.reaches(99).is_none());
    assert!(!graph.is_truncated());

    let report = graph.report(&graph.cycles()[0]);
    assert_eq!(report[0].thread, ThreadRef { tid: 8, name: "t8".into() });
    assert_eq!(report[0].waits_for, WaitsFor { resource: "m9".into(), mode: Mode::Exclusive });
    assert_eq!(report[1].held_by, report[0].thread);

    let backward = explained(edges.into_iter().rev().collect());
    let again = WaitGraph::new(&backward);
    assert_eq!(threads_of(again.cycles()), threads_of(graph.cycles()), "the order of the edges is no matter");
}

#[test]
fn the_surest_step_stands_for_a_pair() {
    let mut guess = holds(2, "rw", Mode::Read);
    guess.provenance = Provenance::Inferred { rule: "frame table".into() };
    let mut walked = holds(2, "rw", Mode::Read);
    (walked.provenance, walked.count_agrees) = (Provenance::Walked, Some(true));
    let edges = vec![
        guess,
        walked,
        waits(1, "rw", Mode::Write),
        holds(1, "m", Mode::Exclusive),
        waits(2, "m", Mode::Exclusive),
    ];
    let explained = explained(edges);
    let graph = WaitGraph::new(&explained);
    assert_eq!(graph.steps().len(), 2);
    assert_eq!(graph.cycles()[0].confidence(), Confidence::Inferred);
    assert!(graph.suspects().is_empty());
}

#[test]
fn a_circle_over_something_that_is_no_lock_is_a_suspect() {
    let edges = vec![
        holds(1, "chan", Mode::Event),
        waits(2, "chan", Mode::Event),
        holds(2, "m", Mode::Exclusive),
        waits(1, "m", Mode::Exclusive),
    ];
    let mut explained = explained(edges);
    assert_eq!(threads_of(WaitGraph::new(&explained).suspects()), [[1, 2]]);
    assert!(WaitGraph::new(&explained).cycles().is_empty());
    explained.resources.clear();
    let graph = WaitGraph::new(&explained);
    assert!(graph.cycles().is_empty(), "nothing is claimed about resources that are not listed");
}

#[test]
fn who_should_reply_and_who_should_finish_are_suspected() {
    let mut explained = explained(vec![
        holds(5, "rw", Mode::Read),
        waits(5, "chan", Mode::Event),
        waits(2, "rw", Mode::Write),
        waits(3, "rw", Mode::Read),
        waits(8, "spin", Mode::Event),
        holds(8, "m", Mode::Exclusive),
        waits(9, "m", Mode::Exclusive),
    ]);
    assert!(WaitGraph::new(&explained).suspects().is_empty(), "no request, no spin rule");
    explained.threads.iter_mut().find(|thread| thread.tid == 5).unwrap().serves_request = true;
    explained.spins.push(Spin {
        tid: 8,
        rule: "r".into(),
        resource: "spin".into(),
        says: String::new(),
        unchanged: true,
        culprit: Some(9),
    });
    let graph = WaitGraph::new(&explained);
    assert_eq!(threads_of(graph.suspects()), [[2, 5], [8, 9]]);
    assert!(graph.suspects().iter().all(|cycle| cycle.confidence() == Confidence::Suspected));
    assert!(graph.suspects()[0].steps.iter().any(|step| step.block.is_none()));
    assert!(graph.reaches(5).is_none());
    assert!(graph.cycles().is_empty());
}

#[test]
fn a_thicket_of_suspects_does_not_hide_a_cycle() {
    let mut edges = Vec::new();
    for thread in 1..=30 {
        for lock in 0..3 {
            let mut hold = holds(thread, &format!("rw{lock}"), Mode::Read);
            hold.stable = false;
            edges.push(hold);
        }
        edges.push(waits(thread, &format!("rw{}", thread % 3), Mode::Write));
    }
    edges.extend([
        holds(98, "m1", Mode::Exclusive),
        waits(98, "m2", Mode::Exclusive),
        holds(99, "m2", Mode::Exclusive),
        waits(99, "m1", Mode::Exclusive),
    ]);
    let explained = explained(edges);
    let graph = WaitGraph::new(&explained);
    assert_eq!(threads_of(graph.cycles()), [[98, 99]]);
    assert!(graph.is_truncated());
}

#[test]
fn those_behind_are_counted_over_edges_that_stand() {
    let mut moving = waits(4, "m1", Mode::Exclusive);
    moving.stable = false;
    let explained = explained(vec![
        holds(1, "m1", Mode::Exclusive),
        waits(2, "m1", Mode::Exclusive),
        holds(2, "m2", Mode::Exclusive),
        waits(3, "m2", Mode::Exclusive),
        moving,
    ]);
    let graph = WaitGraph::new(&explained);
    assert_eq!(graph.waiting_on(&BTreeSet::from([1])), BTreeSet::from([2, 3]));
}

/// What can never run again: drop, again and again, every thread that nobody left rules out.
fn by_reduction(edges: &[Edge]) -> BTreeSet<i32> {
    let mut left: BTreeSet<i32> = edges.iter().map(|edge| edge.thread).collect();
    loop {
        let can_run = |thread: i32| {
            let mut wants = edges.iter().filter(|e| e.thread == thread && e.relation == Relation::Waits);
            wants.all(|want| {
                !edges.iter().any(|other| {
                    other.resource == want.resource
                        && left.contains(&other.thread)
                        && match other.relation {
                            Relation::Holds => want.mode == Mode::Write || other.mode == Mode::Write,
                            // The resources of these pictures are parking_lot's, whose queued writer owns the writer bit.
                            Relation::Queued => !edges.iter().any(|own| {
                                own.relation == Relation::Queued
                                    && own.thread == thread
                                    && own.resource == want.resource
                            }),
                            Relation::Waits => false,
                        }
                })
            })
        };
        let Some(runs) = left.iter().copied().find(|thread| can_run(*thread)) else { return left };
        left.remove(&runs);
    }
}

/// Up to eight threads on four read-write locks: each holds some and waits for at most one, perhaps queued.
fn pictures() -> impl Strategy<Value = Vec<Edge>> {
    let mode = prop_oneof![Just(Mode::Read), Just(Mode::Write)];
    let held = prop::collection::btree_map(0..4, mode.clone(), 0..3);
    let wanted = prop::option::of((0..4, mode, any::<bool>()));
    prop::collection::vec((held, wanted), 1..8).prop_map(|threads| {
        let mut edges = Vec::new();
        for (tid, (held, wanted)) in (10..).zip(threads) {
            edges.extend(held.into_iter().map(|(lock, mode)| holds(tid, &format!("rw{lock}"), mode)));
            if let Some((lock, mode, queued)) = wanted {
                edges.push(waits(tid, &format!("rw{lock}"), mode));
                if queued && mode == Mode::Write {
                    edges.push(edge(tid, Relation::Queued, &format!("rw{lock}"), Mode::Write));
                }
            }
        }
        edges
    })
}

proptest! {
    #[test]
    fn a_thread_reaches_a_cycle_if_and_only_if_it_can_never_run(edges in pictures()) {
        let stuck = by_reduction(&edges);
        let explained = explained(edges);
        let graph = WaitGraph::new(&explained);
        let reach: BTreeSet<i32> =
            explained.threads.iter().map(|thread| thread.tid).filter(|tid| graph.reaches(*tid).is_some()).collect();
        prop_assert_eq!(reach, stuck);
        for cycle in graph.cycles().iter().chain(graph.self_waits()) {
            let next = cycle.steps.iter().skip(1).chain(cycle.steps.first());
            for (step, next) in cycle.steps.iter().zip(next) {
                prop_assert_eq!(step.blocker, next.waiter);
                prop_assert!(step.is_claimable());
            }
            prop_assert_eq!(cycle.threads().min(), cycle.threads().next());
        }
    }

    #[test]
    fn doubt_about_edges_moves_cycles_among_the_suspects_and_loses_none(
        edges in pictures(),
        doubts in prop::collection::vec(0_u8..5, 32),
    ) {
        let sure = explained(edges.clone());
        let mut doubtful = sure.clone();
        for (edge, doubt) in doubtful.edges.iter_mut().zip(doubts) {
            match doubt {
                0 => edge.stable = false,
                1 => edge.provenance = Provenance::Inferred { rule: "r".into() },
                2 => (edge.provenance, edge.count_agrees) = (Provenance::Walked, Some(false)),
                3 => (edge.provenance, edge.count_agrees) = (Provenance::Walked, Some(true)),
                _ => {}
            }
        }
        let (sure, doubtful) = (WaitGraph::new(&sure), WaitGraph::new(&doubtful));
        prop_assume!(!sure.is_truncated() && !doubtful.is_truncated());
        let all = |graph: &WaitGraph<'_>| -> BTreeSet<Vec<i32>> {
            let claimed = threads_of(graph.cycles()).into_iter().chain(threads_of(graph.self_waits()));
            claimed.chain(threads_of(graph.suspects())).collect()
        };
        prop_assert_eq!(all(&sure), all(&doubtful));
        let fact = |edge: &Edge| edge.stable && edge.provenance != (Provenance::Inferred { rule: "r".into() })
            && edge.count_agrees != Some(false);
        for step in doubtful.cycles().iter().chain(doubtful.self_waits()).flat_map(|cycle| &cycle.steps) {
            prop_assert!(fact(step.wait) && step.block.is_some_and(fact));
        }
    }
}
