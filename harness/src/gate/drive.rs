//! The load that the parent puts on an endpoint, and when it looks at the process meanwhile.

use super::halt::Halt;
use super::stage::Stage;
use crate::model::{Command, Drive, Fact, Purpose, Release};
use crate::probe::scrape::ScrapeRequest;
use crate::probe::{HttpUrl, health};
use crate::runner::cpus;
use std::time::{Duration, Instant};

/// A connection stays open this much longer than the hang limit, so that the second sample, taken when the limit
/// passes, still sees the request; that it was not answered by the limit is what counts.
const KEPT_OPEN: Duration = Duration::from_millis(100);
/// Two samples less than this far apart say little about what stands still.
const SAMPLES_APART: Duration = Duration::from_millis(200);
/// A registry grows by at most this factor at a time, so that the bound is broken by little.
const GROWTH: f64 = 1.25;
/// Far from the bound, several steps are made before the next scrape, up to this part of what would break it.
const NEAR: f64 = 0.7;
/// So many scrapes tell what one costs.
const PRICED_SCRAPES: u32 = 3;
/// A registry that has not broken the bound after so many scrapes never will.
const MOST_GROWING_SCRAPES: u32 = 60;

/// A request of the *during* phase and when to send it.
struct Planned {
    after: Duration,
    endpoint: usize,
    purpose: Purpose,
}

impl Stage<'_> {
    /// One scrape of each endpoint before the mistake is armed. Before a storm some more follow, to see what one costs: not
    /// the first, which costs what no other does, and counted in the child's CPU time, which stays the same on a machine
    /// that is busy with other things.
    pub(crate) fn before(&mut self, drive: Drive) -> Result<(), Halt> {
        self.scrape_all(Purpose::Before)?;
        if matches!(drive, Drive::Storm { .. }) {
            let begun = cpus::time_of(self.pid());
            for _ in 0..PRICED_SCRAPES {
                self.scrape_all(Purpose::Before)?;
            }
            let used = begun.zip(cpus::time_of(self.pid())).map(|(begun, ended)| ended.saturating_sub(begun));
            self.price = used.filter(|used| !used.is_zero()).map(|used| used / PRICED_SCRAPES);
        }
        Ok(())
    }

    /// Scrapes each endpoint once and waits for the answers, up to the hang limit.
    pub(crate) fn scrape_all(&mut self, purpose: Purpose) -> Result<(), Halt> {
        let limit = self.hang_limit();
        for endpoint in 0..self.endpoints.len() {
            self.send(endpoint, purpose, limit)?;
        }
        self.wait_for_answers(Instant::now() + limit + KEPT_OPEN)
    }

    /// The *after* phase: scrapes each endpoint until a scrape is `served` or the hang limit has passed since the cause was
    /// let go. What was stuck needs a moment to come back, and how long that takes is part of the answer.
    pub(crate) fn after(&mut self, served: impl Fn(&mut Self, u32) -> bool) -> Result<(), Halt> {
        let end = Instant::now() + self.hang_limit();
        let pause = self.bound() / 10;
        for endpoint in 0..self.endpoints.len() {
            loop {
                let left = end.saturating_duration_since(Instant::now());
                let number = self.send(endpoint, Purpose::After, left)?;
                self.wait_for_answers(end + KEPT_OPEN)?;
                let next = Instant::now() + pause;
                if (self.requests.succeeded(number) && served(self, number)) || next >= end {
                    break;
                }
                while Instant::now() < next {
                    self.hear(next)?;
                }
            }
        }
        Ok(())
    }

    /// The *during* phase: sends what `drive` says, samples the process when a bound passes, releases the cause when
    /// `release` says, and returns when every scrape is answered or the judged scrape's hang limit has passed.
    pub(crate) fn during(&mut self, drive: Drive, release: Release) -> Result<(), Halt> {
        match drive {
            Drive::Scrapes { extra } => {
                let gap = self.bound() / (extra + 1);
                let endpoints = self.endpoints.len();
                let mut plan = Vec::new();
                for endpoint in 0..endpoints {
                    plan.push(Planned { after: Duration::ZERO, endpoint, purpose: Purpose::Judged });
                    plan.push(Planned { after: Duration::ZERO, endpoint, purpose: Purpose::Health });
                    for n in 1..=extra {
                        plan.push(Planned { after: gap * n, endpoint, purpose: Purpose::During });
                        plan.push(Planned { after: gap * n, endpoint, purpose: Purpose::Health });
                    }
                }
                plan.sort_by_key(|planned| planned.after);
                self.watch(plan, release)
            }
            Drive::Storm { factor, max } => {
                let scrapers = self.storm_size(factor, max);
                let mut plan = vec![Planned { after: Duration::ZERO, endpoint: 0, purpose: Purpose::Judged }];
                plan.extend((1..scrapers).map(|_| Planned {
                    after: Duration::ZERO,
                    endpoint: 0,
                    purpose: Purpose::During,
                }));
                plan.push(Planned { after: self.bound() / 2, endpoint: 0, purpose: Purpose::Health });
                self.watch(plan, release)
            }
            Drive::Grow { past_hang_limit } => self.grow(past_hang_limit, release),
        }
    }

    /// k = ceil(factor x bound x the child's CPUs / t1), t1 being the CPU time of one scrape, or, where the system does not
    /// tell it, the duration of the quickest scrape before the storm.
    fn storm_size(&self, factor: f64, max: u32) -> u32 {
        let one = self.price.or_else(|| self.requests.quickest(Purpose::Before)).unwrap_or(self.bound());
        let cpus = if self.setup.planned.runs_alone() { cpus::left_to_a_child() } else { cpus::all() } as f64;
        let scrapers = (factor * self.bound().as_secs_f64() * cpus / one.as_secs_f64().max(1e-6)).ceil();
        (scrapers as u32).clamp(2, max.max(2))
    }

    /// Sends `plan` on time and watches until all is answered or hung.
    fn watch(&mut self, plan: Vec<Planned>, release: Release) -> Result<(), Halt> {
        let begun = Instant::now();
        let (bound_passes, limit_passes) = (begun + self.bound(), begun + self.hang_limit());
        let mut plan = plan.into_iter().peekable();
        loop {
            let now = Instant::now();
            while let Some(next) = plan.next_if(|next| begun + next.after <= now) {
                let left = limit_passes.saturating_duration_since(now);
                self.send(next.endpoint, next.purpose, left)?;
            }
            if now >= limit_passes || (plan.peek().is_none() && self.requests.open() == 0) {
                return Ok(());
            }
            let judged_waits = self.requests.judged_unanswered();
            if release == Release::AfterBound && !self.released() && (now >= bound_passes || !judged_waits) {
                // What it looked like is gone with the cause.
                if judged_waits || self.something_may_be_stuck() {
                    self.look_twice()?;
                }
                self.release()?;
            } else if now >= bound_passes && judged_waits && !self.sampled() {
                self.sample();
            }
            let mut next = limit_passes;
            if let Some(planned) = plan.peek() {
                next = next.min(begun + planned.after);
            }
            if now < bound_passes {
                next = next.min(bound_passes);
            }
            self.hear(next)?;
        }
    }

    /// Scrapes and grows the registry in turn until a scrape breaks the bound (or the hang limit) or is refused; that one is
    /// judged.
    fn grow(&mut self, past_hang_limit: bool, release: Release) -> Result<(), Halt> {
        let target = if past_hang_limit { self.hang_limit() } else { self.bound() };
        for _ in 0..MOST_GROWING_SCRAPES {
            let request = self.send(0, Purpose::During, self.hang_limit())?;
            let sent = Instant::now();
            while self.requests.is_open(request) && sent.elapsed() < self.hang_limit() {
                if sent.elapsed() >= self.bound() && !self.sampled() {
                    self.sample();
                }
                let next = if self.sampled() { self.hang_limit() } else { self.bound() };
                self.hear(sent + next)?;
            }
            // The exchange's own clock, where there is one: it is what the scrape is classed by.
            let took = self.requests.took(request).unwrap_or_else(|| sent.elapsed());
            // A refusal ends it, too: the endpoint has said that this registry is too large for it.
            if took >= target || !self.requests.succeeded(request) {
                self.judge(request);
                if release == Release::AfterBound {
                    self.release()?;
                }
                return Ok(());
            }
            // A sample of a scrape that was answered in the end is no picture of the one that breaks the limit.
            self.forget_samples();
            for _ in 0..steps(took, target, past_hang_limit) {
                self.command(Command::Grow)?;
            }
        }
        Err(Halt::Void(format!("the bound did not break in {MOST_GROWING_SCRAPES} scrapes of a growing registry")))
    }

    /// Sends one request and returns its number.
    fn send(&mut self, endpoint: usize, purpose: Purpose, limit: Duration) -> Result<u32, Halt> {
        let Some(server) = self.endpoints.get(endpoint) else {
            return Err(Halt::Void(format!("the child has no endpoint {endpoint}")));
        };
        let url = match purpose {
            Purpose::Health => server.health.clone(),
            _ => Some(server.metrics.clone()),
        };
        let Some(url) = url else { return Ok(u32::MAX) };
        let parsed: HttpUrl = url.parse().map_err(|error| Halt::Void(format!("the child's endpoint {error}")))?;
        let request = match purpose {
            Purpose::Health => health::request(parsed, limit + KEPT_OPEN),
            _ => ScrapeRequest::new(parsed, limit + KEPT_OPEN).bounded(self.bound()),
        };
        let scraper = self.setup.scraper;
        let number = self.requests.begin(scraper, &request, purpose).map_err(|e| Halt::Void(e.to_string()))?;
        self.note(Fact::Sent { request: number, purpose, url });
        Ok(number)
    }

    /// Waits until no scrape is open, until `end` at most.
    fn wait_for_answers(&mut self, end: Instant) -> Result<(), Halt> {
        while self.requests.open() > 0 && Instant::now() < end {
            self.hear(end)?;
        }
        Ok(())
    }

    /// Waits until the connections of scrapes that hang are given up, so that their last phases are known.
    pub(crate) fn give_up(&mut self) -> Result<(), Halt> {
        self.wait_for_answers(Instant::now() + 2 * KEPT_OPEN)
    }

    /// Two samples with an interval between them, explained: for what is stuck although the endpoint answers.
    pub(crate) fn look_twice(&mut self) -> Result<(), Halt> {
        self.forget_samples();
        self.sample();
        let end = Instant::now() + SAMPLES_APART;
        while Instant::now() < end {
            self.hear(end)?;
        }
        self.sample();
        self.explain();
        Ok(())
    }

    /// Whether a judged scrape is unanswered.
    pub(crate) fn judged_hangs(&self) -> bool {
        self.requests.judged_unanswered()
    }

    fn judge(&mut self, request: u32) {
        self.requests.relabel(request, Purpose::Judged);
        self.relabel(request, Purpose::Judged);
    }
}

/// How many times to grow before the next scrape, given what the last one took and what is to be broken.
fn steps(took: Duration, target: Duration, overshoot: bool) -> u32 {
    let ratio = target.as_secs_f64() / took.as_secs_f64().max(1e-6);
    // Past the hang limit there is nothing to approach: far more than what breaks it ends the search at once, even if this
    // scrape was slow by chance.
    let aim = if overshoot { ratio * 1.6 } else { ratio * NEAR };
    (aim.ln() / GROWTH.ln()).floor().clamp(1.0, 40.0) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_the_bound_the_registry_grows_one_step_at_a_time() {
        let bound = Duration::from_secs(1);
        assert_eq!(steps(Duration::from_millis(990), bound, false), 1);
        assert_eq!(steps(Duration::from_millis(700), bound, false), 1);
        let far = steps(Duration::from_millis(100), bound, false);
        assert!(0.1 * GROWTH.powi(far as i32) <= NEAR, "{far} steps stay short of the bound");
        assert!(steps(Duration::from_millis(100), bound, true) > far);
        assert_eq!(steps(Duration::ZERO, bound, false), 40);
    }
}
