//! What a diagnosis costs: how long the target stands still, how long a sample takes, how long an explanation takes.

#[cfg(live)]
#[path = "../tests/diagnose/service.rs"]
mod service;
#[path = "../tests/diagnose/signals.rs"]
mod signals;

#[cfg(live)]
mod linux {
    use criterion::Criterion;
    use gatherlock::diagnose::Engine;
    use std::io::{BufRead, BufReader, Write};
    use std::net::TcpStream;
    use std::process::{Child, Command, Stdio};
    use std::time::Duration;

    pub(super) const CASE: &str = "GATHERLOCK_BENCH_CASE";

    struct Target(Child, #[expect(dead_code, reason = "kept open: its answer never comes")] TcpStream);

    impl Target {
        fn start(case: &str) -> Target {
            let mut command = Command::new(std::env::current_exe().unwrap());
            let mut child = command.env(CASE, case).stdout(Stdio::piped()).spawn().unwrap();
            let lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
            let port = lines.into_iter().find_map(|line| line.strip_prefix("port ").map(str::to_owned)).unwrap();
            let mut scrape = TcpStream::connect(format!("127.0.0.1:{port}")).unwrap();
            scrape.write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
            Target(child, scrape)
        }
    }

    impl Drop for Target {
        fn drop(&mut self) {
            // Fails only if it has ended already.
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }

    pub(super) fn run() {
        let mut criterion = Criterion::default().configure_from_args();
        let engine = Engine::new();
        for case in ["ab-ba-std", "three-party", "crowd-295"] {
            let target = Target::start(case);
            let pid = i32::try_from(target.0.id()).unwrap();
            let first = engine.sample(pid).unwrap();
            let second = engine.sample(pid).unwrap();
            let mut group = criterion.benchmark_group(format!("diagnose/{case}"));
            // What the target feels: from the first thread's stop to the last one's release.
            group.bench_function("stopped", |bencher| {
                bencher.iter_custom(|rounds| {
                    (0..rounds).map(|_| Duration::from_micros(engine.sample(pid).unwrap().stopped_us)).sum()
                });
            });
            group.bench_function("sample", |bencher| bencher.iter(|| engine.sample(pid).unwrap()));
            group.bench_function("explain", |bencher| {
                bencher.iter(|| engine.explain(Some(&first), &mut second.clone(), true));
            });
            // The first time an executable is seen, its symbols and line tables are read.
            group.sample_size(10).bench_function("explain-new-executable", |bencher| {
                bencher.iter(|| Engine::new().explain(Some(&first), &mut second.clone(), true));
            });
            group.finish();
        }
        criterion.final_summary();
    }
}

#[cfg(live)]
fn main() {
    if let Ok(case) = std::env::var(linux::CASE) {
        service::run(&case);
    }
    linux::run();
}

#[cfg(not(live))]
fn main() {}
