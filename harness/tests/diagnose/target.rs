//! Starts this executable again as the process to look into.

use gatherlock::diagnose::Engine;
use gatherlock::model::{Explained, Snapshot};
use std::cell::RefCell;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::LazyLock;
use std::time::{Duration, Instant};

/// The environment variable that tells the target what to do.
pub(crate) const CASE: &str = "GATHERLOCK_TEST_CASE";

/// One engine for all tests, as one run has one for all trials.
pub(crate) static ENGINE: LazyLock<Engine> = LazyLock::new(Engine::new);

/// A process that dies with this test.
pub(crate) struct Target {
    pub(crate) child: Child,
    pub(crate) out: BufReader<ChildStdout>,
    scrapes: RefCell<Vec<TcpStream>>,
    port: String,
}

impl Target {
    /// Starts the process without waiting for anything.
    pub(crate) fn spawn(case: &str) -> Target {
        Target::spawn_as(Command::new(std::env::current_exe().unwrap()), case)
    }

    /// The same through a command that ends in this executable, or in a copy of it.
    pub(crate) fn spawn_as(mut command: Command, case: &str) -> Target {
        command.args(["--exact", "target", "--ignored", "--nocapture", "--test-threads=1"]);
        command.env(CASE, case).stdout(Stdio::piped()).stdin(Stdio::piped());
        // SAFETY: prctl is async-signal-safe.
        unsafe {
            command.pre_exec(|| {
                libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
                Ok(())
            });
        }
        let mut child = command.spawn().unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        Target { child, out, scrapes: RefCell::default(), port: String::new() }
    }

    /// Starts a service and scrapes it once.
    pub(crate) fn start(case: &str) -> Target {
        let mut target = Target::spawn(case);
        target.port = target.line("port ");
        target.scrape_again();
        target
    }

    /// Sends a scrape whose answer nobody reads.
    pub(crate) fn scrape_again(&self) {
        self.ask("/metrics");
    }

    /// The same of another route.
    pub(crate) fn ask(&self, path: &str) {
        let mut stream = TcpStream::connect(format!("127.0.0.1:{}", self.port)).unwrap();
        stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes()).unwrap();
        self.scrapes.borrow_mut().push(stream);
    }

    /// Starts a service that nobody has scraped yet; and its URL.
    #[cfg(feature = "cli")]
    pub(crate) fn listening(case: &str) -> (Target, String) {
        let mut target = Target::spawn(case);
        target.port = target.line("port ");
        let url = format!("http://127.0.0.1:{}/metrics", target.port);
        (target, url)
    }

    /// The rest of the next line that begins with `prefix`.
    pub(crate) fn line(&mut self, prefix: &str) -> String {
        let lines = Read::by_ref(&mut self.out).lines().map_while(Result::ok);
        lines.into_iter().find_map(|line| line.strip_prefix(prefix).map(str::to_owned)).expect("the target ended early")
    }

    /// Writes to its input and ends that.
    pub(crate) fn tell(&mut self, text: &str) {
        self.child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    }

    pub(crate) fn pid(&self) -> i32 {
        i32::try_from(self.child.id()).unwrap()
    }

    /// Samples until two samples in a row show what `done` wants, or for half a minute; then what they showed last.
    pub(crate) fn explained(&self, done: impl Fn(&Explained) -> bool) -> (Snapshot, Snapshot, Explained) {
        let deadline = Instant::now() + Duration::from_secs(30);
        let mut first = ENGINE.sample(self.pid()).unwrap();
        loop {
            // Time between two samples: what is compared is whether threads moved meanwhile.
            std::thread::sleep(Duration::from_millis(30));
            let mut second = ENGINE.sample(self.pid()).unwrap();
            let explained = ENGINE.explain(Some(&first), &mut second, true);
            if done(&explained) || Instant::now() > deadline {
                return (first, second, explained);
            }
            first = second;
        }
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        // Fails only if it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
