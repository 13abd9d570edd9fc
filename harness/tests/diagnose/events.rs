//! Waits that are no locks: each blocked thread is told what for.

use crate::locks::lock_edges;
use crate::target::Target;
use gatherlock::model::{Explained, Relation, ResourceKind};

/// Starts the case and demands that the request waits, unchanged, for something of this kind and name that is no lock.
fn expect_event(case: &str, kind: ResourceKind, name: &str) {
    let target = Target::start(case);
    let waits = |explained: &Explained| {
        let serving: Vec<i32> = explained.threads.iter().filter(|t| t.serves_request).map(|t| t.tid).collect();
        let mut waits =
            explained.edges.iter().filter(|e| serving.contains(&e.thread) && e.relation == Relation::Waits && e.stable);
        waits.find_map(|wait| explained.resources.iter().find(|r| r.id == wait.resource).cloned())
    };
    let (_, _, explained) = target.explained(|explained| waits(explained).is_some_and(|r| r.kind == kind));
    let resource = waits(&explained).expect("the request waits for nothing");
    assert_eq!(resource.kind, kind, "{resource:?}");
    assert!(resource.name.contains(name), "{resource:?}");
    assert_eq!(lock_edges(&explained), Vec::<String>::new());
}

#[test]
fn a_silent_tcp_peer_is_named() {
    expect_event("tcp-read", ResourceKind::Io, "receive from TCP peer 127.0.0.1:");
}

#[test]
fn a_channel_without_a_message() {
    expect_event("channel", ResourceKind::Channel, "message on a channel");
}

#[test]
fn a_gate_of_a_condition_variable() {
    expect_event("condvar-gate", ResourceKind::Channel, "condition variable in diagnose::service::Gate::pass");
}

#[test]
fn a_gate_that_is_a_pipe() {
    expect_event("pipe-gate", ResourceKind::Io, "read from a pipe");
}
