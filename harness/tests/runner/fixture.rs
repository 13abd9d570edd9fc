//! Badly behaved children: this test binary, started again as a catalogue executable.
//!
//! A catalogue is called as `BIN list …` or `BIN child …`, which the test harness would take for filters. So a function
//! that runs before `main` looks at the arguments first.

use gatherlock::model::{CaseId, ChildEvent, ChildLine, Command, Endpoint};
use gatherlock::runner::{Child, Registry, SpawnOptions, clock};
use std::fs::{File, OpenOptions};
use std::io::{BufRead, Write};
use std::process::exit;

#[used]
// SAFETY: the C library calls the functions in this section with arguments that this one ignores.
#[unsafe(link_section = ".init_array")]
static BEFORE_MAIN: extern "C" fn() = before_main;

extern "C" fn before_main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args.as_slice() {
        ["child", case, "--seed", seed, "--journal", journal] => child(&case.parse().unwrap(), seed, journal),
        ["list", "--format", "json"] | ["--list", "--format", "jsonl"] => list(),
        [.., "--format", "jsonl"] => check(),
        ["grandchild"] => hang(),
        _ => {}
    }
}

/// What `list` does is chosen by the name it is started by, as its arguments are fixed: `hang`, `fail`, `flood`, or it
/// prints the file of that name with `.out` behind it.
fn list() -> ! {
    let name = std::env::args().next().unwrap();
    match name.rsplit('/').next().unwrap() {
        "hang" => hang(),
        "fail" => {
            eprintln!("thread main panicked\nno catalogue today");
            exit(7)
        }
        "flood" => {
            std::io::stdout().write_all(&vec![b'x'; 20 << 20]).unwrap();
            exit(0)
        }
        _ => {
            std::io::stdout().write_all(&std::fs::read(name + ".out").unwrap()).unwrap();
            exit(0)
        }
    }
}

/// What a checker does after it has printed its file: `check-abort`, `check-stay`, `check-exit-1`, or it ends.
fn check() -> ! {
    let name = std::env::args().next().unwrap();
    let mut stdout = std::io::stdout();
    stdout.write_all(&std::fs::read(format!("{name}.out")).unwrap()).unwrap();
    stdout.flush().unwrap();
    match name.rsplit('/').next().unwrap() {
        "check-abort" => {
            eprintln!("fatal runtime error: a panic in a drop");
            std::process::abort()
        }
        "check-stay" => hang(),
        "check-exit-1" => exit(1),
        _ => exit(0),
    }
}

fn hang() -> ! {
    loop {
        std::thread::park();
    }
}

struct Journal(File);

impl Journal {
    fn say(&mut self, event: ChildEvent) {
        let mut line = serde_json::to_vec(&ChildLine { at_ns: clock::now_ns(), event }).unwrap();
        line.push(b'\n');
        self.raw(&line);
    }
    fn raw(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).unwrap();
    }
    fn ready(&mut self) {
        let endpoint = Endpoint { name: String::new(), metrics: "http://127.0.0.1:1/metrics".into(), health: None };
        self.say(ChildEvent::Ready { endpoints: vec![endpoint], canary: None, volatile: vec![] });
    }
    fn count(&mut self, name: &str, value: u64) {
        self.say(ChildEvent::Count { name: name.into(), value });
    }
}

fn child(case: &CaseId, seed: &str, journal: &str) -> ! {
    let mut journal = Journal(OpenOptions::new().append(true).open(journal).unwrap());
    match case.scenario.as_str() {
        "obeys" => {
            journal.count("seed", seed.parse().unwrap());
            journal.ready();
            obey(&mut journal, |_, _| {})
        }
        "hangs" => journal.ready(),
        "never-ready" => {}
        "dies-at-start" => {
            eprintln!("port 9101 is taken");
            exit(3)
        }
        "dies-midway" => {
            journal.ready();
            obey(&mut journal, |_, command| {
                if command == Command::Arm {
                    std::process::abort()
                }
            })
        }
        "exits-early" => {
            journal.ready();
            journal.raw(b"{\"at_ns\":");
            exit(0)
        }
        "floods" => {
            journal.ready();
            std::thread::spawn(|| flood(std::io::stderr()));
            flood(std::io::stdout())
        }
        "floods-its-journal" => {
            journal.ready();
            loop {
                journal.raw(&[b'x'; 1 << 16]);
            }
        }
        "ignores-sigterm" => {
            // SAFETY: SIG_IGN is a valid disposition, and no handler of ours is replaced.
            unsafe { libc::signal(libc::SIGTERM, libc::SIG_IGN) };
            journal.ready();
            // It reads its commands and obeys none, not even `finish` or the end of input.
            for _ in std::io::stdin().lock().lines() {}
        }
        "forks" => {
            fork(&mut journal);
            journal.ready();
        }
        "forks-and-exits" => {
            fork(&mut journal);
            journal.ready();
            exit(0)
        }
        "garbage" => {
            journal.raw(b"Segmentation fault (core dumped)\n");
            journal.raw(b"{\"at_ns\":1,\"event\":\"count\",\"name\":\"\xff\xfe\",\"value\":1}\n");
            journal.raw(b"\0\0\0\0\n");
            journal.raw(b"{\"at_ns\":1,\"event\":\"exploded\"}\n");
            journal.raw(b"{\"at_ns\":1,\"event\":\"cou\n");
            journal.raw(&[b'a'; 200_000]);
            journal.raw(b"\n\n");
            journal.ready();
            obey(&mut journal, |_, _| {})
        }
        "dies-of-a-realtime-signal" => {
            journal.ready();
            // SAFETY: raise takes a number.
            unsafe { libc::raise(libc::SIGRTMIN() + 1) };
        }
        "is-a-parent" => {
            let inner = format!("{}.inner", seed);
            let file = std::env::temp_dir().join(format!("gatherlock-{}-{inner}", std::process::id()));
            let case = CaseId::new("hangs", "fixture");
            let registry = Registry::new();
            let options = SpawnOptions::new(std::env::current_exe().unwrap(), case, 0, &file, &registry);
            let child = Child::spawn(&options, |_| {}).unwrap();
            std::fs::remove_file(file).unwrap();
            journal.count("pid", child.pid() as u64);
            journal.ready();
            hang()
        }
        other => panic!("no fixture is called {other}"),
    }
    hang()
}

#[expect(clippy::zombie_processes, reason = "that nobody waits for it is what is tested")]
fn fork(journal: &mut Journal) {
    let exe = std::env::current_exe().unwrap();
    let grandchild = std::process::Command::new(exe).arg("grandchild").spawn().unwrap();
    journal.count("pid", u64::from(grandchild.id()));
}

fn flood(mut out: impl Write) -> ! {
    loop {
        out.write_all(&[b'#'; 1 << 16]).unwrap();
    }
}

/// Answers every command with `Done` and exits on `finish` or at the end of input.
fn obey(journal: &mut Journal, mut act: impl FnMut(&mut Journal, Command)) -> ! {
    for word in std::io::stdin().lock().lines() {
        let word = word.unwrap();
        let command = Command::ALL.into_iter().find(|command| command.word() == word).unwrap();
        act(journal, command);
        journal.say(ChildEvent::Done { command, problem: None });
        if command == Command::Finish {
            exit(0)
        }
    }
    exit(0)
}
