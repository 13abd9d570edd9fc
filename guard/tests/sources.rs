//! What several sources of one group make together, and what sources and scrapers may leave behind.

use gatherlock_guard::{Answer, Endpoint, Page, Registry, Request, Source, SourceError, openmetrics};
use prometheus::IntGauge;
use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use std::convert::Infallible;
use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::task::{Context, Wake, Waker};
use std::time::Duration;

fn text(answer: &Answer) -> String {
    String::from_utf8(answer.to_bytes()).unwrap()
}

#[test]
fn sources_on_one_thread_are_put_one_behind_the_other() {
    let both: Vec<Box<dyn Source>> =
        vec![Box::new(|| Ok::<_, Infallible>("a 1\n")), Box::new(|| Ok::<_, Infallible>("b 1\n"))];
    let endpoint = Endpoint::builder().group("all", both).own_metrics(false).build().unwrap();
    assert_eq!(text(&endpoint.answer(&Request::get())), "a 1\nb 1\n");
    let open = openmetrics(|| Ok::<_, Infallible>("b_total 1\n# EOF\n"));
    let mixed: Vec<Box<dyn Source>> = vec![Box::new(|| Ok::<_, Infallible>("a 1\n")), Box::new(open)];
    let answer = Endpoint::new(mixed).unwrap().answer(&Request::get());
    assert_eq!((answer.status, text(&answer).contains("write different formats")), (503, true));
}

#[test]
fn every_source_of_a_group_keeps_its_own_lines_and_its_own_format() {
    let plain = |body: &'static str| -> Box<dyn Source> { Box::new(move || Ok::<_, Infallible>(body)) };
    let answer = |sources: Vec<Box<dyn Source>>| {
        let endpoint = Endpoint::builder().group("all", sources).own_metrics(false).build().unwrap();
        endpoint.answer(&Request::get())
    };
    assert_eq!(text(&answer(vec![plain("a 1"), plain(""), plain("b 2")])), "a 1\nb 2\n");
    let open = |body: &'static str| -> Box<dyn Source> { Box::new(openmetrics(move || Ok::<_, Infallible>(body))) };
    let both = answer(vec![open("# TYPE a counter\na_total 1\n# EOF\n"), open("b 1\n# EOF")]);
    assert_eq!(text(&both), "# TYPE a_total counter\na_total 1\nb 1\n");
    for mixed in [vec![open("a 1\n# EOF\n"), plain("b 1\n")], vec![plain("b 1\n"), open("a 1\n# EOF\n")]] {
        let answer = answer(mixed);
        assert_eq!((answer.status, text(&answer).contains("write different formats")), (503, true));
    }
}

struct Panics(IntGauge);

impl Collector for Panics {
    fn desc(&self) -> Vec<&Desc> {
        self.0.desc()
    }
    fn collect(&self) -> Vec<MetricFamily> {
        panic!("the queue is gone")
    }
}

#[test]
fn a_source_that_fails_beside_others_is_missing_by_its_number() {
    let broken = || {
        let registry = Registry::new();
        registry.register(Box::new(Panics(IntGauge::new("broken", "Broken.").unwrap()))).unwrap();
        Box::new(registry) as Box<dyn Source>
    };
    let healthy = || -> Box<dyn Source> { Box::new(|| Ok::<_, Infallible>("healthy 1\n")) };
    for (sources, number) in [(vec![broken(), healthy()], 1), (vec![healthy(), broken()], 2)] {
        let answer = Endpoint::builder().group("all", sources).build().unwrap().answer(&Request::get());
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("x-gatherlock-missing"), Some(&*format!("all/source-{number}")));
        let reason = format!("all/source-{number}: collector `broken` panicked: the queue is gone");
        assert_eq!(answer.header("x-gatherlock-reason"), Some(&*reason));
        assert!(text(&answer).starts_with("healthy 1\n"), "{}", text(&answer));
    }
    let answer = Endpoint::new(vec![broken(), broken()]).unwrap().answer(&Request::get());
    assert_eq!(answer.status, 503);
    assert!(text(&answer).contains("source-1: collector `broken` panicked"), "{}", text(&answer));
    // Of both, the panics are counted.
    let half = || {
        let registry = Registry::new();
        registry.register(Box::new(Panics(IntGauge::new("broken", "Broken.").unwrap()))).unwrap();
        registry.register(Box::new(IntGauge::new("fine", "Fine.").unwrap())).unwrap();
        Box::new(registry) as Box<dyn Source>
    };
    let answer = Endpoint::builder().group("all", vec![half(), half()]).build().unwrap().answer(&Request::get());
    let line = "gatherlock_guard_collector_panics_total{group=\"all\",collector=\"broken\"} 2\n";
    assert!(text(&answer).contains(line), "{}", text(&answer));
}

/// Bytes whose owner panics when it is dropped.
struct Owner(bool);

impl AsRef<[u8]> for Owner {
    fn as_ref(&self) -> &[u8] {
        b"up 1\n"
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        assert!(!self.0, "dropped");
    }
}

/// A source whose first body, and what it leaves, panic when they are dropped.
struct Leaves(AtomicUsize);

impl Source for Leaves {
    fn write(&self, page: &mut Page) -> Result<(), SourceError> {
        let first = self.0.fetch_add(1, Ordering::SeqCst) == 0;
        page.push(bytes::Bytes::from_owner(Owner(first)));
        page.drop_later(Owner(first));
        page.drop_later(Owner(first));
        Ok(())
    }
}

/// Scrapes on a thread of its own; a scrape that is never answered fails the test instead of hanging it.
fn answered(endpoint: &Endpoint, request: Request<'static>) -> Receiver<Answer> {
    let (tell, told) = channel();
    let endpoint = endpoint.clone();
    std::thread::spawn(move || tell.send(endpoint.answer(&request)));
    told
}

/// More than any scrape may take.
const NEVER: Duration = Duration::from_secs(30);

#[test]
fn what_panics_when_it_is_dropped_keeps_no_scrape_waiting() {
    // Who drops the last answer with the first body meets the panic, and that is not to be this test. An answer to HEAD has
    // no body, so that the group's own thread drops it.
    for method in ["GET", "HEAD"] {
        let endpoint = Endpoint::builder().group("g", Leaves(AtomicUsize::new(0))).own_metrics(false).build().unwrap();
        for _ in 0..4 {
            let answer = answered(&endpoint, Request { method, ..Request::get() }).recv_timeout(NEVER).unwrap();
            assert_eq!((answer.status, answer.header("content-length")), (200, Some("5")));
            std::mem::forget(answer);
        }
    }
}

#[test]
fn a_waker_that_panics_leaves_the_other_scrapes_theirs() {
    struct Panicking;
    impl Wake for Panicking {
        fn wake(self: Arc<Panicking>) {
            panic!("this runtime is broken");
        }
    }
    let (tell, told) = channel();
    let (open, gate) = channel::<()>();
    let gate = Mutex::new(gate);
    let source = move || {
        let _told = tell.send(());
        gate.lock().unwrap().recv().map(|()| "up 1\n")
    };
    let endpoint = Endpoint::builder().group("g", source).own_metrics(false).build().unwrap();
    // While the first collection runs, two more scrapes come, and the first of them cannot be woken.
    let mut first = pin!(endpoint.scrape(&Request::get()));
    assert!(first.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    told.recv().unwrap();
    let mut broken = pin!(endpoint.scrape(&Request::get()));
    let waker = Waker::from(Arc::new(Panicking));
    assert!(broken.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    let other = answered(&endpoint, Request::get());
    // The one that waits last may have come too late for the second collection; then it is the third.
    for _ in 0..3 {
        open.send(()).unwrap();
    }
    assert_eq!(other.recv_timeout(NEVER).unwrap().status, 200);
}

#[test]
fn a_bound_without_end_is_no_refusal() {
    let endpoint = Endpoint::builder().bound(Duration::MAX).group("g", || Ok::<_, Infallible>("up 1\n"));
    assert_eq!(endpoint.build().unwrap().answer(&Request::get()).status, 200);
}
