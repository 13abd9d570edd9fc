//! Redirects: followed as Prometheus does by default, ten requests at most, and no credential to another server.

use crate::detect::{MOST_REDIRECTS, REDIRECTS};
use crate::model::Exchange;
use crate::probe::scrape::{BeginError, InFlight, ScrapeRequest, Scraper, Trust};
use crate::probe::{Header, HttpUrl};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

/// A scrape in flight, and where its end is told.
pub(crate) type Told = (InFlight, Receiver<Exchange>);

/// One scrape, from its first URL to the one that answers it.
#[derive(Clone, Debug)]
pub(crate) struct Trail {
    /// Where it is asked now.
    pub(super) url: HttpUrl,
    /// The headers that are sent there.
    pub(super) headers: Vec<Header>,
    /// When it was first asked.
    pub(super) begun: Instant,
    followed: Vec<String>,
    trust: Trust,
    bound: Duration,
}

impl Trail {
    /// At its beginning.
    pub(crate) fn new(url: &HttpUrl, headers: &[Header], trust: &Trust, bound: Duration) -> Trail {
        Trail {
            url: url.clone(),
            headers: headers.to_vec(),
            begun: Instant::now(),
            followed: Vec::new(),
            trust: trust.clone(),
            bound,
        }
    }

    /// Asks where it stands now. The times of what is told count from its beginning.
    pub(crate) fn ask(&self, scraper: &Scraper, limit: Duration) -> Result<Told, BeginError> {
        let request = ScrapeRequest {
            headers: self.headers.clone(),
            trust: self.trust.clone(),
            ..ScrapeRequest::new(self.url.clone(), limit).bounded(self.bound)
        };
        let spent = if self.followed.is_empty() { 0 } else { self.begun.elapsed().as_micros() as u64 };
        let redirects = self.followed.clone();
        let (tell, told) = channel();
        let deliver = move |exchange| drop(tell.send(Exchange { redirects, ..later(exchange, spent) }));
        Ok((scraper.begin(&request, deliver)?, told))
    }

    /// Goes on to where an answer leads; whether it does. One that came too late leads nowhere.
    pub(crate) fn goes_on(&mut self, exchange: &Exchange) -> bool {
        let in_time = u128::from(exchange.total_us) <= self.bound.as_micros() && exchange.error.is_none();
        let redirects = in_time && exchange.status.is_some_and(|status| REDIRECTS.contains(&status));
        if !redirects || self.followed.len() >= MOST_REDIRECTS {
            return false;
        }
        let Some(next) = exchange.location.as_deref().and_then(|to| resolve(&self.url, to)) else { return false };
        if origin(&next) != origin(&self.url) {
            self.headers.clear();
        }
        let shown = next.to_string();
        self.followed.push(shown.split('?').next().unwrap_or_default().to_string());
        self.url = next;
        true
    }
}

fn origin(url: &HttpUrl) -> (bool, &str, u16) {
    (url.is_secure(), url.host(), url.port())
}

/// Where a Location leads from a URL; `None` if that is nothing that can be asked.
fn resolve(from: &HttpUrl, to: &str) -> Option<HttpUrl> {
    let before_query = to.split(['?', '#']).next().unwrap_or_default();
    if before_query.contains("://") {
        return to.parse().ok();
    }
    if to.starts_with("//") {
        return format!("http{}:{to}", if from.is_secure() { "s" } else { "" }).parse().ok();
    }
    let path = from.path().split('?').next().unwrap_or_default();
    let folder = path.rfind('/').map_or("/", |end| &path[..=end]);
    let dots = before_query.split('/').any(|part| matches!(part, "." | ".."));
    match to.chars().next()? {
        _ if dots || before_query.contains(':') => None,
        '/' => from.with_path(to).ok(),
        '?' => from.with_path(&format!("{path}{to}")).ok(),
        '#' => None,
        _ => from.with_path(&format!("{folder}{to}")).ok(),
    }
}

/// The same, all its moments later.
fn later(exchange: Exchange, spent_us: u64) -> Exchange {
    let moved = |at: Option<u64>| at.map(|us| us + spent_us);
    Exchange {
        connected_us: moved(exchange.connected_us),
        secured_us: moved(exchange.secured_us),
        sent_us: moved(exchange.sent_us),
        first_byte_us: moved(exchange.first_byte_us),
        total_us: exchange.total_us + spent_us,
        ..exchange
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_a_location_leads() {
        let from: HttpUrl = "http://h:81/a/metrics?x=1".parse().unwrap();
        for (to, url) in [
            ("/b?c#d", Some("http://h:81/b?c")),
            ("b", Some("http://h:81/a/b")),
            ("?y=http://z/", Some("http://h:81/a/metrics?y=http://z/")),
            ("//k/m", Some("http://k/m")),
            ("https://k/m", Some("https://k/m")),
            ("ftp://k/m", None),
            ("http://u:p@k/m", None),
            ("../b", None),
            ("mailto:x", None),
            ("/a b", None),
            ("", None),
        ] {
            assert_eq!(resolve(&from, to).map(|url| url.to_string()).as_deref(), url, "{to:?}");
        }
    }
}
