//! What to scrape, and how it is asked for.

use super::wire::Trust;
use crate::probe::{Header, HttpUrl};
use std::time::Duration;

/// What to scrape, and how.
#[derive(Clone, Debug, PartialEq)]
pub struct ScrapeRequest {
    /// The endpoint. A host name is looked up when the scrape begins, on the thread that begins it.
    pub url: HttpUrl,
    /// How long the connection is kept open without a complete answer, from the moment the connect begins.
    pub hang_limit: Duration,
    /// Sent as `X-Prometheus-Scrape-Timeout-Seconds`: how long whoever scrapes will wait.
    pub scrape_timeout: Option<Duration>,
    /// Whether the body is kept (text, at most 4 MiB). If not, it is only counted.
    pub keep_body: bool,
    /// The size of body, in bytes, at which the exchange is ended as malformed; 1 GiB by default.
    pub most_bytes: u64,
    /// Further request headers.
    pub headers: Vec<Header>,
    /// How the certificate of an `https` endpoint is checked.
    pub trust: Trust,
}

impl ScrapeRequest {
    /// A scrape that keeps the body and sends no timeout.
    pub fn new(url: HttpUrl, hang_limit: Duration) -> ScrapeRequest {
        ScrapeRequest {
            url,
            hang_limit,
            scrape_timeout: None,
            keep_body: true,
            most_bytes: 1 << 30,
            headers: Vec::new(),
            trust: Trust::default(),
        }
    }

    /// The same, telling the endpoint that the answer is awaited for `bound`.
    pub fn bounded(self, bound: Duration) -> ScrapeRequest {
        ScrapeRequest { scrape_timeout: Some(bound), ..self }
    }

    /// The request as it goes over the wire. Every part of it is free of line breaks: see [`HttpUrl`] and [`Header`].
    pub(super) fn bytes(&self) -> Vec<u8> {
        // What the user asks for replaces what is sent by default.
        let asked = |name: &str| self.headers.iter().any(|header| header.name().eq_ignore_ascii_case(name));
        let own = |name: &str, value: &str| if asked(name) { String::new() } else { format!("{name}: {value}\r\n") };
        let agent = own("User-Agent", concat!("gatherlock/", env!("CARGO_PKG_VERSION")));
        let accept = own("Accept", "text/plain;version=0.0.4;q=0.9,*/*;q=0.1");
        let headers: String = self.headers.iter().map(Header::line).collect();
        let timeout = self.scrape_timeout.map_or(String::new(), |timeout| {
            format!("X-Prometheus-Scrape-Timeout-Seconds: {}\r\n", timeout.as_secs_f64())
        });
        format!(
            "GET {} HTTP/1.1\r\nHost: {}\r\n{agent}{accept}Accept-Encoding: identity\r\n{timeout}{headers}\
             Connection: close\r\n\r\n",
            self.url.path(),
            self.url.authority(),
        )
        .into_bytes()
    }
}
