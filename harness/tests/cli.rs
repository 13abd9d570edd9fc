//! The command line as a user meets it: what is refused before anything runs, what a broken child costs, what an
//! interrupt leaves behind. The catalogues are shell scripts, so that nothing but `gatherlock` itself is under test.
#![cfg(feature = "cli")]

use gatherlock::model::{Report, Verdict};
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// A catalogue of one scenario with cases that misbehave each in its own way; `hang-before-ready` never gets anywhere.
const CATALOGUE: &str = r#"{
  "protocol": "gatherlock.catalogue/1", "name": "fixture", "version": "0",
  "scenarios": [
    {"id": "broken", "family": "fixtures", "title": "children that misbehave", "story": "",
     "drive": {"kind": "scrapes", "extra": 0}, "release": "never"}],
  "variants": [{"id": "dies", "title": ""}, {"id": "babbles", "title": ""}, {"id": "fails", "title": ""},
               {"id": "hangs", "title": ""}, {"id": "skipped", "title": ""}],
  "cases": [
    {"id": "broken/dies", "expectation": {"must": "served", "because": "it would if it lived"}},
    {"id": "broken/babbles", "expectation": {"must": "served", "because": "it would if it made sense"}},
    {"id": "broken/fails", "expectation": {"must": "served", "because": "it would if it could"}},
    {"id": "broken/hangs", "expectation": {"must": "served", "because": "it would if it began"}},
    {"id": "broken/skipped", "skip": "there is nothing to run"}]
}"#;

/// `child CASE --seed S --journal FILE`: what each case does.
const CHILD: &str = r#"
case "$2" in
  broken/dies) echo "last words of a dying child" >&2; exit 3 ;;
  broken/babbles) echo 'this is no JSON' >> "$6"; exec sleep 60 ;;
  broken/fails) echo '{"at_ns": 1, "event": "failed", "problem": "port 9101 is taken"}' >> "$6"; exec sleep 60 ;;
  broken/hangs) echo $$ > "$(dirname "$0")/hangs.pid"; exec sleep 60 ;;
esac
"#;

struct Bench {
    folder: tempfile::TempDir,
}

impl Bench {
    fn new() -> Bench {
        let bench = Bench { folder: tempfile::tempdir().unwrap() };
        let script =
            format!("#!/bin/sh\nif [ \"$1\" = list ]; then cat <<'EOF'\n{CATALOGUE}\nEOF\nexit 0\nfi\n{CHILD}");
        bench.write("catalogue", &script);
        std::fs::set_permissions(bench.path("catalogue"), PermissionsExt::from_mode(0o755)).unwrap();
        bench
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).unwrap();
    }

    fn repro(&self) -> Command {
        let mut command = gatherlock();
        command.arg("repro").arg("--catalogue").arg(self.path("catalogue")).arg("--out").arg(self.path("out"));
        command
    }

    fn report(&self) -> Report {
        let text = std::fs::read_to_string(self.path("out/report.json")).unwrap();
        gatherlock::render::json::parse(&text).unwrap()
    }
}

fn gatherlock() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gatherlock"));
    command.env_remove("GATHERLOCK_INVOKED_AS").stdin(Stdio::null());
    command
}

fn code(output: &Output) -> i32 {
    output.status.code().unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn an_unknown_name_is_answered_with_the_nearest() {
    let bench = Bench::new();
    let output = bench.repro().arg("brokn/dies").output().unwrap();
    assert_eq!(code(&output), 2);
    assert!(stderr(&output).contains("broken/dies"), "{}", stderr(&output));
    assert!(!bench.path("out").exists(), "nothing was begun");
}

#[test]
fn no_case_selected_is_never_green() {
    let bench = Bench::new();
    let output = bench.repro().arg("broken/skipped").output().unwrap();
    assert_eq!(code(&output), 2);
    assert!(stderr(&output).contains("no case is selected"), "{}", stderr(&output));
}

#[test]
fn without_a_catalogue_it_says_so() {
    let output = gatherlock().arg("repro").output().unwrap();
    assert_eq!(code(&output), 2);
    assert!(stderr(&output).contains("--catalogue"), "{}", stderr(&output));
}

#[test]
fn an_unwritable_folder_is_found_before_the_first_trial() {
    let bench = Bench::new();
    bench.write("file", "");
    let output = bench.repro().arg("broken/hangs").arg("--out").arg(bench.path("file/out")).output().unwrap();
    // The second --out is refused by the parser or wins; either way nothing may have run.
    assert_eq!(code(&output), 2);
    assert!(!bench.path("hangs.pid").exists(), "a trial was run");
    let mut command = gatherlock();
    command.arg("repro").arg("--catalogue").arg(bench.path("catalogue")).arg("broken/hangs");
    let output = command.arg("--out").arg(bench.path("file/out")).output().unwrap();
    assert_eq!(code(&output), 2);
    assert!(stderr(&output).contains("cannot write"), "{}", stderr(&output));
    assert!(!bench.path("hangs.pid").exists(), "a trial was run");
}

#[test]
fn broken_children_are_named_and_void_and_the_rest_goes_on() {
    let bench = Bench::new();
    let output = bench.repro().args(["broken/dies", "broken/babbles", "broken/fails", "--seed", "7"]).output().unwrap();
    assert_eq!(code(&output), 2, "{}", stderr(&output));
    let report = bench.report();
    assert_eq!(report.exit_code, 2);
    for (case, word) in [("dies", "3"), ("babbles", "this is no JSON"), ("fails", "port 9101 is taken")] {
        let case = report.cases.iter().find(|found| found.variant == case).unwrap();
        assert_eq!(case.verdict, Some(Verdict::Inconclusive), "{}", case.id);
        let trial = &case.trials[0];
        assert_eq!(trial.outcome, None, "{}", case.id);
        let reason = &trial.void.as_ref().unwrap().reason;
        assert!(reason.contains(word), "{}: {reason}", case.id);
        assert!(trial.replay.contains("--seed 7"), "{}", trial.replay);
    }
    let last = String::from_utf8_lossy(&output.stdout).trim_end().lines().last().unwrap().to_string();
    assert!(last.contains("--seed 7") && last.contains("broken/dies"), "the last line replays what failed: {last}");
    for file in ["report.json", "report.md", "report.html", "junit.xml", "journal.jsonl"] {
        assert!(bench.path("out").join(file).is_file(), "{file}");
    }
}

#[test]
fn json_on_stdout_is_one_document_and_nothing_else() {
    let bench = Bench::new();
    let output = bench.repro().args(["broken/dies", "--format", "json"]).output().unwrap();
    let report = gatherlock::render::json::parse(std::str::from_utf8(&output.stdout).unwrap()).unwrap();
    assert_eq!(report.cases.len(), 1);
}

#[test]
fn a_reader_that_stops_early_is_no_error() {
    let bench = Bench::new();
    assert_eq!(code(&bench.repro().arg("broken/dies").output().unwrap()), 2);
    let mut repro = bench.repro();
    repro.arg("broken/dies");
    let mut list = gatherlock();
    list.arg("list").arg("--catalogue").arg(bench.path("catalogue"));
    let mut report = gatherlock();
    report.arg("report").arg(bench.path("out/report.json"));
    for (mut command, wanted) in [(repro, 2), (list, 0), (report, 2)] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = command.stdout(writer).stderr(Stdio::piped()).output().unwrap();
        assert_eq!(code(&output), wanted, "{}", stderr(&output));
        assert!(!stderr(&output).contains("panicked"), "{}", stderr(&output));
    }
}

#[test]
fn an_interrupt_ends_the_children_and_keeps_the_report() {
    let bench = Bench::new();
    let mut run = bench.repro().arg("broken/hangs").stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let pid = await_pid(&bench.path("hangs.pid"));
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(run.id() as i32), nix::sys::signal::Signal::SIGINT).unwrap();
    let status = run.wait().unwrap();
    let mut text = String::new();
    run.stderr.take().unwrap().read_to_string(&mut text).unwrap();
    assert_eq!(status.code(), Some(2), "{text}");
    assert!(!Path::new(&format!("/proc/{pid}")).exists(), "the child is gone");
    let report = bench.report();
    assert!(report.interrupted);
    assert_eq!(report.exit_code, 2);
    assert_eq!(report.cases[0].verdict, Some(Verdict::Inconclusive));
    assert!(!bench.path("out/trials").exists(), "no trial's file is left");
}

#[test]
fn the_children_of_a_killed_run_die_and_its_journal_makes_the_report() {
    let bench = Bench::new();
    let mut command = bench.repro();
    let mut run = command.args(["broken/fails", "broken/hangs", "--jobs", "1"]).stderr(Stdio::null()).spawn().unwrap();
    let pid = await_pid(&bench.path("hangs.pid"));
    run.kill().unwrap();
    run.wait().unwrap();
    await_death(pid);
    assert_eq!(bench.report().cases.len(), 2, "report.json is whole whenever the run is killed");
    let output = gatherlock().arg("report").arg(bench.path("out/journal.jsonl")).output().unwrap();
    assert_eq!(code(&output), 2, "{}", stderr(&output));
    assert!(String::from_utf8_lossy(&output.stdout).contains("port 9101 is taken"), "what it had is kept");
}

/// The pid that the hanging child writes; the runner gives it 15 s, so this may poll longer than that.
fn await_pid(path: &Path) -> i32 {
    for _ in 0..3000 {
        if let Ok(text) = std::fs::read_to_string(path)
            && let Ok(pid) = text.trim().parse()
        {
            return pid;
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    panic!("the child never began");
}

/// Waits until a process is gone or a zombie; the kernel kills it when its parent dies, which takes no time worth naming.
fn await_death(pid: i32) {
    for _ in 0..3000 {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        if stat.is_empty() || stat.contains(") Z ") {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    panic!("process {pid} outlived the run");
}
