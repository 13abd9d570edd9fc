//! The models of the hand-over, as a macro over the copy of `flight.rs` that they run on.
//!
//! Three kinds of threads: scrapers, which arrive, wait and get an answer; a collector, which is the group's thread; and
//! a clock, which says at any moment it likes that a deadline has passed.

use loom::sync::{Condvar, Mutex};
use std::sync::Arc;

/// Something that opens once and that threads wait for.
pub(crate) struct Gate {
    open: Mutex<bool>,
    changed: Condvar,
}

impl Gate {
    pub(crate) fn new() -> Arc<Gate> {
        Arc::new(Gate { open: Mutex::new(false), changed: Condvar::new() })
    }

    pub(crate) fn open(&self) {
        *self.open.lock().unwrap() = true;
        self.changed.notify_all();
    }

    pub(crate) fn pass(&self) {
        let mut open = self.open.lock().unwrap();
        while !*open {
            open = self.changed.wait(open).unwrap();
        }
    }
}

macro_rules! models {
    ($name:ident, $flight:path) => {
        #[allow(dead_code)]
        mod $name {
            use crate::flight::Gate;
            use flight::{Arrival, Flights, Landing};
            use loom::sync::atomic::{AtomicU64, Ordering};
            use loom::thread;
            use std::future::poll_fn;
            use std::sync::Arc;
            use std::task::Poll;
            use $flight as flight;

            /// Waits for the answer to a scrape as an executor does.
            fn wait<P>(flights: &Flights<P>, number: u64) -> Landing<P> {
                loom::future::block_on(poll_fn(|context| match flights.poll(number, context.waker()) {
                    Some(landing) => Poll::Ready(landing),
                    None => Poll::Pending,
                }))
            }

            fn arrivals<P>(landing: Landing<P>) -> Vec<Arrival<P>> {
                match landing {
                    Landing::Arrived(arrivals) => arrivals,
                    Landing::Closed => panic!("closed"),
                }
            }

            /// The thread of a group: its pages hold the value of `metric`, read after the flight departed.
            fn collector(flights: &Arc<Flights<u64>>, group: usize, metric: &Arc<AtomicU64>) -> thread::JoinHandle<()> {
                let (flights, metric) = (Arc::clone(flights), Arc::clone(metric));
                thread::spawn(move || {
                    while flights.depart(group).is_some() {
                        let _old = flights.land(group, metric.load(Ordering::SeqCst), true);
                    }
                })
            }

            /// Two scrapers, each of which counts something before it arrives: what it gets must include it.
            pub(super) fn fresh() {
                let flights = Arc::new(Flights::new(1));
                let metric = Arc::new(AtomicU64::new(0));
                let thread = collector(&flights, 0, &metric);
                let scrape = |flights: &Flights<u64>, metric: &AtomicU64| {
                    let counted = metric.fetch_add(1, Ordering::SeqCst) + 1;
                    let number = flights.arrive(false);
                    let page = arrivals(wait(flights, number)).remove(0).fresh;
                    assert!(*page.unwrap() >= counted, "values from before the scrape");
                };
                let other = {
                    let (flights, metric) = (Arc::clone(&flights), Arc::clone(&metric));
                    thread::spawn(move || scrape(&flights, &metric))
                };
                scrape(&flights, &metric);
                other.join().unwrap();
                assert_eq!(flights.waiting(), 0);
                flights.close();
                thread.join().unwrap();
            }

            /// One scraper and the group's thread.
            pub(super) fn alone() {
                let flights = Arc::new(Flights::new(1));
                let metric = Arc::new(AtomicU64::new(7));
                let thread = collector(&flights, 0, &metric);
                let number = flights.arrive(false);
                let page = arrivals(wait(&flights, number)).remove(0).fresh;
                assert_eq!(page.as_deref(), Some(&7));
                flights.close();
                thread.join().unwrap();
            }

            /// The collector is stuck until the scrape has been answered, so only the deadline can answer it.
            pub(super) fn stuck() {
                let flights = Arc::new(Flights::new(1));
                let cause_gone = Gate::new();
                let thread = {
                    let (flights, cause_gone) = (Arc::clone(&flights), Arc::clone(&cause_gone));
                    thread::spawn(move || {
                        let mut flight = 0;
                        while flights.depart(0).is_some() {
                            flight += 1;
                            cause_gone.pass();
                            let _old = flights.land(0, flight, true);
                        }
                    })
                };
                let number = flights.arrive(false);
                let clock = {
                    let flights = Arc::clone(&flights);
                    thread::spawn(move || flights.expire(number))
                };
                let arrival = arrivals(wait(&flights, number)).remove(0);
                assert!(arrival.fresh.is_none() && arrival.good.is_none(), "nothing can have landed");
                clock.join().unwrap();
                let again = flights.arrive(false);
                cause_gone.open();
                let page = arrivals(wait(&flights, again)).remove(0).fresh;
                // 2 unless the first scrape had given up before the thread departed for it.
                assert!(matches!(page.as_deref(), Some(1 | 2)), "{page:?}");
                assert_eq!(flights.waiting(), 0);
                flights.close();
                thread.join().unwrap();
            }

            /// The deadline passes at any moment; the collector is not stuck.
            pub(super) fn race() {
                let flights = Arc::new(Flights::new(1));
                let metric = Arc::new(AtomicU64::new(7));
                let thread = collector(&flights, 0, &metric);
                let number = flights.arrive(false);
                let clock = {
                    let flights = Arc::clone(&flights);
                    thread::spawn(move || flights.expire(number))
                };
                let arrival = arrivals(wait(&flights, number)).remove(0);
                assert!(arrival.fresh.is_none_or(|page| *page == 7));
                clock.join().unwrap();
                // Late, doubled or unknown events change nothing.
                flights.expire(number);
                flights.cancel(number);
                assert_eq!(flights.waiting(), 0);
                flights.close();
                thread.join().unwrap();
            }

            /// Two groups, one stuck for good: its thread is the only one lost, and the other's page arrives.
            pub(super) fn groups() {
                let flights = Arc::new(Flights::new(2));
                let metric = Arc::new(AtomicU64::new(7));
                let healthy = collector(&flights, 0, &metric);
                let cause_gone = Gate::new();
                let stuck = {
                    let (flights, cause_gone) = (Arc::clone(&flights), Arc::clone(&cause_gone));
                    thread::spawn(move || {
                        while flights.depart(1).is_some() {
                            cause_gone.pass();
                            let _old = flights.land(1, 8, true);
                        }
                    })
                };
                let number = flights.arrive(false);
                let clock = {
                    let flights = Arc::clone(&flights);
                    thread::spawn(move || flights.expire(number))
                };
                let answer = arrivals(wait(&flights, number));
                assert!(answer[1].fresh.is_none());
                assert!(answer[0].fresh.as_deref().is_none_or(|page| *page == 7));
                clock.join().unwrap();
                flights.close();
                healthy.join().unwrap();
                cause_gone.open();
                stuck.join().unwrap();
            }

            /// Closing while a collector is stuck: it returns, the scraper is answered, and later the thread ends.
            pub(super) fn close() {
                let flights = Arc::new(Flights::new(1));
                let cause_gone = Gate::new();
                let thread = {
                    let (flights, cause_gone) = (Arc::clone(&flights), Arc::clone(&cause_gone));
                    thread::spawn(move || {
                        while flights.depart(0).is_some() {
                            cause_gone.pass();
                            let _old = flights.land(0, 1, true);
                        }
                    })
                };
                let scraper = {
                    let flights = Arc::clone(&flights);
                    thread::spawn(move || {
                        let number = flights.arrive(false);
                        assert!(matches!(wait(&flights, number), Landing::Closed));
                    })
                };
                flights.close();
                scraper.join().unwrap();
                cause_gone.open();
                thread.join().unwrap();
            }

            /// A scraper goes away while its flight may be about to land; another one is served all the same.
            pub(super) fn cancel() {
                let flights = Arc::new(Flights::new(1));
                let metric = Arc::new(AtomicU64::new(7));
                let thread = collector(&flights, 0, &metric);
                let gone = flights.arrive(false);
                let other = {
                    let flights = Arc::clone(&flights);
                    thread::spawn(move || {
                        let number = flights.arrive(false);
                        let page = arrivals(wait(&flights, number)).remove(0).fresh;
                        assert_eq!(page.as_deref(), Some(&7));
                    })
                };
                flights.cancel(gone);
                other.join().unwrap();
                assert_eq!(flights.waiting(), 0);
                flights.close();
                thread.join().unwrap();
            }
        }
    };
}

pub(crate) use models;
