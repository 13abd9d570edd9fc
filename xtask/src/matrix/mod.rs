//! `cargo xtask diagnose-matrix`: the catalogue built the ways people build what they ship, hung in every way it knows, and
//! diagnosed by the engine from outside; the score of each build, and everything it missed.

mod score;

use crate::build::{self, Binary, cargo, executables, find, root};
use score::{Case, Known, Score};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

const USAGE: &str = "\
cargo xtask diagnose-matrix [--profile NAME]… [--parking-lot 0.12|0.13] [GLOB…]

Builds the catalogue in each profile, without parking_lot's own detector, hangs every case that is expected to hang (those
that match a GLOB, e.g. `*/naive`), and scores what the engine says about the process from outside. Default: all profiles,
both versions of parking_lot.
Exit codes: 0 nothing missed but what is known, 1 something missed or claimed wrongly, 2 could not judge.";

/// One way of building.
struct Profile {
    name: &'static str,
    cargo: &'static str,
    /// For all crates.
    rustflags: Option<&'static str>,
    /// For the executable alone: everything else is shared with the profile's other builds.
    last: Option<&'static str>,
    /// Features that let it share more.
    features: Option<&'static str>,
    says: &'static str,
}

const fn profile(name: &'static str, cargo: &'static str, says: &'static str) -> Profile {
    Profile { name, cargo, rustflags: None, last: None, features: None, says }
}

const fn stripped(name: &'static str, cargo: &'static str, says: &'static str) -> Profile {
    Profile { last: Some("-Cstrip=symbols"), ..profile(name, cargo, says) }
}

/// In the order of the score; the first that runs is what the others are compared with.
const PROFILES: [Profile; 8] = [
    profile("dev", "dev", "`cargo build`"),
    profile("release", "release", "`cargo build --release`"),
    profile("lines", "matrix-lines", "release, `debug = \"line-tables-only\"`"),
    profile("full", "matrix-full", "release, `debug = \"full\"`"),
    profile("lto", "matrix-lto", "release, fat LTO, `panic = \"abort\"`"),
    stripped("stripped", "release", "release, `strip = true`"),
    profile("small", "matrix-small", "`opt-level = \"z\"`, fat LTO, abort, stripped"),
    Profile { rustflags: Some("-Csymbol-mangling-version=v0"), ..profile("v0", "matrix-v0", "release, v0 mangling") },
];

/// What CI runs beside `dev`, and nobody by default: as blind as `stripped`, and built from what `repro` has built.
const QUICK: Profile = Profile {
    features: Some("gatherlock/default"),
    ..stripped("repro-stripped", "repro", "`cargo xtask repro`'s own profile, stripped")
};

/// The versions of parking_lot that the application's own locks can be.
const PARKING_LOT: [(&str, Option<&str>); 2] =
    [("0.12", None), ("0.13", Some("gatherlock-scenarios/parking-lot-0-13"))];

/// What is to be run.
struct Plan {
    profiles: Vec<&'static Profile>,
    parking_lot: Vec<(&'static str, Option<&'static str>)>,
    globs: Vec<String>,
}

/// Builds, runs and scores.
pub(crate) fn run(args: &[String]) -> Result<ExitCode, String> {
    if args.iter().any(|arg| arg == "--help" || arg == "-h") {
        println!("{USAGE}");
        return Ok(ExitCode::SUCCESS);
    }
    let plan = plan(args)?;
    let gatherlock = build::gatherlock(&[Binary::Scenarios])?;
    let gatherlock = find(&gatherlock, "gatherlock")?;
    let known: Vec<Known> = Known::read(include_str!("known.txt"))?;
    let mut scores: Vec<Score> = Vec::new();
    // What a build has compiled for one version serves the other one, too.
    for profile in &plan.profiles {
        for (version, feature) in &plan.parking_lot {
            let binary = build_catalogue(profile, *feature)?;
            let name = format!("{} / parking_lot {version}", profile.name);
            eprintln!("── {name} ({}, {} kB) ──", profile.says, size(&binary) / 1024);
            let cases = hang(&gatherlock, &binary, profile, version, &plan.globs)?;
            let reference = scores.first().map(|score| score.cases.as_slice());
            let score = Score::new(profile.name, version, cases, reference, &known);
            print!("{}", score.misses());
            scores.push(score);
        }
    }
    println!("{}", score::table(&scores));
    Ok(score::exit_code(&scores))
}

fn plan(args: &[String]) -> Result<Plan, String> {
    let mut plan = Plan { profiles: Vec::new(), parking_lot: Vec::new(), globs: Vec::new() };
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        let (name, value) = match arg.split_once('=') {
            Some((name, value)) if name.starts_with("--") => (name, Some(value.to_owned())),
            _ => (arg.as_str(), None),
        };
        let mut value =
            || value.clone().or_else(|| args.next().cloned()).ok_or(format!("`{name}` needs a value\n\n{USAGE}"));
        match name {
            "--profile" => {
                let wanted = value()?;
                let found = PROFILES.iter().chain([&QUICK]).find(|profile| profile.name == wanted);
                let names = PROFILES.map(|profile| profile.name).join(", ");
                plan.profiles.push(found.ok_or(format!("no profile `{wanted}`; there are {names}"))?);
            }
            "--parking-lot" => {
                let wanted = value()?;
                let found = PARKING_LOT.into_iter().find(|(version, _)| *version == wanted);
                plan.parking_lot.push(found.ok_or(format!("no version `{wanted}` of parking_lot: 0.12 or 0.13"))?);
            }
            glob if !glob.starts_with('-') => plan.globs.push(arg.clone()),
            other => return Err(format!("unknown argument `{other}`\n\n{USAGE}")),
        }
    }
    if plan.profiles.is_empty() {
        plan.profiles = PROFILES.iter().collect();
    }
    if plan.parking_lot.is_empty() {
        plan.parking_lot = PARKING_LOT.to_vec();
    }
    Ok(plan)
}

/// The catalogue's executable in this profile.
fn build_catalogue(profile: &Profile, feature: Option<&str>) -> Result<PathBuf, String> {
    let mut build = cargo();
    let verb = if profile.last.is_some() { "rustc" } else { "build" };
    build.args([verb, "--profile", profile.cargo, "-p", "gatherlock-scenarios", "--bin", "gatherlock-scenarios"]);
    build.args(["--message-format", "json-render-diagnostics"]);
    for feature in feature.into_iter().chain(profile.features) {
        build.args(["--features", feature]);
    }
    if let Some(flags) = profile.rustflags {
        // With a target, so that build scripts and macros are not built again for the flag.
        build.args(["--target", "x86_64-unknown-linux-gnu"]).env("RUSTFLAGS", flags);
    }
    if let Some(last) = profile.last {
        build.args(["--", last]);
    }
    find(&executables(build)?, "gatherlock-scenarios")
}

fn size(path: &Path) -> u64 {
    std::fs::metadata(path).map_or(0, |meta| meta.len())
}

/// Hangs every case that is expected to hang, and reads what the engine said.
fn hang(
    gatherlock: &Path,
    binary: &Path,
    profile: &Profile,
    version: &str,
    globs: &[String],
) -> Result<Vec<Case>, String> {
    let list = Command::new(gatherlock).args(["list", "--format", "json", "--catalogue"]).arg(binary).output();
    let list = list.map_err(|error| format!("cannot run gatherlock: {error}"))?;
    let catalogues: Value = serde_json::from_slice(&list.stdout).map_err(|error| format!("the list: {error}"))?;
    let cases =
        catalogues.as_array().into_iter().flatten().flat_map(|c| c["cases"].as_array().cloned().unwrap_or_default());
    let hanging: Vec<String> = cases.filter_map(|case| score::expected_to_hang(&case)).collect();
    let chosen: Vec<String> =
        hanging.into_iter().filter(|id| globs.is_empty() || globs.iter().any(|glob| matches(glob, id))).collect();
    if chosen.is_empty() {
        return Err("no case that is expected to hang was chosen".to_owned());
    }
    let out = root().join("target/diagnose-matrix").join(format!("{}-{version}", profile.name));
    let mut run = Command::new(gatherlock);
    run.arg("repro").args(chosen).arg("--catalogue").arg(binary).arg("--out").arg(&out);
    run.env("GATHERLOCK_INVOKED_AS", "cargo xtask").stdout(Stdio::null());
    // What is violated is scored here; only a run without a report is an error.
    let path = out.join("report.json");
    let _ = std::fs::remove_file(&path);
    build::status(run)?;
    let text = std::fs::read_to_string(&path).map_err(|error| format!("no report was written: {error}"))?;
    let report: Value = serde_json::from_str(&text).map_err(|error| error.to_string())?;
    if report["interrupted"] == true {
        return Err("interrupted".to_owned());
    }
    score::cases(&report)
}

/// Whether a glob (`*` matches anything) matches a case's id.
fn matches(glob: &str, id: &str) -> bool {
    let mut parts = glob.split('*');
    let Some(mut rest) = parts.next().and_then(|first| id.strip_prefix(first)) else { return false };
    let parts: Vec<&str> = parts.collect();
    let Some((last, middle)) = parts.split_last() else { return rest.is_empty() };
    for part in middle {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn globs() {
        for (glob, id, is) in [
            ("*/naive", "a/naive", true),
            ("*/naive", "a/naive-not", false),
            ("a*/n*e", "abc/naive", true),
            ("a/naive", "a/naive", true),
            ("a", "a/naive", false),
            ("a*a", "a", false),
        ] {
            assert_eq!(matches(glob, id), is, "{glob} {id}");
        }
    }

    #[test]
    fn arguments() {
        let args = |words: &[&str]| plan(&words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>());
        let some = args(&["--profile", "dev", "--profile=lto", "--parking-lot", "0.13", "*/naive"]).unwrap();
        assert_eq!(some.profiles.iter().map(|p| p.name).collect::<Vec<_>>(), ["dev", "lto"]);
        assert_eq!((some.parking_lot.len(), some.globs), (1, vec!["*/naive".to_owned()]));
        assert_eq!(args(&[]).unwrap().profiles.len(), PROFILES.len());
        assert_eq!(args(&["--profile", "repro-stripped"]).unwrap().profiles.len(), 1);
        assert!(args(&["--profile", "nonsense"]).is_err());
        assert!(args(&["--profile"]).is_err());
    }
}
