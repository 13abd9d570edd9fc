//! Figures made by hand: what a server, a tool and a benchmark might have left.

use gatherlock::model::*;

/// Of every kind.
pub(crate) fn figures() -> Figures {
    let node = |node: &str, case: &str, up: f64, duration: f64, canary: Option<f64>, missing: &[&str]| NodeFigures {
        node: node.into(),
        case: case.parse().expect("a case id"),
        up,
        scrape_duration_seconds: duration,
        samples_before: 17.0,
        samples_after: 16.0 * up,
        canary,
        missing_groups: missing.iter().map(|group| group.to_string()).collect(),
    };
    let page = |of: &str, exit_code, says: &[&str]| PageCheck {
        of: of.into(),
        content_type: "text/plain; version=0.0.4".into(),
        exit_code,
        says: says.iter().map(|line| line.to_string()).collect(),
    };
    let cost = |variant: &str, answer| CostOf { variant: variant.into(), answer, processors: answer };
    Figures {
        server: Some(ServerFigures {
            measured: "2025-11-03T09:00:00Z".into(),
            version: "prometheus, version 2.42.0+ds".into(),
            scrape_interval_seconds: 1.0,
            scrape_timeout_seconds: 1.0,
            nodes: vec![
                node("naive", "register-in-collect/naive", 0.0, 1.0004, None, &[]),
                node("guarded", "slow-collect[group=own]/guarded", 1.0, 0.9021, Some(1.0), &["replica"]),
            ],
        }),
        pages: Some(PageFigures {
            measured: "2025-11-03T09:00:01Z".into(),
            version: "promtool, version 2.42.0+ds".into(),
            pages: vec![
                page("naive", Some(0), &[]),
                page("official", Some(3), &["requests_total no help text"]),
                page("broken", Some(1), &["error while linting: text format parsing error in line 1"]),
                page("killed", None, &[]),
            ],
        }),
        cost: Some(CostFigures {
            measured: "2025-11-03T09:00:02Z".into(),
            cpus: 2,
            series: 10_000,
            reference: "naive".into(),
            reference_ms: 8.671,
            of: vec![cost("naive", 1.0), cost("offload", 1.014), cost("exporter", 1.26)],
        }),
    }
}
