//! More of what `gatherlock diagnose` says where it may not look: filters of system calls, user namespaces, Yama; and a path
//! that is made to confuse whoever reads the kernel's lists.

use crate::cli::{HANGS, diagnose, gatherlock, judged};
use crate::refused::{OTHER, Other, behind, refusal, root, skipped};
use crate::target::Target;
use gatherlock::model::Outcome;
use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

/// Makes the kernel answer these system calls of this process with "not permitted", as container runtimes do.
fn forbid(calls: &[i64]) -> io::Result<()> {
    const LOAD: u16 = (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16;
    const JUMP: u16 = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;
    const RETURN: u16 = (libc::BPF_RET | libc::BPF_K) as u16;
    /// No allocation between fork and exec.
    const MOST: usize = 8;
    let instruction = |code, jt, jf, k| libc::sock_filter { code, jt, jf, k };
    let mut filter = [instruction(RETURN, 0, 0, libc::SECCOMP_RET_ALLOW); 2 * MOST + 2];
    // The number of the call comes first in what is filtered.
    filter[0] = instruction(LOAD, 0, 0, 0);
    for (call, pair) in calls.iter().zip(filter[1..].chunks_exact_mut(2)) {
        pair[0] = instruction(JUMP, 0, 1, *call as u32);
        pair[1] = instruction(RETURN, 0, 0, libc::SECCOMP_RET_ERRNO | libc::EPERM as u32);
    }
    let program = libc::sock_fprog { len: filter.len() as u16, filter: filter.as_mut_ptr() };
    // SAFETY: prctl with plain numbers, and with a pointer to a program that outlives the call.
    let refused = unsafe {
        libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0
            || libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const program) != 0
    };
    if refused { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// What Docker's own filter forbids to a container without `SYS_PTRACE`, of the calls that are made here.
const OF_DOCKER: [i64; 2] = [libc::SYS_process_vm_readv, libc::SYS_pidfd_getfd];

#[test]
fn a_filter_of_system_calls() {
    for calls in [&[libc::SYS_ptrace][..], &[libc::SYS_ptrace, libc::SYS_process_vm_readv]] {
        let other = Other::spawn(Command::new("sleep").arg("600"));
        let mut command = gatherlock();
        command.args(["diagnose", "--pid", &other.pid()]);
        // SAFETY: the closure calls nothing but prctl.
        unsafe { command.pre_exec(|| forbid(calls)) };
        let says = refusal(&command.output().unwrap());
        assert!(says.contains("seccomp") && says.contains("--cap-add SYS_PTRACE"), "{says}");
    }
}

#[test]
fn a_filter_like_docker_s_leaves_a_way() {
    let mut target = Target::spawn("register-in-collect");
    let url = format!("http://127.0.0.1:{}/metrics", target.line("port "));
    let mut command = gatherlock();
    command.args(["diagnose", "--url", &url, "--format", "json"]).args(HANGS);
    // SAFETY: the closure calls nothing but prctl.
    unsafe { command.pre_exec(|| forbid(&OF_DOCKER)) };
    let (code, found) = judged(&command.output().unwrap());
    assert_eq!((code, found.outcome), (1, Some(Outcome::Deadlocked)), "{} {:?}", found.summary, found.gaps);
}

#[test]
fn a_process_outside_of_the_own_user_namespace() {
    let allowed = Command::new("unshare").args(["--user", "--map-root-user", "true"]).stderr(Stdio::null()).status();
    if !allowed.is_ok_and(|status| status.success()) {
        return skipped("this machine allows no user namespaces");
    }
    let other = Other::spawn(Command::new("sleep").arg("600"));
    let says = refusal(&behind(&["unshare", "--user", "--map-root-user"], &["--pid", &other.pid()]));
    assert!(says.contains("another user namespace"), "{says}");
}

#[test]
fn a_process_of_the_same_user_with_more_capabilities() {
    if !root() {
        return;
    }
    let more = [&OTHER[..3], &["--inh-caps=+net_raw", "--ambient-caps=+net_raw", "--", "sleep", "600"]].concat();
    let other = Other::spawn(Command::new("setpriv").args(more));
    // Until it has become what it will be.
    while !std::fs::read_to_string(format!("/proc/{}/comm", other.pid())).unwrap().starts_with("sleep") {
        std::thread::yield_now();
    }
    let says = refusal(&behind(&[&["setpriv"][..], &OTHER].concat(), &["--pid", &other.pid()]));
    assert!(says.contains("capabilities that this command does not have") && says.contains("sudo"), "{says}");
}

#[test]
fn yama_lets_only_parents_trace() {
    let scope = std::fs::read_to_string("/proc/sys/kernel/yama/ptrace_scope").unwrap_or_default();
    match scope.trim() {
        "1" | "2" if root() => {}
        "1" | "2" => return,
        "" => return skipped("this kernel has no Yama; its rule is tested on texts only"),
        other => {
            return skipped(&format!("kernel.yama.ptrace_scope is {other} here, and must be 1 or 2 for this test"));
        }
    }
    let other = Other::spawn(Command::new("setpriv").args(OTHER).args(["sleep", "600"]));
    let says = refusal(&behind(&[&["setpriv"][..], &OTHER].concat(), &["--pid", &other.pid()]));
    assert!(says.contains("ptrace_scope is"), "{says}");
}

#[test]
fn an_executable_whose_path_is_made_to_confuse() {
    let folder = tempfile::tempdir().unwrap();
    let inner = folder.path().join(OsStr::from_bytes(b"a\n7f00-8f00 r-xp 0 0 0 \xff (deleted)"));
    std::fs::create_dir(&inner).unwrap();
    let copy = inner.join("service");
    std::fs::copy(std::env::current_exe().unwrap(), &copy).unwrap();
    let mut command = Command::new(&copy);
    // The test runner in it wants to read its own arguments.
    command.arg0("service");
    let mut target = Target::spawn_as(command, "register-in-collect");
    let url = format!("http://127.0.0.1:{}/metrics", target.line("port "));
    let (code, found) = judged(&diagnose(&[&["--url", &url, "--format", "json"][..], &HANGS].concat()));
    assert_eq!((code, found.outcome), (1, Some(Outcome::Deadlocked)), "{} {:?}", found.summary, found.gaps);
    assert_eq!(found.target.exe.as_deref(), Some("service"));
}
