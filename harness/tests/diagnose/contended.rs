//! A busy, healthy service must never be called deadlocked.

use crate::target::{ENGINE, Target};
use gatherlock::graph::WaitGraph;
use gatherlock::model::Relation;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};

/// Samples of the contended service.
const SAMPLES: usize = 200;

#[test]
fn a_contended_service_has_no_cycle() {
    let target = Target::start("contended");
    let (mut contended, mut accounted) = (0, 0);
    let mut first = ENGINE.sample(target.pid()).unwrap();
    for _ in 0..SAMPLES {
        let mut second = ENGINE.sample(target.pid()).unwrap();
        let explained = ENGINE.explain(Some(&first), &mut second, true);
        let graph = WaitGraph::new(&explained);
        assert_eq!(graph.cycles().len() + graph.self_waits().len(), 0, "{:#?}", explained.edges);
        for resource in explained.resources.iter().filter(|resource| resource.kind.is_lock()) {
            contended += 1;
            accounted += u32::from(resource.holders.is_some_and(|holders| holders.word == holders.found));
        }
        assert!(explained.edges.iter().all(|e| e.relation != Relation::Holds || e.count_agrees.is_some()));
        first = second;
    }
    // Without contention the test would prove nothing.
    assert!(contended > 0, "no thread ever waited for a lock");
    println!("{contended} contended locks, {accounted} with all holders accounted for");
}

#[test]
fn a_service_under_load_loses_no_request_while_it_is_sampled() {
    const LOOKS: usize = 100;
    let mut target = Target::spawn("healthy");
    let port = target.line("port ");
    let done = AtomicBool::new(false);
    let scrape = || {
        let mut served = 0;
        while !done.load(Ordering::SeqCst) {
            let mut stream = TcpStream::connect(format!("127.0.0.1:{port}")).unwrap();
            stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).unwrap();
            assert!(answer.starts_with("HTTP/1.1 200 "), "{answer:?}");
            served += 1;
        }
        served
    };
    let served: u64 = std::thread::scope(|scope| {
        let scrapers: Vec<_> = (0..4).map(|_| scope.spawn(scrape)).collect();
        let looks: Vec<_> = (0..LOOKS).map(|_| ENGINE.sample(target.pid())).collect();
        done.store(true, Ordering::SeqCst);
        let served = scrapers.into_iter().map(|scraper| scraper.join().unwrap()).sum();
        assert!(looks.iter().all(Result::is_ok), "{looks:?}");
        served
    });
    assert!(served >= 100, "only {served} requests while it was looked at {LOOKS} times");
}
