//! `naive`: the incident's handler. It gathers and encodes on the async worker that runs the request.
//!
//! Two things are put right that would otherwise fail every row for a reason of their own: the Content-Type (the original
//! sends `application/octet-stream`, which Prometheus 3 refuses; see the scenario `wrong-registry`) and an error's text.

use super::prometheus::{Encoder, Registry, TextEncoder};
use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::get;

pub(super) fn routes(registry: Registry) -> Router {
    Router::new().route("/metrics", get(metrics_handler)).with_state(registry)
}

async fn metrics_handler(State(registry): State<Registry>) -> Response {
    gather_and_encode(&registry)
}

/// The synchronous heart that all handlers of a registry share.
pub(super) fn gather_and_encode(registry: &Registry) -> Response {
    let encoder = TextEncoder::new();
    let metric_families = registry.gather();
    let mut buffer = Vec::new();
    match encoder.encode(&metric_families, &mut buffer) {
        Ok(()) => ([(CONTENT_TYPE, encoder.format_type().to_string())], buffer).into_response(),
        Err(error) => {
            (StatusCode::INTERNAL_SERVER_ERROR, format!("cannot encode the metrics: {error}\n")).into_response()
        }
    }
}
