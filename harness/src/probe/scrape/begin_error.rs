//! Why a scrape did not begin.

use std::io;

/// Why a scrape could not even be begun. This says something about this machine or the URL, nothing about the endpoint.
#[derive(Debug, thiserror::Error)]
pub enum BeginError {
    /// The host name has no address.
    #[error("cannot look up the host `{host}`: {source}")]
    Resolve {
        /// The host.
        host: String,
        /// The system's words.
        source: io::Error,
    },
    /// TLS was asked for and cannot be begun.
    #[error("cannot speak TLS: {reason}")]
    Tls {
        /// Why.
        reason: String,
    },
    /// This process or machine has no socket, port or memory for it, or may not use the network.
    #[error("cannot open a socket: {source}; fewer scrapers or a higher `ulimit -n` may help")]
    Local {
        /// The system's words.
        source: io::Error,
    },
}
