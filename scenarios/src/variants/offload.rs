//! `offload`: the gather moves to the blocking pool, so that it no longer occupies an async worker. Nothing bounds it.

use super::naive::gather_and_encode;
use super::prometheus::Registry;
use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;

pub(super) fn routes(registry: Registry) -> Router {
    Router::new().route("/metrics", get(metrics_handler)).with_state(registry)
}

async fn metrics_handler(State(registry): State<Registry>) -> Response {
    match tokio::task::spawn_blocking(move || gather_and_encode(&registry)).await {
        Ok(response) => response,
        Err(error) => {
            (StatusCode::INTERNAL_SERVER_ERROR, format!("gathering ended without a result: {error}\n")).into_response()
        }
    }
}
