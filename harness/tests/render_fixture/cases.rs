//! Cases made by hand: what a scenario and a variant are, and what a trial of each outcome leaves.

use gatherlock::model::*;
use std::collections::BTreeMap;

/// What a case shows.
pub(crate) struct Shown {
    /// What was expected.
    pub(crate) expectation: Expectation,
    /// What was seen.
    pub(crate) seen: Outcome,
    /// What the last trial showed, if something else.
    pub(crate) seen_also: Option<Outcome>,
    /// The verdict.
    pub(crate) verdict: Verdict,
    /// The decisive evidence; none if empty.
    pub(crate) evidence: &'static str,
    /// The diagnosis of the first trial.
    pub(crate) diagnosis: Option<Diagnosis>,
    /// Threads leaked per scrape.
    pub(crate) leaked: Option<f64>,
    /// Application threads stuck.
    pub(crate) stuck: Option<u32>,
    /// Updates lost.
    pub(crate) lost: Option<u64>,
    /// Whether it recovers.
    pub(crate) recovers: Option<bool>,
    /// Health checks.
    pub(crate) health: Option<HealthCount>,
    /// What stays inside.
    pub(crate) residue: &'static [&'static str],
    /// Whether the evidence covers the case.
    pub(crate) covered: bool,
    /// Why the trials are void.
    pub(crate) void: Option<&'static str>,
}

impl Shown {
    /// Every trial must show `outcome`, and does.
    pub(crate) fn must(outcome: Outcome, because: &str) -> Shown {
        Shown::of(Expectation::must(outcome, because), outcome)
    }

    /// Every trial may show one of `outcomes`.
    pub(crate) fn may<const N: usize>(outcomes: [Outcome; N], because: &str) -> Shown {
        Shown::of(Expectation::may(outcomes, because), outcomes[0])
    }

    fn of(expectation: Expectation, seen: Outcome) -> Shown {
        Shown {
            expectation,
            seen,
            seen_also: None,
            verdict: Verdict::Held,
            evidence: "",
            diagnosis: None,
            leaked: None,
            stuck: None,
            lost: None,
            recovers: None,
            health: Some(HealthCount { answered: 2, sent: 2 }),
            residue: &[],
            covered: true,
            void: None,
        }
    }
}

/// A case with three trials if it is `naive` or mixed, else one.
pub(crate) fn case(scenario: &str, variant: &str, shown: Shown) -> CaseReport {
    let mut limits = ExpectedLimits::default();
    if shown.verdict == Verdict::Held {
        limits.recovers = shown.recovers;
        limits.threads_leaked_per_scrape = shown.leaked.map(Range::exactly);
        limits.app_threads_stuck = shown.stuck.map(|n| Range::at_least(f64::from(n)));
        limits.lost_updates = shown.lost.map(|_| Range::at_least(1.0));
    }
    let info = scenarios().into_iter().find(|info| info.id == scenario).expect("a scenario of the fixture");
    let count = if variant == "naive" || shown.seen_also.is_some() { 3 } else { 1 };
    let trials: Vec<TrialReport> = (0..count).map(|n| trial(n, &shown, variant == "naive")).collect();
    CaseReport {
        id: CaseId::new(scenario, variant),
        scenario: scenario.into(),
        variant: variant.into(),
        family: info.family,
        story: info.title,
        skip: None,
        params: BTreeMap::new(),
        expectation: Some(shown.expectation.clone().with_limits(limits)),
        verdict: Some(shown.verdict),
        strength: Some(Strength::Trials { n: if shown.void.is_some() { 0 } else { count } }),
        trials,
    }
}

/// A case that was not run.
pub(crate) fn skip(scenario: &str, variant: &str, reason: &str) -> CaseReport {
    let mut case = case(scenario, variant, Shown::must(Outcome::Served, ""));
    case.skip = Some(reason.into());
    (case.expectation, case.verdict, case.strength) = (None, None, None);
    case.trials.clear();
    case
}

/// The same case with a parameter.
pub(crate) fn with(mut case: CaseReport, name: &str, value: &str) -> CaseReport {
    case.id = case.id.with(name, value);
    case.params.insert(name.into(), value.into());
    case
}

/// Writes the replay lines, which need the final id.
pub(crate) fn finish(case: &mut CaseReport) {
    for trial in &mut case.trials {
        trial.replay = format!("cargo xtask repro '{}' --trials 1 --seed {}", case.id, trial.seed);
    }
}

/// `full`: whether the first trial keeps its diagnosis and its timeline.
fn trial(n: u32, shown: &Shown, full: bool) -> TrialReport {
    let outcome = if n == 2 { shown.seen_also.unwrap_or(shown.seen) } else { shown.seen };
    let hung = outcome.is_hang();
    let judged = exchange(outcome);
    let end = 40_000 + judged.total_us;
    let request = |number, purpose, at_us, exchange, class| RequestReport {
        request: number,
        purpose,
        endpoint: String::new(),
        at_us,
        exchange,
        class,
        wrong: match class {
            Some(Outcome::Invalid) => vec!["the family `sessions_total` is missing".into()],
            _ => vec![],
        },
    };
    let mut requests = vec![
        request(1, Purpose::Before, 12_000, exchange(Outcome::Served), Some(Outcome::Served)),
        request(2, Purpose::Judged, 40_000, judged, Some(outcome)),
    ];
    let health = shown.health.unwrap_or_default();
    for check in 0..health.sent {
        let served = check < health.answered;
        let how = exchange(if served { Outcome::Served } else { Outcome::Stalled });
        requests.push(request(3 + check, Purpose::Health, 60_000 + u64::from(check) * 400_000, how, None));
    }
    if shown.recovers.is_some() {
        let class = if shown.recovers == Some(true) { Outcome::Served } else { Outcome::Stalled };
        requests.push(request(9, Purpose::After, end + 20_000, exchange(class), Some(class)));
    }
    TrialReport {
        seed: 42_000 + u64::from(n),
        bound_ms: 1_000,
        hang_limit_ms: 3_000,
        outcome: if shown.void.is_some() { None } else { Some(outcome) },
        duration_ms: end / 1_000 + 35,
        probes: TrialProbes {
            prometheus: Some(PrometheusView {
                up: u8::from(outcome == Outcome::Served),
                scrape_duration_seconds: if hung { 1.0 } else { 0.0012 },
                scrape_samples_scraped: if hung { 0 } else { 37 },
            }),
            thread_states: BTreeMap::from([("S futex_wait_queue".to_string(), 4), ("S ep_poll".to_string(), 2)]),
            parking_lot_detector: hung.then(|| vec![2]),
            lag_ms: 0.4,
            requests,
        },
        void: shown.void.map(Void::because),
        residue: shown.residue.iter().map(|what| what.to_string()).collect(),
        limits: Limits {
            threads_leaked_per_scrape: shown.leaked,
            app_threads_stuck: shown.stuck,
            lost_updates: shown.lost,
            recovers: shown.recovers,
            health: shown.health,
        },
        canary_moved: if outcome == Outcome::Served { CanaryMoved::Yes } else { CanaryMoved::NotChecked },
        evidence: evidence(shown, outcome),
        covered: shown.covered,
        diagnosis: if n == 0 && full { shown.diagnosis.clone() } else { None },
        timeline: if n == 0 && full { timeline(shown, outcome, end) } else { vec![] },
        classified_in_ms: hung.then_some(18.2),
        release: shown.recovers.map(|_| Release::AtEnd),
        ..TrialReport::default()
    }
}

fn evidence(shown: &Shown, outcome: Outcome) -> Vec<Evidence> {
    if shown.evidence.is_empty() || outcome == Outcome::Served && shown.seen != Outcome::Served {
        return vec![];
    }
    let detector = match outcome {
        Outcome::Deadlocked => "cycle",
        Outcome::Livelocked => "spin",
        Outcome::Starved => "starvation",
        Outcome::Invalid => "exposition",
        _ => "stall",
    };
    let because = shown.diagnosis.iter().flat_map(|found| &found.edges);
    let because = because
        .map(|edge| format!("tid {} {:?} {} ({:?})", edge.thread, edge.relation, edge.resource, edge.provenance));
    let decides =
        Evidence { detector: detector.into(), says: shown.evidence.into(), because: because.collect(), decisive: true };
    let states = Evidence {
        detector: "procfs".into(),
        says: "4 threads sleep in futex_wait_queue, none is on CPU".into(),
        because: vec!["thread states at the second sample".into()],
        decisive: false,
    };
    vec![decides, states]
}

fn exchange(outcome: Outcome) -> Exchange {
    let answered = |total_us: u64, status: u16, content_type: &str, bytes: u64| Exchange {
        connected_us: Some(90),
        sent_us: Some(130),
        first_byte_us: Some(total_us - 60),
        total_us,
        status: Some(status),
        content_type: Some(content_type.into()),
        bytes,
        ..Exchange::default()
    };
    let text = "text/plain; version=0.0.4; charset=utf-8";
    match outcome {
        Outcome::Served => answered(1_240, 200, text, 2_113),
        Outcome::Contained => answered(501_300, 503, "text/plain", 64),
        Outcome::Late => answered(1_430_000, 200, text, 48_000_000),
        Outcome::Invalid => answered(1_900, 200, text, 1_800),
        Outcome::Crashed => Exchange {
            connected_us: Some(80),
            sent_us: Some(120),
            total_us: 21_000,
            error: Some(ExchangeError::Closed { reason: "reset before the first byte".into() }),
            ..Exchange::default()
        },
        Outcome::Unreachable => Exchange {
            total_us: 3_000_000,
            error: Some(ExchangeError::Unreachable { reason: "connection refused".into() }),
            ..Exchange::default()
        },
        _ => Exchange {
            connected_us: Some(85),
            sent_us: Some(125),
            total_us: 3_000_000,
            error: Some(ExchangeError::HangLimit),
            ..Exchange::default()
        },
    }
}

fn timeline(shown: &Shown, outcome: Outcome, end: u64) -> Vec<TimelineEntry> {
    let entry = |lane: &str, from_us, to_us, kind, label: &str| TimelineEntry {
        lane: lane.into(),
        from_us,
        to_us,
        kind,
        label: label.into(),
    };
    let mut all = vec![
        entry("parent", 2_000, None, TimelineKind::Mark, "ready"),
        entry("parent", 31_000, None, TimelineKind::Mark, "arm"),
        entry("scrape 1", 12_000, Some(13_240), TimelineKind::Request, "before, 200"),
        entry("scrape 2", 40_000, Some(end), TimelineKind::Request, &format!("judged: {outcome}")),
    ];
    if outcome.is_hang() {
        all.push(entry("parent", 1_040_000, None, TimelineKind::Mark, "bound passed, sample 1"));
        all.push(entry("parent", 3_040_000, None, TimelineKind::Mark, "hang limit, sample 2"));
    }
    let Some(found) = shown.diagnosis.as_ref().filter(|_| outcome.is_hang()) else { return all };
    for edge in &found.edges {
        let name = found.threads.iter().find(|thread| thread.tid == edge.thread).map_or("?", |thread| &thread.name);
        let lane = format!("{name} {}", edge.thread);
        let what =
            found.resources.iter().find(|resource| resource.id == edge.resource).map_or("?", |resource| &resource.name);
        let (kind, from) = match edge.relation {
            Relation::Holds => (TimelineKind::Holds, 41_000),
            _ => (TimelineKind::Waits, 43_000),
        };
        if all.len() < 14 {
            all.push(entry(&lane, from, Some(end), kind, &format!("{} {what}", edge.mode.word())));
        }
    }
    for spin in found.threads.iter().filter(|thread| thread.state == "R") {
        let lane = format!("{} {}", spin.name, spin.tid);
        all.push(entry(&lane, 44_000, Some(end), TimelineKind::Runs, "HistogramCore::proto"));
    }
    all
}

/// The variants, in the order of the columns.
pub(crate) fn variants() -> Vec<VariantInfo> {
    [
        ("naive", "gather() on the async worker, as in the incident", None),
        ("timeout-inline", "a tokio timeout around the synchronous gather()", None),
        ("offload", "gather() in spawn_blocking, no timeout", None),
        ("timeout-offload", "spawn_blocking with a timeout and a permit", Some("fix 1")),
        ("try-lock", "application locks are tried, never waited for", Some("fix 1")),
        ("atomics", "atomics and hand-written text", Some("fix 2")),
        ("exporter", "the `metrics` crate with its Prometheus exporter", Some("fix 3")),
        ("official", "prometheus-client behind a RwLock", None),
    ]
    .map(|(id, title, fix)| VariantInfo { id: id.into(), title: title.into(), fix: fix.map(String::from) })
    .to_vec()
}

/// The scenarios, in catalogue order.
pub(crate) fn scenarios() -> Vec<ScenarioInfo> {
    let info = |family: &str, id: &str, title: &str, origin: &str| ScenarioInfo {
        id: id.into(),
        family: family.into(),
        title: title.into(),
        story: format!(
            "{title}. It passes every test in which nothing else runs, because the second party has to arrive between two steps of the \
             first.\n\nHere both parties are held at gates until each has what the other wants; then the gates open."
        ),
        origin: vec![origin.into()],
        advice: vec![
            "Do not take a lock in collect() that is also held around register().".into(),
            "Take a snapshot of the state before gather(), or register before locking.".into(),
        ],
    };
    let update = "update during gather";
    let beyond = "beyond the three patterns";
    vec![
        info(update, "inc-during-gather", "Counters are updated while they are gathered", "the incident"),
        info(
            update,
            "register-under-app-lock",
            "collect() wants the lock whose holder registers a metric",
            "neondatabase/neon#2566",
        ),
        info(
            update,
            "three-party-cycle",
            "Gather waits for a cache, the cache for an index, the index for the registry",
            "containerd/containerd#6788",
        ),
        info(update, "observer-frozen-mid-observe", "A thread is frozen inside Histogram::observe", "client_java#2336"),
        info(update, "actor-cycle", "collect() asks an actor that is registering a metric", "scylla-manager#2843"),
        info(
            "recursive lock",
            "register-in-collect",
            "A collector registers a metric while it is collected",
            "client_python#1076",
        ),
        info(
            "recursive lock",
            "gather-in-collect",
            "A collector gathers, and a writer is queued in between",
            "holochain#1198",
        ),
        info("contention", "cardinality-explosion", "Encode time and body outgrow the bound", "adguard-exporter#70"),
        info(beyond, "slow-collect", "Blocking I/O inside collect()", "node_exporter#868"),
        info(beyond, "workers-eaten", "Each stuck scrape takes one runtime worker", "sglang#28163"),
        info(beyond, "lost-updates", "try_lock drops updates under contention", "fix 1 of the report"),
        info(beyond, "abort-in-collect", "A collector aborts the process", "none"),
        info(beyond, "never-bound", "Initialisation blocks before bind", "rook#17906"),
    ]
}
