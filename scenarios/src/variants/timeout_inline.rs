//! `timeout-inline`: "add a timeout to the `gather()` call", taken literally.
//!
//! It compiles, it reads well, and it does nothing: the block has no await point, so its first poll does not return
//! before `gather()` does, and the timer is only looked at after that.

use super::naive::gather_and_encode;
use super::prometheus::Registry;
use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use std::time::Duration;

pub(super) fn routes(registry: Registry, deadline: Duration) -> Router {
    Router::new().route("/metrics", get(metrics_handler)).with_state((registry, deadline))
}

async fn metrics_handler(State((registry, deadline)): State<(Registry, Duration)>) -> Response {
    match tokio::time::timeout(deadline, async { gather_and_encode(&registry) }).await {
        Ok(response) => response,
        Err(_) => {
            (StatusCode::SERVICE_UNAVAILABLE, format!("gathering took longer than {deadline:?}\n")).into_response()
        }
    }
}
