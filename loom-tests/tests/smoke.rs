//! smoke
use gatherlock_loom_tests::explore::*;
use gatherlock_loom_tests::shim::thread::spawn;
use gatherlock_model_prometheus_0_14::{IntCounterVec, Opts, Registry, IntCounter, core::{Collector, Desc}, proto::MetricFamily};
use gatherlock_loom_tests::shim::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
struct Hooked { desc: Desc, hook: Box<dyn Fn() + Send + Sync> }
impl Collector for Hooked { fn desc(&self) -> Vec<&Desc> { vec![&self.desc] } fn collect(&self) -> Vec<MetricFamily> { (self.hook)(); vec![] } }
fn scenario() {
    let r = Registry::new(); let r1 = r.clone(); let once = AtomicBool::new(false);
    let desc = Desc::new("a".into(), "h".into(), vec![], HashMap::new()).unwrap();
    r.register(Box::new(Hooked { desc, hook: Box::new(move || if !once.swap(true, SeqCst) { r1.gather(); }) })).unwrap();
    let r2 = r.clone();
    let t = spawn("register", move || r2.register(Box::new(IntCounter::new("b", "h").unwrap())).unwrap());
    r.gather();
    t.join().unwrap();
}
fn inc() {
        let r = Registry::new();
        let v = IntCounterVec::new(Opts::new("c", "h"), &["l"]).unwrap();
        r.register(Box::new(v.clone())).unwrap();
        let t = spawn("update", move || v.with_label_values(&["x"]).inc());
        let m = r.gather();
        assert!(m.len() <= 1);
        t.join().unwrap();
}
#[test] fn it() {
    for s in [Search::Loom{preemptions:None}, Search::Loom{preemptions:Some(3)}, Search::Dfs, Search::Random{schedules:100,seed:1}] {
        for f in [scenario as fn(), inc] {
        let e = Explorer::new(s).run(f);
        println!("{s:?} {} {} {} {:?}", e.finding.word(), e.strength, e.executions, e.time);
        match e.finding { Finding::Inconclusive{reason} => println!("{reason}"), f => if let Some(c) = f.counterexample() { println!("{c}"); } }
        }
    }
}
