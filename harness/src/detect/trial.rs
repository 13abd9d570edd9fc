//! From the scrapes of a trial to its outcome: each is classed, the judged one decides, and `served` needs all of them.

use super::answer::{self, Answer};
use super::record::{Exit, Record, Request};
use crate::model::{
    CanaryMoved, Command, Content, Exchange, ExchangeError, NO_TLS, Outcome, Purpose, RequestReport, Void,
};
use std::borrow::Cow;

/// Signals by which somebody else ends a process; those that a process brings upon itself are not among them.
const FROM_OUTSIDE: [(i32, &str); 6] =
    [(1, "SIGHUP"), (2, "SIGINT"), (3, "SIGQUIT"), (9, "SIGKILL"), (15, "SIGTERM"), (24, "SIGXCPU")];

/// The class of one scrape, as far as it follows from the exchange.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Class {
    /// A health check, or a scrape that had not ended when the record did.
    None,
    /// Not answered by the hang limit: the process says which hang it is.
    Hang,
    /// This one.
    Is(Answer),
}

/// Classes every request of the record, in its order.
pub(super) fn classes(
    record: &Record<'_>,
    contents: &[Cow<'_, Content>],
    bound_us: u64,
    hang_limit_us: u64,
) -> Vec<Class> {
    (0..record.requests.len()).map(|index| class(record, contents, index, bound_us, hang_limit_us)).collect()
}

fn class(record: &Record<'_>, contents: &[Cow<'_, Content>], index: usize, bound_us: u64, hang_limit_us: u64) -> Class {
    let request = &record.requests[index];
    if request.purpose == Purpose::Health {
        return Class::None;
    }
    let is = |class, wrong| Class::Is(Answer { class, wrong, canary: CanaryMoved::NotChecked });
    // A dead process accepts no connection and answers none: that it died says more than either.
    let died = record
        .died()
        .filter(|exit| request.end.is_none_or(|(ended_us, _)| exit.at_us <= ended_us.saturating_add(bound_us)));
    let Some(exchange) = request.exchange() else {
        // The parent's clock for the hang limit starts a little before the request does.
        let waited_us = record.last_us.saturating_sub(request.sent_us).saturating_add(bound_us / 10);
        return match died {
            Some(_) => is(Outcome::Crashed, Vec::new()),
            None if waited_us >= hang_limit_us => Class::Hang,
            None => Class::None,
        };
    };
    // What comes after the hang limit comes because the cause was released or the child killed.
    let hung = exchange.total_us > hang_limit_us;
    let cut_off = record.ended_on_purpose().is_some_and(|at_us| request.end.is_some_and(|(end, _)| at_us <= end));
    match &exchange.error {
        None if hung && record.came_by_itself(request) => is(Outcome::Busy, Vec::new()),
        None if hung => Class::Hang,
        None => Class::Is(answer::class(record, contents, index, bound_us)),
        Some(_) if died.is_some() => is(Outcome::Crashed, Vec::new()),
        Some(ExchangeError::Unreachable { .. }) if !cut_off => is(Outcome::Unreachable, Vec::new()),
        Some(ExchangeError::HangLimit) => Class::Hang,
        Some(_) if hung => Class::Hang,
        Some(_) if cut_off => Class::None,
        Some(ExchangeError::Unreachable { .. }) => Class::None,
        Some(ExchangeError::Closed { reason }) => {
            is(Outcome::Invalid, vec![format!("the connection was closed without a whole answer: {reason}")])
        }
        Some(ExchangeError::Malformed { .. }) if exchange.total_us > bound_us => is(Outcome::Late, Vec::new()),
        // It came to no HTTP, of which nothing can be said then.
        Some(ExchangeError::Malformed { reason }) if reason.starts_with(NO_TLS) => {
            is(Outcome::Invalid, vec![reason.clone()])
        }
        Some(ExchangeError::Malformed { reason }) => {
            is(Outcome::Invalid, vec![format!("the answer is no HTTP: {reason}")])
        }
        Some(ExchangeError::Untrusted { reason }) => {
            is(Outcome::Invalid, vec![format!("its certificate is not trusted here: {reason}")])
        }
    }
}

/// Where the samples do not explain a hang, an answer that came past the hang limit and unaided does: there was progress.
pub(super) fn an_answer_tells_more_than_unexplained_samples(record: &Record<'_>, classes: &mut [Class]) {
    for (request, class) in record.requests.iter().zip(classes) {
        if *class == Class::Hang && request.is_answered() && record.came_unaided(request) {
            *class = Class::Is(Answer { class: Outcome::Busy, wrong: Vec::new(), canary: CanaryMoved::NotChecked });
        }
    }
}

/// The class of a request once the hang has its name.
pub(super) fn named(class: &Class, hang: Outcome) -> Option<Outcome> {
    match class {
        Class::None => None,
        Class::Hang => Some(hang),
        Class::Is(answer) => Some(answer.class),
    }
}

/// The trial's outcome, and the index of the request that decides it.
///
/// With several endpoints the worst judged scrape decides; among equally bad ones the first. Judged scrapes that were
/// served only stand if all other scrapes of the *during* phase were, too; else the worst of those decides.
pub(super) fn outcome(record: &Record<'_>, classes: &[Option<Outcome>]) -> Option<(Outcome, usize)> {
    let worst = |purpose: Purpose| {
        let of_it = record.requests.iter().zip(classes).enumerate().filter(|(_, (r, _))| r.purpose == purpose);
        let classed = of_it.filter_map(|(index, (_, class))| Some(((*class)?, index)));
        classed.reduce(|worst, next| if worst.0.is_better_than(next.0) { next } else { worst })
    };
    let judged = worst(Purpose::Judged)?;
    if judged.0 != Outcome::Served {
        return Some(judged);
    }
    match worst(Purpose::During) {
        Some(other) if other.0 != Outcome::Served => Some(other),
        _ => Some(judged),
    }
}

/// Why the trial says nothing, if it does: its set-up or its surroundings failed.
pub(super) fn void(record: &Record<'_>, classes: &[Option<Outcome>], bound_us: u64) -> Option<Void> {
    let because = |reason: String| Some(Void::because(reason));
    if let Some(problem) = record.failed {
        return because(format!("the child cannot run the case: {problem}"));
    }
    let died = record.died();
    if let Some((exit, by)) = died.and_then(|exit| Some((exit, from_outside(exit)?))) {
        return because(format!("the child was killed from outside by {by} after {} ms", exit.at_us / 1000));
    }
    if record.ready_us.is_none() {
        return because(match died {
            Some(exit) => format!("the child died before it was ready: {}", how(exit)),
            None => "the child never said that it was ready".to_string(),
        });
    }
    if let Some((command, problem)) = record.problems.first() {
        return because(format!("the child could not carry out `{}`: {problem}", command.word()));
    }
    if let Some(exit) = died.filter(|_| record.commanded(Command::Arm).is_none()) {
        return because(format!("the child died before the mistake was armed: {}", how(exit)));
    }
    if let Some(reason) = before(record, classes) {
        return because(reason);
    }
    if record.worst_lag_us.saturating_mul(10) > bound_us {
        let reason = format!(
            "the machine was too busy to judge: the parent's own timer woke {:.1} ms late, more than 10 % of the bound of \
             {:.1} ms; run fewer trials at once or raise the bound",
            record.worst_lag_us as f64 / 1000.0,
            bound_us as f64 / 1000.0
        );
        return Some(Void { reason, machine_busy: true });
    }
    if let Some((cpu_us, elapsed_us)) =
        record.others.filter(|(cpu_us, elapsed_us)| cpu_us.saturating_mul(2) > *elapsed_us)
    {
        let reason = format!(
            "the machine was too busy to judge: this trial was to be alone on it, and others used {:.0} % of a CPU",
            cpu_us as f64 * 100.0 / elapsed_us.max(1) as f64
        );
        return Some(Void { reason, machine_busy: true });
    }
    let judged = record.scrapes(&[Purpose::Judged]).count();
    let ended = outcome(record, classes).is_some();
    match (judged, died) {
        (_, Some(_)) => None,
        (0, None) => because("no judged scrape was sent".to_string()),
        (_, None) if !ended => because("the trial ended before the judged scrape did".to_string()),
        _ => None,
    }
}

/// Why the *before* phase does not count.
fn before(record: &Record<'_>, classes: &[Option<Outcome>]) -> Option<String> {
    let mut scrapes = record.requests.iter().zip(classes).filter(|(r, _)| r.purpose == Purpose::Before).peekable();
    if scrapes.peek().is_none() {
        return Some("no scrape was sent before the mistake was armed".to_string());
    }
    let (request, class) = scrapes.find(|(_, class)| **class != Some(Outcome::Served))?;
    let was = match (class, request.exchange().and_then(|exchange| exchange.error.as_ref())) {
        (_, Some(error)) => described(error),
        (Some(class), None) => class.to_string(),
        (None, None) => "never ended".to_string(),
    };
    let endpoint = if request.endpoint.is_empty() { String::new() } else { format!(" of {}", request.endpoint) };
    Some(format!("the scrape{endpoint} before the mistake was armed was not served but {was}: the set-up is broken"))
}

fn described(error: &ExchangeError) -> String {
    match error {
        ExchangeError::Unreachable { reason } => format!("unreachable ({reason})"),
        ExchangeError::HangLimit => "not answered by the hang limit".to_string(),
        ExchangeError::Closed { reason } => format!("closed ({reason})"),
        ExchangeError::Malformed { reason } if reason.starts_with(NO_TLS) => format!("no TLS ({reason})"),
        ExchangeError::Malformed { reason } => format!("no HTTP ({reason})"),
        ExchangeError::Untrusted { reason } => format!("not trusted ({reason})"),
    }
}

fn from_outside(exit: Exit) -> Option<&'static str> {
    let signal = exit.signal?;
    FROM_OUTSIDE.iter().find(|(number, _)| *number == signal).map(|(_, name)| *name)
}

/// "exit 101", "signal 6".
pub(super) fn how(exit: Exit) -> String {
    match (exit.code, exit.signal) {
        (_, Some(signal)) => format!("signal {signal}"),
        (Some(code), None) => format!("exit {code}"),
        (None, None) => "for an unknown reason".to_string(),
    }
}

/// One line of the report for each request.
pub(super) fn report(request: &Request<'_>, class: &Class, named: Option<Outcome>, last_us: u64) -> RequestReport {
    let exchange = request.exchange().cloned().unwrap_or_else(|| Exchange {
        total_us: last_us.saturating_sub(request.sent_us),
        error: Some(match class {
            Class::Hang => ExchangeError::HangLimit,
            _ => ExchangeError::Closed { reason: "the trial ended before the request did".to_string() },
        }),
        ..Exchange::default()
    });
    let wrong = match class {
        Class::Is(answer) => answer.wrong.clone(),
        _ => Vec::new(),
    };
    RequestReport {
        request: request.number,
        purpose: request.purpose,
        endpoint: request.endpoint.to_string(),
        at_us: request.sent_us,
        exchange,
        class: named,
        wrong,
    }
}
