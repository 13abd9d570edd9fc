//! The same report with every string a target could choose replaced by something that tries to break out of its place.

use gatherlock::model::*;

/// Markup, escapes, ends of sections, line breaks, bidi overrides, NUL: each tries to leave a different renderer.
pub(crate) const NASTY: [&str; 14] = [
    "<script>alert(1)</script>",
    "\"><img src=x onerror=alert(1)>",
    "' onmouseover='alert(1)",
    "]]><injected/>",
    "--><!-- ",
    "\u{1b}[2J\u{1b}[31mred\u{1b}]0;title\u{7}",
    "line\nbreak\r\nand\rmore\u{2028}and\u{85}end",
    "\u{202e}desrever\u{202c} \u{2066}isolated\u{2069} \u{feff}",
    "nul\0byte \u{8}\u{7f}\u{9b}31m",
    "| a | b |\n|---|---|\n`code` ``` **bold** [link](javascript:alert(1)) @someone #1 https://example.com/",
    "</svg></title></details></style></summary>",
    "::error::injected%0A::set-output name=x::y",
    "&lt;already&gt; &amp; &#x3c;",
    "e\u{301}\u{301}\u{301}\u{301}\u{301}\u{301}\u{301}\u{301} 🦀 漢字 \u{ffff}",
];

/// `at`-th nasty string; every seventh is a label of 1 MB.
fn nasty(at: &mut usize) -> String {
    *at += 1;
    if *at % 41 == 7 {
        return format!("<b>{}", "A".repeat(1_000_000));
    }
    NASTY[*at % NASTY.len()].to_string()
}

/// A report of a few cases in which every free string is hostile.
pub(crate) fn report() -> Report {
    let mut report = super::report();
    let keep =
        ["register-under-app-lock", "three-party-cycle", "observer-frozen-mid-observe", "actor-cycle", "slow-collect"];
    report.cases.retain(|case| keep.contains(&case.scenario.as_str()) && case.variant != "offload");
    let at = &mut 0;
    for text in
        [&mut report.environment.os, &mut report.environment.rustc, &mut report.environment.kernel, &mut report.started]
    {
        *text = nasty(at);
    }
    report.tool.commit = Some(nasty(at));
    report.command = (0..NASTY.len()).map(|_| nasty(at)).collect();
    report.problems = (0..NASTY.len()).map(|_| nasty(at)).collect();
    report.environment.prometheus = vec![nasty(at)];
    for info in &mut report.scenarios {
        (info.title, info.story) = (nasty(at), nasty(at));
        (info.origin, info.advice) = (vec![nasty(at)], vec![nasty(at), nasty(at)]);
    }
    for info in &mut report.variants {
        (info.title, info.fix) = (nasty(at), Some(nasty(at)));
    }
    for finding in &mut report.findings {
        finding.says = nasty(at);
        finding.strength = Strength::Exhausted { bounds: nasty(at) };
    }
    report.findings[0].says = format!("<i>{}", "A".repeat(1_000_000));
    // A count of their own, so that a model more or less does not change what the cases get.
    let own = &mut 0;
    report.models.iter_mut().for_each(|model| hostile_model(model, own));
    for row in &mut report.reality {
        (row.scenario, row.says) = (nasty(own), nasty(own));
        row.live = [(nasty(own), 1)].into();
        row.models = [(nasty(own), nasty(own))].into();
    }
    for case in &mut report.cases {
        hostile_case(case, at);
    }
    hostile_figures(&mut report, &mut 0);
    report.summary = Summary::of(&report.cases);
    report
}

fn hostile_figures(report: &mut Report, at: &mut usize) {
    for fix in report.fixes.iter_mut().flat_map(|fixes| &mut fixes.variants) {
        (fix.variant, fix.fix) = (nasty(at), Some(nasty(at)));
    }
    let Some(figures) = &mut report.figures else { return };
    if let Some(server) = &mut figures.server {
        (server.measured, server.version) = (nasty(at), nasty(at));
        for node in &mut server.nodes {
            (node.node, node.missing_groups) = (nasty(at), vec![nasty(at), nasty(at)]);
        }
    }
    if let Some(pages) = &mut figures.pages {
        (pages.measured, pages.version) = (nasty(at), nasty(at));
        for page in &mut pages.pages {
            (page.of, page.content_type, page.says) = (nasty(at), nasty(at), vec![nasty(at), nasty(at)]);
        }
    }
    if let Some(cost) = &mut figures.cost {
        (cost.measured, cost.reference) = (nasty(at), nasty(at));
    }
}

fn hostile_model(model: &mut ModelReport, at: &mut usize) {
    for text in [
        &mut model.name,
        &mut model.lesson,
        &mut model.engine,
        &mut model.crate_version,
        &mut model.outcome,
        &mut model.memory,
        &mut model.strength.kind,
    ] {
        *text = nasty(at);
    }
    (model.replay, model.why) = (Some(nasty(at)), Some(nasty(at)));
    let Some(trace) = &mut model.counterexample else { return };
    // Names by which the parts find one another stay the same among each other.
    let mut renamed: Vec<(String, String)> = Vec::new();
    let mut rename = |text: &mut String| {
        let known = renamed.iter().find(|(old, _)| old == text).map(|(_, new)| new.clone());
        let new = known.unwrap_or_else(|| {
            let new = format!("{} {}", nasty(at), renamed.len());
            renamed.push((text.clone(), new.clone()));
            new
        });
        *text = new;
    };
    trace.threads.iter_mut().chain(&mut trace.cycle).for_each(&mut rename);
    for step in &mut trace.steps {
        [&mut step.thread, &mut step.operation, &mut step.lock, &mut step.at].into_iter().for_each(&mut rename);
    }
    let frames = |stack: &mut Vec<LockFrame>, rename: &mut dyn FnMut(&mut String)| {
        stack.iter_mut().for_each(|frame| {
            rename(&mut frame.function);
            rename(&mut frame.at);
        });
    };
    for held in &mut trace.holds {
        [&mut held.thread, &mut held.operation, &mut held.lock, &mut held.at].into_iter().for_each(&mut rename);
        frames(&mut held.stack, &mut rename);
    }
    for wait in &mut trace.waits {
        [&mut wait.thread, &mut wait.operation, &mut wait.lock, &mut wait.at].into_iter().for_each(&mut rename);
        wait.waits_for.iter_mut().for_each(&mut rename);
        frames(&mut wait.stack, &mut rename);
    }
}

fn hostile_case(case: &mut CaseReport, at: &mut usize) {
    case.story = nasty(at);
    case.skip = case.skip.take().map(|_| nasty(at));
    if let Some(expectation) = &mut case.expectation {
        expectation.because = nasty(at);
    }
    for trial in &mut case.trials {
        trial.replay = nasty(at);
        trial.residue = vec![nasty(at)];
        trial.void = trial.void.take().map(|_| Void::because(nasty(at)));
        for evidence in &mut trial.evidence {
            (evidence.detector, evidence.says) = (nasty(at), nasty(at));
            evidence.because = vec![nasty(at), nasty(at)];
        }
        for entry in &mut trial.timeline {
            (entry.lane, entry.label) = (nasty(at), nasty(at));
        }
        trial.probes.thread_states = [(nasty(at), 1)].into();
        for request in &mut trial.probes.requests {
            request.endpoint = nasty(at);
            request.wrong = vec![nasty(at)];
            request.exchange.content_type = Some(nasty(at));
            request.exchange.headers = vec![(nasty(at), nasty(at))];
            request.exchange.error = Some(ExchangeError::Closed { reason: nasty(at) });
        }
        if let Some(found) = &mut trial.diagnosis {
            hostile_diagnosis(found, at);
        }
    }
}

fn hostile_diagnosis(found: &mut Diagnosis, at: &mut usize) {
    found.summary = nasty(at);
    found.target = Target { url: Some(nasty(at)), pid: Some(1), inner_pid: None, exe: Some(nasty(at)) };
    for thread in &mut found.threads {
        (thread.name, thread.state) = (nasty(at), nasty(at));
        (thread.wchan, thread.syscall) = (Some(nasty(at)), Some(nasty(at)));
        for frame in std::sync::Arc::make_mut(&mut thread.stack) {
            (frame.function, frame.file, frame.module) = (nasty(at), Some(nasty(at)), nasty(at));
        }
    }
    let name_of = |tid: i32, threads: &[Thread]| {
        threads.iter().find(|thread| thread.tid == tid).map(|thread| thread.name.clone())
    };
    for step in found.cycle.iter_mut().chain(found.suspects.iter_mut().flatten()) {
        for who in [&mut step.thread, &mut step.held_by] {
            who.name = name_of(who.tid, &found.threads).unwrap_or_default();
        }
    }
    // Ids are strings of the report, too; the edges must still find them.
    for resource in &mut found.resources {
        resource.name = nasty(at);
        let id = format!("{} {}", resource.id, NASTY[*at % NASTY.len()]);
        let threads = found.threads.iter_mut().filter_map(|thread| thread.waits_for.as_mut());
        let steps = found.cycle.iter_mut().chain(found.suspects.iter_mut().flatten()).map(|step| &mut step.waits_for);
        for waits in threads.chain(steps).filter(|waits| waits.resource == resource.id) {
            waits.resource = id.clone();
        }
        for edge in found.edges.iter_mut().filter(|edge| edge.resource == resource.id) {
            edge.resource = id.clone();
        }
        resource.id = id;
    }
    for edge in &mut found.edges {
        (edge.site, edge.note) = (Some(nasty(at)), Some(nasty(at)));
        if let Provenance::Inferred { rule } = &mut edge.provenance {
            *rule = nasty(at);
        }
    }
    for gap in &mut found.gaps {
        (gap.what, gap.why) = (nasty(at), nasty(at));
    }
    found.advice = vec![nasty(at), nasty(at)];
}
