//! The endpoint through its framework-free door: what is answered, when it is refused, and that it recovers.

use gatherlock_guard::{Answer, BuildError, Endpoint, Page, Registry, Request, Source, SourceError, openmetrics};
use prometheus::{IntCounter, IntGauge};
use std::collections::HashSet;
use std::convert::Infallible;
use std::io::Read;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

const GET: Request<'static> = Request { method: "GET", accept: None, accept_encoding: None, scrape_timeout: None };
/// Short, so that tests of refusals end soon. Nothing depends on how long it is.
const SOON: Request<'static> = Request { scrape_timeout: Some("0.2"), ..GET };

fn text(answer: &Answer) -> String {
    String::from_utf8(answer.to_bytes()).unwrap()
}

/// A source that waits as long as its gate is shut, and remembers which threads asked it.
#[derive(Clone, Default)]
struct Gated(Arc<(Mutex<State>, Condvar)>);

#[derive(Default)]
struct State {
    shut: bool,
    calls: usize,
    threads: HashSet<std::thread::ThreadId>,
}

impl Gated {
    fn shut(&self, shut: bool) {
        self.0.0.lock().unwrap().shut = shut;
        self.0.1.notify_all();
    }
    fn calls(&self) -> usize {
        self.0.0.lock().unwrap().calls
    }
}

impl Source for Gated {
    fn write(&self, page: &mut Page) -> Result<(), SourceError> {
        page.entering("gated_total");
        let mut state = self.0.0.lock().unwrap();
        state.calls += 1;
        state.threads.insert(std::thread::current().id());
        let calls = state.calls;
        while state.shut {
            state = self.0.1.wait(state).unwrap();
        }
        page.push(format!("gated_total {calls}\n"));
        Ok(())
    }
}

#[test]
fn a_registry_is_served_byte_for_byte_followed_by_the_endpoints_own_metrics() {
    let registry = Registry::new();
    let jobs = IntCounter::new("jobs_total", "Jobs.").unwrap();
    registry.register(Box::new(jobs.clone())).unwrap();
    let endpoint = Endpoint::new(registry.clone()).unwrap();
    for count in 1..=3 {
        jobs.inc();
        let answer = endpoint.answer(&GET);
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
        assert_eq!(answer.header("content-length"), Some(answer.to_bytes().len().to_string().as_str()));
        let own = text(&answer).strip_prefix(&registry.encode_to_string()).map(str::to_string).unwrap();
        assert!(own.contains(&format!("gatherlock_guard_scrapes_total{{result=\"served\"}} {}\n", count - 1)), "{own}");
        assert!(own.contains("gatherlock_guard_stuck_groups 0\n"));
        assert!(own.contains("gatherlock_guard_in_flight_seconds{group=\"default\"} 0\n"), "{own}");
    }
    let bare = Endpoint::builder().group("default", registry.clone()).own_metrics(false).build().unwrap();
    assert_eq!(text(&bare.answer(&GET)), registry.encode_to_string());
}

#[test]
fn a_stuck_source_is_refused_with_a_reason_costs_one_thread_and_recovers() {
    let source = Gated::default();
    let endpoint = Endpoint::builder().group("db", source.clone()).build().unwrap();
    assert_eq!(endpoint.answer(&GET).status, 200);
    source.shut(true);
    for _ in 0..5 {
        let answer = endpoint.answer(&SOON);
        assert_eq!(answer.status, 503);
        let text = text(&answer);
        for part in ["group `db`: the collector of `gated_total` has not returned for ", " s, since 2", "may be dead"] {
            assert!(text.contains(part), "{text}");
        }
        assert!(text.contains(&format!("gatherlock diagnose --pid {}   (thread `guard-db`)", std::process::id())));
    }
    // Five refused scrapes: one call is stuck, and no other was made.
    assert_eq!(source.calls(), 2);
    source.shut(false);
    let answer = endpoint.answer(&GET);
    assert_eq!(answer.status, 200);
    // The third call: what was stuck had begun before this scrape and is not given to it.
    assert!(text(&answer).starts_with("gated_total 3\n"), "{}", text(&answer));
    assert!(text(&answer).contains("gatherlock_guard_scrapes_total{result=\"refused\"} 5\n"));
    assert_eq!(source.0.0.lock().unwrap().threads.len(), 1, "one thread, always the same");
}

#[test]
fn a_stuck_group_is_missing_by_name_and_the_others_are_served() {
    let source = Gated::default();
    source.shut(true);
    let healthy = || Ok::<_, Infallible>("healthy 1\n");
    let endpoint = Endpoint::builder().group("app", healthy).group("db", source.clone()).build().unwrap();
    // Long enough for the healthy group on a busy machine.
    let answer = endpoint.answer(&Request { scrape_timeout: Some("2"), ..GET });
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("x-gatherlock-missing"), Some("db"));
    let reason = answer.header("x-gatherlock-reason").unwrap();
    assert!(reason.starts_with("db: the collector of `gated_total` has not returned for "), "{reason}");
    assert!(reason.contains(&format!("gatherlock diagnose --pid {}   (thread `guard-db`)", std::process::id())));
    let body = text(&answer);
    let stuck = "gatherlock_guard_stuck_collector_seconds{group=\"db\",collector=\"gated_total\"} ";
    assert!(body.contains(stuck), "{body}");
    assert!(body.starts_with("healthy 1\n"));
    assert!(body.contains("gatherlock_guard_group_missing{group=\"app\"} 0\n"));
    assert!(body.contains("gatherlock_guard_group_missing{group=\"db\"} 1\n"));
    assert!(body.contains("gatherlock_guard_stuck_groups 1\n"));
    let flying = body.split_once("gatherlock_guard_in_flight_seconds{group=\"db\"} ").unwrap().1;
    assert!(flying.split_once('\n').unwrap().0.parse::<f64>().unwrap() > 0.0, "{body}");
    assert!(!body.contains("gatherlock_guard_age_seconds{group=\"db\"}"), "what is missing has no age");
    source.shut(false);
    let answer = endpoint.answer(&GET);
    assert_eq!((answer.header("x-gatherlock-missing"), answer.header("x-gatherlock-reason")), (None, None));
    assert!(!text(&answer).contains("stuck_collector"));
}

#[test]
fn the_last_good_body_is_served_if_so_configured_and_marked() {
    let source = Gated::default();
    let hour = Duration::from_secs(3600);
    let endpoint = Endpoint::builder().group("db", source.clone()).serve_stale(hour).build().unwrap();
    let strict = Endpoint::builder().group("db", source.clone()).serve_stale(Duration::ZERO).build().unwrap();
    assert_eq!(endpoint.answer(&GET).header("x-gatherlock-stale"), None);
    assert_eq!(strict.answer(&GET).status, 200);
    source.shut(true);
    let answer = endpoint.answer(&SOON);
    assert_eq!(answer.status, 200);
    assert!(answer.header("x-gatherlock-stale").unwrap().parse::<f64>().unwrap() > 0.0);
    assert!(text(&answer).starts_with("gated_total 1\n"));
    assert!(text(&answer).contains("gatherlock_guard_age_seconds{group=\"db\"} 0."), "{}", text(&answer));
    assert!(text(&answer).contains("gatherlock_guard_stuck_groups 1\n"));
    assert_eq!(strict.answer(&SOON).status, 503, "older than allowed");
    source.shut(false);
}

#[test]
fn failing_and_panicking_sources_are_refusals_that_say_so() {
    let endpoint = Endpoint::new(|| Err::<String, _>("the exporter is closed")).unwrap();
    let answer = endpoint.answer(&GET);
    assert_eq!((answer.status, text(&answer).contains("group `default`: the exporter is closed")), (503, true));
    let broken = Arc::new(AtomicBool::new(true));
    let switch = Arc::clone(&broken);
    let endpoint = Endpoint::new(move || {
        assert!(!switch.load(Ordering::SeqCst), "out of cheese");
        Ok::<_, Infallible>("fine 1")
    })
    .unwrap();
    let answer = endpoint.answer(&GET);
    assert_eq!((answer.status, text(&answer).contains("panicked: out of cheese")), (503, true));
    broken.store(false, Ordering::SeqCst);
    assert!(text(&endpoint.answer(&GET)).starts_with("fine 1\n# HELP"), "a missing line feed is added");
}

#[test]
fn one_panicking_collector_costs_its_own_families() {
    struct Panics(IntGauge);
    impl prometheus::core::Collector for Panics {
        fn desc(&self) -> Vec<&prometheus::core::Desc> {
            self.0.desc()
        }
        fn collect(&self) -> Vec<prometheus::proto::MetricFamily> {
            panic!("the queue is gone")
        }
    }
    let registry = Registry::new();
    let gauge = || IntGauge::new("broken", "Broken.").unwrap();
    registry.register(Box::new(Panics(gauge()))).unwrap();
    let endpoint = Endpoint::builder().group("app", registry.clone()).build().unwrap();
    let answer = endpoint.answer(&GET);
    assert_eq!(answer.status, 503, "nothing but failures is no answer");
    assert!(text(&answer).contains("collector `broken` panicked: the queue is gone"), "{}", text(&answer));
    registry.register(Box::new(IntGauge::new("healthy", "Healthy.").unwrap())).unwrap();
    let answer = endpoint.answer(&GET);
    assert_eq!((answer.status, answer.header("x-gatherlock-missing")), (200, Some("app/broken")));
    assert_eq!(answer.header("x-gatherlock-reason"), Some("app/broken: panicked: the queue is gone"));
    for line in [
        "gatherlock_guard_collector_panics_total{group=\"app\",collector=\"broken\"} 2\n",
        "gatherlock_guard_family_missing{group=\"app\",family=\"broken\"} 1\n",
    ] {
        assert!(text(&answer).contains(line), "{}", text(&answer));
    }
    assert!(text(&answer).contains("\nhealthy 0\n"));
}

#[test]
fn shutting_down_waits_for_nothing_and_answers_everybody() {
    let source = Gated::default();
    source.shut(true);
    let endpoint = Endpoint::new(source.clone()).unwrap();
    let scraper = std::thread::spawn({
        let endpoint = endpoint.clone();
        move || endpoint.answer(&GET)
    });
    while source.calls() == 0 {
        std::thread::yield_now();
    }
    endpoint.shut_down();
    let answer = scraper.join().unwrap();
    assert_eq!((answer.status, text(&answer).contains("shut down")), (503, true));
    assert_eq!(endpoint.answer(&GET).status, 503);
    // The stuck thread is let go, or the test process would leave it behind.
    source.shut(false);
}

#[test]
fn dropping_the_last_handle_ends_the_threads() {
    struct Dropped(Arc<AtomicUsize>, std::sync::mpsc::Sender<()>);
    impl Drop for Dropped {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::SeqCst);
            let _received = self.1.send(());
        }
    }
    let count = Arc::new(AtomicUsize::new(0));
    let (sender, receiver) = std::sync::mpsc::channel();
    let held = Dropped(Arc::clone(&count), sender);
    let endpoint = Endpoint::new(move || {
        let _held = &held;
        Ok::<_, Infallible>("up 1\n")
    })
    .unwrap();
    assert_eq!(endpoint.clone().answer(&GET).status, 200);
    assert_eq!(count.load(Ordering::SeqCst), 0);
    drop(endpoint);
    // The source is dropped by the last thread to end.
    receiver.recv().unwrap();
}

#[test]
fn dropping_the_last_handle_waits_for_no_stuck_collector() {
    let source = Gated::default();
    source.shut(true);
    let endpoint = Endpoint::new(source.clone()).unwrap();
    assert_eq!(endpoint.answer(&SOON).status, 503);
    // Would never return if it waited: the gate is opened only behind it.
    drop(endpoint);
    assert_eq!(source.calls(), 1);
    source.shut(false);
}

#[test]
fn hostile_headers_and_methods_get_plain_http_answers() {
    let endpoint = Endpoint::new(|| Ok::<_, Infallible>("up 1\n")).unwrap();
    for header in ["-1", "NaN", "1e308", "inf", "text", "", "\u{0}", "0", "-0", "0x1"] {
        let answer = endpoint.answer(&Request { scrape_timeout: Some(header), ..GET });
        assert_eq!(answer.status, 200, "{header:?}");
    }
    let whole = endpoint.answer(&GET);
    let head = endpoint.answer(&Request { method: "HEAD", ..GET });
    assert_eq!((head.status, head.to_bytes().len()), (200, 0));
    assert_eq!(head.header("content-type"), whole.header("content-type"));
    assert_ne!(head.header("content-length"), Some("0"));
    for method in ["POST", "PUT", "DELETE", "OPTIONS", "get", "", "X\u{7f}"] {
        let answer = endpoint.answer(&Request { method, ..GET });
        assert_eq!((answer.status, answer.header("allow")), (405, Some("GET, HEAD")), "{method:?}");
    }
}

#[test]
fn names_are_checked_when_the_endpoint_is_built() {
    let up = || Ok::<_, Infallible>("up 1\n");
    let build = |names: &[&str]| {
        names.iter().fold(Endpoint::builder(), |builder, name| builder.group(*name, up)).build().map(drop)
    };
    assert!(matches!(build(&[]), Err(BuildError::NoGroup)));
    assert!(matches!(build(&["a", "a"]), Err(BuildError::Twice(_))));
    for name in ["", "a b", "a\n", "ä", "a,b", &"x".repeat(65)] {
        assert!(matches!(build(&[name]), Err(BuildError::Name(_))), "{name:?}");
    }
    assert!(matches!(Endpoint::builder().group("a", up).bound(Duration::ZERO).build(), Err(BuildError::Bound)));
    build(&["a", "B-2_c"]).unwrap();
}

const OPEN: Request<'static> =
    Request { accept: Some("application/openmetrics-text;version=1.0.0,text/plain;q=0.5"), ..GET };

#[test]
fn openmetrics_is_served_only_where_every_group_writes_it_and_the_scraper_wants_it() {
    let open = || openmetrics(|| Ok::<_, Infallible>("# TYPE a counter\na_total 1\n# EOF\n"));
    let both = Endpoint::builder().group("a", open()).build().unwrap();
    let answer = both.answer(&OPEN);
    assert_eq!(answer.header("content-type"), Some("application/openmetrics-text; version=1.0.0; charset=utf-8"));
    let body = text(&answer);
    assert!(body.starts_with("# TYPE a counter\na_total 1\n# HELP gatherlock_guard_scrapes "), "{body}");
    assert!(body.ends_with("\n# EOF\n") && body.matches("# EOF").count() == 1);
    let answer = both.answer(&GET);
    assert!(text(&answer).starts_with("# TYPE a_total counter\na_total 1\n") && !text(&answer).contains("# EOF"));
    let mixed = Endpoint::builder().group("a", open()).group("b", || Ok::<_, Infallible>("b 1\n")).build().unwrap();
    let answer = mixed.answer(&OPEN);
    assert_eq!(answer.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    assert!(text(&answer).starts_with("# TYPE a_total counter\na_total 1\nb 1\n"));
}

#[test]
fn gzip_is_served_to_those_that_take_it() {
    let long = "requests_total{path=\"/\"} 1\n".repeat(5000);
    let body = long.clone();
    let endpoint = Endpoint::builder()
        .group("a", move || Ok::<_, Infallible>(body.clone()))
        .group("b", || Ok::<_, Infallible>("b 1\n"))
        .build()
        .unwrap();
    let answer = endpoint.answer(&Request { accept_encoding: Some("gzip"), ..GET });
    assert_eq!(answer.header("content-encoding"), Some("gzip"));
    assert!(answer.to_bytes().len() < long.len() / 10);
    let mut out = String::new();
    flate2::read::GzDecoder::new(&answer.to_bytes()[..]).read_to_string(&mut out).unwrap();
    assert!(out.starts_with(&format!("{long}b 1\n# HELP gatherlock_guard")), "{}", out.len());
    let plain = endpoint.answer(&GET);
    assert_eq!(plain.header("content-encoding"), None);
    assert!(text(&plain).starts_with(&long));
}

#[test]
fn gzip_is_served_in_whichever_format() {
    let open = || openmetrics(|| Ok::<_, Infallible>("# TYPE a counter\na_total 1\n# EOF\n"));
    let mixed = Endpoint::builder().group("a", open()).group("b", || Ok::<_, Infallible>("b 1\n")).build().unwrap();
    let alone = Endpoint::new(open()).unwrap();
    let unpacked = |endpoint: &Endpoint, accept| {
        let answer = endpoint.answer(&Request { accept, accept_encoding: Some("gzip"), ..GET });
        let mut out = String::new();
        let whole = answer.header("content-encoding") == Some("gzip");
        flate2::read::GzDecoder::new(&answer.to_bytes()[..]).read_to_string(&mut out).map(|_| whole.then_some(out))
    };
    for _ in 0..3 {
        let body = unpacked(&mixed, OPEN.accept).unwrap().expect("compressed");
        assert!(body.starts_with("# TYPE a_total counter\na_total 1\nb 1\n# HELP"), "{body}");
        let body = unpacked(&alone, OPEN.accept).unwrap().expect("compressed");
        assert!(body.starts_with("# TYPE a counter\na_total 1\n# HELP") && body.ends_with("\n# EOF\n"), "{body}");
    }
    // Who is the first to want the other format gets it as it is, and compressed from then on.
    let first = alone.answer(&Request { accept_encoding: Some("gzip"), ..GET });
    assert_eq!((first.status, first.header("content-encoding")), (200, None));
    assert!(unpacked(&alone, None).unwrap().expect("compressed").starts_with("# TYPE a_total counter\na_total 1\n"));
    assert!(unpacked(&alone, OPEN.accept).unwrap().expect("compressed").ends_with("\n# EOF\n"));
}

#[test]
fn the_registries_of_other_libraries_can_stand_behind_it() {
    let real = prometheus::Registry::new();
    real.register(Box::new(IntGauge::new("real", "Real.").unwrap())).unwrap();
    let mut official = prometheus_client::registry::Registry::default();
    let counter: prometheus_client::metrics::counter::Counter = Default::default();
    official.register("official", "Official", counter.clone());
    counter.inc();
    let official = Arc::new(official);
    let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
    metrics::with_local_recorder(&recorder, || metrics::counter!("facade_total").increment(2));
    prometheus::register(Box::new(IntGauge::new("by_default", "In the default registry.").unwrap())).unwrap();
    let endpoint = Endpoint::builder()
        .group("real", real)
        .group("default", prometheus::default_registry().clone())
        .group("official", Arc::clone(&official))
        .group("facade", recorder.handle())
        .build()
        .unwrap();
    let body = text(&endpoint.answer(&GET));
    for line in
        ["\nreal 0\n", "\nby_default 0\n", "# TYPE official_total counter\nofficial_total 1\n", "facade_total 2\n"]
    {
        assert!(body.contains(line), "{body}");
    }
    let alone = Endpoint::new(official).unwrap().answer(&OPEN);
    assert!(text(&alone).contains("# TYPE official counter\nofficial_total 1\n"), "{}", text(&alone));
}
