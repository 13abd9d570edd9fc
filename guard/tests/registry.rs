//! What `prometheus::Registry` cannot do: collectors that use the registry they are in, and collectors that panic.

use gatherlock_guard::Registry;
use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{IntCounter, IntCounterVec, IntGauge, Opts};
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

/// A collector that does `act` and then reports `inner`.
struct Acting<F> {
    inner: IntGauge,
    act: F,
}

impl<F: Fn() + Send + Sync> Collector for Acting<F> {
    fn desc(&self) -> Vec<&Desc> {
        self.inner.desc()
    }
    fn collect(&self) -> Vec<MetricFamily> {
        (self.act)();
        self.inner.collect()
    }
}

fn acting<F: Fn() + Send + Sync + 'static>(name: &str, act: F) -> Box<dyn Collector> {
    Box::new(Acting { inner: IntGauge::new(name, "Acts.").unwrap(), act })
}

fn counter(name: &str) -> Box<dyn Collector> {
    Box::new(IntCounter::new(name, "Counts.").unwrap())
}

#[test]
fn a_collector_may_register_unregister_and_gather_while_it_collects() {
    let registry = Registry::new();
    registry.register(counter("old_total")).unwrap();
    let inner = registry.clone();
    let inside = AtomicBool::new(false);
    let act = move || {
        // Gathering would ask this collector again: once is enough.
        if !inside.swap(true, Ordering::SeqCst) {
            inner.register(counter("new_total")).unwrap();
            inner.unregister(counter("old_total")).unwrap();
            assert!(!inner.gather().is_empty());
        }
    };
    registry.register(acting("acting", act)).unwrap();
    registry.gather();
    let text = registry.encode_to_string();
    assert!(text.contains("new_total") && text.contains("acting") && !text.contains("old_total"), "{text}");
}

#[test]
fn a_description_and_a_drop_may_use_the_registry_too() {
    struct Nosy {
        registry: Registry,
        inner: IntGauge,
        dropped: Arc<AtomicUsize>,
    }
    impl Collector for Nosy {
        fn desc(&self) -> Vec<&Desc> {
            self.registry.gather();
            self.inner.desc()
        }
        fn collect(&self) -> Vec<MetricFamily> {
            self.inner.collect()
        }
    }
    impl Drop for Nosy {
        fn drop(&mut self) {
            // Needs the lock: hangs if the registry drops a collector while it holds it.
            self.registry.gather();
            self.dropped.fetch_add(1, Ordering::SeqCst);
        }
    }
    let registry = Registry::new();
    let dropped = Arc::new(AtomicUsize::new(0));
    let nosy = || {
        let inner = IntGauge::new("nosy", "Looks.").unwrap();
        Box::new(Nosy { registry: registry.clone(), inner, dropped: Arc::clone(&dropped) })
    };
    registry.register(nosy()).unwrap();
    registry.register(nosy()).unwrap_err();
    assert_eq!(dropped.load(Ordering::SeqCst), 1, "the refused one");
    registry.unregister(nosy()).unwrap();
    assert_eq!(dropped.load(Ordering::SeqCst), 3, "the registered one and the one it was named by");
}

#[test]
fn a_panicking_collector_costs_its_own_families_and_is_named() {
    let registry = Registry::new();
    let broken = Arc::new(AtomicBool::new(true));
    let switch = Arc::clone(&broken);
    registry.register(counter("healthy_total")).unwrap();
    registry.register(acting("broken", move || assert!(!switch.load(Ordering::SeqCst), "the queue is gone"))).unwrap();
    for scrape in 1..=2 {
        let gathered = registry.gather_all();
        assert_eq!(gathered.failed.len(), 1);
        assert_eq!(&*gathered.failed[0].name, "broken");
        assert_eq!(gathered.failed[0].reason, "panicked: the queue is gone");
        let names: Vec<&str> = gathered.families.iter().map(MetricFamily::name).collect();
        assert_eq!(names, ["gatherlock_guard_collector_panics_total", "healthy_total"]);
        let mut body = Vec::new();
        assert_eq!(registry.encode(&mut body).len(), 1);
        let line = format!("gatherlock_guard_collector_panics_total{{collector=\"broken\"}} {}\n", 2 * scrape);
        assert!(String::from_utf8(body).unwrap().contains(&line));
    }
    broken.store(false, Ordering::SeqCst);
    assert!(registry.gather_all().failed.is_empty());
    assert!(registry.encode_to_string().contains("\nbroken 0\n"));
}

#[test]
fn the_count_of_panics_is_valid_whatever_the_registry_is_like() {
    let broken = |name: &str| acting(name, || panic!("gone"));
    let labels = [("collector".to_string(), "x".to_string())].into();
    let registry = Registry::new_custom(Some("svc".to_string()), Some(labels)).unwrap();
    registry.register(broken("queue")).unwrap();
    let line = "svc_gatherlock_guard_collector_panics_total{panicked_collector=\"queue\",collector=\"x\"} 1\n";
    assert!(registry.encode_to_string().ends_with(line), "{}", registry.encode_to_string());
    // Two of one name are one series.
    let registry = Registry::new();
    for disk in ["a", "b"] {
        let opts = prometheus::Opts::new("disk", "Disk.").const_label("disk", disk);
        let gauge = prometheus::IntGauge::with_opts(opts).unwrap();
        registry.register(Box::new(Acting { inner: gauge, act: || panic!("gone") })).unwrap();
    }
    let text = registry.encode_to_string();
    assert!(text.ends_with("\ngatherlock_guard_collector_panics_total{collector=\"disk\"} 2\n"), "{text}");
    assert_eq!(text.lines().count(), 3, "{text}");
}

#[test]
fn a_family_that_the_text_cannot_express_costs_only_itself() {
    struct Nameless(Vec<Desc>);
    impl Collector for Nameless {
        fn desc(&self) -> Vec<&Desc> {
            self.0.iter().collect()
        }
        fn collect(&self) -> Vec<MetricFamily> {
            let mut families = IntGauge::new("x", "X.").unwrap().collect();
            families[0].set_name(String::new());
            families
        }
    }
    let registry = Registry::new();
    let desc = Desc::new("nameless".into(), "Nameless.".into(), vec![], HashMap::new()).unwrap();
    registry.register(Box::new(Nameless(vec![desc]))).unwrap();
    registry.register(counter("healthy_total")).unwrap();
    let mut body = Vec::new();
    let failed = registry.encode(&mut body);
    assert_eq!(failed.len(), 1);
    assert!(failed[0].to_string().contains("without a name"), "{}", failed[0]);
    assert_eq!(
        String::from_utf8(body).unwrap(),
        "# HELP healthy_total Counts.\n# TYPE healthy_total counter\nhealthy_total 0\n"
    );
}

#[test]
fn who_holds_a_lock_that_a_collector_wants_may_register_meanwhile() {
    // The AB-BA of the catalogue, in one schedule: the collector is inside collect() and wants the application's lock
    // while its holder registers. The holder does so before it lets the collector have the lock, so if registering
    // waited for the collector this would never end.
    let registry = Registry::new();
    let lock = Arc::new(Mutex::new(()));
    let (entered, collecting) = std::sync::mpsc::channel();
    let (wanted, entered) = (Arc::clone(&lock), Mutex::new(entered));
    let act = move || {
        entered.lock().unwrap().send(()).unwrap();
        drop(wanted.lock().unwrap());
    };
    registry.register(acting("wants_lock", act)).unwrap();
    let vector = IntCounterVec::new(Opts::new("by_kind_total", "By kind."), &["kind"]).unwrap();
    vector.with_label_values(&["old"]).inc();
    registry.register(Box::new(vector.clone())).unwrap();
    let held = lock.lock().unwrap();
    let scraper = std::thread::spawn({
        let registry = registry.clone();
        move || registry.gather().len()
    });
    collecting.recv().unwrap();
    registry.register(counter("late_total")).unwrap();
    // Nor does anything else wait for it: updates, new series, a registration that is taken back.
    vector.with_label_values(&["new"]).inc();
    registry.register(counter("short_total")).unwrap();
    registry.unregister(counter("short_total")).unwrap();
    drop(held);
    assert_eq!(scraper.join().unwrap(), 2, "copied out before the registration");
    assert_eq!(registry.gather().len(), 3);
}

#[test]
fn clones_share_and_the_default_registry_is_one() {
    let registry = Registry::new();
    registry.clone().register(counter("shared_total")).unwrap();
    assert_eq!(registry.gather().len(), 1);
    assert_eq!(format!("{registry:?}"), "Registry (1 collectors)");
    let gauge = IntGauge::with_opts(Opts::new("global", "Global.")).unwrap();
    gatherlock_guard::register(Box::new(gauge.clone())).unwrap();
    assert_eq!(gatherlock_guard::gather()[0].name(), "global");
    gatherlock_guard::unregister(Box::new(gauge)).unwrap();
    assert!(gatherlock_guard::default_registry().gather().is_empty());
}
