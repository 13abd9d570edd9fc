//! Reports made by hand for the renderers' tests and benchmarks: every outcome, every verdict, deadlocks of several shapes.

#![allow(dead_code)] // Each test and benchmark uses its own part.

pub(crate) mod cases;
pub(crate) mod diagnoses;
pub(crate) mod figures;
pub(crate) mod hostile;
pub(crate) mod models;

use cases::{Shown, case, skip};
use gatherlock::model::*;

/// A run as one hopes to attach to a bug report: most expectations held, one violated, one vanished, one inconclusive.
pub(crate) fn report() -> Report {
    let cases = all_cases();
    let summary = Summary::of(&cases);
    let mut report = Report {
        schema: REPORT_SCHEMA.into(),
        tool: Tool { name: "gatherlock".into(), version: "0.1.0".into(), commit: Some("506d251".into()) },
        environment: Environment {
            os: "linux x86_64".into(),
            cpus: 2,
            rustc: "1.95.0".into(),
            kernel: "6.12.8".into(),
            prometheus: vec!["0.13.4".into(), "0.14.0".into()],
        },
        command: ["cargo", "xtask", "repro", "--trials", "3"].map(String::from).to_vec(),
        seed: 42,
        bound_ms: 1_000,
        hang_limit_ms: 3_000,
        started: "2025-11-03T09:30:00Z".into(),
        duration_ms: 27_450,
        scenarios: cases::scenarios(),
        variants: cases::variants(),
        findings: findings(),
        fixes: None,
        figures: None,
        diagnosis: None,
        models: models::checks(),
        reality: models::reality(),
        interrupted: false,
        problems: vec![
            "the journal of `slow-collect/official` ended in the middle of a line; that trial is void".into(),
        ],
        exit_code: 1,
        cases,
        summary,
    };
    report.add_figures(figures::figures());
    report
}

/// A report of `n` cases, each with three trials, a timeline and, where it hung for a reason that is known, a diagnosis.
pub(crate) fn many(n: usize) -> Report {
    let mut report = report();
    let rich: Vec<CaseReport> = report
        .cases
        .iter()
        .filter(|case| case.trials.iter().any(|trial| !trial.timeline.is_empty()))
        .cloned()
        .collect();
    let columns = report.variants.len();
    report.cases = (0..n)
        .map(|at| {
            let mut case = rich[at % rich.len()].clone();
            case.variant = report.variants[at % columns].id.clone();
            case.id = CaseId::new(case.scenario.clone(), case.variant.clone()).with("n", (at / columns).to_string());
            case
        })
        .collect();
    report.summary = Summary::of(&report.cases);
    report
}

fn all_cases() -> Vec<CaseReport> {
    use Outcome::*;
    let mut all = Vec::new();
    for variant in
        ["naive", "timeout-inline", "offload", "timeout-offload", "try-lock", "atomics", "exporter", "official"]
    {
        let mut show = Shown::must(Served, "plain updates take no lock that gather() waits for");
        show.evidence = "";
        all.push(case("inc-during-gather", variant, show));
    }
    for lock in ["parking-lot", "std"] {
        for variant in ["naive", "timeout-inline", "offload"] {
            let mut show = Shown::must(Deadlocked, "collect() waits for the lock whose holder registers a metric");
            show.evidence = "\"tokio-rt-worker\" (tid 25161) waits for SessionState, held by \"session-open\" (tid 25160), which waits \
                             for Registry #1, held READ by \"tokio-rt-worker\" (tid 25161)";
            show.diagnosis = Some(diagnoses::two_threads());
            show.stuck = Some(1);
            show.recovers = Some(false);
            all.push(cases::with(case("register-under-app-lock", variant, show), "lock", lock));
        }
        let mut show = Shown::must(Contained, "a timer on another thread answers 503; the gather stays stuck");
        show.leaked = Some(1.0);
        show.stuck = Some(1);
        show.recovers = Some(false);
        show.residue = &["the blocking thread that runs gather()", "the application thread \"session-open\""];
        all.push(cases::with(case("register-under-app-lock", "timeout-offload", show), "lock", lock));
        let mut show = Shown::must(Invalid, "try_lock leaves the family out while the lock is taken");
        show.evidence = "the family `sessions_total` was registered before the scrape and is missing from it";
        all.push(cases::with(case("register-under-app-lock", "try-lock", show), "lock", lock));
        all.push(cases::with(
            skip("register-under-app-lock", "atomics", "hand-written text has no registry to register in"),
            "lock",
            lock,
        ));
        all.push(cases::with(
            case("register-under-app-lock", "exporter", Shown::must(Served, "no collector runs during a scrape")),
            "lock",
            lock,
        ));
    }
    let mut show = Shown::must(Deadlocked, "three locks, each held by the thread that the next one waits for");
    show.evidence = "\"tokio-rt-worker\" (tid 311) waits for the cache, held by \"refresher\" (tid 312), which waits for the index, held \
                     by \"compactor\" (tid 313), which waits for Registry #1, held READ by \"tokio-rt-worker\" (tid 311)";
    show.diagnosis = Some(diagnoses::three_threads());
    show.stuck = Some(2);
    show.recovers = Some(false);
    all.push(case("three-party-cycle", "naive", show));
    let mut show = Shown::must(Livelocked, "gather() spins until the frozen observer has finished");
    show.evidence = "\"tokio-rt-worker\" (tid 720) spins in HistogramCore::proto: 2589 observations started, 2588 finished, unchanged";
    show.diagnosis = Some(diagnoses::spin());
    show.recovers = Some(true);
    all.push(case("observer-frozen-mid-observe", "naive", show));
    let mut show = Shown::must(Stalled, "the reply never comes: the actor waits for the registry");
    show.evidence = "\"tokio-rt-worker\" (tid 801) waits for a channel while it holds Registry #1 READ";
    show.diagnosis = Some(diagnoses::actor());
    show.verdict = Verdict::Inconclusive;
    show.covered = false;
    all.push(case("actor-cycle", "naive", show));
    for variant in ["naive", "timeout-inline", "offload", "try-lock", "official"] {
        let mut show = Shown::must(Deadlocked, "register() wants the lock that gather() of the same thread holds");
        show.evidence = "\"tokio-rt-worker\" (tid 4711) waits to WRITE Registry #1, which it holds READ itself";
        show.diagnosis = Some(diagnoses::self_wait());
        show.recovers = Some(false);
        all.push(case("register-in-collect", variant, show));
    }
    let mut show = Shown::must(Served, "the guard copies its collectors out and releases the lock before it collects");
    show.seen = Contained;
    show.verdict = Verdict::Violated;
    show.leaked = Some(0.33);
    show.recovers = Some(true);
    show.evidence = "503 after 800 ms: collector `sessions` did not finish";
    show.seen_also = Some(Served);
    all.push(case("register-in-collect", "timeout-offload", show));
    let mut show = Shown::must(Deadlocked, "a queued writer blocks the second read");
    show.seen = Served;
    show.verdict = Verdict::Vanished;
    show.evidence = "the writer was not parked on Registry #1 when the second read was taken";
    all.push(case("gather-in-collect", "naive", show));
    for (variant, seen) in [("naive", Late), ("offload", Busy), ("exporter", Late)] {
        let mut show = Shown::may([Late, Busy], "encoding outgrows the bound; how far depends on the machine");
        show.seen = seen;
        if seen == Busy {
            show.evidence = "\"tokio-rt-worker\" (tid 91) took 2940 ms of CPU in TextEncoder::encode and went on";
        }
        all.push(case("cardinality-explosion", variant, show));
    }
    let mut show = Shown::must(Stalled, "the peer accepts and says nothing");
    show.evidence = "\"tokio-rt-worker\" (tid 66) waits in recvfrom on a socket under SlowCollector::collect";
    show.recovers = Some(true);
    all.push(case("slow-collect", "naive", show));
    let mut show = Shown::must(Stalled, "the peer accepts and says nothing");
    show.void = Some("the child's journal ended in the middle of a line");
    show.verdict = Verdict::Inconclusive;
    all.push(case("slow-collect", "official", show));
    let mut show = Shown::must(Starved, "each stuck scrape takes one worker, and there are two");
    show.evidence = "2 of 2 workers are stuck in application code; the request has no thread to run on";
    show.health = Some(HealthCount { answered: 0, sent: 2 });
    all.push(case("workers-eaten", "naive", show));
    let mut show = Shown::must(Invalid, "try_lock drops updates under contention");
    show.lost = Some(1_312);
    show.evidence = "10000 updates made, 8688 exposed";
    all.push(case("lost-updates", "try-lock", show));
    let mut show = Shown::must(Crashed, "a collector aborts the process");
    show.evidence = "the process ended with SIGABRT while the judged scrape was open";
    all.push(case("abort-in-collect", "naive", show));
    let mut show = Shown::must(Unreachable, "initialisation blocks before bind");
    show.evidence = "nothing accepted the connection for 3 s";
    all.push(case("never-bound", "naive", show));
    for case in &mut all {
        cases::finish(case);
    }
    all
}

fn findings() -> Vec<Finding> {
    vec![
        Finding {
            says: "Plain updates against gather(), the incident's written root cause, were not reproduced: every scrape was served."
                .into(),
            strength: Strength::Trials { n: 10 },
            cases: vec![CaseId::new("inc-during-gather", "naive"), CaseId::new("inc-during-gather", "official")],
            models: vec![],
        },
        Finding {
            says: "A timeout around a synchronous gather() does not fire: the thread that would poll it is the one that is stuck.".into(),
            strength: Strength::Trials { n: 2 },
            cases: vec![CaseId::new("register-under-app-lock", "timeout-inline").with("lock", "std")],
            models: vec![],
        },
        Finding {
            says: "No schedule of update against gather() deadlocks.".into(),
            strength: Strength::Exhausted { bounds: "2 threads, 3 preemptions, sc loads".into() },
            cases: vec![],
            models: vec!["inc-during-gather".into()],
        },
    ]
}
