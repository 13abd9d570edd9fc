//! The versions of crates whose memory is read: which layouts are known, and what is said where a version is not.
//!
//! Versions are found in the executable itself, in the paths of its panic messages, which stripping keeps. An unknown version
//! is read like the known ones, because every layout checks itself; it is said, because a check can only refuse.

use super::layout::Layout;
use crate::model::Gap;
use std::collections::BTreeSet;

/// A crate whose memory is read.
struct Known {
    krate: &'static str,
    /// Versions that begin so have the layout that is read here.
    versions: &'static [&'static str],
    /// What is read of it.
    what: &'static str,
    /// How it is read all the same, and what may be missing then.
    otherwise: &'static str,
}

const KNOWN: [Known; 3] = [
    Known {
        krate: "parking_lot_core",
        versions: &["0.9.", "0.10."],
        what: "locks",
        otherwise: "its table is believed as far as its keys hash into their buckets, and its lock words are read like those \
                    of 0.9 and 0.10",
    },
    Known {
        krate: "prometheus",
        versions: &["0.13.", "0.14."],
        what: "histograms, registries and names of metrics",
        otherwise: "they are believed as far as their parts agree with each other, as in 0.13 and 0.14; a spin in a histogram \
                    may be called busy, and a lock by the place where it is taken",
    },
    Known {
        krate: "tokio",
        versions: &[
            "1.38.", "1.39.", "1.40.", "1.41.", "1.42.", "1.43.", "1.44.", "1.45.", "1.46.", "1.47.", "1.48.", "1.49.",
            "1.50.", "1.51.", "1.52.", "1.53.", "1.54.",
        ],
        what: "the blocking pool",
        otherwise: "its counts are believed as far as they agree with the stacks, as in 1.38 to 1.54; that the pool is full \
                    may not be seen",
    },
];

/// What is said of versions that are not known here; of those of the runtime only if it matters what its pool does.
pub(super) fn gaps(layout: &Layout, pool_matters: bool) -> Vec<Gap> {
    let Some(exe) = layout.modules().iter().find(|module| module.exe) else { return Vec::new() };
    let matters = |known: &&Known| known.krate != "tokio" || pool_matters;
    KNOWN.iter().filter(matters).flat_map(|known| unknown(known, exe.image.versions(known.krate))).collect()
}

fn unknown(known: &Known, found: BTreeSet<String>) -> Vec<Gap> {
    let unknown = |version: &String| !known.versions.iter().any(|begin| version.starts_with(begin));
    let gap = |version: String| Gap {
        what: format!("{} of {} {version}", known.what, known.krate),
        why: format!("this version is not known here: {}", known.otherwise),
        uncovers: false,
    };
    found.into_iter().filter(unknown).map(gap).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_version_is_said_and_a_known_one_is_not() {
        for known in &KNOWN {
            let found = |versions: &[&str]| unknown(known, versions.iter().map(|v| (*v).to_owned()).collect());
            let fine: Vec<String> = known.versions.iter().map(|begin| format!("{begin}7")).collect();
            assert_eq!(found(&fine.iter().map(String::as_str).collect::<Vec<_>>()), [], "{}", known.krate);
            assert_eq!(found(&[]), [], "{}: not in this executable", known.krate);
            let gaps = found(&[&fine[0], "99.1.0"]);
            assert_eq!(gaps.len(), 1, "{}", known.krate);
            assert!(gaps[0].what.ends_with(&format!("{} 99.1.0", known.krate)), "{}", gaps[0].what);
            // What is read checks itself: an unknown version costs names, not the verdict.
            assert!(!gaps[0].uncovers);
        }
    }
}
