//! collect() waits for somebody over a channel or a condition variable. There is no circle of locks to point at: nobody
//! can read off a channel who will write to it.

use super::{COLLECT, GATHER, REGISTER, REGISTRY, Signature, WaitsFor, counter, join, registry_calling};
use crate::models::{Expect, Model};
use crate::shim::sync::mpsc::{channel, sync_channel};
use crate::shim::sync::{Condvar, Mutex};
use crate::shim::thread::spawn;
use std::sync::Arc;

const CAPACITY: usize = 2;

pub(super) fn models() -> Vec<Model> {
    vec![
        Model {
            name: "actor-cycle",
            lesson: "collect() asks an actor and waits for its answer; the actor is registering a metric",
            threads: 2,
            expect: Expect::Blocked(Signature(&[
                WaitsFor {
                    thread: "main",
                    operation: "recv",
                    lock: "channel<u64>",
                    held_by: &[],
                    frames: &[COLLECT, GATHER],
                },
                WaitsFor {
                    thread: "actor",
                    operation: "write",
                    lock: REGISTRY,
                    held_by: &["main"],
                    frames: &[REGISTER],
                },
            ])),
            body: actor_cycle,
        },
        Model {
            name: "full-channel-under-lock[sent=capacity]",
            lesson: "a bounded channel that nobody drains takes as much as it has room for",
            threads: 2,
            expect: Expect::None,
            body: || full_channel(CAPACITY),
        },
        Model {
            name: "full-channel-under-lock[sent=capacity+1]",
            lesson: "and then the sender stays, with the lock it has",
            threads: 2,
            expect: Expect::Blocked(Signature(&[
                WaitsFor {
                    thread: "worker",
                    operation: "send",
                    lock: "channel<usize>",
                    held_by: &[],
                    frames: &["full_channel::{{closure}}"],
                },
                WaitsFor {
                    thread: "main",
                    operation: "lock",
                    lock: "std::sync::Mutex<u32>",
                    held_by: &["worker"],
                    frames: &[COLLECT, GATHER],
                },
            ])),
            body: || full_channel(CAPACITY + 1),
        },
        Model {
            name: "lost-wakeup",
            lesson: "collect() waits for a condition variable that is notified before it waits, and never again",
            threads: 2,
            expect: Expect::Blocked(Signature(&[WaitsFor {
                thread: "main",
                operation: "wait",
                lock: "Condvar<()>",
                held_by: &[],
                frames: &[COLLECT, GATHER],
            }])),
            body: lost_wakeup,
        },
    ]
}

fn actor_cycle() {
    let (ask, asked) = channel();
    let registry = registry_calling(move |_| {
        let (answer, answered) = channel::<u64>();
        if ask.send(answer).is_ok() {
            let _ = answered.recv();
        }
    });
    let inside = registry.clone();
    let actor = spawn("actor", move || {
        inside.register(Box::new(counter("late"))).expect("a new name");
        if let Ok(answer) = asked.recv() {
            let _ = answer.send(1);
        }
    });
    registry.gather();
    // The only sender that is left belongs to the collector, so the actor must be let go.
    drop(registry);
    join(actor);
}

fn full_channel(sent: usize) {
    let queue = Arc::new(Mutex::new(0u32));
    let collected = Arc::clone(&queue);
    let registry = registry_calling(move |_| *collected.lock().expect("not poisoned") += 1);
    let (send, never_drained) = sync_channel(CAPACITY);
    let (ready, is_ready) = channel();
    let worker = spawn("worker", move || {
        let mut queue = queue.lock().expect("not poisoned");
        ready.send(()).expect("the scrape waits for it");
        for number in 0..sent {
            send.send(number).expect("the receiver lives as long as the application");
        }
        *queue += 1;
    });
    // As live: the scrape begins once the worker has the lock.
    is_ready.recv().expect("the worker says so");
    registry.gather();
    join(worker);
    drop(never_drained);
}

fn lost_wakeup() {
    let shared = Arc::new((Mutex::new(false), Condvar::new()));
    let waited = Arc::clone(&shared);
    let registry = registry_calling(move |_| {
        let (ready, changed) = &*waited;
        let seen = *ready.lock().expect("not poisoned");
        if !seen {
            // The mistake: the mutex was given back between the check and the wait.
            drop(changed.wait(ready.lock().expect("not poisoned")));
        }
    });
    let worker = spawn("worker", move || {
        let (ready, changed) = &*shared;
        *ready.lock().expect("not poisoned") = true;
        changed.notify_all();
    });
    registry.gather();
    join(worker);
}
