//! Every worker of the runtime is blocked by a call that should not be made there, and a scrape finds nobody to run it.
//!
//! An async runtime has as many workers as the machine has processors, and all of the server runs on them: it accepts
//! connections, answers `/health`, runs the handler of `/metrics`. Code that blocks a worker takes it out of service. A
//! blocking socket call in an async task does that, or a scrape that is stuck in `gather()`. The first few go unnoticed. The last one
//! takes everything along, `/health` with it, and the process looks dead although nothing in it has failed.
//!
//! sglang serves `/metrics` on the event loop that serves everything else, so a slow or stuck read of the registry runs
//! there and can starve the health checks.
//!
//! Here four jobs of the application ask a peer that accepts and says nothing, each over a blocking socket inside an async
//! task, on a runtime of four workers. The scrape is sent when all four are inside. The page itself is harmless, and so it
//! makes no difference how it is written: nobody comes to write it. What helps is a listener with threads of its own
//! (`on=listener`), which only `guarded` has.
//!
//! ```text
//! job 1-4    async task on worker 1-4: connect ── recv ..................... (until the peer speaks)
//! scrape     connection stands in the backlog: no worker accepts it
//! listener   thread of its own: accepts ── own thread collects ── 200 OK
//! ```
//!
//! ## Run it
//! `cargo xtask repro 'workers-eaten*'`
//!
//! ## What it prints
//! ```text
//!                                 timeout-              timeout-
//!                      naive      inline     offload    offload    try-lock   atomics    exporter   official   guarded
//! ────────────────────────────────────────────────────────────────────────────────────────────────────────────────────
//! runtime
//!   workers-eaten      ✓ starved  ✓ starved  ✓ starved  ✓ starved  ✓ starved  ✓ starved  ✓ starved  ✓ starved  ✓ starved
//!     on=route           recovers   recovers   recovers   recovers   recovers   recovers   recovers   recovers   recovers
//!   workers-eaten      –          –          –          –          –          –          –          –          ✓ served
//!     on=listener                                                                                                recovers
//!
//!   naive            starved     no thread runs the request: all 4 workers of the runtime are blocked
//! ```

use super::plain;
use crate::lesson::{Cell, Lesson};
use crate::peer::Peer;
use crate::setting::Setting;
use crate::stage::{App, Stage, WORKERS};
use gatherlock::catalogue::Problem;
use gatherlock::model::{Command, Company, Drive, Outcome, Release};
use std::sync::mpsc;
use tokio::sync::oneshot;

fn play(stage: &Stage) -> Result<App, Problem> {
    let peer = Peer::start(stage)?;
    let (tell, inside) = mpsc::channel();
    let (mut starts, mut jobs) = (Vec::new(), Vec::new());
    for _ in 0..WORKERS {
        let (start, started) = oneshot::channel::<()>();
        let (peer, tell) = (peer.clone(), tell.clone());
        starts.push(start);
        jobs.push(async move {
            if started.await.is_ok() && tell.send(()).is_ok() {
                // The mistake: this blocks the worker, and nothing else runs on it meanwhile.
                if let Err(error) = peer.lag() {
                    eprintln!("the peer is gone: {error}");
                }
            }
        });
    }
    let (silent, journal) = (peer.clone(), stage.journal().clone());
    let app = plain::serve(stage)?.with_tasks(jobs).on(Command::Arm, move || {
        silent.fall_silent();
        for start in starts.drain(..) {
            start.send(()).map_err(|()| "a job has ended")?;
        }
        // Whoever says so goes on without an await, so a worker is his from here on; and none of them comes back.
        for _ in 0..WORKERS {
            inside.recv()?;
        }
        journal.reached("all workers are inside a blocking call");
        Ok(())
    });
    Ok(app.on(Command::Release, move || {
        peer.recover(false);
        Ok(())
    }))
}

pub(crate) const LESSON: Lesson = Lesson {
    id: "workers-eaten",
    family: "runtime",
    source: include_str!("workers_eaten.rs"),
    origin: &["sgl-project/sglang#28163 (kin)"],
    company: Company::Together,
    bound_ms: Some(500),
    drive: Drive::Scrapes { extra: 0 },
    release: Release::AtEnd,
    advice: &[
        "never block in async code: use the runtime's own I/O, or spawn_blocking with a deadline inside the call",
        "serve /metrics and /health from a listener with threads of its own, so that they can tell of a runtime that is stuck",
    ],
    expect,
    play,
};

fn expect(setting: &Setting) -> Cell {
    if let Some(skip) = plain::skip(setting) {
        return skip;
    }
    if plain::has_listener(setting) {
        let because =
            "accepting, collecting and answering run on the guard's own threads; the starved runtime is not asked";
        return Cell::must(Outcome::Served, because).recovers(true);
    }
    let because = "all workers are inside a blocking call, so nobody accepts the connection: whatever the handler would do, it does not run";
    Cell::must(Outcome::Starved, because).recovers(true)
}
