//! Trials made up by hand, one fact at a time, and what `detect` makes of them.

mod answers;
mod any_order;
mod figures;
mod hangs;
mod starved;
mod trials;

use super::{BODY_LIMIT, Detected, MISSING_HEADER, STALE_HEADER, TrialFacts, UPDATES_MADE, UPDATES_SERIES, detect};
use crate::model::*;

pub(super) const BOUND: u64 = 1_000_000;
pub(super) const HANG: u64 = 3 * BOUND;
pub(super) const URL: &str = "http://127.0.0.1:9000/metrics";
pub(super) const HEALTH: &str = "http://127.0.0.1:9000/health";
pub(super) const TEXT: &str = "text/plain; version=0.0.4";

/// An exposition with the canary at this value and one family more.
pub(super) fn body(canary: u64) -> String {
    format!(
        "# HELP canary_total bumped\n# TYPE canary_total counter\ncanary_total {canary}\n# TYPE up_seconds gauge\n\
         up_seconds{{node=\"a\"}} 1.5\n"
    )
}

/// An answer that took `total_us`.
pub(super) fn answer(status: u16, body: &str, total_us: u64) -> Exchange {
    Exchange {
        connected_us: Some(10),
        sent_us: Some(20),
        first_byte_us: Some(total_us),
        total_us,
        status: Some(status),
        content_type: Some(TEXT.to_string()),
        bytes: body.len() as u64,
        body: Some(body.to_string()),
        ..Exchange::default()
    }
}

pub(super) fn failed(error: ExchangeError, total_us: u64) -> Exchange {
    Exchange { total_us, error: Some(error), ..Exchange::default() }
}

pub(super) fn hang() -> Exchange {
    failed(ExchangeError::HangLimit, HANG)
}

/// A trial that grows fact by fact; its clock stands where the last fact ended.
pub(super) struct Trial {
    pub(super) now: u64,
    pub(super) observations: Vec<Observation>,
    next: u32,
    pub(super) drive: Drive,
    pub(super) release: Release,
    pub(super) explained: Option<Explained>,
}

impl Trial {
    /// Nothing has happened yet.
    pub(super) fn empty() -> Trial {
        Trial {
            now: 0,
            observations: Vec::new(),
            next: 0,
            drive: Drive::Scrapes { extra: 0 },
            release: Release::Never,
            explained: None,
        }
    }

    /// Ready with one endpoint and a canary.
    pub(super) fn ready() -> Trial {
        let endpoint = Endpoint { name: String::new(), metrics: URL.into(), health: Some(HEALTH.into()) };
        Trial::empty().child(ChildEvent::Ready {
            endpoints: vec![endpoint],
            canary: Some("canary_total".into()),
            volatile: Vec::new(),
        })
    }

    /// Ready, scraped once, bumped once, armed: what comes next is the *during* phase.
    pub(super) fn armed() -> Trial {
        Trial::ready().scrape(Purpose::Before, answer(200, &body(0), 1000)).run(Command::Bump).run(Command::Arm)
    }

    pub(super) fn fact(mut self, fact: Fact) -> Trial {
        self.now += 100;
        self.observations.push(Observation { at_us: self.now, fact });
        self
    }

    pub(super) fn child(self, event: ChildEvent) -> Trial {
        self.fact(Fact::Child { event })
    }

    pub(super) fn run(self, command: Command) -> Trial {
        self.fact(Fact::Commanded { command }).child(ChildEvent::Done { command, problem: None })
    }

    pub(super) fn wait(mut self, us: u64) -> Trial {
        self.now += us;
        self
    }

    pub(super) fn send(mut self, purpose: Purpose, url: &str) -> Trial {
        self.next += 1;
        let request = self.next;
        self.fact(Fact::Sent { request, purpose, url: url.to_string() })
    }

    pub(super) fn end(self, request: u32, exchange: Exchange) -> Trial {
        self.fact(Fact::Ended { request, exchange })
    }

    pub(super) fn scrape(self, purpose: Purpose, exchange: Exchange) -> Trial {
        self.request(purpose, URL, exchange)
    }

    pub(super) fn request(self, purpose: Purpose, url: &str, exchange: Exchange) -> Trial {
        let sent = self.send(purpose, url);
        let (number, total) = (sent.next, exchange.total_us);
        sent.wait(total).end(number, exchange)
    }

    pub(super) fn sampled(self, sample: u32) -> Trial {
        self.fact(Fact::Sampled { sample, stopped_us: 200, threads: 3 })
    }

    pub(super) fn exit(self, code: Option<i32>, signal: Option<i32>, by_runner: bool) -> Trial {
        self.fact(Fact::Exited { code, signal, by_runner })
    }

    pub(super) fn explained(mut self, explained: Explained) -> Trial {
        self.explained = Some(explained);
        self
    }

    pub(super) fn with(mut self, drive: Drive, release: Release) -> Trial {
        (self.drive, self.release) = (drive, release);
        self
    }

    pub(super) fn detect(&self) -> Detected {
        let case = Case { id: CaseId::new("made-up", "naive"), skip: None, expectation: None };
        let target = Target { url: Some(URL.into()), pid: Some(4700), inner_pid: None, exe: Some("svc".into()) };
        detect(&TrialFacts {
            case: &case,
            drive: self.drive,
            release: self.release,
            bound_us: BOUND,
            hang_limit_us: HANG,
            observations: &self.observations,
            explained: self.explained.as_ref(),
            target: &target,
            advice: &["do not".to_string()],
        })
    }
}

/// An explained process that grows edge by edge; edges are stable, read, and agree with the count unless said otherwise.
pub(super) struct Process(pub(super) Explained);

impl Process {
    pub(super) fn new() -> Process {
        Process(Explained { samples: 2, ..Explained::default() })
    }

    pub(super) fn thread(mut self, tid: i32, name: &str, serves_request: bool) -> Process {
        self.0.threads.push(Thread {
            tid,
            name: name.into(),
            state: "S".into(),
            wchan: Some("futex_do_wait".into()),
            serves_request,
            ..Thread::default()
        });
        self
    }

    pub(super) fn running(mut self, tid: i32, name: &str, serves_request: bool, cpu_ms: u64) -> Process {
        self = self.thread(tid, name, serves_request);
        if let Some(thread) = self.0.threads.last_mut() {
            (thread.state, thread.wchan, thread.cpu_ms) = ("R".into(), None, cpu_ms);
        }
        self
    }

    pub(super) fn resource(mut self, id: &str, kind: ResourceKind, name: &str) -> Process {
        let holders = kind.is_lock().then_some(Holders { word: 1, found: 1 });
        let (name, address) = (name.into(), Some(0x1000));
        self.0.resources.push(Resource { id: id.into(), kind, name, address, holders, event: None });
        self
    }

    /// The last resource is this event.
    pub(super) fn event(mut self, event: Event) -> Process {
        if let Some(resource) = self.0.resources.last_mut() {
            resource.event = Some(event);
        }
        self
    }

    pub(super) fn edge(mut self, thread: i32, relation: Relation, resource: &str, mode: Mode) -> Process {
        self.0.edges.push(Edge {
            thread,
            resource: resource.into(),
            relation,
            mode,
            provenance: if relation == Relation::Holds { Provenance::Walked } else { Provenance::Read },
            count_agrees: (relation == Relation::Holds).then_some(true),
            stable: true,
            site: None,
            note: None,
        });
        self
    }

    pub(super) fn holds(self, thread: i32, resource: &str, mode: Mode) -> Process {
        self.edge(thread, Relation::Holds, resource, mode)
    }

    pub(super) fn waits(self, thread: i32, resource: &str, mode: Mode) -> Process {
        self.edge(thread, Relation::Waits, resource, mode)
    }

    pub(super) fn queued(self, thread: i32, resource: &str) -> Process {
        self.edge(thread, Relation::Queued, resource, Mode::Write)
    }

    pub(super) fn runtime(mut self, workers: u32, blocked: u32, driver: Option<i32>) -> Process {
        self.0.runtime = Some(RuntimeState { workers, blocked, driver, ..RuntimeState::default() });
        self
    }

    /// Changes the last edge.
    pub(super) fn but(mut self, change: impl FnOnce(&mut Edge)) -> Process {
        change(self.0.edges.last_mut().expect("there is an edge"));
        self
    }
}

/// The incident's AB-BA: worker 1 gathers (registry READ) and wants the state, session 2 has the state and registers.
pub(super) fn ab_ba() -> Process {
    Process::new()
        .thread(1, "tokio-rt-worker", true)
        .thread(2, "session-open", false)
        .resource("lock-1", ResourceKind::ParkingLotRwLock, "prometheus Registry #1")
        .resource("lock-2", ResourceKind::StdMutex, "Mutex<State>")
        .holds(1, "lock-1", Mode::Read)
        .waits(1, "lock-2", Mode::Exclusive)
        .holds(2, "lock-2", Mode::Exclusive)
        .waits(2, "lock-1", Mode::Write)
}
