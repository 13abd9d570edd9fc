//! The incident: three nodes whose `/metrics` hangs while `/health` answers, on the report's own ports.
//!
//! Each node listens on one of 127.0.0.1:9101, 9102 and 9103 with `/health`, `/ready` and `/metrics`, on a runtime of its
//! own with four workers. After the nodes are up, a session is opened on each, and from the next scrape on `/metrics`
//! does not answer on any of them.
//!
//! The mechanism is *chosen*. The report blames updates during a gather, and that does not hang (see
//! `inc-during-gather` and `new-series-during-gather`); the incident's own code, built alone, did not hang either. So the
//! nodes have the mistake of `register-under-app-lock`, which fits what the report describes: it needs traffic, it is not
//! in the handler, nothing is logged, and `/health` goes on answering until the workers are used up. Others would fit, too.
//!
//! The other columns run the same three nodes with each fix that the report proposes. What `/health` did beside it is
//! recorded and not judged: it may answer, or a stuck worker may have taken it along.
//!
//! ```text
//! 9101  9102  9103     /health  OK        /ready  READY        /metrics  ......... (until the client gives up)
//! ```
//!
//! ## Run it
//! `cargo xtask repro 'incident*'`
//!
//! ## What it prints
//! ```text
//!                         timeout-                  timeout-
//!            naive        inline       offload      offload     try-lock  atomics  exporter official
//! ──────────────────────────────────────────────────────────────────────────────────────────────────────
//! the incident
//!   incident ✓ deadlocked ✓ deadlocked ✓ deadlocked ✓ contained ✓ invalid ✓ served ✓ served ✓ deadlocked
//!              +1/scrape    +1/scrape    +1/scrape    +1/scrape                               +1/scrape
//!              3 stuck      3 stuck      3 stuck      3 stuck                                 3 stuck
//!
//!                       guarded
//! ─────────────────────────────────
//! the incident
//!   incident            ✓ served
//!   incident            ✓ contained
//!     prometheus=0.13.4   +1/scrape
//!                         3 stuck
//!
//!   naive            deadlocked  `tokio-rt-worker` 3729 holds prometheus Registry #1 (READ) and waits for Mutex<Sessions>
//!                                (LOCK), which `session-open` 3738 holds while it waits for prometheus Registry #1
//!                                (WRITE)
//! ```

use super::register_under_app_lock;
use crate::lesson::{Cell, Lesson};
use crate::locks::parking_lot::Mutex;
use crate::setting::Setting;
use crate::stage::{App, Stage};
use crate::variants::atomics::write_metric;
use crate::variants::{Library, Variant, atomics};
use gatherlock::catalogue::Problem;
use gatherlock::model::{Command, Company, Drive, Outcome, Release};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The nodes and their ports, from the report.
const NODES: [(&str, u16); 3] = [("node1", 9101), ("node2", 9102), ("node3", 9103)];

/// The second proposed fix: the number of sessions is an atomic, no metric is made for a session.
fn node_on_atomics(stage: &Stage) -> App {
    let sessions = Arc::new(Mutex::new(Vec::<u64>::new()));
    let open = Arc::new(AtomicU64::new(0));
    let shown = open.clone();
    let (routes, bump) = atomics::routes(move |text| {
        write_metric(text, "sessions", "gauge", "Open sessions", shown.load(Ordering::Relaxed));
    });
    let stage = stage.clone();
    App::new(routes, bump).on(Command::Arm, move || {
        let (sessions, open) = (sessions.clone(), open.clone());
        stage.actor("session-open", move || {
            let mut sessions = sessions.lock();
            sessions.push(7);
            open.store(sessions.len() as u64, Ordering::Relaxed);
            Ok(())
        })?;
        Ok(())
    })
}

fn play(stage: &Stage) -> Result<App, Problem> {
    let stage = stage.with_param("lock", "parking-lot");
    let mut nodes = Vec::new();
    for (name, port) in NODES {
        let node = match stage.setting.variant.library() {
            Library::Atomics => node_on_atomics(&stage),
            _ => (register_under_app_lock::LESSON.play)(&stage)?,
        };
        nodes.push(node.into_node(name, port).with_ready());
    }
    Ok(App::cluster(nodes))
}

pub(crate) const LESSON: Lesson = Lesson {
    id: "incident",
    family: "the incident",
    source: include_str!("incident.rs"),
    origin: &["the incident report"],
    company: Company::OneAtATime,
    // Its cases take the ports in turn, and eight of them wait for three bounds each.
    bound_ms: Some(400),
    drive: Drive::Scrapes { extra: 0 },
    release: Release::Never,
    advice: register_under_app_lock::LESSON.advice,
    expect,
    play,
};

fn expect(setting: &Setting) -> Cell {
    match setting.variant {
        Variant::Atomics => Cell::must(
            Outcome::Served,
            "no registry and no lock in the page: the fix answers; what it answers with is the matter of frozen-canary",
        ),
        // The nodes are those of register-under-app-lock, and so are the reasons.
        // Three nodes with one scrape each, and with one thread each that stays behind it.
        Variant::Guarded => Cell::cured(
            setting,
            1,
            "register() waits for nothing, so the session table is released and the collector gets it, on each of the nodes",
        ),
        _ => (register_under_app_lock::LESSON.expect)(setting),
    }
}
