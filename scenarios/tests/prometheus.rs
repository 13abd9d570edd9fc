//! A real Prometheus server scrapes three nodes on loopback, and its API says what it saw: a node that hangs, the same node
//! with the guard, and a guarded node with one group that is stuck. Then `promtool` reads every variant's page.
//!
//! It takes the server of Debian's package (2.42), or any other on the path. Where there is none the tests say so and
//! what to install, and pass; with `GATHERLOCK_REQUIRE_PROMETHEUS` set they fail.

mod trial;

use gatherlock::detect::exposition::parse_content_type;
use gatherlock::model::{CaseId, Command, Figures, NodeFigures, PageCheck, PageFigures, ServerFigures};
use gatherlock::probe::scrape::{ScrapeRequest, scrape};
use gatherlock_guard::{Endpoint, Request};
use prometheus_client::metrics::counter::Counter;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::Arc;
use std::time::{Instant, SystemTime};
use trial::{PATIENCE, Trial};

/// Every second, with a second's patience.
const CONFIG: &str =
    "global: {scrape_interval: 1s, scrape_timeout: 1s}\nscrape_configs:\n- job_name: nodes\n  static_configs:\n";

/// What `PROGRAM --version` says first, or `None`, said aloud.
fn found(program: &str) -> Option<String> {
    let output = std::process::Command::new(program).arg("--version").output();
    let first = |output: std::process::Output| {
        let text = [output.stdout, output.stderr].concat();
        String::from_utf8_lossy(&text).lines().next().unwrap_or_default().to_string()
    };
    match output {
        Ok(output) if output.status.success() => Some(first(output)),
        _ => {
            assert!(std::env::var_os("GATHERLOCK_REQUIRE_PROMETHEUS").is_none(), "there is no `{program}`");
            // Not `eprintln!`, which a passing test swallows.
            let note = format!("SKIPPED: there is no `{program}` here; on Debian: apt-get install prometheus\n");
            std::io::stderr().write_all(note.as_bytes()).unwrap();
            None
        }
    }
}

/// A Prometheus server with its data in a folder of its own; both are gone when it is dropped.
struct Server {
    child: Child,
    address: String,
    _folder: tempfile::TempDir,
}

impl Server {
    fn start(targets: &[(&str, &str)]) -> Server {
        let folder = tempfile::tempdir().unwrap();
        let mut config = CONFIG.to_string();
        for (node, url) in targets {
            let address = url.strip_prefix("http://").unwrap().strip_suffix("/metrics").unwrap();
            writeln!(config, "  - {{targets: ['{address}'], labels: {{node: {node}}}}}").unwrap();
        }
        std::fs::write(folder.path().join("prometheus.yml"), config).unwrap();
        // It does not say which port it got if it is to choose one. Should somebody take this one first, it ends, and we
        // say why.
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
        let child = std::process::Command::new("prometheus")
            .arg(format!("--config.file={}", folder.path().join("prometheus.yml").display()))
            .arg(format!("--storage.tsdb.path={}", folder.path().join("data").display()))
            .arg(format!("--web.listen-address={address}"))
            .arg("--log.level=error")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let mut server = Server { child, address, _folder: folder };
        let begun = Instant::now();
        while server.get("/-/ready").is_none() {
            assert_eq!(server.child.try_wait().unwrap(), None, "the server ended; its message is above");
            assert!(begun.elapsed() < PATIENCE, "the server does not become ready");
            std::thread::yield_now();
        }
        server
    }

    fn get(&self, path: &str) -> Option<String> {
        let url = format!("http://{}{path}", self.address).parse().unwrap();
        let exchange = scrape(&ScrapeRequest::new(url, PATIENCE)).unwrap();
        (exchange.status == Some(200)).then_some(exchange.body).flatten()
    }

    /// The series of a metric now: the value by node, and by the label `label` behind a slash, if one is given.
    fn query(&self, metric: &str, label: Option<&str>) -> BTreeMap<String, f64> {
        let body = self.get(&format!("/api/v1/query?query={metric}")).expect("the API answers");
        let answer: Value = serde_json::from_str(&body).unwrap();
        assert_eq!(answer["status"], "success", "{answer}");
        let series = answer["data"]["result"].as_array().unwrap();
        let entry = |series: &Value| {
            let name = |label: &str| series["metric"][label].as_str().unwrap_or_default().to_string();
            let key = label.map_or_else(|| name("node"), |label| format!("{}/{}", name("node"), name(label)));
            (key, series["value"][1].as_str().unwrap().parse().unwrap())
        };
        series.iter().map(entry).collect()
    }

    /// Asks until the answer is as wanted.
    fn wait_for(&self, metric: &str, wanted: impl Fn(&BTreeMap<String, f64>) -> bool) -> BTreeMap<String, f64> {
        let begun = Instant::now();
        loop {
            let now = self.query(metric, None);
            if wanted(&now) {
                return now;
            }
            assert!(begun.elapsed() < PATIENCE, "`{metric}` stays at {now:?}");
            std::thread::yield_now();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn values(of: &BTreeMap<String, f64>, nodes: [&str; 3]) -> [Option<f64>; 3] {
    nodes.map(|node| of.get(node).copied())
}

#[test]
fn a_real_server_sees_the_guarded_nodes_and_misses_the_naive_one() {
    let Some(version) = found("prometheus") else { return };
    let nodes = ["naive", "guarded", "guarded-one-group-stuck"];
    let cases = ["register-in-collect/naive", "register-in-collect/guarded", "slow-collect[group=own]/guarded"];
    let mut trials = cases.map(Trial::start);
    let urls = trials.each_mut().map(|trial| trial.ready().0[0].metrics.clone());
    let targets: Vec<(&str, &str)> = nodes.into_iter().zip(urls.iter().map(String::as_str)).collect();
    let server = Server::start(&targets);
    let all_at = |value: f64| move |of: &BTreeMap<String, f64>| values(of, nodes) == [Some(value); 3];
    server.wait_for("up", all_at(1.0));
    server.wait_for("gatherlock_canary_total", all_at(0.0));
    let before = values(&server.query("scrape_samples_scraped", None), nodes).map(Option::unwrap);

    for trial in &mut trials {
        trial.command(Command::Arm);
        trial.command(Command::Bump);
    }
    server.wait_for("up", |up| values(up, nodes) == [Some(0.0), Some(1.0), Some(1.0)]);
    let canary =
        server.wait_for("gatherlock_canary_total", |canary| values(canary, nodes) == [None, Some(1.0), Some(1.0)]);
    // The stuck group has been met once its deadline shows in the duration.
    let stuck = |missing: &BTreeMap<String, f64>| missing.get(nodes[2]).copied() == Some(1.0);
    server.wait_for("gatherlock_guard_stuck_groups", stuck);
    let missing = server.query("gatherlock_guard_group_missing", Some("group"));
    assert_eq!(missing["guarded-one-group-stuck/replica"], 1.0);
    assert_eq!(missing["guarded-one-group-stuck/app"], 0.0);
    assert_eq!(missing["guarded/app"], 0.0);
    let up = server.query("up", None);
    let duration = server.query("scrape_duration_seconds", None);
    let samples = server.query("scrape_samples_scraped", None);
    assert!(duration["naive"] >= 1.0, "it was given up at the timeout: {duration:?}");
    assert!(duration["guarded"] < 1.0 && duration["guarded-one-group-stuck"] < 1.0, "{duration:?}");
    assert_eq!(samples["naive"], 0.0);
    // The guard says more about itself while a group is stuck, so more samples are no measure; the canary is.
    assert!(samples["guarded"] >= before[1] && samples["guarded-one-group-stuck"] > 0.0, "{samples:?} {before:?}");

    let of_node = |(node, case): (&str, &str)| NodeFigures {
        node: node.to_string(),
        case: case.parse::<CaseId>().unwrap(),
        up: up[node],
        scrape_duration_seconds: duration[node],
        samples_before: before[nodes.iter().position(|known| *known == node).unwrap()],
        samples_after: samples[node],
        canary: canary.get(node).copied(),
        missing_groups: missing
            .iter()
            .filter_map(|(group, missing)| group.strip_prefix(&format!("{node}/")).filter(|_| *missing == 1.0))
            .map(str::to_string)
            .collect(),
    };
    let server = ServerFigures {
        measured: today(),
        version,
        scrape_interval_seconds: 1.0,
        scrape_timeout_seconds: 1.0,
        nodes: nodes.into_iter().zip(cases).map(of_node).collect(),
    };
    keep("server", &Figures { server: Some(server), ..Figures::default() });
}

fn today() -> String {
    humantime::format_rfc3339_seconds(SystemTime::now()).to_string()
}

/// Leaves figures for the report, where they are asked for.
fn keep(name: &str, figures: &Figures) {
    let text = serde_json::to_string_pretty(figures).unwrap();
    println!("{text}");
    if let Some(folder) = std::env::var_os("GATHERLOCK_FIGURES") {
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(Path::new(&folder).join(format!("{name}.json")), text + "\n").unwrap();
    }
}

/// What `promtool check metrics` says of a page.
fn checked(of: &str, content_type: &str, page: &str) -> PageCheck {
    let mut child = std::process::Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(page.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    let says = String::from_utf8_lossy(&said).lines().map(str::to_string).filter(|line| !line.is_empty()).collect();
    PageCheck { of: of.to_string(), content_type: content_type.to_string(), exit_code: output.status.code(), says }
}

/// What version 3 of the server demands beyond that is in its migration guide and not run here: a `Content-Type` that it
/// knows, or a `fallback_scrape_protocol` in its own configuration.
#[test]
fn promtool_reads_every_variants_page() {
    let Some(version) = found("promtool") else { return };
    let variants = [
        "naive",
        "timeout-inline",
        "offload",
        "timeout-offload",
        "try-lock",
        "atomics",
        "exporter",
        "official",
        "guarded",
    ];
    let mut pages = Vec::new();
    for variant in variants {
        let mut trial = Trial::start(&format!("inc-during-gather/{variant}"));
        let (endpoints, _) = trial.ready();
        let exchange = scrape(&ScrapeRequest::new(endpoints[0].metrics.parse().unwrap(), PATIENCE)).unwrap();
        pages.push(checked(variant, &exchange.content_type.unwrap_or_default(), &exchange.body.unwrap()));
    }
    // The same library behind the guard, for a server that does not ask for OpenMetrics.
    let mut official = prometheus_client::registry::Registry::default();
    official.register("requests", "Requests that were served", Counter::<u64>::default());
    let answer = Endpoint::new(Arc::new(official)).unwrap().answer(&Request::get());
    let page = String::from_utf8(answer.to_bytes()).unwrap();
    pages.push(checked("official behind guard::Endpoint", answer.header("content-type").unwrap(), &page));
    keep(
        "promtool",
        &Figures {
            pages: Some(PageFigures { measured: today(), version, pages: pages.clone() }),
            ..Figures::default()
        },
    );
    for PageCheck { of, content_type, exit_code, says } in pages {
        parse_content_type(Some(&content_type)).unwrap_or_else(|refused| panic!("{of}: {refused}"));
        if of == "official" {
            // It writes OpenMetrics, in which the help of `x_total` stands at `x`; promtool 2 reads every page as text 0.0.4,
            // finds a counter without help, and is right by that format. The page is read: 3 is the exit code for style.
            assert!(matches!(exit_code, Some(0 | 3)), "{says:?}");
            assert!(says.iter().all(|line| line.ends_with("_total no help text")), "{says:?}");
        } else {
            assert_eq!(exit_code, Some(0), "{of}: {says:?}");
        }
    }
}
