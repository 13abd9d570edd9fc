//! The look itself: the scrape in flight, the samples at their moments, the health check beside it.

use super::find;
use super::redirect::{Told, Trail};
use super::samples::Samples;
use crate::detect::{Diagnosed, Sight, judge, live};
use crate::diagnose::{Engine, SampleError, examine};
use crate::gate::environment::tool;
use crate::model::{Exchange, ExchangeError, Judged, Outcome, Probes, RECORDING_FORMAT, Recording, Target};
use crate::probe::scrape::{BeginError, InFlight, ScrapeRequest, Scraper, Trust};
use crate::probe::{Header, HttpUrl, health};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant, SystemTime};

/// Between two samples whose threads are compared: from the end of the one stop to the beginning of the next.
const PAUSE: Duration = Duration::from_millis(250);
/// How long before its stop a sample is begun: what it reads before that belongs to the pause.
const AHEAD: Duration = Duration::from_millis(40);
/// Pairs of samples of a process alone, until one shows everything.
const GLANCES: u32 = 5;
/// How long a scrape is held open beyond the hang limit at most, so that the last sample sees it.
const HELD: Duration = Duration::from_secs(30);
/// How often whoever waits looks whether it was interrupted.
const LOOK_UP: Duration = Duration::from_millis(50);

/// What to look at.
#[derive(Clone, Debug)]
pub struct LookOptions {
    /// The endpoint.
    pub url: Option<HttpUrl>,
    /// The process; found from the URL's port if not given.
    pub pid: Option<i32>,
    /// Whether a process that the caller named is looked into even when its endpoint answers in time.
    pub always_sample: bool,
    /// The route that is asked beside a scrape that hangs; `/health` of the same server if not given.
    pub health_url: Option<HttpUrl>,
    /// Within which the endpoint must answer.
    pub bound: Duration,
    /// When a scrape counts as hung.
    pub hang_limit: Duration,
    /// Further headers of both requests.
    pub headers: Vec<Header>,
    /// How certificates are checked.
    pub trust: Trust,
}

impl LookOptions {
    /// A scrape of a URL.
    pub(crate) fn trail(&self, url: &HttpUrl) -> Trail {
        Trail::new(url, &self.headers, &self.trust, self.bound)
    }
}

/// What a look showed.
#[derive(Debug)]
pub struct Look {
    /// What it amounts to.
    pub diagnosed: Diagnosed,
    /// All that this rests on.
    pub recording: Recording,
}

/// Why a look shows nothing.
#[derive(Debug, thiserror::Error)]
pub enum LookError {
    /// Neither a URL nor a process.
    #[error("nothing to look at: give --url URL, --pid PID, or both")]
    Nothing,
    /// The process cannot be looked into, and there is no URL to fall back to.
    #[error(transparent)]
    Process(#[from] SampleError),
    /// It ended meanwhile.
    #[error("process {pid} ended while it was looked at")]
    Ended {
        /// The process.
        pid: i32,
    },
    /// The scrape could not be begun.
    #[error(transparent)]
    Begin(#[from] BeginError),
    /// The certificate is not trusted, which says nothing about the endpoint.
    #[error("the certificate of {url} is not trusted: {reason}")]
    Untrusted {
        /// The endpoint.
        url: HttpUrl,
        /// Why.
        reason: String,
    },
    /// This process has no thread or pipe left.
    #[error("cannot start: {0}; `ulimit -u` and `ulimit -n` say what is allowed")]
    System(std::io::Error),
    /// Ctrl-C.
    #[error("interrupted")]
    Interrupted,
}

/// Takes looks; what it learnt of an executable serves the next one.
pub struct Looker {
    engine: Engine,
    scraper: Scraper,
}

impl Looker {
    /// Starts what drives the scrapes.
    ///
    /// # Errors
    /// When the system grants no thread or no pipe.
    pub fn start() -> Result<Looker, LookError> {
        Ok(Looker { engine: Engine::new(), scraper: Scraper::start().map_err(LookError::System)? })
    }

    /// Begins a scrape that is not looked at.
    pub(crate) fn begin(&self, trail: &Trail, options: &LookOptions) -> Result<Told, LookError> {
        Ok(trail.ask(&self.scraper, options.hang_limit)?)
    }

    /// Looks once. `interrupted` is asked now and then; when it says yes, the look ends at once.
    ///
    /// # Errors
    /// See [`LookError`]. That an endpoint hangs is no error, nor that the process behind a URL cannot be looked into:
    /// the look then says what can be said from outside.
    pub fn look(&self, options: &LookOptions, interrupted: &dyn Fn() -> bool) -> Result<Look, LookError> {
        let process = options.pid.map(examine).transpose()?;
        let samples = Samples {
            engine: &self.engine,
            process,
            taken: Vec::new(),
            explained: None,
            again: None,
            gaps: Vec::new(),
            other: None,
            error: None,
        };
        match &options.url {
            Some(url) => self.endpoint(url, options, samples, interrupted),
            None => self.process(options, samples, interrupted),
        }
    }

    /// A process alone.
    fn process(
        &self,
        options: &LookOptions,
        mut samples: Samples<'_>,
        interrupted: &dyn Fn() -> bool,
    ) -> Result<Look, LookError> {
        let Some(pid) = samples.process.as_ref().map(|process| process.pid) else { return Err(LookError::Nothing) };
        let gaps = samples.gaps.clone();
        let mut ran = samples.first();
        for glance in 1.. {
            let end = ran + PAUSE;
            samples.prepare();
            wait(end - AHEAD, interrupted)?;
            samples.again(end);
            match samples.error.take() {
                Some(SampleError::NoSuchProcess { .. } | SampleError::Ended { .. }) => {
                    return Err(LookError::Ended { pid });
                }
                Some(error) => return Err(error.into()),
                None => {}
            }
            let look = conclude(options, &mut samples, Probes::default(), None);
            // What was not seen because a lock was just changing hands will be seen another time. What is stuck, or is
            // never seen, stays so. Nor is a runtime starved by a wait that ends soon.
            let passes = look.diagnosed.diagnosis.outcome == Some(Outcome::Starved);
            let told = look.diagnosed.diagnosis.outcome.is_some() || look.diagnosed.covered;
            if (told && !passes) || glance == GLANCES {
                return Ok(look);
            }
            samples.taken.clear();
            samples.taken.extend(samples.explained.take());
            samples.gaps.clone_from(&gaps);
            ran = Instant::now();
        }
        Err(LookError::Nothing)
    }

    /// An endpoint, and the process behind it if it can be found.
    fn endpoint(
        &self,
        url: &HttpUrl,
        options: &LookOptions,
        mut samples: Samples<'_>,
        interrupted: &dyn Fn() -> bool,
    ) -> Result<Look, LookError> {
        let mut trail = options.trail(url);
        let begun = trail.begun;
        let (flight, told, mut ended) = loop {
            let (flight, told) = trail.ask(&self.scraper, options.hang_limit + HELD)?;
            let ended = hear(&told, begun + options.bound, interrupted)?;
            if !ended.as_ref().is_some_and(|exchange| trail.goes_on(exchange)) {
                break (flight, told, ended);
            }
        };
        let url = &trail.url;
        let given = samples.process.clone();
        let mut asked = None;
        let mut side = None;
        if ended.is_none() {
            let found = find::server(url, flight.ends(), given.as_ref());
            samples.process = samples.process.take().or(found.process);
            samples.gaps.extend(found.gap);
            samples.is_not(found.other);
            side = found.side;
            samples.sample();
            asked = self.health(url, &trail.headers, options);
            let end = Instant::now() + PAUSE.min(options.hang_limit / 4);
            samples.prepare();
            ended = hear(&told, end, interrupted)?;
            samples.sample();
        }
        if ended.is_none() {
            ended = hear(&told, begun + options.hang_limit, interrupted)?;
        }
        let exchange = match ended {
            Some(exchange) => exchange,
            None => {
                // The last look at it while it is still held open.
                let found = find::server(url, flight.ends(), samples.process.as_ref());
                side = found.side.or(side);
                samples.sample();
                give_up(&flight, &told, options.hang_limit)
            }
        };
        drop(flight);
        if let Some(ExchangeError::Untrusted { reason }) = &exchange.error {
            return Err(LookError::Untrusted { url: url.clone(), reason: reason.clone() });
        }
        let hung = exchange.error.is_some() && exchange.total_us >= micros(options.hang_limit);
        if options.always_sample && side.is_none() && given.is_some() {
            // It answered in time, and the caller wants to know about the process as well.
            let found = find::server(url, None, given.as_ref());
            samples.gaps.extend(found.gap);
            samples.is_not(found.other);
        }
        if options.always_sample
            && given.is_some()
            && samples.process.is_some()
            && samples.taken.is_empty()
            && samples.error.is_none()
            && !samples.ended()
        {
            let end = samples.first() + PAUSE;
            samples.prepare();
            wait(end - AHEAD, interrupted)?;
            samples.again(end);
        }
        let health = asked.and_then(|(flight, told): Told| {
            let exchange = told.recv_timeout(options.bound).ok();
            drop(flight);
            exchange
        });
        let judged = judge(&exchange, micros(options.bound), micros(options.hang_limit));
        let connection = side.filter(|_| hung);
        let probes = Probes { prometheus: judged.prometheus, metrics: Some(exchange), health, connection };
        Ok(conclude(options, &mut samples, probes, Some(judged)))
    }

    /// Asks another route of the same server, while the scrape hangs. `None` if that cannot even be begun.
    fn health(&self, url: &HttpUrl, headers: &[Header], options: &LookOptions) -> Option<Told> {
        let (other, headers) = match &options.health_url {
            Some(url) => (url.clone(), options.headers.clone()),
            None => (url.with_path("/health").ok()?, headers.to_vec()),
        };
        let limit = options.hang_limit.saturating_sub(options.bound).max(options.bound);
        let request = ScrapeRequest { headers, trust: options.trust.clone(), ..health::request(other, limit) };
        let (tell, told) = channel();
        let flight = self.scraper.begin(&request, move |exchange| drop(tell.send(exchange))).ok()?;
        Some((flight, told))
    }
}

/// Puts together what was seen.
fn conclude(options: &LookOptions, samples: &mut Samples<'_>, probes: Probes, judged: Option<Judged>) -> Look {
    let died = samples.ended();
    let explained = samples.explained();
    let recording = Recording {
        format: RECORDING_FORMAT.to_string(),
        tool: tool(),
        recorded: humantime::format_rfc3339_millis(SystemTime::now()).to_string(),
        bound_ms: millis(options.bound),
        hang_limit_ms: millis(options.hang_limit),
        target: Target {
            url: options.url.as_ref().map(ToString::to_string),
            pid: samples.process.as_ref().map(|process| process.pid),
            inner_pid: samples.process.as_ref().and_then(|process| process.inner_pid),
            exe: samples.process.as_ref().and_then(|process| process.exe.clone()),
        },
        probes,
        judged,
        explained,
        gaps: std::mem::take(&mut samples.gaps),
        other: samples.other.take(),
        died,
    };
    Look { diagnosed: diagnosed(&recording), recording }
}

/// What a recording amounts to: a pure function of it, so that it says the same wherever it is replayed.
pub(super) fn diagnosed(recording: &Recording) -> Diagnosed {
    live(&Sight {
        target: &recording.target,
        probes: &recording.probes,
        judged: recording.judged.as_ref(),
        gaps: &recording.gaps,
        other: recording.other.as_ref(),
        died: recording.died,
        explained: recording.explained.as_ref(),
        bound_us: recording.bound_ms.saturating_mul(1000),
        hang_limit_us: recording.hang_limit_ms.saturating_mul(1000),
    })
}

/// Ends a scrape that hangs.
fn give_up(flight: &InFlight, told: &Receiver<Exchange>, hang_limit: Duration) -> Exchange {
    flight.give_up();
    // It is delivered at once, or was a moment ago.
    told.recv_timeout(HELD).unwrap_or_else(|_| Exchange {
        total_us: micros(hang_limit),
        error: Some(ExchangeError::HangLimit),
        ..Exchange::default()
    })
}

/// The end of a scrape, if it comes until then.
fn hear(
    told: &Receiver<Exchange>,
    end: Instant,
    interrupted: &dyn Fn() -> bool,
) -> Result<Option<Exchange>, LookError> {
    loop {
        if interrupted() {
            return Err(LookError::Interrupted);
        }
        let left = end.saturating_duration_since(Instant::now());
        match told.recv_timeout(left.min(LOOK_UP)) {
            Ok(exchange) => return Ok(Some(exchange)),
            Err(RecvTimeoutError::Timeout) if !left.is_zero() => {}
            Err(_) => return Ok(None),
        }
    }
}

fn wait(end: Instant, interrupted: &dyn Fn() -> bool) -> Result<(), LookError> {
    while Instant::now() < end {
        if interrupted() {
            return Err(LookError::Interrupted);
        }
        std::thread::sleep(LOOK_UP.min(end.saturating_duration_since(Instant::now())));
    }
    Ok(())
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
