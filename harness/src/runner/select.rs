//! Which cases a word on the command line means.
//!
//! A word with a `/` is compared with whole case ids, one without with scenarios (`register-under-app-lock`) and rows
//! (`register-under-app-lock[lock=std]`). `*` stands for any text and `?` for any one character; brackets are
//! themselves, because case ids have them.

use crate::model::{Case, CaseId, Catalogue};
use glob::Pattern;
use std::collections::BTreeSet;

/// A word that selects cases.
#[derive(Clone, Debug)]
pub(super) struct Selector {
    word: String,
    pattern: Pattern,
}

/// A word that means nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SelectError {
    /// Nothing is called like that.
    #[error("{} `{word}`{}", if *.whole { "no case is called" } else { "no scenario is called" }, did_you_mean(.nearest))]
    Unknown {
        /// The word, without control characters.
        word: String,
        /// Whether it was compared with whole case ids.
        whole: bool,
        /// What it may have meant, nearest first; words that would have selected something.
        nearest: Vec<String>,
    },
    /// A pattern that nothing matches.
    #[error("no {} matches `{word}`{}", if *.whole { "case" } else { "scenario" }, did_you_mean(.nearest))]
    Unmatched {
        /// The pattern, without control characters.
        word: String,
        /// Whether it was compared with whole case ids.
        whole: bool,
        /// What it may have meant, nearest first; words that would have selected something.
        nearest: Vec<String>,
    },
    /// `**` and other things that are no pattern.
    #[error("`{word}` is no pattern: {why}; `*` stands for any text, `?` for any one character")]
    BadPattern {
        /// The word, without control characters.
        word: String,
        /// The matcher's words.
        why: &'static str,
    },
}

fn did_you_mean(nearest: &[String]) -> String {
    match nearest {
        [] => "; `list` shows all".into(),
        [one] => format!("; did you mean `{one}`?"),
        [most @ .., last] => format!("; did you mean `{}` or `{last}`?", most.join("`, `")),
    }
}

/// How many near names are told.
const NEAREST: usize = 3;
/// How alike two names must be to be told, from 0 to 1.
const ALIKE: f64 = 0.6;

impl Selector {
    pub(super) fn new(word: &str) -> Result<Selector, SelectError> {
        let escaped = word.replace('[', "\u{1}").replace(']', "[]]").replace('\u{1}', "[[]");
        match Pattern::new(&escaped) {
            Ok(pattern) => Ok(Selector { word: word.to_string(), pattern }),
            Err(e) => Err(SelectError::BadPattern { word: printable(word), why: e.msg }),
        }
    }

    pub(super) fn matches(&self, id: &CaseId) -> bool {
        if self.is_whole() {
            self.pattern.matches(&id.to_string())
        } else {
            self.pattern.matches(&id.scenario) || self.pattern.matches(&id.row())
        }
    }

    /// The error for a word that matches no case of any catalogue.
    pub(super) fn unmatched(&self, catalogues: &[Catalogue]) -> SelectError {
        let (word, whole, nearest) = (printable(&self.word), self.is_whole(), self.nearest(catalogues));
        if self.word.contains(['*', '?']) {
            SelectError::Unmatched { word, whole, nearest }
        } else {
            SelectError::Unknown { word, whole, nearest }
        }
    }

    fn is_whole(&self) -> bool {
        self.word.contains('/')
    }

    fn nearest(&self, catalogues: &[Catalogue]) -> Vec<String> {
        // A variant alone is the likeliest slip, and no scenario is like it.
        if catalogues.iter().flat_map(|catalogue| &catalogue.variants).any(|variant| variant.id == self.word) {
            return vec![format!("*/{}", self.word)];
        }
        let cases = catalogues.iter().flat_map(|catalogue| &catalogue.cases);
        let names: BTreeSet<String> = cases.flat_map(|Case { id, .. }| self.names(id)).collect();
        let mut alike: Vec<(f64, String)> =
            names.into_iter().map(|name| (strsim::jaro_winkler(&self.word, &name), name)).collect();
        alike.retain(|(likeness, _)| *likeness >= ALIKE);
        alike.sort_by(|(a, _), (b, _)| b.total_cmp(a));
        alike.into_iter().map(|(_, name)| name).take(NEAREST).collect()
    }

    /// The names that this word was compared with.
    fn names(&self, id: &CaseId) -> Vec<String> {
        if self.is_whole() { vec![id.to_string()] } else { vec![id.scenario.clone(), id.row()] }
    }
}

fn printable(word: &str) -> String {
    word.chars().filter(|c| !c.is_control()).take(200).collect()
}
