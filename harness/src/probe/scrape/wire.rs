//! The bytes of one scrape, in the clear or through TLS, on a socket that never blocks.

use super::begin_error::BeginError;
use crate::probe::HttpUrl;
use nix::poll::PollFlags;
use std::io::{self, Read, Write};
use std::net::TcpStream;

/// How the certificates of `https` endpoints are checked.
#[derive(Clone, Default)]
pub struct Trust {
    #[cfg(feature = "tls")]
    config: Option<std::sync::Arc<rustls::ClientConfig>>,
}

impl std::fmt::Debug for Trust {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Trust")
    }
}

impl PartialEq for Trust {
    /// Two are alike if they are the same; only tests compare requests.
    #[cfg(feature = "tls")]
    fn eq(&self, other: &Trust) -> bool {
        match (&self.config, &other.config) {
            (None, None) => true,
            (Some(a), Some(b)) => std::sync::Arc::ptr_eq(a, b),
            _ => false,
        }
    }

    #[cfg(not(feature = "tls"))]
    fn eq(&self, _: &Trust) -> bool {
        true
    }
}

#[cfg(feature = "tls")]
mod secured {
    use super::Trust;
    use crate::probe::scrape::given::Given;
    use rustls::pki_types::{CertificateDer, ServerName, pem::PemObject};
    use rustls::{ClientConfig, ClientConnection, RootCertStore};
    use std::path::Path;
    use std::sync::Arc;

    impl Trust {
        /// The authorities that this system trusts, or only those of a PEM file.
        ///
        /// # Errors
        /// In words, if there is no authority at all.
        pub fn load(ca_file: Option<&Path>) -> Result<Trust, String> {
            let mut roots = RootCertStore::empty();
            let found = match ca_file {
                None => {
                    let native = rustls_native_certs::load_native_certs();
                    if native.certs.is_empty() {
                        let why = native.errors.first().map(|error| format!(" ({error})")).unwrap_or_default();
                        return Err(format!("this system has no certificate authorities{why}; give --ca-file FILE"));
                    }
                    native.certs
                }
                Some(path) => CertificateDer::pem_file_iter(path)
                    .and_then(Iterator::collect::<Result<Vec<_>, _>>)
                    .map_err(|error| format!("cannot read `{}`: {error}", path.display()))?,
            };
            // What this system trusts are authorities, and no servers.
            let given = if ca_file.is_some() { found.clone() } else { Vec::new() };
            let (added, _) = roots.add_parsable_certificates(found);
            if added == 0 {
                let path = ca_file.map(|path| path.display().to_string()).unwrap_or_default();
                return Err(format!("`{path}` holds no certificate in PEM form"));
            }
            let provider = Arc::new(rustls::crypto::ring::default_provider());
            let verifier = Given::new(roots, given, Arc::clone(&provider))?;
            let config = ClientConfig::builder_with_provider(provider)
                .with_safe_default_protocol_versions()
                .map_err(|error| error.to_string())?
                .dangerous()
                .with_custom_certificate_verifier(Arc::new(verifier))
                .with_no_client_auth();
            Ok(Trust { config: Some(Arc::new(config)) })
        }

        pub(super) fn begin(&self, host: &str) -> Result<ClientConnection, String> {
            let config = match &self.config {
                Some(config) => Arc::clone(config),
                None => Trust::load(None)?.config.ok_or("no certificate authorities")?,
            };
            let name = ServerName::try_from(host.to_string()).map_err(|error| error.to_string())?;
            ClientConnection::new(config, name).map_err(|error| error.to_string())
        }
    }
}

#[cfg(not(feature = "tls"))]
impl Trust {
    /// This build has no TLS.
    ///
    /// # Errors
    /// Always.
    pub fn load(_: Option<&std::path::Path>) -> Result<Trust, String> {
        Err("this build of Gatherlock has no TLS: build it with the feature `tls`".to_string())
    }
}

/// How bytes go over a socket.
#[derive(Debug)]
pub(super) enum Wire {
    Plain,
    #[cfg(feature = "tls")]
    Tls(Box<rustls::ClientConnection>),
}

impl Wire {
    /// What the URL asks for.
    #[cfg(feature = "tls")]
    pub(super) fn new(url: &HttpUrl, trust: &Trust) -> Result<Wire, BeginError> {
        if !url.is_secure() {
            return Ok(Wire::Plain);
        }
        match trust.begin(url.host()) {
            Ok(tls) => Ok(Wire::Tls(Box::new(tls))),
            Err(reason) => Err(BeginError::Tls { reason }),
        }
    }

    /// What the URL asks for, as far as this build can give it.
    #[cfg(not(feature = "tls"))]
    pub(super) fn new(url: &HttpUrl, trust: &Trust) -> Result<Wire, BeginError> {
        let _ = trust;
        if url.is_secure() {
            let reason = Trust::load(None).err().unwrap_or_default();
            return Err(BeginError::Tls { reason });
        }
        Ok(Wire::Plain)
    }

    /// Whether TLS is asked for and not agreed on yet.
    pub(super) fn is_handshaking(&self) -> bool {
        match self {
            Wire::Plain => false,
            #[cfg(feature = "tls")]
            Wire::Tls(tls) => tls.is_handshaking(),
        }
    }

    /// Whether TLS is in use.
    pub(super) fn is_tls(&self) -> bool {
        !matches!(self, Wire::Plain)
    }

    /// What to wait for, where the caller wants to write (or else to read).
    pub(super) fn interest(&self, write: bool) -> PollFlags {
        match self {
            Wire::Plain if write => PollFlags::POLLOUT,
            Wire::Plain => PollFlags::POLLIN,
            #[cfg(feature = "tls")]
            Wire::Tls(tls) => {
                let out = if tls.wants_write() || (write && !tls.is_handshaking()) {
                    PollFlags::POLLOUT
                } else {
                    PollFlags::empty()
                };
                out | PollFlags::POLLIN
            }
        }
    }

    /// Goes on with the handshake as far as the socket allows. The first bytes that come are noted.
    #[cfg_attr(
        not(feature = "tls"),
        expect(unused_variables, clippy::ptr_arg, reason = "there is no handshake without TLS")
    )]
    pub(super) fn shake(&mut self, socket: &mut TcpStream, first: &mut Vec<u8>) -> io::Result<()> {
        match self {
            Wire::Plain => Ok(()),
            #[cfg(feature = "tls")]
            Wire::Tls(tls) => {
                while tls.is_handshaking() {
                    match tls.complete_io(&mut Noting { socket, first }) {
                        Ok(_) => {}
                        Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                        Err(error) => return Err(error),
                    }
                }
                Ok(())
            }
        }
    }

    pub(super) fn write(&mut self, socket: &mut TcpStream, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Wire::Plain => socket.write(bytes),
            #[cfg(feature = "tls")]
            // What the socket does not take at once leaves with the next read.
            Wire::Tls(tls) => rustls::Stream::new(tls.as_mut(), socket).write(bytes),
        }
    }

    pub(super) fn read(&mut self, socket: &mut TcpStream, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Wire::Plain => socket.read(buffer),
            #[cfg(feature = "tls")]
            Wire::Tls(tls) => match rustls::Stream::new(tls.as_mut(), socket).read(buffer) {
                // Closed without TLS's own farewell: whether the answer was whole is for the reader of HTTP to say.
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(0),
                other => other,
            },
        }
    }
}

/// A socket whose first bytes are noted.
#[cfg(feature = "tls")]
struct Noting<'a> {
    socket: &'a mut TcpStream,
    first: &'a mut Vec<u8>,
}

#[cfg(feature = "tls")]
impl Read for Noting<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let got = self.socket.read(buffer)?;
        let room = FIRST.saturating_sub(self.first.len());
        self.first.extend_from_slice(&buffer[..got.min(room)]);
        Ok(got)
    }
}

#[cfg(feature = "tls")]
impl Write for Noting<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.socket.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.socket.flush()
    }
}

/// So many bytes tell what is spoken instead of TLS.
#[cfg(feature = "tls")]
const FIRST: usize = 5;

/// Whether a server that should speak TLS began with these words of HTTP, or with the page of one that was not understood.
pub(super) fn is_plain_http(first: &[u8]) -> bool {
    [b"HTTP/".as_slice(), b"<!doc", b"<html"].iter().any(|start| first.eq_ignore_ascii_case(start))
}

/// If an error of the handshake is about whom to trust, and not about what is spoken: why, and what to do.
#[cfg(feature = "tls")]
pub(super) fn about_trust(error: &io::Error) -> Option<String> {
    use rustls::{CertificateError as Bad, Error};
    let error = error.get_ref()?.downcast_ref::<Error>()?;
    let then = match error {
        _ if super::given::is_authority_alone(error) => {
            return Some(
                "it is an authority's (CA:TRUE) and the server shows it as its own; give exactly this certificate with \
                 --ca-file FILE, or let the authority sign one for the server"
                    .to_string(),
            );
        }
        Error::InvalidCertificate(Bad::NotValidForName | Bad::NotValidForNameContext { .. }) => {
            "use a host in the URL that its subjectAltName holds"
        }
        Error::InvalidCertificate(
            Bad::Expired | Bad::ExpiredContext { .. } | Bad::NotValidYet | Bad::NotValidYetContext { .. },
        ) => "renew it, or set the clock of this machine",
        Error::InvalidCertificate(_) | Error::NoCertificatesPresented => "give its authority with --ca-file FILE",
        _ => return None,
    };
    Some(format!("{error}; {then}"))
}

/// Without TLS there is no handshake.
#[cfg(not(feature = "tls"))]
pub(super) fn about_trust(_: &io::Error) -> Option<String> {
    None
}
