//! Whatever a target puts into its names, each view stays what it is: one page, one picture, one document, one log.

mod render_fixture;

use gatherlock::model::{Diagnosis, Evidence, ExchangeError, Report, TimelineEntry};
use gatherlock::render::terminal::TerminalOptions;
use gatherlock::render::{github, html, junit, markdown, svg, terminal};
use render_fixture::hostile::report;

const MIB: usize = 1 << 20;

fn diagnoses(report: &Report) -> impl Iterator<Item = &Diagnosis> {
    report.cases.iter().flat_map(|case| &case.trials).filter_map(|trial| trial.diagnosis.as_ref())
}

fn timelines(report: &Report) -> impl Iterator<Item = &[TimelineEntry]> {
    report.cases.iter().flat_map(|case| &case.trials).map(|trial| trial.timeline.as_slice())
}

/// Fails if `text` holds anything that moves a cursor, hides itself, or turns its neighbours round.
fn nothing_hidden(what: &str, text: &str) {
    let hidden = text.chars().filter(|c| *c != '\n').find(|c| {
        c.is_control()
            || matches!(*c as u32, 0x200b..=0x200f | 0x2028..=0x202e | 0x2066..=0x2069 | 0xfeff | 0xfffe..=0xffff)
    });
    assert_eq!(hidden, None, "{what}");
}

/// Removes the colours that the terminal view writes itself.
fn without_colours(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("\x1b[") {
        out.push_str(before);
        let end = after.find('m').expect("a colour ends in m");
        assert!(after[..end].bytes().all(|b| b.is_ascii_digit() || b == b';'), "only colours: {:?}", &after[..end]);
        rest = &after[end + 1..];
    }
    out.push_str(rest);
    out
}

#[test]
fn a_terminal_shows_text_and_nothing_else() {
    let report = report();
    let options = TerminalOptions { color: false, width: 100, unicode: true };
    let plain = terminal::render(&report, &options);
    nothing_hidden("plain", &plain);
    let coloured = terminal::render(&report, &TerminalOptions { color: true, ..options });
    assert_eq!(without_colours(&coloured), plain);
    assert!(terminal::render(&report, &TerminalOptions { unicode: false, ..options }).is_ascii());
    for found in diagnoses(&report) {
        nothing_hidden("diagnosis", &terminal::diagnosis(found, &options));
        assert!(terminal::diagnosis(found, &TerminalOptions { unicode: false, ..options }).is_ascii());
    }
    let models = terminal::models(&report.models, &options);
    nothing_hidden("models", &models);
    for trace in report.models.iter().filter_map(|model| model.counterexample.as_ref()) {
        nothing_hidden("counterexample", &terminal::counterexample(trace, &options));
        assert!(terminal::counterexample(trace, &TerminalOptions { unicode: false, ..options }).is_ascii());
    }
    assert!(plain.contains("characters)"), "what was cut is said");
    assert!(plain.len() < MIB, "{} bytes", plain.len());
}

/// The elements and attributes that the page and its pictures use.
const ELEMENTS: &str = "!DOCTYPE html head meta link title style body header main section nav footer article div p span b i em \
    strong small h1 h2 h3 h4 h5 ul ol li dl dt dd table thead tbody tr th td a code pre blockquote figure details summary input label \
    br svg desc g rect path line text";
const ATTRIBUTES: &str = "lang charset http-equiv content name rel href class id title scope colspan value type checked for style \
    aria-hidden aria-label open start xmlns viewBox width height role x y x1 x2 y1 y2 rx d text-anchor html";
const VOID: &str = "!DOCTYPE meta link input br";

/// Reads `text` tag by tag: every `<` opens a known element with known, quoted attributes, and every element is closed.
fn check_markup(what: &str, text: &str) {
    let known = |list: &str, word: &str| list.split_whitespace().any(|known| known == word);
    let mut open: Vec<String> = Vec::new();
    let mut rest = text;
    while let Some((_, after)) = rest.split_once('<') {
        if let Some(end) = after.strip_prefix('/') {
            let (name, after) = end.split_once('>').expect("a closing tag ends");
            assert_eq!(open.pop().as_deref(), Some(name), "{what}: closes what is open");
            rest = after;
            continue;
        }
        let end = after.find([' ', '>']).expect("a tag has a name");
        let name = &after[..end];
        assert!(known(ELEMENTS, name), "{what}: unknown element {name:?}");
        rest = &after[end..];
        while let Some(attribute) = rest.strip_prefix(' ') {
            let end = attribute.find(['=', ' ', '>']).expect("an attribute ends");
            assert!(
                known(ATTRIBUTES, &attribute[..end]),
                "{what}: unknown attribute {:?} of {name}",
                &attribute[..end]
            );
            rest = &attribute[end..];
            if let Some(value) = rest.strip_prefix("=\"") {
                let (value, after) = value.split_once('"').expect("a value is closed");
                assert!(!value.contains('<'), "{what}: {value:?}");
                if &attribute[..end] == "href" {
                    assert!(value.starts_with('#') || value == "data:,", "{what}: leads elsewhere: {value:?}");
                }
                rest = after;
            }
        }
        rest = rest.strip_prefix('>').unwrap_or_else(|| panic!("{what}: {name} does not end"));
        if !known(VOID, name) {
            open.push(name.to_string());
        }
    }
    assert!(open.is_empty(), "{what}: left open: {open:?}");
}

#[test]
fn a_page_has_our_elements_only_and_loads_nothing() {
    let report = report();
    let page = html::render(&report);
    check_markup("page", &page);
    nothing_hidden("page", &page);
    for forbidden in ["url(", "@import", "<script"] {
        assert!(!page.contains(forbidden), "{forbidden}");
    }
    assert!(page.contains("&lt;script&gt;alert(1)&lt;/script&gt;"), "markup is shown as text");
    assert!(page.contains("characters)"), "what was cut is said");
    assert!(page.len() < 2 * MIB, "{} bytes", page.len());
    for found in diagnoses(&report) {
        check_markup("diagnosis", &html::render_diagnosis(found));
    }
    check_markup("plain page", &html::render(&render_fixture::report()));
}

/// Fails unless `text` is well-formed XML.
fn well_formed(what: &str, text: &str) {
    let mut reader = quick_xml::Reader::from_str(text);
    reader.config_mut().check_comments = true;
    loop {
        match reader.read_event() {
            Ok(quick_xml::events::Event::Eof) => return,
            Ok(quick_xml::events::Event::GeneralRef(name)) => {
                let name = name.decode().expect("a reference is text");
                assert!(
                    ["amp", "lt", "gt", "quot", "apos"].contains(&&*name) || name.starts_with('#'),
                    "{what}: &{name};"
                );
            }
            Ok(_) => {}
            Err(error) => panic!("{what}: {error} at byte {}", reader.error_position()),
        }
    }
}

#[test]
fn pictures_are_well_formed() {
    let report = report();
    for found in diagnoses(&report) {
        let picture = svg::wait_graph(found);
        well_formed("graph", &picture);
        check_markup("graph", &picture);
        nothing_hidden("graph", &picture);
        assert!(picture.len() < 256 << 10, "{} bytes", picture.len());
    }
    for trace in report.models.iter().filter_map(|model| model.counterexample.as_ref()) {
        let picture = svg::interleaving(trace);
        well_formed("interleaving", &picture);
        check_markup("interleaving", &picture);
        nothing_hidden("interleaving", &picture);
    }
    for entries in timelines(&report) {
        let picture = svg::timeline(entries);
        well_formed("timeline", &picture);
        nothing_hidden("timeline", &picture);
    }
}

#[test]
fn junit_is_well_formed() {
    let text = junit::render(&report());
    well_formed("junit", &text);
    nothing_hidden("junit", &text);
    assert!(!text.contains("]]>"));
    assert!(text.len() < MIB, "{} bytes", text.len());
}

#[test]
fn markdown_stays_within_a_mebibyte_and_has_no_foreign_markup() {
    check_markdown(&markdown::render(&report()));
}

fn check_markdown(text: &str) {
    assert!(text.len() <= MIB);
    nothing_hidden("markdown", text);
    let mut fence: Option<String> = None;
    for line in text.lines() {
        let ticks: String = line.chars().take_while(|c| *c == '`').collect();
        if ticks.len() >= 3
            && fence.as_ref().is_none_or(|fence| *fence == line)
            && line.trim_start_matches('`').len() <= 4
        {
            fence = if fence.is_some() { None } else { Some(ticks) };
            continue;
        }
        if fence.is_some() {
            continue;
        }
        let prose = without_code(line);
        let bare = ["<br>", "<details>", "</details>", "<summary>", "</summary>", "<!-- -->"]
            .iter()
            .fold(prose.clone(), |text, ours| text.replace(ours, ""));
        assert!(!bare.contains('<'), "{line}");
        assert!(!prose.replace("\\]", "").contains("]("), "{line}");
        assert!(!prose.contains("https://"), "{line}");
    }
    assert_eq!(fence, None, "every fence is closed");
}

/// `line` without its code spans.
fn without_code(line: &str) -> String {
    let mut out = String::new();
    let mut rest = line;
    while let Some(at) = rest.find('`') {
        let escaped = rest[..at].ends_with('\\');
        let run = rest[at..].bytes().take_while(|b| *b == b'`').count();
        let (before, after) = (&rest[..at], &rest[at + run..]);
        out.push_str(before);
        if escaped {
            rest = after;
            continue;
        }
        let mut from = 0;
        rest = loop {
            let Some(close) = after[from..].find('`') else { panic!("a code span is not closed: {line}") };
            let length = after[from + close..].bytes().take_while(|b| *b == b'`').count();
            from += close + length;
            if length == run {
                break &after[from..];
            }
        };
    }
    out.push_str(rest);
    out
}

#[test]
fn markdown_says_what_it_left_out() {
    let text = markdown::render(&render_fixture::many(4_000));
    assert!(text.len() <= MIB, "{} bytes", text.len());
    assert!(text.contains("Left out, because a summary may have 1 MiB at most: "), "the note is there");
    assert!(text.contains("diagnos"), "and names what is missing");
}

#[test]
fn annotations_are_one_command_a_line() {
    let text = github::render(&report());
    nothing_hidden("annotations", &text);
    for line in text.lines() {
        let (kind, rest) = line.strip_prefix("::").and_then(|rest| rest.split_once(' ')).unwrap_or((line, ""));
        assert!(["error", "warning", "notice"].contains(&kind), "{line}");
        assert!(rest.starts_with("title="), "{line}");
    }
}

#[test]
fn the_report_of_a_diagnosis_is_as_clean() {
    let all = report();
    for (found, decisive) in diagnoses(&all).zip([true, false].into_iter().cycle()) {
        let nasty = found.summary.clone();
        let mut found = found.clone();
        let (detector, because) = ("scrape".to_string(), vec![nasty.clone(), nasty.clone()]);
        found.evidence = vec![Evidence { detector, says: nasty.clone(), because, decisive }];
        if let Some(metrics) = &mut found.probes.metrics {
            metrics.content_type = Some(nasty.clone());
            metrics.error = Some(ExchangeError::Malformed { reason: nasty.clone() });
        }
        let report = Report { cases: Vec::new(), diagnosis: Some(found), command: vec![nasty], ..report() };
        let options = TerminalOptions { color: false, width: 100, unicode: true };
        nothing_hidden("text", &terminal::render(&report, &options));
        check_markup("page", &html::render(&report));
        check_markdown(&markdown::render(&report));
        well_formed("junit", &junit::render(&report));
    }
}
