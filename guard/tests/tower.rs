//! The endpoint as a plain `tower::Service`: no axum, no runtime, a body that shares its pieces.

use gatherlock_guard::{Endpoint, Registry, Service, openmetrics};
use http_body::Body;
use prometheus::IntCounter;
use std::convert::Infallible;
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use tower_service::Service as _;

struct Unpark(std::thread::Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Unpark>) {
        self.0.unpark();
    }
}

/// All the runtime that there is.
fn block_on<F: Future>(future: F) -> F::Output {
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(output) => return output,
            Poll::Pending => std::thread::park(),
        }
    }
}

fn call(service: &mut Service, request: http::Request<()>) -> (http::response::Parts, Vec<u8>) {
    block_on(std::future::poll_fn(|context| {
        <Service as tower_service::Service<http::Request<()>>>::poll_ready(service, context)
    }))
    .unwrap();
    let (parts, mut body) = block_on(service.call(request)).unwrap().into_parts();
    let length = body.size_hint().exact().unwrap();
    let mut bytes = Vec::new();
    while let Poll::Ready(Some(frame)) = Pin::new(&mut body).poll_frame(&mut Context::from_waker(Waker::noop())) {
        bytes.extend_from_slice(&frame.unwrap().into_data().unwrap());
    }
    assert!(body.is_end_stream());
    assert_eq!(length, bytes.len() as u64);
    (parts, bytes)
}

#[test]
fn a_request_is_answered_whatever_drives_the_future() {
    let registry = Registry::new();
    let jobs = IntCounter::new("jobs_total", "Jobs.").unwrap();
    registry.register(Box::new(jobs.clone())).unwrap();
    jobs.inc();
    let mut service = Endpoint::builder().group("app", registry.clone()).own_metrics(false).build().unwrap().service();
    let (parts, body) = call(&mut service, http::Request::new(()));
    assert_eq!((parts.status.as_u16(), body), (200, registry.encode_to_string().into_bytes()));
    assert_eq!(parts.headers["content-type"], "text/plain; version=0.0.4; charset=utf-8");
    let (parts, body) = call(&mut service, http::Request::head("/").body(()).unwrap());
    assert_eq!((parts.status.as_u16(), body.len()), (200, 0));
    let (parts, _) = call(&mut service, http::Request::delete("/").body(()).unwrap());
    assert_eq!((parts.status.as_u16(), &parts.headers["allow"]), (405, &http::HeaderValue::from_static("GET, HEAD")));
}

#[test]
fn hostile_headers_are_read_as_none() {
    let mut service = Endpoint::new(|| Ok::<_, Infallible>("up 1\n")).unwrap().service();
    let values: [&[u8]; 8] = [b"-1", b"NaN", b"1e308", b"-inf", b"text", b"", b"\xff\xfe", &[b'9'; 4000]];
    for name in ["x-prometheus-scrape-timeout-seconds", "accept", "accept-encoding"] {
        for value in values {
            let value = http::HeaderValue::from_bytes(value).unwrap();
            let (parts, body) = call(&mut service, http::Request::builder().header(name, &value).body(()).unwrap());
            assert_eq!(parts.status.as_u16(), 200, "{name}: {value:?}");
            assert_eq!(parts.headers["content-type"], "text/plain; version=0.0.4; charset=utf-8");
            assert!(!parts.headers.contains_key("content-encoding") && body.starts_with(b"up 1\n"));
        }
    }
}

#[test]
fn a_header_in_several_lines_is_one_list() {
    let source = openmetrics(|| Ok::<_, Infallible>("# TYPE up gauge\nup 1\n# EOF\n"));
    let mut service = Endpoint::new(source).unwrap().service();
    let request = http::Request::builder()
        .header("accept", "text/plain;q=0.5")
        .header("accept", "application/openmetrics-text;version=1.0.0")
        .header("accept-encoding", "br")
        .header("accept-encoding", "gzip");
    let (parts, _) = call(&mut service, request.body(()).unwrap());
    assert_eq!(parts.headers["content-type"], "application/openmetrics-text; version=1.0.0; charset=utf-8");
    assert_eq!(parts.headers["content-encoding"], "gzip");
}
