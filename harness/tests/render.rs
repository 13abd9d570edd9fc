//! The views of hand-made reports, compared with what is committed in `reports/golden/`.
//!
//! A difference fails the test. `GATHERLOCK_BLESS=1 cargo test -p gatherlock --test render` writes the files anew; that is
//! refused where `CI` is set, so that nothing is accepted unseen.

mod render_fixture;

use gatherlock::render::terminal::TerminalOptions;
use gatherlock::render::{github, json, junit, markdown, terminal};
use render_fixture as fixture;
use std::path::PathBuf;

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
    }
}

#[test]
fn json_comes_back_as_it_was() {
    let report = fixture::report();
    assert_eq!(json::parse(&json::render(&report)).unwrap(), report);
    let hostile = fixture::hostile::report();
    assert_eq!(json::parse(&json::render(&hostile)).unwrap(), hostile);
}
