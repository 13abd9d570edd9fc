//! `https` endpoints: a certificate that is trusted, one that is not, and a server that speaks no TLS.

use crate::cli::{ANSWERS, HANGS, diagnose, judged, ok, text};
use gatherlock::model::Outcome;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;

/// A server with a certificate of its own making; its URL and the file with the certificate.
fn serve_tls(folder: &tempfile::TempDir, answer: impl Fn() -> Option<String> + Send + 'static) -> (String, PathBuf) {
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_string()]).unwrap();
    serve_with(folder, &made.cert, &made.signing_key, answer)
}

/// A certificate as `openssl req -x509` makes it: an authority's, signed with its own key.
fn authority(name: &str, year: i32) -> (rcgen::Certificate, rcgen::KeyPair) {
    let mut params = rcgen::CertificateParams::new([name.to_string()]).unwrap();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    params.not_after = rcgen::date_time_ymd(year, 1, 1);
    let key = rcgen::KeyPair::generate().unwrap();
    (params.self_signed(&key).unwrap(), key)
}

fn serve_with(
    folder: &tempfile::TempDir,
    made: &rcgen::Certificate,
    key: &rcgen::KeyPair,
    answer: impl Fn() -> Option<String> + Send + 'static,
) -> (String, PathBuf) {
    let file = folder.path().join("ca.pem");
    std::fs::write(&file, made.pem()).unwrap();
    let certificate = CertificateDer::from(made.der().to_vec());
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let config = rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    let config = Arc::new(config);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://{}/metrics", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        let mut kept = Vec::new();
        for stream in listener.incoming() {
            let tls = rustls::ServerConnection::new(Arc::clone(&config)).unwrap();
            let mut stream = rustls::StreamOwned::new(tls, stream.unwrap());
            let head = BufReader::new(&mut stream).lines().map_while(Result::ok).take_while(|line| !line.is_empty());
            if head.count() == 0 {
                continue;
            }
            match answer() {
                // Whoever asked may have gone.
                Some(answer) => drop(stream.write_all(answer.as_bytes()).and_then(|()| stream.flush())),
                None => kept.push(stream),
            }
        }
    });
    (url, file)
}

#[test]
fn a_trusted_certificate_is_served_and_its_phase_timed() {
    let folder = tempfile::tempdir().unwrap();
    // Larger than one record, so that it comes in pieces.
    let body: String = (0..20_000).map(|n| format!("series_{n} {n}\n")).collect();
    let (url, ca) = serve_tls(&folder, move || Some(ok(&body)));
    let ca = ca.display().to_string();
    let output = diagnose(&[&["--url", &url, "--ca-file", &ca, "--format", "json"][..], &ANSWERS].concat());
    let (code, found) = judged(&output);
    assert_eq!((code, found.outcome), (0, Some(Outcome::Served)), "{}", found.summary);
    let metrics = found.probes.metrics.unwrap();
    assert!(metrics.connected_us < metrics.secured_us && metrics.secured_us <= metrics.sent_us, "{metrics:?}");
    assert_eq!(found.probes.prometheus.unwrap().scrape_samples_scraped, 20_000);
}

#[test]
fn a_hang_behind_tls_is_one() {
    let folder = tempfile::tempdir().unwrap();
    let (url, ca) = serve_tls(&folder, || None);
    let ca = ca.display().to_string();
    let (code, found) =
        judged(&diagnose(&[&["--url", &url, "--ca-file", &ca, "--format", "json"][..], &HANGS].concat()));
    assert_eq!(code, 1);
    assert!(found.outcome.is_some_and(Outcome::is_hang), "{}", found.summary);
    assert_eq!(found.target.pid, Some(std::process::id() as i32), "{:?}", found.gaps);
}

#[test]
fn an_untrusted_certificate_says_nothing_about_the_endpoint() {
    let folder = tempfile::tempdir().unwrap();
    let (url, _) = serve_tls(&folder, || Some(ok("a 1\n")));
    let (_, other) = serve_tls(&tempfile::tempdir().unwrap(), || None);
    assert!(!other.exists());
    let authority = rcgen::generate_simple_self_signed(["localhost".to_string()]).unwrap();
    let file = folder.path().join("other.pem");
    std::fs::write(&file, authority.cert.pem()).unwrap();
    let output = diagnose(&[&["--url", &url, "--ca-file", &file.display().to_string()][..], &ANSWERS].concat());
    assert_eq!(output.status.code(), Some(2), "{}", text(&output.stdout));
    assert!(text(&output.stderr).contains("not trusted") && text(&output.stderr).contains("--ca-file"));
}

#[test]
fn an_authority_that_serves_itself_is_taken_if_it_is_the_one_given() {
    let folder = tempfile::tempdir().unwrap();
    let (made, key) = authority("127.0.0.1", 2999);
    let (url, ca) = serve_with(&folder, &made, &key, || Some(ok("a 1\n")));
    let ask = |url: &str, ca: &std::path::Path| {
        diagnose(&[&["--url", url, "--ca-file", &ca.display().to_string()][..], &ANSWERS].concat())
    };
    let output = ask(&url, &ca);
    assert_eq!(output.status.code(), Some(0), "{}{}", text(&output.stdout), text(&output.stderr));
    // Another one is not, though all else is alike; nor this one under another name, or when its time is over.
    let other = tempfile::tempdir().unwrap();
    let (made, _) = authority("127.0.0.1", 2999);
    std::fs::write(other.path().join("other.pem"), made.pem()).unwrap();
    let (made, key) = authority("localhost", 2999);
    let named = tempfile::tempdir().unwrap();
    let (misnamed, its_own) = serve_with(&named, &made, &key, || Some(ok("a 1\n")));
    let (made, key) = authority("127.0.0.1", 2001);
    let old = tempfile::tempdir().unwrap();
    let (expired, outdated) = serve_with(&old, &made, &key, || Some(ok("a 1\n")));
    for (url, ca, why) in [
        (&url, other.path().join("other.pem"), "give exactly this certificate with --ca-file"),
        (&misnamed, its_own, "subjectAltName"),
        (&expired, outdated, "renew it"),
    ] {
        let output = ask(url, &ca);
        let says = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{}{says}", text(&output.stdout));
        assert!(says.contains("not trusted") && says.contains(why), "{why}: {says}");
    }
}

#[test]
fn a_port_of_the_other_kind_is_called_that() {
    let folder = tempfile::tempdir().unwrap();
    let (secure, ca) = serve_tls(&folder, || Some(ok("a 1\n")));
    let (code, found) =
        judged(&diagnose(&[&["--url", &secure.replace("https", "http"), "--format", "json"][..], &ANSWERS].concat()));
    assert_eq!((code, found.outcome), (1, Some(Outcome::Invalid)), "{}", found.summary);
    assert!(found.advice[0].contains("https:// instead"), "{:?}", found.advice);
    let plain = crate::cli::serve(|_| "<!DOCTYPE HTML><p>Bad request".to_string());
    let url = plain.replace("http:", "https:");
    let args = ["--url", &url, "--ca-file", &ca.display().to_string(), "--format", "json"];
    let (_, found) = judged(&diagnose(&[&args[..], &ANSWERS].concat()));
    assert!(
        found.summary.contains("wrongly: TLS cannot be agreed on: the port speaks plain HTTP"),
        "{}",
        found.summary
    );
    assert!(found.advice[0].contains("http:// instead"), "{:?}", found.advice);
}

#[test]
fn a_server_that_speaks_no_tls() {
    let folder = tempfile::tempdir().unwrap();
    let (_, ca) = serve_tls(&folder, || None);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://{}/metrics", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        let refuse = |stream: std::io::Result<TcpStream>| {
            let mut stream = stream.unwrap();
            stream.write_all(b"HTTP/1.1 400 No\r\nContent-Length: 0\r\n\r\n").unwrap();
            stream
        };
        listener.incoming().map(refuse).collect::<Vec<_>>()
    });
    let args = ["--url", &url, "--ca-file", &ca.display().to_string(), "--format", "json"];
    let (code, found) = judged(&diagnose(&[&args[..], &ANSWERS].concat()));
    assert_eq!((code, found.outcome), (1, Some(Outcome::Invalid)), "{}", found.summary);
    assert!(found.summary.contains("TLS cannot be agreed on"), "{}", found.summary);
    let bad = diagnose(&["--url", "https://127.0.0.1:1/", "--ca-file", "/dev/null"]);
    assert_eq!(bad.status.code(), Some(2));
    assert!(text(&bad.stderr).contains("no certificate"), "{}", text(&bad.stderr));
}
