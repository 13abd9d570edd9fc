//! What `gatherlock diagnose` says where it cannot look: each refusal is made here, as far as one process can make it.
//!
//! Most need root, to become somebody else; without it they say so and test nothing, as a user of this suite may be one.

use crate::cli::{HANGS, diagnose, gatherlock, judged, text};
use crate::target::Target;
use gatherlock::model::{Gap, Outcome};
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, Command, Output, Stdio};

/// Nobody.
pub(crate) const OTHER: [&str; 4] = ["--reuid=65534", "--regid=65534", "--clear-groups", "--"];

/// Says that nothing was tested, and why: past the test runner, which keeps what tests that pass print.
pub(crate) fn skipped(why: &str) {
    let test = std::thread::current().name().unwrap_or_default().to_owned();
    // Whoever reads it may have gone.
    let _ = writeln!(std::io::stderr(), "SKIPPED: {test}: {why}");
}

pub(crate) fn root() -> bool {
    // SAFETY: geteuid has no preconditions.
    let root = unsafe { libc::geteuid() } == 0;
    if !root {
        skipped("it needs root, to become somebody else");
    }
    root
}

/// Runs `gatherlock diagnose` behind another command, which changes who it is.
pub(crate) fn behind(wrapper: &[&str], args: &[&str]) -> Output {
    let mut command = Command::new(wrapper[0]);
    command.args(&wrapper[1..]).arg(env!("CARGO_BIN_EXE_gatherlock")).arg("diagnose").args(args);
    command.stdin(Stdio::null()).output().unwrap()
}

pub(crate) fn refusal(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(2), "{}{}", text(&output.stdout), text(&output.stderr));
    assert!(output.stdout.is_empty(), "{}", text(&output.stdout));
    text(&output.stderr)
}

/// Ends with the test.
pub(crate) struct Other(Child);

impl Other {
    pub(crate) fn spawn(command: &mut Command) -> Other {
        Other(command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap())
    }

    pub(crate) fn pid(&self) -> String {
        self.0.id().to_string()
    }
}

impl Drop for Other {
    fn drop(&mut self) {
        // Fails only if it has ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Not a test: waits as a process that the kernel protects from its own user.
pub(crate) fn protect_itself() {
    nix::sys::prctl::set_dumpable(false).unwrap();
    println!("\nprotected");
    std::io::stdin().read_to_end(&mut Vec::new()).unwrap();
}

#[test]
fn what_is_no_process_to_look_into() {
    let says = refusal(&diagnose(&["--pid", "2147483647"]));
    assert!(says.contains("does not exist") && says.contains("container"), "{says}");

    let ended = Other::spawn(&mut Command::new("true"));
    let stat = format!("/proc/{}/stat", ended.pid());
    while !std::fs::read_to_string(&stat).unwrap().contains(") Z ") {
        std::thread::yield_now();
    }
    let says = refusal(&diagnose(&["--pid", &ended.pid()]));
    assert!(says.contains("zombie"), "{says}");

    if std::fs::read_to_string("/proc/2/comm").is_ok_and(|name| name == "kthreadd\n") {
        let says = refusal(&diagnose(&["--pid", "2"]));
        assert!(says.contains("thread of the kernel (`kthreadd`)"), "{says}");
    } else {
        skipped("no thread of the kernel is seen in this pid namespace");
    }
}

#[test]
fn a_program_that_is_not_rust_says_what_it_lacks() {
    let other = Other::spawn(Command::new("sleep").arg("600"));
    let output = diagnose(&["--pid", &other.pid(), "--format", "json"]);
    let (code, found) = judged(&output);
    assert_eq!((code, found.outcome), (2, None), "that nothing was found says nothing: {}", found.summary);
    assert!(found.gaps.iter().any(|gap| gap.why.contains("no trace of Rust") && gap.uncovers), "{:?}", found.gaps);
    assert_eq!(found.threads.len(), 1, "its threads are seen all the same");
}

#[test]
fn another_users_process() {
    if !root() {
        return;
    }
    let target = Target::start("ab-ba-std");
    let pid = target.pid().to_string();
    let wrapper = [&["setpriv"][..], &OTHER].concat();
    let says = refusal(&behind(&wrapper, &["--pid", &pid]));
    assert!(says.contains("runs as uid 0 and this command as uid 65534") && says.contains("sudo"), "{says}");

    // A URL is judged from outside all the same, and the report says why no more is known.
    let (_hung, url) = Target::listening("register-in-collect");
    let output = behind(&wrapper, &[&["--url", &url, "--format", "json"][..], &HANGS].concat());
    let (code, found) = judged(&output);
    assert_eq!((code, found.outcome), (1, Some(Outcome::Stalled)), "{}", found.summary);
    assert!(found.gaps.iter().any(|gap| gap.why.contains("not show this user")), "{:?}", found.gaps);
}

#[test]
fn root_without_the_capability() {
    if !root() {
        return;
    }
    let target = Target::start("ab-ba-std");
    let wrapper = ["setpriv", "--bounding-set=-sys_ptrace", "--inh-caps=-sys_ptrace", "--"];
    let says = refusal(&behind(&wrapper, &["--pid", &target.pid().to_string()]));
    assert!(says.contains("root without CAP_SYS_PTRACE") && says.contains("--cap-add SYS_PTRACE"), "{says}");

    // It may list what others have open, and not see what that is.
    let (_hung, url) = Target::listening("register-in-collect");
    let output = behind(&wrapper, &[&["--url", &url, "--format", "json"][..], &HANGS].concat());
    let (code, found) = judged(&output);
    assert_eq!((code, found.outcome), (1, Some(Outcome::Stalled)), "{}", found.summary);
    let why = |gap: &Gap| gap.why.contains("not show this user") && gap.why.contains("--cap-add SYS_PTRACE");
    assert!(found.gaps.iter().any(why), "{:?}", found.gaps);
}

#[test]
fn a_process_that_protects_itself() {
    if !root() {
        return;
    }
    let mut command = Command::new("setpriv");
    command.args(OTHER).arg(std::env::current_exe().unwrap());
    let mut target = Target::spawn_as(command, "protects-itself");
    target.line("protected");
    let wrapper = [&["setpriv"][..], &OTHER].concat();
    let says = refusal(&behind(&wrapper, &["--pid", &target.pid().to_string()]));
    assert!(says.contains("PR_SET_DUMPABLE"), "{says}");
}

#[test]
fn a_process_that_a_debugger_holds() {
    let other = Other::spawn(Command::new("sleep").arg("600"));
    let pid = nix::unistd::Pid::from_raw(other.0.id() as i32);
    // This thread is the debugger; its end lets the target go.
    nix::sys::ptrace::seize(pid, nix::sys::ptrace::Options::empty()).unwrap();
    let says = refusal(&diagnose(&["--pid", &other.pid()]));
    assert!(says.contains(&format!("is traced by process {}", std::process::id())), "{says}");
}

#[test]
fn proc_that_hides_others() {
    if !root() {
        return;
    }
    let other = Other::spawn(Command::new("sleep").arg("600"));
    let script = format!(
        "mount -t proc -o hidepid=2 proc /proc && exec setpriv {} {} diagnose --pid {}",
        OTHER.join(" "),
        env!("CARGO_BIN_EXE_gatherlock"),
        other.pid()
    );
    let output = Command::new("unshare").args(["--mount", "sh", "-c", &script]).output().unwrap();
    let says = refusal(&output);
    assert!(says.contains("hidepid"), "{says}");
}

#[test]
fn a_listener_in_another_pid_namespace() {
    if !root() {
        return;
    }
    let (_target, url) = Target::listening("register-in-collect");
    let wrapper = ["unshare", "--pid", "--fork", "--mount-proc"];
    let (code, found) = judged(&behind(&wrapper, &[&["--url", &url, "--format", "json"][..], &HANGS].concat()));
    assert_eq!((code, found.outcome), (1, Some(Outcome::Stalled)), "{}", found.summary);
    assert!(found.gaps.iter().any(|gap| gap.why.contains("pid namespace")), "{:?}", found.gaps);
    assert!(found.summary.contains("has read the request"), "{}", found.summary);
}

#[test]
fn a_target_in_a_pid_namespace_of_its_own() {
    if !root() {
        return;
    }
    let mut command = Command::new("unshare");
    command.args(["--pid", "--fork", "--mount-proc", "--kill-child"]).arg(std::env::current_exe().unwrap());
    let mut target = Target::spawn_as(command, "register-in-collect");
    let url = format!("http://127.0.0.1:{}/metrics", target.line("port "));
    let (code, found) = judged(&diagnose(&[&["--url", &url, "--format", "json"][..], &HANGS].concat()));
    assert_eq!((code, found.outcome), (1, Some(Outcome::Deadlocked)), "{}", found.summary);
    assert_eq!(found.target.inner_pid, Some(1), "what it is called in its container");
}

#[test]
fn an_executable_that_was_deleted() {
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("service");
    std::fs::copy(std::env::current_exe().unwrap(), &copy).unwrap();
    std::fs::set_permissions(&copy, PermissionsExt::from_mode(0o755)).unwrap();
    let mut target = Target::spawn_as(Command::new(&copy), "register-in-collect");
    let url = format!("http://127.0.0.1:{}/metrics", target.line("port "));
    std::fs::remove_file(&copy).unwrap();
    let (code, found) = judged(&diagnose(&[&["--url", &url, "--format", "json"][..], &HANGS].concat()));
    assert_eq!((code, found.outcome), (1, Some(Outcome::Deadlocked)), "{}", found.summary);
    assert_eq!(found.target.exe.as_deref(), Some("service"));
    assert!(found.gaps.iter().any(|gap| gap.why.contains("deleted")), "{:?}", found.gaps);
}

#[test]
fn a_process_that_ends_during_the_scrape() {
    let (mut target, url) = Target::listening("ab-ba-std");
    let mut command = gatherlock();
    command.args(["diagnose", "--format", "json", "--bound", "300ms", "--hang-limit", "600s", "--url", &url]);
    command.args(["--pid", &target.pid().to_string()]);
    let looking = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // Its own scrape closes the cycle: once that is seen, it is under way.
    target.explained(|explained| crate::locks::lock_edges(explained).len() >= 4);
    target.child.kill().unwrap();
    target.child.wait().unwrap();
    let (code, found) = judged(&looking.wait_with_output().unwrap());
    assert_eq!((code, found.outcome), (1, Some(Outcome::Crashed)), "{}", found.summary);
}

/// A 32-bit program that sleeps for ever: an ELF header, one segment, `pause` in a loop.
fn tiny_32_bit() -> Vec<u8> {
    let mut elf = vec![0x7f, b'E', b'L', b'F', 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    for half in [2u16, 3] {
        elf.extend(half.to_le_bytes());
    }
    for word in [1u32, 0x0804_8054, 52, 0, 0] {
        elf.extend(word.to_le_bytes());
    }
    for half in [52u16, 32, 1, 0, 0, 0] {
        elf.extend(half.to_le_bytes());
    }
    for word in [1u32, 0, 0x0804_8000, 0x0804_8000, 0x5f, 0x5f, 5, 0x1000] {
        elf.extend(word.to_le_bytes());
    }
    // mov eax, 29; int 0x80; jmp back
    elf.extend([0xb8, 29, 0, 0, 0, 0xcd, 0x80, 0xeb, 0xf7, 0x90, 0x90]);
    elf
}

#[test]
fn a_32_bit_program() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tiny");
    std::fs::write(&path, tiny_32_bit()).unwrap();
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
    let child = match Command::new(&path).spawn() {
        Ok(child) => Other(child),
        Err(error) => return skipped(&format!("this kernel runs no 32-bit programs ({error})")),
    };
    let says = refusal(&diagnose(&["--pid", &child.pid()]));
    assert!(says.contains("no 64-bit x86 ELF program"), "{says}");
}
