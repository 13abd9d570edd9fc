//! The guide of the README: each of its pieces stands here, too, compiles and does what the guide says.

use axum::{Router, body::Body, extract::State, response::IntoResponse, routing::get};
use gatherlock_guard as guard;
use prometheus::{Encoder, TextEncoder, register_int_counter_with_registry};
use tower_service::Service;

/// The status of `/metrics` and its body.
fn scraped(mut app: Router) -> (u16, String) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let request = http::Request::get("/metrics").body(Body::empty()).unwrap();
        let answer = app.call(request).await.unwrap();
        let status = answer.status().as_u16();
        let body = axum::body::to_bytes(answer.into_body(), usize::MAX).await.unwrap();
        (status, String::from_utf8(body.to_vec()).unwrap())
    })
}

#[test]
fn the_handler_before_and_after_serve_the_same_families() {
    async fn metrics(State(registry): State<prometheus::Registry>) -> impl IntoResponse {
        let mut body = Vec::new();
        TextEncoder::new().encode(&registry.gather(), &mut body).unwrap();
        body
    }

    let registry = prometheus::Registry::new();
    let app = Router::new().route("/metrics", get(metrics)).with_state(registry);

    assert_eq!(scraped(app), (200, String::new()));

    let registry = prometheus::Registry::new();
    let jobs = register_int_counter_with_registry!("jobs_total", "Jobs.", registry).unwrap();
    jobs.inc();
    let (status, before) = scraped(Router::new().route("/metrics", get(metrics)).with_state(registry.clone()));
    assert_eq!((status, before.as_str()), (200, "# HELP jobs_total Jobs.\n# TYPE jobs_total counter\njobs_total 1\n"));
    let after = replaced(&registry).unwrap();
    let (status, after) = scraped(after);
    assert_eq!(status, 200);
    let own = after.strip_prefix(&before).expect("the same families come first, then the endpoint's own");
    assert!(own.starts_with("# HELP gatherlock_guard_"), "{own}");
}

fn replaced(registry: &prometheus::Registry) -> Result<Router, guard::BuildError> {
    use gatherlock_guard as guard;

    let endpoint = guard::Endpoint::new(registry.clone())?;
    let app = Router::new().route("/metrics", endpoint.method_router());
    Ok(app)
}

#[test]
fn the_registry_is_replaced_and_the_default_one_served_beside_it() {
    let registry = guard::Registry::new();
    register_int_counter_with_registry!("queue_total", "Queued.", registry).unwrap().inc_by(2);
    prometheus::register_int_counter!("old_total", "Old.").unwrap().inc_by(3);
    let both = || -> Result<guard::Endpoint, guard::BuildError> {
        let endpoint = guard::Endpoint::builder()
            .group("app", registry.clone())
            .group("default", prometheus::default_registry().clone())
            .build()?;
        Ok(endpoint)
    };
    let (status, body) = scraped(both().unwrap().router());
    assert_eq!(status, 200);
    assert!(body.contains("\nqueue_total 2\n") && body.contains("\nold_total 3\n"), "{body}");
}

/// Compiled and not run: a port of every interface is not a test's to take.
#[expect(dead_code)]
fn listening(endpoint: guard::Endpoint) -> std::io::Result<guard::Listener> {
    let listener = guard::Listener::bind("0.0.0.0:9101", &endpoint)?;
    Ok(listener)
}

#[test]
fn every_piece_of_the_guide_stands_here() {
    /// Indentation and what both files have between pieces do not matter.
    fn lines(text: &str) -> Vec<&str> {
        text.lines().map(str::trim).filter(|line| !line.is_empty()).collect()
    }
    let here = lines(include_str!("guide.rs"));
    let mut pieces = 0;
    for piece in include_str!("../README.md").split("```rust,ignore\n").skip(1) {
        let piece = lines(piece.split_once("```").unwrap().0);
        assert!(here.windows(piece.len()).any(|window| window == piece), "not in this file: {piece:#?}");
        pieces += 1;
    }
    assert_eq!(pieces, 5);
}
