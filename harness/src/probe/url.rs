//! The URLs that are probed: `http[s]://host[:port][/path]`, nothing else, and errors that say what is wrong.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::str::FromStr;

/// An `http://` or `https://` URL, parsed.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HttpUrl {
    secure: bool,
    /// The host without brackets.
    host: String,
    port: u16,
    /// Path and query; begins with `/`.
    path: String,
}

/// Why a string is no URL that can be probed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("cannot probe `{url}`: {problem}")]
pub struct UrlError {
    /// What was given, without control characters.
    pub url: String,
    /// What is wrong with it.
    pub problem: UrlProblem,
}

/// What can be wrong with a URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UrlProblem {
    /// Some other scheme, or none.
    #[error("it does not begin with `http://` or `https://`")]
    Scheme,
    /// No host.
    #[error("it names no host")]
    NoHost,
    /// A host that is none.
    #[error("its host holds a character that no host name has")]
    BadHost,
    /// `[` without `]`, or no IPv6 address between them.
    #[error("what stands in `[…]` is no IPv6 address")]
    BadIpv6,
    /// An IPv6 address without brackets.
    #[error("an IPv6 address is written in brackets, as in `http://[::1]:9100/metrics`")]
    BareIpv6,
    /// Not 1 to 65535.
    #[error("its port is no number from 1 to 65535")]
    BadPort,
    /// `user:password@`.
    #[error("credentials in a URL are not supported: give them with --header or --bearer-file")]
    Credentials,
    /// A space, control character or non-ASCII byte.
    #[error("its path holds a space, a control character or a non-ASCII character; write it percent-encoded")]
    BadPath,
}

impl HttpUrl {
    /// The host as it is resolved; an IPv6 address is without brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Whether TLS is asked for.
    pub fn is_secure(&self) -> bool {
        self.secure
    }

    /// The same server, another path.
    ///
    /// # Errors
    /// If `path` cannot be requested.
    pub fn with_path(&self, path: &str) -> Result<HttpUrl, UrlError> {
        let scheme = if self.secure { "https" } else { "http" };
        format!("{scheme}://{}/{}", self.authority(), path.trim_start_matches('/')).parse()
    }

    fn default_port(&self) -> u16 {
        if self.secure { 443 } else { 80 }
    }

    /// The port; 80, or 443 with TLS, if the URL names none.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Path and query, as they are requested.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The `Host` header: without the port if it is the scheme's own.
    pub fn authority(&self) -> String {
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        if self.port == self.default_port() { host } else { format!("{host}:{}", self.port) }
    }

    /// The addresses behind it, in the order in which they should be tried; blocks while a name is looked up.
    ///
    /// # Errors
    /// When the name cannot be resolved.
    pub fn resolve(&self) -> io::Result<Vec<SocketAddr>> {
        if let Ok(ip) = self.host.parse::<IpAddr>() {
            return Ok(vec![SocketAddr::new(ip, self.port)]);
        }
        Ok((self.host.as_str(), self.port).to_socket_addrs()?.collect())
    }
}

impl fmt::Display for HttpUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http{}://{}{}", if self.secure { "s" } else { "" }, self.authority(), self.path)
    }
}

impl FromStr for HttpUrl {
    type Err = UrlError;

    fn from_str(text: &str) -> Result<HttpUrl, UrlError> {
        parse(text)
            .map_err(|problem| UrlError { url: text.chars().filter(|c| !c.is_control()).take(200).collect(), problem })
    }
}

fn parse(text: &str) -> Result<HttpUrl, UrlProblem> {
    let (scheme, rest) = text.split_once("://").ok_or(UrlProblem::Scheme)?;
    let secure = scheme.eq_ignore_ascii_case("https");
    if !secure && !scheme.eq_ignore_ascii_case("http") {
        return Err(UrlProblem::Scheme);
    }
    // A fragment is for the client only; it is never sent.
    let rest = rest.split_once('#').map_or(rest, |(before, _)| before);
    let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    if authority.contains('@') {
        return Err(UrlProblem::Credentials);
    }
    let (host, port) = if let Some(bracketed) = authority.strip_prefix('[') {
        let (inside, behind) = bracketed.split_once(']').ok_or(UrlProblem::BadIpv6)?;
        inside.parse::<Ipv6Addr>().map_err(|_| UrlProblem::BadIpv6)?;
        match behind.strip_prefix(':') {
            Some(port) => (inside, Some(port)),
            None if behind.is_empty() => (inside, None),
            None => return Err(UrlProblem::BadPort),
        }
    } else {
        if authority.parse::<Ipv6Addr>().is_ok() {
            return Err(UrlProblem::BareIpv6);
        }
        authority.split_once(':').map_or((authority, None), |(host, port)| (host, Some(port)))
    };
    if host.is_empty() {
        return Err(UrlProblem::NoHost);
    }
    if !host.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._:".contains(&b)) {
        return Err(UrlProblem::BadHost);
    }
    let port = match port {
        None if secure => 443,
        None => 80,
        Some(digits) if digits.bytes().all(|b| b.is_ascii_digit()) => {
            digits.parse().map_err(|_| UrlProblem::BadPort)?
        }
        Some(_) => return Err(UrlProblem::BadPort),
    };
    if port == 0 {
        return Err(UrlProblem::BadPort);
    }
    if !path.bytes().all(|b| b.is_ascii_graphic()) {
        return Err(UrlProblem::BadPath);
    }
    let path = if path.starts_with('/') { path.to_string() } else { format!("/{path}") };
    Ok(HttpUrl { secure, host: host.to_ascii_lowercase(), port, path })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn parses_what_is_probed() {
        for (text, shown, authority) in [
            ("http://127.0.0.1:9101/metrics", "http://127.0.0.1:9101/metrics", "127.0.0.1:9101"),
            ("HTTP://LocalHost", "http://localhost/", "localhost"),
            ("http://[::1]:9100/a?b=c#d", "http://[::1]:9100/a?b=c", "[::1]:9100"),
            ("https://h/metrics", "https://h/metrics", "h"),
            ("https://h:80/metrics", "https://h:80/metrics", "h:80"),
            ("http://h:443/metrics", "http://h:443/metrics", "h:443"),
            ("http://node-1.example:80?x", "http://node-1.example/?x", "node-1.example"),
        ] {
            let url: HttpUrl = text.parse().unwrap();
            assert_eq!(url.to_string(), shown);
            assert_eq!(url.authority(), authority);
        }
    }

    #[test]
    fn says_what_is_wrong() {
        use UrlProblem::*;
        for (text, problem) in [
            ("localhost:9100/metrics", Scheme),
            ("", Scheme),
            ("ftp://h/", Scheme),
            ("http:///metrics", NoHost),
            ("http://:80/", NoHost),
            ("http://a b/", BadHost),
            ("http://h\r\nX: y/", BadHost),
            ("http://[::1/", BadIpv6),
            ("http://[h]/", BadIpv6),
            ("http://::1/metrics", BareIpv6),
            ("http://h:/", BadPort),
            ("http://h:0/", BadPort),
            ("http://h:65536/", BadPort),
            ("http://h:+1/", BadPort),
            ("http://[::1]9/", BadPort),
            ("http://u:p@h/", Credentials),
            ("http://h/a b", BadPath),
            ("http://h/\r\nX-Evil: 1", BadPath),
            ("http://h/ä", BadPath),
        ] {
            assert_eq!(text.parse::<HttpUrl>().unwrap_err().problem, problem, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn never_panics_and_what_it_takes_has_no_second_line(text in "(https?://)?.{0,40}") {
            if let Ok(url) = text.parse::<HttpUrl>() {
                prop_assert!(url.to_string().bytes().all(|b| b.is_ascii_graphic()));
                prop_assert_eq!(url.to_string().parse::<HttpUrl>().unwrap(), url);
            }
        }
    }
}
