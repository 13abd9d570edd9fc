//! `official`: the Prometheus project's own crate, `prometheus-client`. Its registry has no lock of its own, so an
//! application that registers while it runs shares it behind one: here, as many do, in a `std::sync::RwLock`.

use crate::official_registry::{SharedRegistry, write};
use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use std::sync::PoisonError;

/// `/metrics` of `registry`, and what bumps the canary.
pub(crate) fn routes(registry: &SharedRegistry) -> (Router, impl FnMut() + 'static) {
    let canary: Counter = Counter::default();
    write(registry).register("gatherlock_canary", "Bumped before each judged scrape", canary.clone());
    let routes = Router::new().route("/metrics", get(metrics_handler)).with_state(registry.clone());
    (routes, move || {
        canary.inc();
    })
}

async fn metrics_handler(State(registry): State<SharedRegistry>) -> Response {
    let registry = registry.read().unwrap_or_else(PoisonError::into_inner);
    let mut text = String::new();
    match encode(&mut text, &registry) {
        Ok(()) => {
            ([(CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8")], text).into_response()
        }
        Err(error) => {
            (StatusCode::INTERNAL_SERVER_ERROR, format!("cannot encode the metrics: {error}\n")).into_response()
        }
    }
}
