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
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use std::sync::OnceLock;

/// A process has one recorder, however many servers it has.
static INSTALLED: OnceLock<PrometheusHandle> = OnceLock::new();

/// Installs the recorder of this process, once. Returns its handle and what bumps the canary.
pub(crate) fn install() -> Result<(PrometheusHandle, impl FnMut() + 'static), Problem> {
    if INSTALLED.get().is_none() {
        let recorder = PrometheusBuilder::new().build_recorder();
        let _ = INSTALLED.set(recorder.handle());
        metrics::set_global_recorder(recorder).map_err(|_| "another recorder for `metrics` is installed already")?;
        metrics::describe_counter!("gatherlock_canary_total", "Bumped before each judged scrape");
        metrics::counter!("gatherlock_canary_total").absolute(0);
    }
    let handle = INSTALLED.get().ok_or("no recorder is installed")?.clone();
    Ok((handle, || metrics::counter!("gatherlock_canary_total").increment(1)))
}

/// `/metrics` as `render` writes it, on the async worker.
pub(crate) fn page(render: impl Fn() -> String + Clone + Send + Sync + 'static) -> Router {
    let handler = async move || ([(CONTENT_TYPE, "text/plain; version=0.0.4")], render()).into_response();
    Router::new().route("/metrics", get(handler))
}

/// `/metrics` of the process's recorder, and what bumps the canary.
pub(crate) fn routes() -> Result<(Router, impl FnMut() + 'static), Problem> {
    let (handle, bump) = install()?;
    Ok((page(move || handle.render()), bump))
}
