//! Programs over a registry: what a few threads do to it, and what a collector does inside `collect()`.

use gatherlock_loom_tests::explore::Body;
use gatherlock_loom_tests::prometheus::core::{Collector, Desc};
use gatherlock_loom_tests::prometheus::proto::MetricFamily;
use gatherlock_loom_tests::prometheus::{
    Encoder, Histogram, HistogramOpts, IntCounter, IntCounterVec, Opts, Registry, TextEncoder,
};
use gatherlock_loom_tests::shim::collections::HashMap;
use gatherlock_loom_tests::shim::{Mutex, thread::spawn};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

pub(crate) const APP_LOCKS: usize = 2;

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
    /// Under this lock of the application, do these.
    Locked(usize, Vec<Act>),
}

/// A program. The collector does its part in the first `collect()` of an execution, whoever calls it.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Program {
    pub(crate) collect: Vec<Act>,
    pub(crate) threads: Vec<Vec<Act>>,
}

/// As Rust, to be pasted into `REGRESSIONS`.
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
    /// Real: only for names that are new each time, no part of the program.
    names: AtomicUsize,
}

impl World {
    fn name(&self) -> String {
        format!("metric_{}", self.names.fetch_add(1, Ordering::SeqCst))
    }

    fn perform(&self, acts: &[Act]) {
        for act in acts {
            match act {
                Act::Register => drop(self.registry.register(Box::new(counter(&self.name())))),
                Act::Unregister => drop(self.registry.unregister(Box::new(counter("absent")))),
                Act::Inc => self.vector.with_label_values(&["present"]).inc(),
                Act::Observe => self.histogram.observe(0.5),
                Act::NewSeries => self.vector.with_label_values(&[self.name().as_str()]).inc(),
                Act::Remove => drop(self.vector.remove_label_values(&["absent"])),
                Act::Gather => drop(self.registry.gather()),
                Act::Encode => {
                    let mut text = Vec::new();
                    TextEncoder::new().encode(&self.registry.gather(), &mut text).expect("valid families");
                }
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
            names: AtomicUsize::new(0),
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
            .map(|acts| {
                let (world, acts) = (Arc::clone(&world), acts.clone());
                spawn("other", move || world.perform(&acts))
            })
            .collect();
        world.perform(main);
        threads.into_iter().for_each(|thread| thread.join().expect("no act panics"));
    })
}
