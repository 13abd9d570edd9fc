//! Answers that are no plain 200 with a body in the clear: redirects, refusals, pages for people, and files that cannot
//! be kept.

use crate::cli::{ANSWERS, diagnose, judged, ok, serve, text};
use gatherlock::model::{Diagnosis, Outcome};
use std::sync::{Arc, Mutex};

fn asked(args: &[&str]) -> (i32, Diagnosis) {
    judged(&diagnose(&[args, &ANSWERS, &["--format", "json"]].concat()))
}

fn redirect(to: &str) -> String {
    format!("HTTP/1.1 302 Found\r\nLocation: {to}\r\nContent-Length: 0\r\n\r\n")
}

fn up(found: &Diagnosis) -> Option<(u8, u64)> {
    found.probes.prometheus.map(|view| (view.up, view.scrape_samples_scraped))
}

fn says(found: &Diagnosis, what: &str) -> bool {
    found.evidence.iter().any(|evidence| evidence.says.contains(what))
}

#[test]
fn a_redirect_is_followed_as_prometheus_does() {
    let url = serve(|head| match head.split(' ').nth(1) {
        Some("/metrics") => redirect("/a/b?token=s3cret"),
        Some("/a/b?token=s3cret") => redirect("c"),
        Some("/a/c") => ok("a 1\nb 2\n"),
        other => panic!("{other:?}"),
    });
    let (code, found) = asked(&["--url", &url]);
    assert_eq!((code, found.outcome, up(&found)), (0, Some(Outcome::Served), Some((1, 2))), "{}", found.summary);
    assert_eq!(found.probes.metrics.as_ref().unwrap().redirects.len(), 2);
    assert!(says(&found, "/a/c, and asked there"), "{:?}", found.evidence);
    let output = diagnose(&[&["--url", &url, "--format", "json"][..], &ANSWERS].concat());
    assert!(!text(&output.stdout).contains("s3cret"), "a query may hold a secret");
    assert_eq!(found.target.url.as_deref(), Some(url.as_str()));
}

#[test]
fn a_token_goes_to_no_other_server() {
    let heads = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&heads);
    let other = serve(move |head| {
        seen.lock().unwrap().push(head.to_string());
        ok("a 1\n")
    });
    let (first, to) = (Arc::clone(&heads), other.clone());
    let url = serve(move |head| {
        first.lock().unwrap().push(head.to_string());
        if head.contains("/metrics ") { redirect("/moved") } else { redirect(&to) }
    });
    let folder = tempfile::tempdir().unwrap();
    let token = folder.path().join("token");
    std::fs::write(&token, "s3cret\n").unwrap();
    let (code, found) =
        asked(&["--url", &url, "--bearer-file", &token.display().to_string(), "--header", "X-Key: s3cret"]);
    assert_eq!((code, up(&found)), (0, Some((1, 1))), "{}", found.summary);
    assert!(says(&found, "is not sent to another server"), "{:?}", found.evidence);
    let secrets: Vec<usize> = heads.lock().unwrap().iter().map(|head| head.matches("s3cret").count()).collect();
    assert_eq!(secrets, [2, 2, 0]);
}

#[test]
fn redirects_without_end_or_target_are_called_that() {
    let circle = serve(|_| redirect("/metrics"));
    let (code, found) = asked(&["--url", &circle]);
    assert_eq!((code, found.outcome, up(&found)), (1, Some(Outcome::Invalid), Some((0, 0))));
    assert!(found.summary.contains("status 302 at request 10"), "{}", found.summary);
    let odd = serve(|_| redirect("ftp://127.0.0.1/x?s3cret"));
    let (code, found) = asked(&["--url", &odd]);
    assert_eq!((code, found.outcome, up(&found)), (1, Some(Outcome::Invalid), None), "nothing is claimed about up");
    assert!(found.summary.contains("to `ftp://127.0.0.1/x`, which was not followed"), "{}", found.summary);
}

#[test]
fn every_scrape_of_a_gate_follows() {
    let url = serve(|head| if head.contains("/metrics ") { redirect("/real") } else { ok("a 1\n") });
    let args = ["gate", "--url", &url, "--scrapes", "2", "--scrapers", "3", "--bound", "30s"];
    let output = crate::cli::gatherlock().args(args).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}{}", text(&output.stdout), text(&output.stderr));
}

#[test]
fn advice_fits_the_status() {
    for (status, body, hint) in [
        ("401 Unauthorized", "", "--bearer-file"),
        ("403 Forbidden", "", "--header"),
        ("404 Not Found", "", "check the path"),
        ("200 OK", "<!DOCTYPE html>\n<html>\n", "looks like HTML"),
        ("200 OK", "", "up 1 without a sample"),
        ("500 No", "", "drops the whole scrape"),
    ] {
        let url = serve(move |_| ok(body).replace("200 OK", status));
        let output = diagnose(&[&["--url", &url][..], &ANSWERS].concat());
        let report = text(&output.stdout).split_whitespace().collect::<Vec<_>>().join(" ");
        assert_eq!(output.status.code(), Some(1), "{report}");
        assert!(report.contains(hint), "{status}: {report}");
        assert_eq!(report.contains("drops the whole scrape"), report.contains("up 0,"), "{status}: {report}");
    }
}

#[test]
fn a_body_that_is_not_read_is_not_called_good() {
    let url = serve(|_| ok("a 1\n").replace("\r\n\r\n", "\r\nContent-Encoding: gzip\r\n\r\n"));
    let output = diagnose(&[&["--url", &url][..], &ANSWERS].concat());
    let report = text(&output.stdout);
    assert!(report.contains("`Content-Encoding: gzip`") && report.contains("prometheus  not known"), "{report}");
    assert!(!report.contains("as it should") && !report.contains("up 0"), "{report}");
}

#[test]
fn a_recording_that_cannot_be_written_costs_no_diagnosis() {
    let url = serve(|_| panic!("nothing is looked at before"));
    let output = diagnose(&["--url", &url, "--save", "/nonexistent/x.json"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("cannot write `/nonexistent/x.json`"), "{}", text(&output.stderr));

    // The folder goes while the endpoint is asked: the report comes all the same, and then the error.
    let folder = tempfile::tempdir().unwrap();
    let inside = folder.path().join("inside");
    std::fs::create_dir(&inside).unwrap();
    let file = inside.join("x.json").display().to_string();
    let url = serve(move |_| {
        let _ = std::fs::remove_dir(&inside);
        ok("a 1\n")
    });
    let output = diagnose(&[&["--url", &url, "--save", &file][..], &ANSWERS].concat());
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stdout).contains("answers as it should"), "{}", text(&output.stdout));
    assert!(text(&output.stderr).contains("cannot write"), "{}", text(&output.stderr));

    // And one that is there stays, if nothing comes of the look.
    let kept = folder.path().join("kept.json");
    std::fs::write(&kept, "old").unwrap();
    let output = diagnose(&["--pid", "2147483647", "--save", &kept.display().to_string()]);
    assert_eq!(output.status.code(), Some(2), "{}", text(&output.stdout));
    assert_eq!(std::fs::read_to_string(&kept).unwrap(), "old");
}

#[test]
fn without_arguments_every_way_is_named() {
    let output = diagnose(&[]);
    assert_eq!(output.status.code(), Some(2));
    let says = text(&output.stderr);
    assert!(["--url", "--pid", "--snapshot"].iter().all(|way| says.contains(way)), "{says}");
}
