//! What a matrix run is worth: pure functions over the reports.
//!
//! A cycle counts as found if the case is called `deadlocked` with a cycle of the shape that the first build of the matrix
//! shows: the same number of steps, by threads of the same names, for the same kinds of locks in the same modes. A cycle in a
//! case that is expected to hang in another way is a false one.

use serde_json::Value;
use std::fmt::Write;
use std::process::ExitCode;

/// The outcomes that are hangs.
const HANGS: [&str; 5] = ["deadlocked", "livelocked", "starved", "busy", "stalled"];
const DEADLOCKED: &str = "deadlocked";

/// What the engine said about one case.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Case {
    pub(super) id: String,
    /// What it must show.
    pub(super) must: String,
    /// What it showed; empty if the trial was void.
    pub(super) outcome: String,
    /// The claimed cycle, a line a step, beginning with the least.
    pub(super) shape: Vec<String>,
    /// What the locks of the cycle are called.
    pub(super) names: Vec<String>,
    /// The sentence, and what was not seen.
    pub(super) says: String,
}

/// The id of a case whose one expected outcome is a hang.
pub(super) fn expected_to_hang(case: &Value) -> Option<String> {
    let must = case["expectation"]["must"].as_str()?;
    HANGS.contains(&must).then(|| case["id"].as_str().map(str::to_owned)).flatten()
}

/// Reads the cases of a report.
pub(super) fn cases(report: &Value) -> Result<Vec<Case>, String> {
    let listed = report["cases"].as_array().ok_or("the report has no cases")?;
    let ran = listed.iter().filter(|case| case["trials"].as_array().is_some_and(|trials| !trials.is_empty()));
    Ok(ran.map(case).collect())
}

fn case(case: &Value) -> Case {
    let trial = &case["trials"][0];
    let diagnosis = &trial["diagnosis"];
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let resource = |id: &Value| {
        let resources = diagnosis["resources"].as_array();
        resources.into_iter().flatten().find(|resource| resource["id"] == *id).cloned().unwrap_or_default()
    };
    let steps = diagnosis["cycle"].as_array().cloned().unwrap_or_default();
    let mut shape: Vec<String> = Vec::new();
    let mut names: Vec<String> = Vec::new();
    for step in &steps {
        let wanted = resource(&step["waits_for"]["resource"]);
        let (thread, mode) = (text(&step["thread"]["name"]), text(&step["waits_for"]["mode"]));
        shape.push(format!("{thread} waits {mode} {}", text(&wanted["kind"])));
        names.push(text(&wanted["name"]));
    }
    // A cycle has no beginning.
    let first = (0..shape.len()).min_by_key(|at| shape.iter().cycle().skip(*at).take(shape.len()).collect::<Vec<_>>());
    let first = first.unwrap_or(0);
    shape.rotate_left(first);
    names.sort_unstable();
    let unseen = diagnosis["gaps"].as_array().into_iter().flatten().filter(|gap| gap["uncovers"] == true);
    let unseen: Vec<String> = unseen.map(|gap| format!("{}: {}", text(&gap["what"]), text(&gap["why"]))).collect();
    let void = trial["void"]["reason"].as_str().map(|reason| format!("void: {reason}"));
    let says = void.unwrap_or_else(|| [vec![text(&diagnosis["summary"])], unseen].concat().join("; not seen: "));
    Case {
        id: text(&case["id"]),
        must: text(&case["expectation"]["must"]),
        outcome: text(&trial["outcome"]),
        shape,
        names,
        says,
    }
}

/// A miss that is known, and why; one that is not missed any more is an error, so that the list stays true, unless it is
/// only missed sometimes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Known {
    profile: String,
    parking_lot: String,
    /// With `/*` at the end: every variant.
    case: String,
    sometimes: bool,
    why: String,
}

impl Known {
    /// `profile parking_lot case why…`, a line each; `~` in front of the case: sometimes; `#` begins a comment.
    pub(super) fn read(text: &str) -> Result<Vec<Known>, String> {
        let lines = text.lines().filter(|line| !line.trim().is_empty() && !line.starts_with('#'));
        let parse = |line: &str| {
            let mut words = line.splitn(4, ' ').map(str::to_owned);
            let (profile, parking_lot, case) = (words.next()?, words.next()?, words.next()?);
            let (case, sometimes) =
                case.strip_prefix('~').map_or((case.clone(), false), |case| (case.to_owned(), true));
            Some(Known { profile, parking_lot, case, sometimes, why: words.next()? })
        };
        lines.map(|line| parse(line).ok_or_else(|| format!("not a known miss: `{line}`"))).collect()
    }

    fn is(&self, id: &str) -> bool {
        match self.case.strip_suffix('*') {
            Some(row) => id.starts_with(row),
            None => id == self.case,
        }
    }
}

/// What became of one case.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Verdict {
    Right,
    Missed(String),
    False(String),
    Void,
}

/// The score of one build.
pub(super) struct Score {
    profile: &'static str,
    parking_lot: String,
    pub(super) cases: Vec<Case>,
    verdicts: Vec<Verdict>,
    known: Vec<Known>,
    named: Option<(usize, usize)>,
}

impl Score {
    /// Scores `cases`, the first build's being the `reference`.
    pub(super) fn new(
        profile: &'static str,
        parking_lot: &str,
        cases: Vec<Case>,
        reference: Option<&[Case]>,
        known: &[Known],
    ) -> Score {
        let like = |case: &Case| reference.and_then(|all| all.iter().find(|other| other.id == case.id));
        let verdicts = cases.iter().map(|case| verdict(case, like(case))).collect();
        let of_this = known.iter().filter(|known| known.profile == profile && known.parking_lot == parking_lot);
        let known = of_this.cloned().collect();
        let compared: Vec<(&Case, &Case)> = cases.iter().filter_map(|case| Some((case, like(case)?))).collect();
        let found = compared.iter().filter(|(case, like)| !case.shape.is_empty() && case.shape == like.shape);
        let same = found.clone().filter(|(case, like)| case.names == like.names).count();
        let named = reference.map(|_| (same, found.count()));
        Score { profile, parking_lot: parking_lot.to_owned(), cases, verdicts, known, named }
    }

    fn count(&self, deadlocks: bool, right: bool) -> usize {
        let of = self.cases.iter().zip(&self.verdicts).filter(|(case, _)| (case.must == DEADLOCKED) == deadlocks);
        of.filter(|(_, verdict)| !right || **verdict == Verdict::Right).count()
    }

    fn false_cycles(&self) -> usize {
        self.verdicts.iter().filter(|verdict| matches!(verdict, Verdict::False(_))).count()
    }

    /// Every case that was not right, a paragraph each.
    pub(super) fn misses(&self) -> String {
        let mut out = String::new();
        for (case, verdict) in self.cases.iter().zip(&self.verdicts) {
            let says = match verdict {
                Verdict::Right => continue,
                Verdict::Missed(says) => format!("missed: {says}"),
                Verdict::False(says) => format!("FALSE CYCLE: {says}"),
                Verdict::Void => "not judged".to_owned(),
            };
            let known = self.known_as(&case.id).map(|known| format!(" (known: {})", known.why)).unwrap_or_default();
            let _ = writeln!(out, "  {} {says}{known}\n    {}", case.id, case.says);
        }
        for (id, known) in self.no_longer_missed() {
            let _ = writeln!(out, "  {id} is listed as missed ({}), and is right: take it off the list", known.why);
        }
        out
    }

    fn known_as(&self, id: &str) -> Option<&Known> {
        self.known.iter().find(|known| known.is(id))
    }

    fn no_longer_missed(&self) -> impl Iterator<Item = (&String, &Known)> {
        let right = self.cases.iter().zip(&self.verdicts).filter(|(_, verdict)| **verdict == Verdict::Right);
        let listed = right.filter_map(|(case, _)| Some((&case.id, self.known_as(&case.id)?)));
        listed.filter(|(_, known)| !known.sometimes)
    }
}

fn verdict(case: &Case, like: Option<&Case>) -> Verdict {
    if case.outcome.is_empty() {
        return Verdict::Void;
    }
    let shown = if case.shape.is_empty() { "no cycle".to_owned() } else { case.shape.join(" → ") };
    if case.must != DEADLOCKED {
        return match case.shape.is_empty() {
            false => Verdict::False(shown),
            true if case.outcome == case.must => Verdict::Right,
            true => Verdict::Missed(format!("{} instead of {}", case.outcome, case.must)),
        };
    }
    if case.outcome != DEADLOCKED || case.shape.is_empty() {
        return Verdict::Missed(format!("{} with {shown}", case.outcome));
    }
    match like {
        // The reference may itself have missed it.
        Some(like) if !like.shape.is_empty() && like.shape != case.shape => {
            Verdict::False(format!("{shown}, where another build shows {}", like.shape.join(" → ")))
        }
        _ => Verdict::Right,
    }
}

/// The table, in Markdown.
pub(super) fn table(scores: &[Score]) -> String {
    let mut out =
        "\n| build | parking_lot | cycles found | false cycles | other hangs named | locks named as in the first |\n"
            .to_owned();
    out.push_str("|---|---|---|---|---|---|\n");
    for score in scores {
        let named = score.named.map_or("–".to_owned(), |(same, all)| format!("{same}/{all}"));
        let _ = writeln!(
            out,
            "| {} | {} | {}/{} | {} | {}/{} | {named} |",
            score.profile,
            score.parking_lot,
            score.count(true, true),
            score.count(true, false),
            score.false_cycles(),
            score.count(false, true),
            score.count(false, false),
        );
    }
    out
}

/// See the verb's usage. Where at most a tenth could not be judged, that is said above and does not decide.
pub(super) fn exit_code(scores: &[Score]) -> ExitCode {
    let wrong = |score: &Score| {
        let mut both = score.cases.iter().zip(&score.verdicts);
        both.any(|(case, verdict)| match verdict {
            Verdict::Right | Verdict::Void => false,
            Verdict::Missed(_) => score.known_as(&case.id).is_none(),
            Verdict::False(_) => true,
        }) || score.no_longer_missed().next().is_some()
    };
    let void = |score: &Score| score.verdicts.iter().filter(|verdict| **verdict == Verdict::Void).count();
    if scores.iter().any(wrong) {
        return ExitCode::FAILURE;
    }
    let undecided = scores.iter().any(|score| void(score) * 10 > score.cases.len());
    if undecided || scores.is_empty() { ExitCode::from(2) } else { ExitCode::SUCCESS }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn report(must: &str, outcome: Value, steps: &[(&str, &str, &str)]) -> Vec<Case> {
        let cycle: Vec<Value> = steps
            .iter()
            .map(|(thread, mode, lock)| json!({"thread": {"name": thread}, "waits_for": {"mode": mode, "resource": lock}}))
            .collect();
        let resources =
            json!([{"id": "lock-1", "kind": "std_mutex", "name": "M"}, {"id": "lock-2", "kind": "x", "name": "R"}]);
        cases(&json!({"cases": [{
            "id": "a/naive",
            "expectation": {"must": must},
            "trials": [{"outcome": outcome, "diagnosis": {"cycle": cycle, "resources": resources, "summary": "s"}}],
        }]}))
        .unwrap()
    }

    const AB: [(&str, &str, &str); 2] = [("a", "exclusive", "lock-1"), ("b", "write", "lock-2")];
    const BA: [(&str, &str, &str); 2] = [("b", "write", "lock-2"), ("a", "exclusive", "lock-1")];
    const AA: [(&str, &str, &str); 2] = [("a", "exclusive", "lock-1"), ("a", "write", "lock-2")];

    fn wrong(score: &Score) -> bool {
        exit_code(std::slice::from_ref(score)) != ExitCode::SUCCESS
    }

    #[test]
    fn a_cycle_is_the_same_wherever_it_is_told_from_and_false_if_it_is_another() {
        let reference = report(DEADLOCKED, json!(DEADLOCKED), &AB);
        let score = |steps: &[_]| {
            Score::new("lto", "0.12", report(DEADLOCKED, json!(DEADLOCKED), steps), Some(&reference), &[])
        };
        assert_eq!(score(&BA).verdicts, [Verdict::Right]);
        assert_eq!(score(&BA).named, Some((1, 1)));
        assert!(!wrong(&score(&BA)));
        assert!(matches!(score(&AA).verdicts[..], [Verdict::False(_)]));
        assert!(matches!(score(&[]).verdicts[..], [Verdict::Missed(_)]));
        assert!(wrong(&score(&AA)) && wrong(&score(&[])));
        assert!(table(&[score(&AA)]).contains("| lto | 0.12 | 0/1 | 1 | 0/0 | 0/0 |"), "{}", table(&[score(&AA)]));
    }

    #[test]
    fn another_hang_must_have_its_own_name_and_no_cycle() {
        let score =
            |outcome: Value, steps: &[_]| Score::new("dev", "0.12", report("stalled", outcome, steps), None, &[]);
        assert_eq!(score(json!("stalled"), &[]).verdicts, [Verdict::Right]);
        assert!(matches!(score(json!("busy"), &[]).verdicts[..], [Verdict::Missed(_)]));
        assert!(matches!(score(json!("stalled"), &AB).verdicts[..], [Verdict::False(_)]));
        assert_eq!(exit_code(&[score(Value::Null, &[])]), ExitCode::from(2));
    }

    #[test]
    fn a_known_miss_is_no_failure_and_has_to_be_one() {
        let known = Known::read("# why\n\nlto 0.12 a/naive not yet\n").unwrap();
        assert!(Known::read("lto 0.12 a/naive").is_err());
        let score = |steps: &[_]| Score::new("lto", "0.12", report(DEADLOCKED, json!(DEADLOCKED), steps), None, &known);
        assert!(!wrong(&score(&[])));
        assert!(score(&[]).misses().contains("known: not yet"));
        assert!(wrong(&score(&AB)));
        assert!(score(&AB).misses().contains("take it off the list"));
        let sometimes = Known::read("lto 0.12 ~a/* now and then").unwrap();
        let score =
            |steps: &[_]| Score::new("lto", "0.12", report(DEADLOCKED, json!(DEADLOCKED), steps), None, &sometimes);
        assert!(!wrong(&score(&[])) && !wrong(&score(&AB)));
    }

    #[test]
    fn what_is_expected_to_hang() {
        assert_eq!(expected_to_hang(&json!({"id": "a/b", "expectation": {"must": "busy"}})), Some("a/b".to_owned()));
        assert_eq!(expected_to_hang(&json!({"id": "a/b", "expectation": {"must": "late"}})), None);
        assert_eq!(expected_to_hang(&json!({"id": "a/b", "skip": "x"})), None);
    }
}
