//! `timeout-offload`: the first proposed fix as most would write it. The gather runs on the blocking pool under a timeout
//! that can fire, and a semaphore keeps scrapes from piling up without end.
//!
//! The permit moves into the gather and comes back when that ends, not when the scrape is answered. So a stuck gather
//! keeps its thread *and* its permit: the answer is an honest 503 either way, and the pool does not fill up.

use super::naive::gather_and_encode;
use super::prometheus::Registry;
use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;

/// Gathers that may run at once.
const AT_ONCE: usize = 4;

#[derive(Clone)]
struct Shared {
    registry: Registry,
    permits: Arc<Semaphore>,
    deadline: Duration,
}

pub(super) fn routes(registry: Registry, deadline: Duration) -> Router {
    let permits = Arc::new(Semaphore::new(AT_ONCE));
    Router::new().route("/metrics", get(metrics_handler)).with_state(Shared { registry, permits, deadline })
}

async fn metrics_handler(State(Shared { registry, permits, deadline }): State<Shared>) -> Response {
    let Ok(permit) = permits.try_acquire_owned() else {
        return unavailable(format!("{AT_ONCE} scrapes are gathering already"));
    };
    let gathering = tokio::task::spawn_blocking(move || {
        let _permit = permit;
        gather_and_encode(&registry)
    });
    match tokio::time::timeout(deadline, gathering).await {
        Ok(Ok(response)) => response,
        Ok(Err(error)) => {
            (StatusCode::INTERNAL_SERVER_ERROR, format!("gathering ended without a result: {error}\n")).into_response()
        }
        Err(_) => unavailable(format!("gathering took longer than {deadline:?}")),
    }
}

fn unavailable(reason: String) -> Response {
    (StatusCode::SERVICE_UNAVAILABLE, reason + "\n").into_response()
}
