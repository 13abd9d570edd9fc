//! A whole look of `gatherlock diagnose` at a process in a deadlock, beside gdb and eu-stack that print its stacks, in one
//! run and in turns: how long each takes, and how long the process stands still for it.
//!
//! This executable is the target, too. `cargo xtask bench diagnose` runs it once without debug information and once with
//! line tables. A debugger that is not installed is left out, and that is said.

#[cfg(live)]
#[path = "../tests/diagnose/service.rs"]
mod service;
#[cfg(live)]
#[path = "../tests/diagnose/signals.rs"]
mod signals;

#[cfg(live)]
mod linux {
    use gatherlock::diagnose::Engine;
    use std::io::{BufRead, BufReader, Write};
    use std::net::TcpStream;
    use std::process::{Child, Command, Stdio};
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::time::{Duration, Instant};

    pub(super) const CASE: &str = "GATHERLOCK_BENCH_CASE";
    /// What the executable was built with, for the headings and the limits.
    const BUILD: &str = "GATHERLOCK_BENCH_BUILD";
    const ROUNDS: &str = "GATHERLOCK_BENCH_ROUNDS";
    /// From the end of the first stop of a look to the beginning of the second: the target runs. What is done meanwhile (names
    /// of its threads, the first sample's stacks, symbols and code, and at the end its threads' files) is no part of the
    /// dump's time; it is part of the processor time.
    const PAUSE: Duration = Duration::from_millis(250);
    /// Threads of the target, and the case that has so many.
    const SIZES: [(usize, &str); 3] = [(5, "ab-ba-std"), (10, "crowd-5"), (300, "crowd-295")];

    struct Target(Child, #[expect(dead_code, reason = "kept open: its answer never comes")] TcpStream);

    impl Target {
        /// Starts it, and scrapes it once, which closes the cycle.
        fn start(case: &str, threads: usize) -> Target {
            let mut command = Command::new(std::env::current_exe().unwrap());
            let mut child = command.env(CASE, case).stdout(Stdio::piped()).spawn().unwrap();
            let lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
            let port = lines.into_iter().find_map(|line| line.strip_prefix("port ").map(str::to_owned)).unwrap();
            let mut scrape = TcpStream::connect(format!("127.0.0.1:{port}")).unwrap();
            scrape.write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
            let target = Target(child, scrape);
            // Until it hangs: every thread sleeps, and there are as many as wanted.
            let deadline = Instant::now() + Duration::from_secs(30);
            loop {
                let states = target.states();
                if states.len() == threads && states.iter().all(|state| *state == 'S') {
                    return target;
                }
                assert!(Instant::now() < deadline, "{case}: {states:?}");
                std::thread::sleep(Duration::from_millis(20));
            }
        }

        fn pid(&self) -> i32 {
            i32::try_from(self.0.id()).unwrap()
        }

        fn tids(&self) -> Vec<i32> {
            let tasks = std::fs::read_dir(format!("/proc/{}/task", self.pid())).unwrap();
            let mut tids: Vec<i32> = tasks.filter_map(|task| task.ok()?.file_name().to_str()?.parse().ok()).collect();
            tids.sort_unstable();
            tids
        }

        fn states(&self) -> Vec<char> {
            self.tids().into_iter().map(|tid| state(self.pid(), tid)).collect()
        }
    }

    impl Drop for Target {
        fn drop(&mut self) {
            // Fails only if it has ended already.
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }

    fn state(pid: i32, tid: i32) -> char {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/task/{tid}/stat")).unwrap_or_default();
        stat.rsplit_once(") ").and_then(|(_, rest)| rest.chars().next()).unwrap_or('?')
    }

    /// One way to look at a process.
    #[derive(Clone, Copy, PartialEq, Eq)]
    enum Tool {
        Gatherlock,
        Gdb,
        EuStack,
    }

    const TOOLS: [Tool; 3] = [Tool::Gatherlock, Tool::Gdb, Tool::EuStack];

    impl Tool {
        fn name(self) -> &'static str {
            match self {
                Tool::Gatherlock => "gatherlock",
                Tool::Gdb => "gdb",
                Tool::EuStack => "eu-stack",
            }
        }

        fn command(self, pid: i32) -> Command {
            let pid = pid.to_string();
            let (program, args): (&str, Vec<&str>) = match self {
                Tool::Gatherlock => (env!("CARGO_BIN_EXE_gatherlock"), vec!["diagnose", "--pid", &pid]),
                Tool::Gdb => ("gdb", vec!["-p", &pid, "-batch", "-nx", "-ex", "thread apply all bt"]),
                Tool::EuStack => ("eu-stack", vec!["-p", &pid]),
            };
            let mut command = Command::new(program);
            // gdb asks servers for debug information if this is set: none of it is wanted here.
            command.args(args).env_remove("DEBUGINFOD_URLS").stdin(Stdio::null());
            command.stdout(Stdio::piped()).stderr(Stdio::null());
            command
        }

        fn is_there(self) -> bool {
            let version = |program: &str| Command::new(program).arg("--version").stdout(Stdio::null()).status();
            match self {
                Tool::Gatherlock => true,
                Tool::Gdb => version("gdb").is_ok_and(|status| status.success()),
                Tool::EuStack => version("eu-stack").is_ok_and(|status| status.success()),
            }
        }

        /// Runs it to its end: how long that took, how much processor time, and how many threads it says something about.
        fn run(self, pid: i32) -> (Duration, Duration, usize) {
            let (begun, spent) = (Instant::now(), spent());
            let output = self.command(pid).output().unwrap();
            let (took, spent) = (begun.elapsed(), self::spent() - spent);
            let text = String::from_utf8_lossy(&output.stdout);
            let (seen, took) = match self {
                Tool::Gatherlock => {
                    assert!(text.contains("Deadlock: 2 threads, 2 locks"), "{text}");
                    (2, took.saturating_sub(PAUSE))
                }
                Tool::Gdb => (text.lines().filter(|line| line.starts_with("Thread ")).count(), took),
                Tool::EuStack => (text.lines().filter(|line| line.starts_with("TID ")).count(), took),
            };
            (took, spent, seen)
        }
    }

    /// Processor time of all children that have ended.
    fn spent() -> Duration {
        // SAFETY: rusage is plain data for which all zeroes is a value, and the pointer is to a live one.
        let usage = unsafe {
            let mut usage: libc::rusage = std::mem::zeroed();
            libc::getrusage(libc::RUSAGE_CHILDREN, &raw mut usage);
            usage
        };
        let time = |time: libc::timeval| Duration::new(time.tv_sec as u64, time.tv_usec as u32 * 1000);
        time(usage.ru_utime) + time(usage.ru_stime)
    }

    /// Runs a tool while a thread of this process watches the first and the last thread of the target: from when one of
    /// them was first seen to stand until one was last seen to. The same for every tool, to some ten microseconds; the
    /// longest of the stops if there are several.
    fn stop_of(tool: Tool, target: &Target) -> Duration {
        let (pid, tids) = (target.pid(), target.tids());
        let ends = [tids[0], tids[tids.len() - 1]];
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let watcher = scope.spawn(|| {
                let mut longest = Duration::ZERO;
                let mut since: Option<Instant> = None;
                while !done.load(Ordering::Relaxed) {
                    let now = Instant::now();
                    let stands = ends.iter().any(|tid| state(pid, *tid) == 't');
                    match (stands, since) {
                        (true, None) => since = Some(now),
                        (true, Some(since)) => longest = longest.max(now - since),
                        (false, _) => since = None,
                    }
                }
                longest
            });
            tool.run(pid);
            done.store(true, Ordering::Relaxed);
            watcher.join().unwrap()
        })
    }

    fn median(mut values: Vec<Duration>) -> f64 {
        values.sort_unstable();
        values.get(values.len() / 2).map_or(f64::NAN, |value| value.as_secs_f64() * 1000.0)
    }

    /// A limit, what was measured, and whether it is kept.
    struct Limit(String, f64, bool);

    pub(super) fn run() -> bool {
        let rounds: usize = std::env::var(ROUNDS).ok().and_then(|n| n.parse().ok()).unwrap_or(9);
        let build = std::env::var(BUILD).unwrap_or_else(|_| "no debug information".into());
        let tools: Vec<Tool> = TOOLS.into_iter().filter(|tool| tool.is_there()).collect();
        for tool in TOOLS.iter().filter(|tool| !tools.contains(tool)) {
            println!("SKIPPED: {} is not installed; on Debian: apt-get install gdb elfutils", tool.name());
        }
        println!("\n{build}; medians of {rounds} rounds, in milliseconds");
        println!(
            "{:>7}  {:<10}  {:>9}  {:>9}  {:>9}  {:>10}  {:>13}",
            "threads", "tool", "whole", "ratio", "processor", "target", "own reading"
        );
        println!(
            "{:>7}  {:<10}  {:>9}  {:>9}  {:>9}  {:>10}  {:>13}",
            "", "", "dump", "", "time", "stopped", "of the stop"
        );
        let mut limits = Vec::new();
        for (threads, case) in SIZES {
            let target = Target::start(case, threads);
            let mut whole = vec![Vec::new(); tools.len()];
            let mut processor = vec![Vec::new(); tools.len()];
            let mut stops = vec![Vec::new(); tools.len()];
            let mut own = Vec::new();
            let engine = Engine::new();
            for _ in 0..rounds {
                for (n, tool) in tools.iter().enumerate() {
                    let (took, spent, seen) = tool.run(target.pid());
                    assert!(*tool == Tool::Gatherlock || seen >= threads, "{} saw {seen} threads", tool.name());
                    whole[n].push(took);
                    processor[n].push(spent);
                }
                for (n, tool) in tools.iter().enumerate() {
                    stops[n].push(stop_of(*tool, &target));
                }
                own.push(Duration::from_micros(engine.sample(target.pid()).unwrap().stopped_us));
            }
            let (ours, own) = (median(whole[0].clone()), median(own));
            for (((tool, whole), processor), stops) in tools.iter().zip(whole).zip(processor).zip(stops) {
                let (whole, processor, stop) = (median(whole), median(processor), median(stops));
                let reading = if *tool == Tool::Gatherlock { format!("{own:.2}") } else { String::new() };
                println!(
                    "{threads:>7}  {:<10}  {whole:>9.1}  {:>8.1}x  {processor:>9.1}  {stop:>10.2}  {reading:>13}",
                    tool.name(),
                    whole / ours
                );
                if *tool == Tool::Gdb {
                    let ratio = whole / ours;
                    limits.push(Limit(
                        format!("{threads} threads: gdb takes at least 10 times as long"),
                        ratio,
                        ratio >= 10.0,
                    ));
                }
            }
            let stop_limit = if threads <= 10 { 1.0 } else { 15.0 };
            limits.push(Limit(format!("{threads} threads: stopped at most {stop_limit} ms"), own, own <= stop_limit));
            let dump_limit = if build.contains("line tables") { 100.0 } else { 30.0 };
            limits.push(Limit(format!("{threads} threads: whole dump under {dump_limit} ms"), ours, ours < dump_limit));
        }
        println!();
        for Limit(what, measured, kept) in &limits {
            println!("{:<7} {what}: {measured:.2}", if *kept { "met" } else { "MISSED" });
        }
        limits.iter().all(|limit| limit.2)
    }
}

#[cfg(live)]
fn main() -> std::process::ExitCode {
    if let Ok(case) = std::env::var(linux::CASE) {
        service::run(&case);
    }
    if linux::run() { std::process::ExitCode::SUCCESS } else { std::process::ExitCode::FAILURE }
}

#[cfg(not(live))]
fn main() {
    println!("SKIPPED: the live engine needs Linux on x86_64");
}
