//! The endpoint as a `tower::Service`: it reads four headers and knows neither the runtime nor the request's body.

use crate::accept::joined;
use crate::answer::{Answer, Request};
use crate::endpoint::{Endpoint, Scrape};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use http_body::{Body, Frame, SizeHint};
use std::borrow::Cow;
use std::collections::VecDeque;
use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

/// A `tower::Service` that answers every request with a scrape, whatever its path; see [`Endpoint::service`].
#[derive(Clone, Debug)]
pub struct Service {
    endpoint: Endpoint,
}

impl Endpoint {
    /// This endpoint as a `tower::Service`.
    #[must_use]
    pub fn service(&self) -> Service {
        Service { endpoint: self.clone() }
    }
}

impl<B> tower_service::Service<http::Request<B>> for Service {
    type Response = http::Response<Chunks>;
    type Error = Infallible;
    type Future = Response;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<B>) -> Response {
        let headers = request.headers();
        let timeout = headers.get(HeaderName::from_static("x-prometheus-scrape-timeout-seconds"));
        let scrape = self.endpoint.scrape(&Request {
            method: request.method().as_str(),
            accept: list(headers, &header::ACCEPT).as_deref(),
            accept_encoding: list(headers, &header::ACCEPT_ENCODING).as_deref(),
            scrape_timeout: timeout.and_then(|value| value.to_str().ok()),
        });
        Response { scrape }
    }
}

/// A header that is a list may come in several lines; those that are no text are left out.
fn list<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<Cow<'a, str>> {
    joined(headers.get_all(name).iter().filter_map(|value| value.to_str().ok()))
}

/// The future of a response.
pub struct Response {
    scrape: Scrape,
}

impl Future for Response {
    type Output = Result<http::Response<Chunks>, Infallible>;

    fn poll(mut self: Pin<&mut Response>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.scrape).poll(context).map(|answer| Ok(answer.into()))
    }
}

/// The body of a response: pieces that are shared with the other scrapes of the same collection.
#[derive(Debug)]
pub struct Chunks(VecDeque<Bytes>);

impl Body for Chunks {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Chunks>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.0.pop_front().map(|chunk| Ok(Frame::data(chunk))))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.0.iter().map(|chunk| chunk.len() as u64).sum())
    }
}

impl From<Answer> for http::Response<Chunks> {
    fn from(answer: Answer) -> http::Response<Chunks> {
        let mut response =
            http::Response::new(Chunks(answer.body.into_iter().filter(|chunk| !chunk.is_empty()).collect()));
        *response.status_mut() = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        for (name, value) in answer.headers {
            // Values are printable ASCII; one that were not would be left out rather than cost the answer.
            if let Ok(value) = HeaderValue::try_from(value) {
                response.headers_mut().insert(HeaderName::from_static(name), value);
            }
        }
        response
    }
}
