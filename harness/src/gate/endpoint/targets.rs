//! Which endpoints a gate holds to their bound: URLs, or a file as Prometheus' file-based discovery reads it.

use crate::probe::{HttpUrl, UrlError};
use serde::Deserialize;
use std::collections::BTreeMap;

/// One endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Where it is scraped.
    pub url: HttpUrl,
}

/// Why a file names no endpoints.
#[derive(Debug, thiserror::Error)]
pub enum BadTargets {
    /// It is not shaped like one.
    #[error("not a list of target groups as Prometheus' file_sd reads it (`[{{\"targets\": [\"host:port\"]}}]`): {0}")]
    Shape(serde_json::Error),
    /// A target makes no URL.
    #[error("target `{target}`: {source}")]
    Url {
        /// As it stands in the file, without control characters.
        target: String,
        /// What is wrong.
        source: UrlError,
    },
    /// There is none: a gate over nothing would be green.
    #[error("it names no target")]
    Empty,
}

#[derive(Deserialize)]
struct Group {
    targets: Vec<String>,
    #[serde(default)]
    labels: BTreeMap<String, String>,
}

/// Reads target groups. `__scheme__`, `__metrics_path__` and `__param_NAME` are honoured, as Prometheus does; without
/// them it is `http` and `/metrics`.
///
/// # Errors
/// See [`BadTargets`].
pub fn read_targets(text: &str) -> Result<Vec<Target>, BadTargets> {
    let groups: Vec<Group> = serde_json::from_str(text).map_err(BadTargets::Shape)?;
    let mut targets = Vec::new();
    for group in groups {
        let label = |name: &str, otherwise: &str| group.labels.get(name).map_or(otherwise, String::as_str).to_string();
        let (scheme, path) = (label("__scheme__", "http"), label("__metrics_path__", "/metrics"));
        let params: Vec<String> = group
            .labels
            .iter()
            .filter_map(|(name, value)| Some(format!("{}={value}", name.strip_prefix("__param_")?)))
            .collect();
        let query = if params.is_empty() { String::new() } else { format!("?{}", params.join("&")) };
        for target in &group.targets {
            let url = format!("{scheme}://{target}/{}{query}", path.trim_start_matches('/'));
            let url = url.parse().map_err(|source| BadTargets::Url {
                target: target.chars().filter(|c| !c.is_control()).take(200).collect(),
                source,
            })?;
            targets.push(Target { url });
        }
    }
    if targets.is_empty() { Err(BadTargets::Empty) } else { Ok(targets) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_prometheus_is_read() {
        let text = r#"[{"targets": ["a:9100", "b:9100"], "labels": {"job": "node"}},
            {"targets": ["c"], "labels": {"__scheme__": "https", "__metrics_path__": "stats", "__param_m": "x"}}]"#;
        let urls: Vec<String> = read_targets(text).unwrap().iter().map(|target| target.url.to_string()).collect();
        assert_eq!(urls, ["http://a:9100/metrics", "http://b:9100/metrics", "https://c/stats?m=x"]);
    }

    #[test]
    fn what_is_none_is_refused() {
        for text in ["", "{}", "[]", r#"[{"targets": []}]"#, r#"[{"targets": ["a b"]}]"#, r#"[{"targets": [1]}]"#] {
            assert!(read_targets(text).is_err(), "{text}");
        }
    }
}
