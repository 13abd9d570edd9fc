//! The models of a registry, as a macro over the registry that they run on.

macro_rules! models {
    ($name:ident, $registry:path) => {
        #[allow(dead_code)]
        mod $name {
            use loom::sync::Mutex;
            use loom::thread;
            use prometheus::IntGauge;
            use prometheus::core::{Collector, Desc};
            use prometheus::proto::MetricFamily;
            use std::sync::Arc;
            // Only one thread of a model gathers, so this needs no exploring.
            use std::sync::atomic::{AtomicBool, Ordering};
            use $registry as Registry;

            /// A collector that does `act` and then reports a gauge.
            struct Acting<F> {
                gauge: IntGauge,
                act: F,
            }

            impl<F: Fn() + Send + Sync> Collector for Acting<F> {
                fn desc(&self) -> Vec<&Desc> {
                    self.gauge.desc()
                }
                fn collect(&self) -> Vec<MetricFamily> {
                    (self.act)();
                    self.gauge.collect()
                }
            }

            fn gauge(name: &str) -> IntGauge {
                IntGauge::new(name, "A gauge.").unwrap()
            }

            fn acting(name: &str, act: impl Fn() + Send + Sync + 'static) -> Box<dyn Collector> {
                Box::new(Acting { gauge: gauge(name), act })
            }

            /// A collector registers, unregisters and gathers while a second thread registers.
            pub(super) fn inside() {
                let registry = Registry::new();
                let inner = registry.clone();
                let nested = AtomicBool::new(false);
                let act = move || {
                    // The gather inside asks this collector again: once is enough.
                    if nested.swap(true, Ordering::Relaxed) {
                        return;
                    }
                    assert!(!inner.gather().is_empty());
                    inner.register(Box::new(gauge("inside"))).unwrap();
                    inner.unregister(Box::new(gauge("inside"))).unwrap();
                };
                registry.register(acting("acting", act)).unwrap();
                let other = {
                    let registry = registry.clone();
                    thread::spawn(move || registry.register(Box::new(gauge("other"))).unwrap())
                };
                assert!(!registry.gather().is_empty());
                other.join().unwrap();
            }

            /// A collector wants the lock whose holder registers.
            pub(super) fn both_orders() {
                let registry = Registry::new();
                let application = Arc::new(Mutex::new(()));
                let wanted = Arc::clone(&application);
                registry.register(acting("wants", move || drop(wanted.lock().unwrap()))).unwrap();
                let holder = {
                    let registry = registry.clone();
                    thread::spawn(move || {
                        let _held = application.lock().unwrap();
                        registry.register(Box::new(gauge("held"))).unwrap();
                    })
                };
                assert!(!registry.gather().is_empty());
                holder.join().unwrap();
                assert_eq!(registry.gather().len(), 2);
            }

            /// The same, and a third thread that registers and unregisters.
            pub(super) fn three() {
                let registry = Registry::new();
                let application = Arc::new(Mutex::new(()));
                let wanted = Arc::clone(&application);
                registry.register(acting("wants", move || drop(wanted.lock().unwrap()))).unwrap();
                let holder = {
                    let registry = registry.clone();
                    thread::spawn(move || {
                        let _held = application.lock().unwrap();
                        registry.register(Box::new(gauge("held"))).unwrap();
                    })
                };
                let writer = {
                    let registry = registry.clone();
                    thread::spawn(move || {
                        registry.register(Box::new(gauge("third"))).unwrap();
                        registry.unregister(Box::new(gauge("third"))).unwrap();
                    })
                };
                assert!(!registry.gather().is_empty());
                holder.join().unwrap();
                writer.join().unwrap();
                assert_eq!(registry.gather().len(), 2);
            }
        }
    };
}

pub(crate) use models;
