//! Model checks made by hand: one that is exhaustive, one that deadlocks under both engines, one that is blocked, one that
//! vanished; and how they compare with the cases.

use gatherlock::model::*;

fn strength(kind: &str, executions: u64, seconds: f64) -> ModelStrength {
    let preemptions = matches!(kind, "bounded" | "witness").then_some(3);
    ModelStrength { kind: kind.into(), preemptions, executions, seconds }
}

fn check(name: &str, version: &str, engine: &str, found: &str, strength: ModelStrength) -> ModelReport {
    ModelReport {
        name: name.into(),
        lesson: "a lesson in one line".into(),
        threads: 2,
        engine: engine.into(),
        crate_version: version.into(),
        expectation: found.into(),
        outcome: found.into(),
        verdict: Verdict::Held,
        why: None,
        memory: "sc loads".into(),
        strength,
        counterexample: None,
        replay: None,
    }
}

/// Every check.
pub(crate) fn checks() -> Vec<ModelReport> {
    let mut all = Vec::new();
    for version in ["0.13.4", "0.14.0"] {
        all.push(check("inc-during-gather[metric=histogram]", version, "loom", "none", strength("bounded", 47, 0.08)));
        all.push(check(
            "inc-during-gather[metric=histogram]",
            version,
            "shuttle",
            "none",
            strength("sampled", 1000, 0.4),
        ));
    }
    for engine in ["loom", "shuttle"] {
        let mut hangs = check("gather-in-collect", "0.14.0", engine, "deadlock", strength("witness", 7, 0.01));
        hangs.counterexample = (engine == "loom").then(deadlock);
        hangs.replay = Some("cargo xtask model gather-in-collect --replay 'loom:3:7'".into());
        all.push(hangs);
    }
    let mut blocked = check("actor-cycle", "0.14.0", "loom", "blocked", strength("witness", 1, 0.01));
    blocked.counterexample = Some(actor());
    blocked.replay = Some("cargo xtask model actor-cycle --replay 'loom:3:1'".into());
    all.push(blocked);
    let mut gone = check("three-party-cycle", "0.14.0", "loom", "none", strength("bounded", 512, 0.9));
    gone.expectation = "deadlock".into();
    gone.verdict = Verdict::Vanished;
    gone.why = Some("expected deadlock, found none, exhaustive up to 3 preemptions".into());
    all.push(gone);
    all
}

fn step(number: usize, thread: &str, operation: &str, progress: Progress) -> LockStep {
    let line = if operation == "read" { 276 } else { 261 };
    LockStep {
        number,
        thread: thread.into(),
        operation: operation.into(),
        progress,
        lock: "RwLock<RegistryCore>".into(),
        at: format!("prometheus-0.14.0/src/registry.rs:{line}"),
    }
}

fn frames(functions: &[&str]) -> Vec<LockFrame> {
    let frame = |function: &&str| LockFrame {
        function: (*function).into(),
        at: "prometheus-0.14.0/src/registry.rs:276".into(),
    };
    functions.iter().map(frame).collect()
}

fn wait(thread: &str, operation: &str, lock: &str, waits_for: &[&str], step: usize) -> LockWait {
    LockWait {
        thread: thread.into(),
        operation: operation.into(),
        lock: lock.into(),
        is_lock: !lock.starts_with("channel"),
        progress: if operation == "write" { Progress::WaitsForReaders } else { Progress::Waits },
        at: "prometheus-0.14.0/src/registry.rs:276".into(),
        waits_for: waits_for.iter().map(ToString::to_string).collect(),
        step,
        stack: frames(&["prometheus::registry::Registry::gather", "on_prometheus::Calling::collect"]),
    }
}

fn held(thread: &str, operation: &str, lock: &str, step: usize) -> LockHeld {
    LockHeld {
        thread: thread.into(),
        operation: operation.into(),
        lock: lock.into(),
        at: "prometheus-0.14.0/src/registry.rs:276".into(),
        step,
        stack: frames(&["prometheus::registry::Registry::gather"]),
    }
}

fn deadlock() -> Counterexample {
    use Progress::{Asks, Has, Waits, WaitsForReaders};
    Counterexample {
        threads: vec!["main".into(), "register".into()],
        steps: vec![
            step(1, "main", "read", Asks),
            step(2, "main", "read", Has),
            step(3, "main", "read", Asks),
            step(4, "register", "write", Asks),
            step(5, "register", "write", WaitsForReaders),
            step(6, "main", "read", Waits),
        ],
        holds: vec![held("main", "read", "RwLock<RegistryCore>", 2)],
        waits: vec![
            wait("register", "write", "RwLock<RegistryCore>", &["main"], 5),
            wait("main", "read", "RwLock<RegistryCore>", &["register"], 6),
        ],
        cycle: vec!["register".into(), "main".into()],
        replay: "loom:3:7".into(),
    }
}

fn actor() -> Counterexample {
    Counterexample {
        threads: vec!["main".into(), "actor".into()],
        steps: vec![
            step(1, "main", "read", Progress::Has),
            step(2, "main", "recv", Progress::Waits),
            step(3, "actor", "write", Progress::WaitsForReaders),
        ],
        holds: vec![held("main", "read", "RwLock<RegistryCore>", 1)],
        waits: vec![
            wait("main", "recv", "channel<u64>", &[], 2),
            wait("actor", "write", "RwLock<RegistryCore>", &["main"], 3),
        ],
        cycle: Vec::new(),
        replay: "loom:3:1".into(),
    }
}

/// Each agreement once.
pub(crate) fn reality() -> Vec<Reality> {
    let row = |scenario: &str, agreement, live: &[(&str, u32)], models: &[(&str, &str)], says: &str| Reality {
        scenario: scenario.into(),
        agreement,
        live: live.iter().map(|(word, n)| (word.to_string(), *n)).collect(),
        models: models.iter().map(|(name, word)| (name.to_string(), word.to_string())).collect(),
        says: says.into(),
    };
    vec![
        row(
            "inc-during-gather",
            Agreement::Held,
            &[("served", 6)],
            &[("inc-during-gather[metric=histogram]", "none")],
            "no schedule of the model hangs, and no live trial deadlocked or stalled",
        ),
        row(
            "three-party-cycle",
            Agreement::Refuted,
            &[("deadlocked", 1)],
            &[("three-party-cycle", "none")],
            "deadlocked live, and no model of it deadlocks",
        ),
        row("slow-collect", Agreement::Outside, &[("stalled", 1)], &[], "sockets and slow peers"),
        row("two-gathers", Agreement::Alone, &[], &[("two-gathers", "none")], "live, a crowd stands for it"),
        row(
            "gather-in-collect",
            Agreement::Open,
            &[],
            &[("gather-in-collect", "deadlock")],
            "no live trial of it counts",
        ),
    ]
}
