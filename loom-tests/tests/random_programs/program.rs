//! Programs over a registry: what a few threads do to it, and what a collector does inside `collect()`.

use gatherlock_loom_tests::explore::Body;
use gatherlock_loom_tests::prometheus::core::{Collector, Desc};
use gatherlock_loom_tests::prometheus::proto::MetricFamily;
use gatherlock_loom_tests::prometheus::{
    Encoder, Histogram, HistogramOpts, IntCounter, IntCounterVec, Opts, Registry, TextEncoder,
};
use gatherlock_loom_tests::shim::collections::HashMap;
use gatherlock_loom_tests::shim::sync::mpsc::{Receiver, SyncSender, sync_channel};
use gatherlock_loom_tests::shim::{Mutex, thread::spawn};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

pub(crate) const APP_LOCKS: usize = 2;
/// Channels with room for one value. Nobody closes one: who waits for a value that is never sent waits for ever.
pub(crate) const CHANNELS: usize = 2;
pub(crate) const ROOM: usize = 1;
const THREADS: [&str; 3] = ["second", "third", "fourth"];

/// One thing to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Act {
    Register,
    Unregister,
    Inc,
    Observe,
    NewSeries,
    Remove,
    Gather,
    Encode,
    /// Puts a value into this channel, once there is room.
    Send(usize),
    /// Takes a value from this channel, once there is one.
    Receive(usize),
    /// Under this lock of the application, do these.
    Locked(usize, Vec<Act>),
}

/// A program. The collector does its part in the first `collect()` of an execution, whoever calls it.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Program {
    pub(crate) collect: Vec<Act>,
    pub(crate) threads: Vec<Vec<Act>>,
}

/// As Rust, to be pasted into `regressions.rs`.
impl fmt::Debug for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fn acts(acts: &[Act]) -> String {
            let each = acts.iter().map(|act| match act {
                Act::Locked(lock, inside) => format!("Act::Locked({lock}, {})", acts_of(inside)),
                plain => format!("Act::{plain:?}"),
            });
            each.collect::<Vec<_>>().join(", ")
        }
        fn acts_of(list: &[Act]) -> String {
            format!("vec![{}]", acts(list))
        }
        let threads: Vec<String> = self.threads.iter().map(|thread| acts_of(thread)).collect();
        write!(f, "Program {{ collect: {}, threads: vec![{}] }}", acts_of(&self.collect), threads.join(", "))
    }
}

/// What the acts act on.
struct World {
    registry: Registry,
    vector: IntCounterVec,
    histogram: Histogram,
    locks: [Mutex<()>; APP_LOCKS],
    channels: [(SyncSender<u8>, Receiver<u8>); CHANNELS],
    /// Real: only for names that are new each time, no part of the program.
    names: AtomicUsize,
    /// Real, too: the names of what was registered and not yet taken out.
    registered: std::sync::Mutex<Vec<String>>,
}

impl World {
    fn name(&self) -> String {
        format!("metric_{}", self.names.fetch_add(1, Ordering::SeqCst))
    }

    fn registered(&self) -> std::sync::MutexGuard<'_, Vec<String>> {
        self.registered.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn register(&self) {
        let name = self.name();
        self.registry.register(Box::new(counter(&name))).expect("a new name");
        self.registered().push(name);
    }

    /// Takes out what was registered last, or tries to take out what is not there.
    fn unregister(&self) {
        let name = self.registered().pop();
        let there = name.is_some();
        let taken = self.registry.unregister(Box::new(counter(name.as_deref().unwrap_or("absent"))));
        assert_eq!(taken.is_ok(), there);
    }

    fn perform(&self, acts: &[Act]) {
        for act in acts {
            match act {
                Act::Register => self.register(),
                Act::Unregister => self.unregister(),
                Act::Inc => self.vector.with_label_values(&["present"]).inc(),
                Act::Observe => self.histogram.observe(0.5),
                Act::NewSeries => self.vector.with_label_values(&[self.name().as_str()]).inc(),
                // There or not, which depends on the schedule.
                Act::Remove => drop(self.vector.remove_label_values(&["present"])),
                Act::Gather => drop(self.registry.gather()),
                Act::Encode => {
                    let mut text = Vec::new();
                    TextEncoder::new().encode(&self.registry.gather(), &mut text).expect("valid families");
                }
                Act::Send(channel) => self.channels[*channel].0.send(0).expect("both ends stay"),
                Act::Receive(channel) => drop(self.channels[*channel].1.recv().expect("both ends stay")),
                Act::Locked(lock, inside) => {
                    let _held = self.locks[*lock].lock();
                    self.perform(inside);
                }
            }
        }
    }
}

fn counter(name: &str) -> IntCounter {
    IntCounter::new(name, "help").expect("a valid name")
}

struct Calling {
    desc: Desc,
    world: std::sync::Weak<World>,
    collect: Vec<Act>,
    first: AtomicBool,
}

impl Collector for Calling {
    fn desc(&self) -> Vec<&Desc> {
        vec![&self.desc]
    }

    fn collect(&self) -> Vec<MetricFamily> {
        if self.first.swap(false, Ordering::SeqCst)
            && let Some(world) = self.world.upgrade()
        {
            world.perform(&self.collect);
        }
        Vec::new()
    }
}

/// The program as a model on the real `prometheus`.
pub(crate) fn body(program: &Program) -> Body {
    let program = program.clone();
    Arc::new(move || {
        let buckets = HistogramOpts::new("seconds", "help").buckets(vec![1.0]);
        let world = Arc::new(World {
            registry: Registry::new(),
            vector: IntCounterVec::new(Opts::new("requests", "help"), &["path"]).expect("valid options"),
            histogram: Histogram::with_opts(buckets).expect("valid options"),
            locks: std::array::from_fn(|_| Mutex::new(())),
            channels: std::array::from_fn(|_| sync_channel(ROOM)),
            names: AtomicUsize::new(0),
            registered: std::sync::Mutex::default(),
        });
        world.vector.with_label_values(&["present"]).inc();
        world.registry.register(Box::new(world.vector.clone())).expect("an empty registry");
        world.registry.register(Box::new(world.histogram.clone())).expect("a new name");
        let desc = Desc::new("calling".into(), "help".into(), Vec::new(), HashMap::new()).expect("valid");
        let (collect, first) = (program.collect.clone(), AtomicBool::new(true));
        let calling = Calling { desc, world: Arc::downgrade(&world), collect, first };
        world.registry.register(Box::new(calling)).expect("a new name");
        let (main, others) = program.threads.split_first().expect("a program has a thread");
        let threads: Vec<_> = others
            .iter()
            .zip(THREADS)
            .map(|(acts, name)| {
                let (world, acts) = (Arc::clone(&world), acts.clone());
                spawn(name, move || world.perform(&acts))
            })
            .collect();
        world.perform(main);
        threads.into_iter().for_each(|thread| thread.join().expect("no act panics"));
    })
}
