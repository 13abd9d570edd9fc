//! The whole tool, killed after any time: the target runs on. What each step of a stop leaves behind is tested beside the
//! engine; here it is the clock that decides where the tool is.

use crate::cli::gatherlock;
use crate::target::Target;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Stdio;
use std::time::Instant;

/// Times at which it is killed, spread over a whole run.
const KILLS: u32 = 24;

/// Every thread of a process that stands or is traced, as the kernel tells it.
fn held(pid: i32) -> Vec<String> {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    let status = tasks.map(|task| std::fs::read_to_string(task.unwrap().path().join("status")).unwrap());
    let field = |status: &str, name: &str| -> String {
        status.lines().find_map(|line| line.strip_prefix(name)).unwrap().trim().to_owned()
    };
    let state = status.map(|status| (field(&status, "State:"), field(&status, "TracerPid:")));
    state
        .filter(|(state, tracer)| state.starts_with(['t', 'T']) || tracer != "0")
        .map(|pair| format!("{pair:?}"))
        .collect()
}

#[test]
fn a_target_runs_on_and_answers_whenever_the_tool_is_killed() {
    // Many threads make the stop long. Nobody scrapes, so nothing hangs.
    let mut target = Target::spawn("crowd-200");
    let port = target.line("port ");
    let pid = target.pid();
    let start = || {
        let mut command = gatherlock();
        command.args(["diagnose", "--format", "json", "--pid", &pid.to_string()]);
        command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    };
    let begun = Instant::now();
    assert!(start().wait().unwrap().code().is_some());
    let whole = begun.elapsed();
    for kill in 0..KILLS {
        let mut tool = start();
        std::thread::sleep(whole * kill / KILLS);
        tool.kill().unwrap();
        tool.wait().unwrap();
        // The end of the tool is the end of the stop: nothing is waited for.
        assert_eq!(held(pid), [""; 0], "killed after {kill}/{KILLS} of {whole:?}");
        let mut stream = TcpStream::connect(format!("127.0.0.1:{port}")).unwrap();
        stream.write_all(b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer:?}");
    }
}
