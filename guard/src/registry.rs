//! A drop-in for `prometheus::Registry` that holds no lock while anybody else's code runs.
//!
//! The rules of registration (what is a duplicate, what is inconsistent, in which order that is found out) are those of
//! `prometheus` 0.14; the tests hold the two side by side. What differs is when the lock is held: `prometheus::Registry`
//! holds it across every `collect()`; here it is held to look a descriptor up and to copy the list of collectors out,
//! and nothing else. `desc()`, `collect()` and the drop of a collector all run without it.

use super::entry::Entry;
use super::gather::{self, Collected, FailedCollector, Gathered};
use super::memory::Memory;
use super::sync::{Mutex, MutexGuard};
use super::text;
use prometheus::core::Collector;
use prometheus::proto::{LabelPair, MetricFamily};
use prometheus::{Error, Result};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, LazyLock, PoisonError};

/// A registry of `prometheus` collectors that collects with no lock held.
///
/// Clones share the same collectors, as with `prometheus::Registry`. A collector may register, unregister or gather from
/// inside `collect()`; another thread may do so while it holds a lock that a collector wants.
///
/// # Differences from `prometheus::Registry`
/// - A collector that is registered or unregistered while a gather runs may or may not be part of that gather.
/// - A collector that panics costs its own families only. [`gather`](Registry::gather) then adds the counter
///   `gatherlock_guard_collector_panics_total{collector="…"}`, with the registry's prefix and labels, so that the answer is
///   never silently partial. If one of these labels is called `collector`, its own is `panicked_collector`.
/// - Collectors are collected in the order of their registration; `prometheus` has no order.
///
/// ```
/// use gatherlock_guard::Registry;
/// use prometheus::{IntCounter, register_int_counter_with_registry};
///
/// let registry = Registry::new();
/// let jobs: IntCounter = register_int_counter_with_registry!("jobs_total", "Jobs done.", registry)?;
/// jobs.inc();
/// assert_eq!(registry.encode_to_string(), "# HELP jobs_total Jobs done.\n# TYPE jobs_total counter\njobs_total 1\n");
/// # Ok::<(), prometheus::Error>(())
/// ```
#[derive(Clone)]
pub struct Registry {
    shared: Arc<Shared>,
}

struct Shared {
    book: Mutex<Book>,
    prefix: Option<String>,
    /// In the iteration order of the caller's map, which is the order in which `prometheus` appends them.
    labels: Vec<LabelPair>,
    memory: Memory,
}

/// What the lock protects: who is registered, and what `prometheus` remembers about names.
#[derive(Default)]
struct Book {
    /// By time of registration.
    entries: BTreeMap<u64, Arc<Entry>>,
    /// From the sum of a collector's descriptor ids to its place in `entries`.
    places: HashMap<u64, u64>,
    desc_ids: HashSet<u64>,
    /// Never shrinks: a name keeps its labels and help for the life of the registry.
    dim_hashes: HashMap<String, u64>,
    next_place: u64,
}

/// What registration needs to know of a descriptor, read before the lock is taken.
struct Key<'a> {
    id: u64,
    dim_hash: u64,
    name: &'a str,
}

/// The ids of one collector so far: nearly always one, for which no set is made.
#[derive(Default)]
struct Ids {
    first: Option<u64>,
    others: HashSet<u64>,
}

impl Ids {
    /// Whether it was not there.
    fn insert(&mut self, id: u64) -> bool {
        if self.first.is_none() {
            self.first = Some(id);
            return true;
        }
        self.first != Some(id) && self.others.insert(id)
    }
}

/// Why a registration is refused; turned into an error once the lock is released.
enum Refusal {
    Duplicate,
    /// The descriptor at this place differs from what its name stood for before.
    Inconsistent(usize),
    /// The descriptor at this place stands twice in one collector.
    Twice(usize),
}

impl Book {
    /// `prometheus` 0.14's checks in its own order, including that names seen before a refusal stay remembered.
    fn admit(&mut self, keys: &[Key<'_>], entry: &Arc<Entry>) -> std::result::Result<(), Refusal> {
        let mut ids = Ids::default();
        let mut sum: u64 = 0;
        for (at, key) in keys.iter().enumerate() {
            if self.desc_ids.contains(&key.id) {
                return Err(Refusal::Duplicate);
            }
            match self.dim_hashes.get(key.name) {
                Some(hash) if *hash != key.dim_hash => return Err(Refusal::Inconsistent(at)),
                Some(_) => {}
                None => drop(self.dim_hashes.insert(key.name.to_string(), key.dim_hash)),
            }
            if !ids.insert(key.id) {
                return Err(Refusal::Twice(at));
            }
            sum = sum.wrapping_add(key.id);
        }
        if self.places.contains_key(&sum) {
            return Err(Refusal::Duplicate);
        }
        self.desc_ids.extend(keys.iter().map(|key| key.id));
        self.places.insert(sum, self.next_place);
        self.entries.insert(self.next_place, Arc::clone(entry));
        self.next_place += 1;
        Ok(())
    }

    /// Takes the collector with these descriptors, each once, out; the caller drops it after the lock.
    fn dismiss(&mut self, ids: &[u64]) -> Option<Arc<Entry>> {
        let sum = ids.iter().fold(0_u64, |sum, id| sum.wrapping_add(*id));
        let place = self.places.remove(&sum)?;
        for id in ids {
            self.desc_ids.remove(id);
        }
        self.entries.remove(&place)
    }
}

impl Registry {
    /// An empty registry without prefix and labels.
    #[must_use]
    pub fn new() -> Registry {
        Registry::with(None, Vec::new())
    }

    /// A registry whose families get `prefix` and `_` before their names and `labels` on every series.
    ///
    /// # Errors
    /// If `prefix` is `Some` and empty, as with `prometheus`.
    pub fn new_custom(prefix: Option<String>, labels: Option<HashMap<String, String>>) -> Result<Registry> {
        if prefix.as_ref().is_some_and(String::is_empty) {
            return Err(Error::Msg("empty prefix namespace".to_string()));
        }
        let labels = labels.unwrap_or_default().into_iter().map(|(name, value)| {
            let mut pair = LabelPair::default();
            pair.set_name(name);
            pair.set_value(value);
            pair
        });
        Ok(Registry::with(prefix, labels.collect()))
    }

    fn with(prefix: Option<String>, labels: Vec<LabelPair>) -> Registry {
        let book = Mutex::new(Book::default());
        Registry { shared: Arc::new(Shared { book, prefix, labels, memory: Memory::default() }) }
    }

    /// Adds a collector.
    ///
    /// # Errors
    /// Those of `prometheus::Registry::register`: [`Error::AlreadyReg`] for a duplicate, [`Error::Msg`] for a name that
    /// stood for other labels or another help text before, and for a descriptor that stands twice in one collector.
    ///
    /// # Panics
    /// If the collector's `desc()` does; the registry is then unchanged.
    pub fn register(&self, collector: Box<dyn Collector>) -> Result<()> {
        let collector: Arc<dyn Collector> = Arc::from(collector);
        let descs = collector.desc();
        let keys: Vec<Key<'_>> =
            descs.iter().map(|desc| Key { id: desc.id, dim_hash: desc.dim_hash, name: &desc.fq_name }).collect();
        let name = match keys.as_slice() {
            [one] => Arc::from(one.name),
            keys => Arc::from(keys.iter().map(|key| key.name).collect::<Vec<_>>().join(",")),
        };
        let entry = Arc::new(Entry { collector: Arc::clone(&collector), name, panics: AtomicU64::new(0) });
        let admitted = self.book().admit(&keys, &entry);
        admitted.map_err(|refusal| match refusal {
            Refusal::Duplicate => Error::AlreadyReg,
            Refusal::Inconsistent(at) => Error::Msg(format!(
                "a previously registered descriptor with the same fully-qualified name as {:?} has different label \
                 names or a different help string",
                descs[at]
            )),
            Refusal::Twice(at) => Error::Msg(format!(
                "a duplicate descriptor within the same collector the same fully-qualified name: {:?}",
                descs[at].fq_name
            )),
        })
    }

    /// Removes the collector that has the same descriptors as this one. A gather that runs may still include it.
    ///
    /// # Errors
    /// [`Error::Msg`] if none is registered.
    ///
    /// # Panics
    /// If the collector's `desc()` does; the registry is then unchanged.
    pub fn unregister(&self, collector: Box<dyn Collector>) -> Result<()> {
        let mut ids: Vec<u64> = collector.desc().iter().map(|desc| desc.id).collect();
        ids.sort_unstable();
        ids.dedup();
        let dismissed = self.book().dismiss(&ids);
        match dismissed {
            Some(_) => Ok(()),
            None => Err(Error::Msg(format!("collector {:?} is not registered", collector.desc()))),
        }
    }

    /// Collects everything: families sorted by name, series by their label values, prefix and labels applied. What a
    /// panicking collector would have added is missing, and counted in `gatherlock_guard_collector_panics_total`, which has
    /// the prefix, too.
    pub fn gather(&self) -> Vec<MetricFamily> {
        self.gather_all().families
    }

    /// Like [`gather`](Registry::gather), and says which collectors failed.
    #[must_use]
    pub fn gather_all(&self) -> Gathered {
        let mut collected = self.collect(&mut |_| ());
        collected.own_up(self.labels());
        let families = gather::merge(collected.families, self.prefix(), self.labels());
        Gathered { families, failed: collected.failed }
    }

    /// The text exposition (format 0.0.4) of everything: byte for byte what `prometheus::TextEncoder` makes of
    /// [`gather`](Registry::gather), without the intermediate copies. A family that the format cannot express (no name,
    /// or of untyped kind) is left out; [`encode`](Registry::encode) names it.
    #[must_use]
    pub fn encode_to_string(&self) -> String {
        let mut body = Vec::new();
        let _failed = self.encode(&mut body);
        String::from_utf8(body).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
    }

    /// Appends the text exposition (format 0.0.4) to `body` and returns what could not be collected or expressed.
    pub fn encode(&self, body: &mut Vec<u8>) -> Vec<FailedCollector> {
        let mut collected = self.collect(&mut |_| ());
        collected.own_up(self.labels());
        self.write(&mut collected, body);
        collected.failed
    }

    /// Writes what was collected, and adds to its failures what the format cannot express.
    pub(crate) fn write(&self, collected: &mut Collected, body: &mut Vec<u8>) {
        let Collected { families, failed, .. } = collected;
        text::encode(families, self.prefix(), self.labels(), Some(&self.shared.memory), body, failed);
    }

    /// Asks every collector, after it has told `entering` its name.
    pub(crate) fn collect(&self, entering: &mut dyn FnMut(&Arc<str>)) -> Collected {
        let entries: Vec<Arc<Entry>> = self.book().entries.values().cloned().collect();
        gather::collect(&entries, entering)
    }

    fn prefix(&self) -> Option<&str> {
        self.shared.prefix.as_deref()
    }

    fn labels(&self) -> &[LabelPair] {
        &self.shared.labels
    }

    /// Nobody else's code runs under this lock, so it cannot be poisoned by any.
    fn book(&self) -> MutexGuard<'_, Book> {
        self.shared.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Registry {
    fn default() -> Registry {
        Registry::new()
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let collectors = self.book().entries.len();
        write!(f, "Registry ({collectors} collectors)")
    }
}

static DEFAULT: LazyLock<Registry> = LazyLock::new(Registry::new);

/// The registry that [`register`], [`unregister`] and [`gather()`] use: one for the process. It is not the default registry
/// of `prometheus`, which the `register_…!` macros without a registry fill.
pub fn default_registry() -> &'static Registry {
    &DEFAULT
}

/// [`Registry::register`] on the [`default_registry`].
///
/// # Errors
/// As there.
pub fn register(collector: Box<dyn Collector>) -> Result<()> {
    DEFAULT.register(collector)
}

/// [`Registry::unregister`] on the [`default_registry`].
///
/// # Errors
/// As there.
pub fn unregister(collector: Box<dyn Collector>) -> Result<()> {
    DEFAULT.unregister(collector)
}

/// [`Registry::gather`] on the [`default_registry`].
pub fn gather() -> Vec<MetricFamily> {
    DEFAULT.gather()
}
