//! The views of hand-made reports, compared with what is committed in `reports/golden/`.
//!
//! A difference fails the test. `GATHERLOCK_BLESS=1 cargo test -p gatherlock --test render` writes the files anew; that is
//! refused where `CI` is set, so that nothing is accepted unseen.

mod render_fixture;

use gatherlock::model::{Edge, Mode, Outcome, Relation, RuntimeState, Thread};
use gatherlock::render::terminal::TerminalOptions;
use gatherlock::render::{github, html, json, junit, markdown, svg, terminal};
use render_fixture as fixture;
use std::path::PathBuf;
use std::sync::Arc;

fn golden(name: &str, actual: &str) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../reports/golden").join(name);
    if std::env::var_os("GATHERLOCK_BLESS").is_some() {
        assert!(std::env::var_os("CI").is_none(), "golden files are not written where CI is set");
        std::fs::create_dir_all(path.parent().expect("the path has a folder")).expect("reports/golden can be made");
        std::fs::write(&path, actual).expect("the golden file can be written");
        return;
    }
    let wanted = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("reports/golden/{name}: {error}"));
    if wanted != actual {
        let at = wanted.lines().zip(actual.lines()).position(|(a, b)| a != b);
        let at = at.unwrap_or(wanted.lines().count().min(actual.lines().count()));
        let line = |text: &str| text.lines().nth(at).unwrap_or("(end)").chars().take(400).collect::<String>();
        panic!(
            "reports/golden/{name} differs at line {}\n  golden: {}\n  actual: {}",
            at + 1,
            line(&wanted),
            line(actual)
        );
    }
}

const NARROW: TerminalOptions = TerminalOptions { color: false, width: 80, unicode: true };
const WIDE: TerminalOptions = TerminalOptions { color: true, width: 120, unicode: true };
const ASCII: TerminalOptions = TerminalOptions { color: false, width: 100, unicode: false };

#[test]
fn report_views_are_as_committed() {
    let report = fixture::report();
    golden("report.json", &json::render(&report));
    golden("report.80.txt", &terminal::render(&report, &NARROW));
    golden("report.120.ansi", &terminal::render(&report, &WIDE));
    golden("report.ascii.txt", &terminal::render(&report, &ASCII));
    golden("report.md", &markdown::render(&report));
    golden("report.junit.xml", &junit::render(&report));
    golden("report.html", &html::render(&report));
    golden("report.github.txt", &github::render(&report));
}

#[test]
fn diagnosis_views_are_as_committed() {
    for (name, found) in [
        ("two-threads", fixture::diagnoses::two_threads()),
        ("self-wait", fixture::diagnoses::self_wait()),
        ("three-threads", fixture::diagnoses::three_threads()),
        ("spin", fixture::diagnoses::spin()),
        ("actor", fixture::diagnoses::actor()),
    ] {
        golden(&format!("diagnosis.{name}.txt"), &terminal::diagnosis(&found, &TerminalOptions::default()));
        golden(&format!("diagnosis.{name}.svg"), &svg::wait_graph(&found));
    }
}

#[test]
fn a_step_that_nobody_saw_is_called_supposed() {
    let mut found = fixture::diagnoses::actor();
    let text = |found: &_| terminal::diagnosis(found, &TerminalOptions::default());
    assert!(!text(&found).contains("supposed"));
    found.edges.retain(|edge| !(edge.relation == Relation::Holds && edge.mode == Mode::Event));
    let text = text(&found);
    assert!(text.contains("supposed: nothing seen says that it would"), "{text}");
    assert!(text.contains("expected from    \"actor\"") && !text.contains("held by"), "{text}");
    assert!(text.contains("answers std::sync::mpsc channel"), "{text}");
}

#[test]
fn the_hold_that_blocks_is_shown_and_never_a_place_in_the_queue_instead() {
    let text = |found: &_| terminal::diagnosis(found, &TerminalOptions::default());
    let mut alone = fixture::diagnoses::self_wait();
    alone.edges.retain(|edge| edge.relation != Relation::Holds);
    assert!(!text(&alone).contains("reserved for"), "{}", text(&alone));
    let mut both = fixture::diagnoses::two_threads();
    let shown = text(&both);
    for hold in both.edges.clone().into_iter().filter(|edge| edge.relation == Relation::Holds) {
        both.edges.insert(0, Edge { relation: Relation::Queued, ..hold });
    }
    let held = |text: &str| text.lines().filter(|line| line.contains(" by  ")).map(str::to_string).collect::<Vec<_>>();
    assert!(held(&shown).len() == 2 && held(&text(&both)) == held(&shown), "{}", text(&both));
}

#[test]
fn a_place_in_the_queue_is_no_lock_that_a_thread_has() {
    let order = |found: &_| {
        let text = terminal::diagnosis(found, &TerminalOptions::default());
        text.split("Lock order").nth(1).and_then(|rest| rest.split("\n\n").next()).unwrap().to_string()
    };
    let mut found = fixture::diagnoses::two_threads();
    assert!(!order(&found).contains("queued for"), "{}", order(&found));
    let holds = found.edges.iter_mut().filter(|edge| edge.relation == Relation::Holds && edge.resource == "lock-2");
    holds.for_each(|edge| edge.relation = Relation::Queued);
    assert!(order(&found).contains("queued for LOCK SessionState"), "{}", order(&found));
}

#[test]
fn the_threads_that_starve_a_request_are_shown_before_others() {
    let mut found = fixture::diagnoses::two_threads();
    let (worker, other) = (found.threads[0].clone(), found.threads[1].clone());
    let numbered = |thread: &Thread, tid: i32| {
        let mut thread = Thread { tid, serves_request: false, ..thread.clone() };
        Arc::make_mut(&mut thread.stack)[0].line = Some(tid.unsigned_abs());
        thread
    };
    found.threads = (1..=8).map(|tid| numbered(&other, tid)).chain((11..=15).map(|t| numbered(&worker, t))).collect();
    let wait = found.edges[0].clone();
    found.edges = found.threads.iter().map(|thread| Edge { thread: thread.tid, ..wait.clone() }).collect();
    (found.outcome, found.cycle) = (Some(Outcome::Starved), Vec::new());
    let stuck = (11..=15).collect();
    found.runtime = Some(RuntimeState { workers: 5, blocked: 5, stuck, ..RuntimeState::default() });
    let text = terminal::diagnosis(&found, &TerminalOptions::default());
    let (head, stacks) = text.split_once("\nStacks").unwrap();
    for tid in 11..=15 {
        let who = format!("(tid {tid})");
        assert!(head.contains(&who) && stacks.contains(&who), "{tid}: {text}");
    }
    assert!(head.contains("7 threads more: see the stacks"), "{text}");
    assert!(stacks.ends_with("5 threads more in the JSON report, or with `gatherlock diagnose --full`\n"), "{text}");
}

#[test]
fn model_views_are_as_committed() {
    let checks = fixture::models::checks();
    golden("models.txt", &terminal::models(&checks, &TerminalOptions::default()));
    for check in &checks {
        if let Some(trace) = &check.counterexample {
            golden(&format!("model.{}.txt", check.name), &trace.to_string());
            golden(&format!("model.{}.svg", check.name), &svg::interleaving(trace));
        }
    }
}

#[test]
fn hostile_views_are_as_committed() {
    let report = fixture::hostile::report();
    golden("hostile.80.txt", &terminal::render(&report, &NARROW));
    golden("hostile.ascii.txt", &terminal::render(&report, &ASCII));
    golden("hostile.html", &html::render(&report));
    golden("hostile.md", &markdown::render(&report));
    golden("hostile.junit.xml", &junit::render(&report));
    golden("hostile.github.txt", &github::render(&report));
    let trials = report.cases.iter().flat_map(|case| &case.trials);
    let trial = trials.into_iter().find(|trial| trial.diagnosis.is_some()).expect("a trial has a diagnosis");
    golden("hostile.graph.svg", &svg::wait_graph(trial.diagnosis.as_ref().expect("it has one")));
    golden("hostile.timeline.svg", &svg::timeline(&trial.timeline));
}

#[test]
fn an_empty_report_has_every_view() {
    let mut report = fixture::report();
    report.cases.clear();
    report.scenarios.clear();
    report.variants.clear();
    report.findings.clear();
    report.models.clear();
    report.reality.clear();
    (report.fixes, report.figures) = (None, None);
    report.summary = gatherlock::model::Summary::default();
    assert!(terminal::render(&report, &NARROW).contains("no case was selected"));
    assert!(html::render(&report).contains("No case was judged"));
    assert!(markdown::render(&report).contains("0 held"));
    assert!(junit::render(&report).contains("tests=\"0\""));
    assert_eq!(svg::timeline(&[]), "");
}

#[test]
fn json_says_what_is_wrong_and_where() {
    let good = json::render(&fixture::report());
    let error = |text: &str| json::parse(text).expect_err("is refused").to_string();
    assert!(error("").starts_with("line 1, column 0: not JSON"), "{}", error(""));
    assert!(error(&good[..good.len() / 2]).contains("not JSON"), "{}", error(&good[..good.len() / 2]));
    assert!(error("[]").starts_with("no report"), "{}", error("[]"));
    assert!(error("{}").starts_with("no report"), "{}", error("{}"));
    let other = good.replace("gatherlock.report/1", "gatherlock.report/2");
    assert!(error(&other).contains("`gatherlock.report/2`"), "{}", error(&other));
    let longer = good.replace("gatherlock.report/1", "gatherlock.report/10");
    assert!(error(&longer).contains("`gatherlock.report/10`"), "{}", error(&longer));
    let broken = good.replacen("\"bound_ms\": 1000", "\"bound_ms\": \"soon\"", 1);
    let says = error(&broken);
    assert!(says.starts_with("line 26, column ") && says.contains("\"soon\""), "{says}");
    let newer = good.replacen("\"seed\"", "\"added_later\": 1, \"seed\"", 1);
    assert_eq!(json::parse(&newer).expect("additions are passed over"), fixture::report());
}

#[test]
fn json_comes_back_as_it_was() {
    let report = fixture::report();
    assert_eq!(json::parse(&json::render(&report)).unwrap(), report);
    let hostile = fixture::hostile::report();
    assert_eq!(json::parse(&json::render(&hostile)).unwrap(), hostile);
}

#[test]
fn json_is_indented_down_to_a_thread_and_no_further() {
    let text = json::render(&fixture::report());
    let deepest = text.lines().map(|line| line.len() - line.trim_start().len()).max();
    assert_eq!(deepest, Some(14), "two columns for each of seven levels");
    let frame = text.lines().find(|line| line.contains("\"function\"")).expect("the fixture has stacks");
    assert!(frame.trim_start().starts_with("{\"tid\"") && frame.contains("\"stack\": [{"), "{frame}");
}
