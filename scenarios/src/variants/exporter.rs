//! `exporter`: the third proposed fix. The application updates through the `metrics` facade, and `/metrics` renders what
//! `metrics-exporter-prometheus` has recorded.
//!
//! There are no collectors: values are pushed when they change, nothing of the application runs while `/metrics` is
//! rendered. Mistakes that need application code inside a gather have no counterpart here.

use axum::Router;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use axum::routing::get;
use gatherlock::catalogue::Problem;
use metrics_exporter_prometheus::PrometheusBuilder;

/// Installs the recorder for this process. Returns `/metrics` and what bumps the canary.
pub(crate) fn routes() -> Result<(Router, impl FnMut() + 'static), Problem> {
    let recorder = PrometheusBuilder::new().build_recorder();
    let handle = recorder.handle();
    metrics::set_global_recorder(recorder).map_err(|_| "a recorder for `metrics` is installed already")?;
    metrics::describe_counter!("gatherlock_canary_total", "Bumped before each judged scrape");
    metrics::counter!("gatherlock_canary_total").absolute(0);
    let handler = async move || ([(CONTENT_TYPE, "text/plain; version=0.0.4")], handle.render()).into_response();
    Ok((Router::new().route("/metrics", get(handler)), || metrics::counter!("gatherlock_canary_total").increment(1)))
}
