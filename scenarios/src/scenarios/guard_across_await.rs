//! A lock guard lives across an `.await`, and the only thread that could go on with its task waits for that lock.
//!
//! A task takes a `std::sync::Mutex`, awaits its upstream and means to release the guard after that. While it is suspended
//! the lock stays taken, by nobody who runs. The next task wants the same lock and blocks the thread it runs on. On a runtime of one
//! thread that is the thread which would have resumed the first task: the answer of the upstream arrives, and nobody is
//! left to look at it.
//!
//! With more threads it takes more tasks, not more luck. No deadlock detector sees a cycle: the holder is no thread but a
//! suspended task, and a mutex does not say whose it is.
//!
//! pkdns, a DNS server, held a lock across an await.
//!
//! The page itself has nothing to do with the lock. It is not served because nobody is left to serve it, whatever the
//! handler; a listener with threads of its own (`on=listener`) is, and only `guarded` has one.
//!
//! ```text
//! refresh     takes zones ── await upstream (suspended, the guard lives on) ......... ready to go on, and no thread
//! resolve          the runtime's only thread: waits for zones
//! scrape           connection stands in the backlog: nobody accepts it
//! ```
//!
//! ## Run it
//! `cargo xtask repro 'guard-across-await*'`
//!
//! ## What it prints
//! ```text
//!                                 timeout-              timeout-
//!                      naive      inline     offload    offload    try-lock   atomics    exporter   official   guarded
//! ────────────────────────────────────────────────────────────────────────────────────────────────────────────────────
//! runtime
//!   guard-across-await ✓ starved  ✓ starved  ✓ starved  ✓ starved  ✓ starved  ✓ starved  ✓ starved  ✓ starved  ✓ starved
//!     on=route
//!   guard-across-await –          –          –          –          –          –          –          –          ✓ served
//!     on=listener
//!
//!   naive            starved     no thread runs the request: the runtime's only worker is blocked
//! ```

use super::plain;
use crate::lesson::{Cell, Lesson};
use crate::setting::Setting;
use crate::stage::{App, Stage};
use gatherlock::catalogue::Problem;
use gatherlock::model::{Command, Company, Drive, Outcome, Release};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::Notify;

/// What the server answers from.
#[derive(Debug, Default)]
struct Zones {
    records: Mutex<Vec<String>>,
}

impl Zones {
    /// Fetches a record and keeps it.
    #[allow(clippy::await_holding_lock, reason = "the mistake is the point; this lint finds it")]
    async fn refresh(&self, tell: &Sender<()>, upstream: &Notify) {
        let mut records = self.records.lock().unwrap_or_else(PoisonError::into_inner);
        if tell.send(()).is_err() {
            return;
        }
        // The mistake: the guard above lives on while this task is suspended.
        upstream.notified().await;
        records.push("fresh".to_string());
    }

    /// Looks something up.
    fn resolve(&self) -> Option<String> {
        self.records.lock().unwrap_or_else(PoisonError::into_inner).first().cloned()
    }
}

fn play(stage: &Stage) -> Result<App, Problem> {
    let (zones, journal) = (Arc::<Zones>::default(), stage.journal().clone());
    let (due, asked, upstream) = (Arc::new(Notify::new()), Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (tell, told) = channel();
    let refresh = {
        let (zones, due, upstream, tell) = (zones.clone(), due.clone(), upstream.clone(), tell.clone());
        move || async move {
            due.notified().await;
            zones.refresh(&tell, &upstream).await;
        }
    };
    let resolve = {
        let asked = asked.clone();
        move || async move {
            asked.notified().await;
            // Whoever is told may go on: there is no await between here and the lock.
            if tell.send(()).is_ok() {
                zones.resolve();
            }
        }
    };
    let app = plain::serve(stage)?
        .on_one_thread(vec![Box::new(move || Box::pin(refresh())), Box::new(move || Box::pin(resolve()))]);
    Ok(app.on(Command::Arm, move || {
        due.notify_one();
        told.recv()?;
        journal.reached("zones taken, and its task suspended");
        asked.notify_one();
        told.recv()?;
        journal.reached("the runtime's only thread wants zones");
        upstream.notify_one();
        Ok(())
    }))
}

pub(crate) const LESSON: Lesson = Lesson {
    id: "guard-across-await",
    family: "runtime",
    source: include_str!("guard_across_await.rs"),
    origin: &["pubky/pkdns#51"],
    company: Company::Together,
    bound_ms: Some(500),
    drive: Drive::Scrapes { extra: 0 },
    release: Release::Never,
    advice: &[
        "end the guard's scope before the await: take what you need out of the lock, or put what you got into it afterwards",
        "keep clippy's `await_holding_lock` on: it finds this one",
    ],
    expect,
    play,
};

fn expect(setting: &Setting) -> Cell {
    if let Some(skip) = plain::skip(setting) {
        return skip;
    }
    if plain::has_listener(setting) {
        return Cell::must(
            Outcome::Served,
            "accepting, collecting and answering run on the guard's own threads, and the page has nothing to do with the lock",
        );
    }
    Cell::must(
        Outcome::Starved,
        "the runtime's only thread waits for a lock whose holder is a suspended task: nobody accepts the connection, \
         whatever the handler would do",
    )
}
