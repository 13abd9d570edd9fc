//! A case in few words: what was expected, what was seen, which trial and which evidence to quote.

use super::text;
use crate::model::{
    CaseReport, Evidence, Exchange, ExchangeError, Expectation, Expected, Graded, Limits, NO_TLS, Outcome, Purpose,
    Range, Report, RequestReport, TrialReport, Verdict, grade_trial,
};

/// How often an outcome was seen; `None` counts void trials.
#[derive(Clone, Copy)]
pub(super) struct Seen {
    /// The outcome.
    pub(super) outcome: Option<Outcome>,
    /// Trials that showed it.
    pub(super) trials: usize,
}

impl Seen {
    /// The outcome's word, or `void`.
    pub(super) fn word(self) -> &'static str {
        self.outcome.map_or("void", Outcome::word)
    }
}

/// The outcomes of a case's trials, most frequent first.
pub(super) fn seen(case: &CaseReport) -> Vec<Seen> {
    let mut all: Vec<Seen> = Vec::new();
    for trial in &case.trials {
        match all.iter_mut().find(|seen| seen.outcome == trial.outcome) {
            Some(seen) => seen.trials += 1,
            None => all.push(Seen { outcome: trial.outcome, trials: 1 }),
        }
    }
    all.sort_by_key(|seen| (std::cmp::Reverse(seen.trials), seen.outcome));
    all
}

/// The sign of a verdict; a skip has a dash.
pub(super) fn sign(verdict: Option<Verdict>) -> &'static str {
    match verdict {
        Some(Verdict::Held) => "✓",
        Some(Verdict::Violated) => "✗",
        Some(Verdict::Vanished) => "∅",
        Some(Verdict::Inconclusive) => "?",
        None => "–",
    }
}

/// `deadlocked`, or `deadlocked 2 of 3, served 1 of 3`.
pub(super) fn seen_in_words(case: &CaseReport) -> String {
    let all = seen(case);
    match all.as_slice() {
        [] => "no trial ended".to_string(),
        [only] => only.word().to_string(),
        several => {
            let of = case.trials.len();
            let words: Vec<String> = several.iter().map(|s| format!("{} {} of {of}", s.word(), s.trials)).collect();
            words.join(", ")
        }
    }
}

/// `must be deadlocked`, `may be late or busy`.
pub(super) fn expected_in_words(expectation: &Expectation) -> String {
    match &expectation.outcome {
        Expected::Must(must) => format!("must be {must}"),
        Expected::May(may) => {
            let words: Vec<&str> = may.iter().map(|outcome| outcome.word()).collect();
            format!("may be {} (measured, not promised)", words.join(" or "))
        }
    }
}

/// The limits that an expectation names, e.g. `threads leaked per scrape 1`, `app threads stuck at least 1`.
pub(super) fn expected_limits(expectation: &Expectation) -> Vec<String> {
    let limits = &expectation.limits;
    let range = |label: &str, range: Option<Range>| {
        let range = range?;
        Some(match (range.min, range.max) {
            (Some(min), Some(max)) if min == max => format!("{label} {}", number(min)),
            (Some(min), Some(max)) => format!("{label} {} to {}", number(min), number(max)),
            (Some(min), None) => format!("{label} at least {}", number(min)),
            (None, Some(max)) => format!("{label} at most {}", number(max)),
            (None, None) => return None,
        })
    };
    let recovers = limits.recovers.map(|yes| if yes { "recovers".to_string() } else { "does not recover".to_string() });
    [
        range("threads leaked per scrape", limits.threads_leaked_per_scrape),
        range("app threads stuck", limits.app_threads_stuck),
        range("lost updates", limits.lost_updates),
        recovers,
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Whether the expectation is a `may` set: such cells are marked.
pub(super) fn is_may(case: &CaseReport) -> bool {
    matches!(&case.expectation, Some(Expectation { outcome: Expected::May(_), .. }))
}

/// A figure without needless decimals.
pub(super) fn number(value: f64) -> String {
    if value.fract().abs() < 0.005 { format!("{value:.0}") } else { format!("{value:.2}") }
}

/// The figures of all trials for a matrix cell: `+1/scrape`, `2 stuck`, `17 lost`, `no recovery`. A zero is left out
/// unless the expectation names the figure; so is a recovery from nothing.
pub(super) fn figures(case: &CaseReport) -> Vec<String> {
    let named = case.expectation.as_ref().map(|e| e.limits).unwrap_or_default();
    let over = |get: &dyn Fn(&Limits) -> Option<f64>| -> Option<(f64, f64)> {
        let mut all = case.trials.iter().filter_map(|trial| get(&trial.limits));
        let first = all.next()?;
        Some(all.fold((first, first), |(low, high), value| (low.min(value), high.max(value))))
    };
    let say = |range: Option<(f64, f64)>, named: bool, before: &str, after: &str| {
        let (low, high) = range?;
        if high == 0.0 && !named {
            return None;
        }
        let (low, high) = (number(low), number(high));
        Some(if low == high { format!("{before}{high}{after}") } else { format!("{before}{low}–{high}{after}") })
    };
    let mut out: Vec<String> = [
        say(over(&|l| l.threads_leaked_per_scrape), named.threads_leaked_per_scrape.is_some(), "+", "/scrape"),
        say(over(&|l| l.app_threads_stuck.map(f64::from)), named.app_threads_stuck.is_some(), "", " stuck"),
        say(over(&|l| l.lost_updates.map(|n| n as f64)), named.lost_updates.is_some(), "", " lost"),
    ]
    .into_iter()
    .flatten()
    .collect();
    let recovers: Vec<bool> = case.trials.iter().filter_map(|trial| trial.limits.recovers).collect();
    let yes = recovers.iter().filter(|&&yes| yes).count();
    let plain = case.trials.iter().all(|trial| trial.outcome == Some(Outcome::Served)) && named.recovers.is_none();
    match (recovers.len(), yes) {
        (0, _) => {}
        (_, 0) => out.push("no recovery".to_string()),
        (all, yes) if yes < all => out.push(format!("recovers {yes}/{all}")),
        _ if plain => {}
        _ => out.push("recovers".to_string()),
    }
    out
}

/// Every figure of a trial as label and value; what was not measured says so.
pub(super) fn figures_in_full(limits: &Limits) -> Vec<(&'static str, String)> {
    let or_not = |value: Option<String>| value.unwrap_or_else(|| "not measured".to_string());
    vec![
        ("threads leaked per scrape", or_not(limits.threads_leaked_per_scrape.map(number))),
        ("app threads stuck", or_not(limits.app_threads_stuck.map(|n| n.to_string()))),
        ("lost updates", or_not(limits.lost_updates.map(|n| n.to_string()))),
        ("recovers", or_not(limits.recovers.map(|yes| if yes { "yes" } else { "no" }.to_string()))),
        ("health answered", or_not(limits.health.map(|health| format!("{} of {}", health.answered, health.sent)))),
    ]
}

/// The trial to quote for a case: the first that is as bad as the case's verdict. This chooses what to show; the verdict
/// is the report's.
pub(super) fn telling(case: &CaseReport) -> Option<&TrialReport> {
    let (Some(expectation), Some(verdict)) = (&case.expectation, case.verdict) else { return case.trials.first() };
    let graded = |trial: &TrialReport| match trial.outcome {
        None => Graded::Void,
        Some(_) if !trial.covered => Graded::Uncovered,
        Some(outcome) => Graded::Seen { outcome, limits: trial.limits.clone() },
    };
    case.trials
        .iter()
        .find(|trial| grade_trial(expectation, &graded(trial)) == verdict)
        .or_else(|| case.trials.iter().find(|trial| trial.diagnosis.is_some()))
        .or_else(|| case.trials.first())
}

/// The first trial that hung, for the line of evidence.
pub(super) fn hang(case: &CaseReport) -> Option<(&TrialReport, Outcome)> {
    case.trials.iter().find_map(|trial| Some((trial, trial.outcome.filter(|outcome| outcome.is_hang())?)))
}

/// The evidence that decides a trial's outcome, or the first there is.
pub(super) fn decisive(trial: &TrialReport) -> Option<&Evidence> {
    trial.evidence.iter().find(|evidence| evidence.decisive).or(trial.evidence.first())
}

/// One line of evidence for a trial.
pub(super) fn evidence_line(trial: &TrialReport) -> String {
    match (decisive(trial), &trial.diagnosis, &trial.void) {
        (Some(evidence), _, _) => text::sentence(&evidence.says),
        (None, Some(diagnosis), _) => text::sentence(&diagnosis.summary),
        (None, None, Some(void)) => format!("void: {}", text::sentence(&void.reason)),
        (None, None, None) => "no evidence recorded".to_string(),
    }
}

/// Why a trial is not held, in one line, as far as the report says so.
pub(super) fn reason(trial: &TrialReport) -> String {
    if let Some(void) = &trial.void {
        return format!("void: {}", text::sentence(&void.reason));
    }
    if !trial.covered {
        let gaps = trial.diagnosis.iter().flat_map(|diagnosis| &diagnosis.gaps).find(|gap| gap.uncovers);
        if let Some(gap) = gaps {
            return format!("not covered: {} ({})", text::sentence(&gap.what), text::sentence(&gap.why));
        }
        return format!("not covered by its evidence: {}", evidence_line(trial));
    }
    evidence_line(trial)
}

/// The cases that are not held and not skipped, worst first, otherwise in the order given.
pub(super) fn unheld<'a>(cases: impl Iterator<Item = &'a CaseReport>) -> Vec<(&'a CaseReport, Verdict)> {
    let mut all: Vec<_> =
        cases.filter_map(|case| Some((case, case.verdict.filter(|verdict| *verdict != Verdict::Held)?))).collect();
    all.sort_by_key(|(_, verdict)| std::cmp::Reverse(*verdict));
    all
}

/// `24 held, 1 violated, 0 vanished, …` without the zeros except `held`.
pub(super) fn summary_in_words(report: &Report) -> String {
    let s = &report.summary;
    let mut parts = vec![format!("{} held", s.held)];
    for (n, word) in
        [(s.violated, "violated"), (s.vanished, "vanished"), (s.inconclusive, "inconclusive"), (s.skipped, "skipped")]
    {
        if n > 0 {
            parts.push(format!("{n} {word}"));
        }
    }
    parts.join(", ")
}

/// What a request is for, in a word.
pub(super) fn purpose(purpose: Purpose) -> &'static str {
    match purpose {
        Purpose::Before => "before",
        Purpose::Judged => "judged",
        Purpose::During => "during",
        Purpose::After => "after",
        Purpose::Health => "health",
    }
}

/// How an exchange went: `200 in 1.2 ms`, `no answer after 3.00 s`.
pub(super) fn exchange(exchange: &Exchange) -> String {
    let after = text::micros(exchange.total_us);
    match (&exchange.error, exchange.status) {
        (Some(ExchangeError::HangLimit), None) => format!("no answer after {after}"),
        (Some(ExchangeError::HangLimit), Some(status)) => format!("{status}, body not complete after {after}"),
        (Some(ExchangeError::Unreachable { reason }), _) => format!("unreachable: {}", text::sentence(reason)),
        (Some(ExchangeError::Closed { reason }), _) => format!("closed after {after}: {}", text::sentence(reason)),
        (Some(ExchangeError::Malformed { reason }), _) if reason.starts_with(NO_TLS) => text::sentence(reason),
        (Some(ExchangeError::Malformed { reason }), _) => format!("not HTTP: {}", text::sentence(reason)),
        (Some(ExchangeError::Untrusted { reason }), _) => format!("not trusted: {}", text::sentence(reason)),
        (None, Some(status)) => format!("{status} in {after}"),
        (None, None) => format!("ended after {after} without a status"),
    }
}

/// The phases of an exchange: `connected after 0.09 ms, first byte after 1.0 ms, 3412 bytes, text/plain`.
pub(super) fn phases(exchange: &Exchange) -> String {
    let at = |what: &str, us: Option<u64>| us.map(|us| format!("{what} after {}", text::micros(us)));
    let bytes = (exchange.first_byte_us.is_some()).then(|| format!("{} bytes of body", exchange.bytes));
    let kind = exchange.content_type.as_deref().map(|kind| format!("Content-Type {}", text::name(kind)));
    let phases = [
        at("connected", exchange.connected_us),
        at("TLS", exchange.secured_us),
        at("request sent", exchange.sent_us),
        at("first byte", exchange.first_byte_us),
        bytes,
        kind,
    ];
    phases.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

/// What a request was for, with its endpoint where there are several.
pub(super) fn request(request: &RequestReport) -> String {
    if request.endpoint.is_empty() {
        return purpose(request.purpose).to_string();
    }
    format!("{} {}", purpose(request.purpose), text::name(&request.endpoint))
}

/// The command line as one would type it.
pub(super) fn command(words: &[String]) -> String {
    let plain =
        |word: &str| !word.is_empty() && word.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_./:=@,+%".contains(&b));
    let quoted: Vec<String> = words
        .iter()
        .take(200)
        .map(|word| if plain(word) { word.clone() } else { format!("'{}'", word.replace('\'', "'\\''")) })
        .collect();
    text::line(&quoted.join(" "), text::STORY)
}
