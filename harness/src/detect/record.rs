//! A trial's observations in order: who asked when, what the child said, how it ended.

use crate::model::{ChildEvent, Command, Drive, Endpoint, Exchange, Fact, Observation, Purpose};
use std::collections::{BTreeMap, BTreeSet};

/// A request and its end.
#[derive(Clone, Debug)]
pub(super) struct Request<'a> {
    pub(super) number: u32,
    pub(super) purpose: Purpose,
    pub(super) url: &'a str,
    /// The endpoint's name.
    pub(super) endpoint: &'a str,
    pub(super) sent_us: u64,
    /// When it ended and how; `None` while it is open.
    pub(super) end: Option<(u64, &'a Exchange)>,
}

impl<'a> Request<'a> {
    pub(super) fn exchange(&self) -> Option<&'a Exchange> {
        self.end.map(|(_, exchange)| exchange)
    }

    /// Whether a whole answer arrived, whatever it says.
    pub(super) fn is_answered(&self) -> bool {
        self.exchange().is_some_and(|exchange| exchange.error.is_none() && exchange.status.is_some())
    }
}

/// How the child ended.
#[derive(Clone, Copy, Debug)]
pub(super) struct Exit {
    pub(super) at_us: u64,
    pub(super) code: Option<i32>,
    pub(super) signal: Option<i32>,
    pub(super) by_runner: bool,
}

/// A command and when the child had carried it out.
#[derive(Clone, Copy, Debug)]
pub(super) struct Commanded {
    pub(super) command: Command,
    pub(super) at_us: u64,
    pub(super) done_us: Option<u64>,
}

/// All of a trial's observations, sorted by what they are about.
#[derive(Clone, Debug, Default)]
pub(super) struct Record<'a> {
    pub(super) endpoints: &'a [Endpoint],
    pub(super) canary: Option<&'a str>,
    pub(super) volatile: &'a [String],
    /// When the child was ready.
    pub(super) ready_us: Option<u64>,
    /// In the order in which they were sent.
    pub(super) requests: Vec<Request<'a>>,
    pub(super) commands: Vec<Commanded>,
    /// Commands that the child could not carry out, and why.
    pub(super) problems: Vec<(Command, &'a str)>,
    /// Why the child cannot run the case.
    pub(super) failed: Option<&'a str>,
    /// When each sample was taken: its number and the time.
    pub(super) samples: Vec<(u32, u64)>,
    pub(super) reached: Vec<(u64, &'a str, Option<i32>)>,
    pub(super) counts: BTreeMap<&'a str, u64>,
    pub(super) detector: Option<Vec<u32>>,
    pub(super) exit: Option<Exit>,
    pub(super) worst_lag_us: u64,
    /// CPU time of others, and the time in which they had it; microseconds.
    pub(super) others: Option<(u64, u64)>,
    /// When the last observation was made.
    pub(super) last_us: u64,
}

impl<'a> Record<'a> {
    pub(super) fn read(observations: &'a [Observation], drive: Drive, bound_us: u64) -> Record<'a> {
        let mut record = Record::default();
        for Observation { at_us, fact } in observations {
            record.last_us = record.last_us.max(*at_us);
            record.note(*at_us, fact);
        }
        record.requests.sort_by_key(|request| (request.sent_us, request.number));
        record.name_endpoints();
        if let Drive::Grow { past_hang_limit } = drive {
            // Past the hang limit a late answer is one step on the way.
            record.judge_the_first_that_broke(if past_hang_limit { u64::MAX } else { bound_us });
        }
        record
    }

    fn note(&mut self, at_us: u64, fact: &'a Fact) {
        match fact {
            Fact::Child { event } => self.note_child(at_us, event),
            Fact::Commanded { command } => {
                self.commands.push(Commanded { command: *command, at_us, done_us: None });
            }
            Fact::Sent { request, purpose, url } => self.requests.push(Request {
                number: *request,
                purpose: *purpose,
                url,
                endpoint: "",
                sent_us: at_us,
                end: None,
            }),
            Fact::Ended { request, exchange } => {
                if let Some(open) = self.requests.iter_mut().find(|r| r.number == *request && r.end.is_none()) {
                    open.end = Some((at_us, exchange));
                }
            }
            Fact::Sampled { sample, .. } => self.samples.push((*sample, at_us)),
            Fact::Exited { code, signal, by_runner } => {
                self.exit = self.exit.or(Some(Exit { at_us, code: *code, signal: *signal, by_runner: *by_runner }));
            }
            Fact::Others { cpu_us, elapsed_us } => self.others = Some((*cpu_us, *elapsed_us)),
            Fact::Lag { worst_us } => self.worst_lag_us = self.worst_lag_us.max(*worst_us),
        }
    }

    fn note_child(&mut self, at_us: u64, event: &'a ChildEvent) {
        match event {
            ChildEvent::Ready { endpoints, canary, volatile } => {
                self.ready_us = Some(at_us);
                self.endpoints = endpoints;
                self.canary = canary.as_deref();
                self.volatile = volatile;
            }
            ChildEvent::Done { command, problem } => {
                let asked = self.commands.iter_mut().find(|c| c.command == *command && c.done_us.is_none());
                if let Some(asked) = asked {
                    asked.done_us = Some(at_us);
                }
                self.problems.extend(problem.as_deref().map(|problem| (*command, problem)));
            }
            ChildEvent::Reached { point, tid } => self.reached.push((at_us, point, *tid)),
            ChildEvent::Count { name, value } => {
                self.counts.insert(name, *value);
            }
            ChildEvent::Detector { cycles } => self.detector = Some(cycles.clone()),
            ChildEvent::Failed { problem } => self.failed = self.failed.or(Some(problem)),
        }
    }

    fn name_endpoints(&mut self) {
        for request in &mut self.requests {
            let of_it = |endpoint: &&Endpoint| {
                endpoint.metrics == request.url || endpoint.health.as_deref() == Some(request.url)
            };
            request.endpoint = self.endpoints.iter().find(of_it).map_or("", |endpoint| endpoint.name.as_str());
        }
    }

    /// A growing registry is scraped until a scrape breaks: that one is judged, and nobody knows which it is when it is
    /// sent. Where the record does not say it either, it is the first that broke, or, if none did, the last.
    fn judge_the_first_that_broke(&mut self, bound_us: u64) {
        let urls: BTreeSet<&str> = self.requests.iter().map(|request| request.url).collect();
        for url in urls {
            let of_it = |r: &&mut Request<'a>| r.url == url && r.purpose.is_armed();
            let mut armed: Vec<&mut Request<'a>> = self.requests.iter_mut().filter(of_it).collect();
            if armed.iter().any(|request| request.purpose == Purpose::Judged) {
                continue;
            }
            let broke = armed
                .iter()
                .position(|r| !r.is_answered() || r.exchange().is_some_and(|exchange| exchange.total_us > bound_us));
            if let Some(last) = armed.len().checked_sub(1) {
                armed[broke.unwrap_or(last)].purpose = Purpose::Judged;
            }
        }
    }

    pub(super) fn scrapes(&self, purposes: &[Purpose]) -> impl Iterator<Item = &Request<'a>> {
        let purposes = purposes.to_vec();
        self.requests.iter().filter(move |request| purposes.contains(&request.purpose))
    }

    /// When a command was first given.
    pub(super) fn commanded(&self, command: Command) -> Option<u64> {
        self.commands.iter().find(|c| c.command == command).map(|c| c.at_us)
    }

    /// When the sample was taken that the explanation rests on, and the one before it that it is compared with.
    ///
    /// A pair may be taken afresh, and then counts from 1 again.
    pub(super) fn explained_at(&self) -> Option<(Option<u64>, u64)> {
        let last = self.samples.iter().rposition(|(number, _)| *number > 1);
        let last = last.or(self.samples.len().checked_sub(1))?;
        let (number, at_us) = self.samples[last];
        let first = self.samples[..last].iter().rev().find(|(n, _)| *n < number).map(|(_, at_us)| *at_us);
        Some((first, at_us))
    }

    /// When the parent brought the child to its end: told it to finish, or killed it. What breaks off then says nothing.
    pub(super) fn ended_on_purpose(&self) -> Option<u64> {
        let killed = self.exit.filter(|exit| exit.by_runner).map(|exit| exit.at_us);
        self.commanded(Command::Finish).into_iter().chain(killed).min()
    }

    /// Whether a request's end was neither brought about by the parent nor is explained by the samples, because the last
    /// one was taken after it: an answer then tells that there was progress.
    pub(super) fn came_by_itself(&self, request: &Request<'_>) -> bool {
        let Some((ended_us, _)) = request.end else { return false };
        let seen_open = self.explained_at().is_some_and(|(_, at_us)| (request.sent_us..=ended_us).contains(&at_us));
        self.came_unaided(request) && !seen_open
    }

    /// Whether a request's end was not brought about by the parent.
    pub(super) fn came_unaided(&self, request: &Request<'_>) -> bool {
        let Some((ended_us, _)) = request.end else { return false };
        let brought_about = self.commanded(Command::Release).into_iter().chain(self.ended_on_purpose()).min();
        brought_about.is_none_or(|at_us| ended_us < at_us)
    }

    /// The child's end, if it came by itself before it was told to finish.
    pub(super) fn died(&self) -> Option<Exit> {
        let told = self.commanded(Command::Finish);
        self.exit.filter(|exit| !exit.by_runner && told.is_none_or(|told| exit.at_us < told))
    }
}
