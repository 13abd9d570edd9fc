//! The endpoint as a route of axum 0.8.

use crate::endpoint::Endpoint;
use axum::Router;
use axum::routing::{MethodRouter, any_service};

impl Endpoint {
    /// A handler for one route, for routers of any state. It answers all methods itself: those other than GET and HEAD
    /// with 405.
    ///
    /// ```
    /// # use gatherlock_guard::{Endpoint, Registry};
    /// let endpoint = Endpoint::new(Registry::new())?;
    /// let app: axum::Router = axum::Router::new().route("/metrics", endpoint.method_router());
    /// # Ok::<(), gatherlock_guard::BuildError>(())
    /// ```
    pub fn method_router<S: Clone>(&self) -> MethodRouter<S> {
        any_service(self.service())
    }

    /// A router with the one route `/metrics`, to be merged into another or served alone.
    pub fn router<S: Clone + Send + Sync + 'static>(&self) -> Router<S> {
        Router::new().route("/metrics", self.method_router())
    }
}
