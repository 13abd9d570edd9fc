//! Words, signs and classes that several parts of the page share.

use crate::model::Verdict;
use maud::{Markup, html};

/// The class of a verdict.
pub(super) fn class(verdict: Option<Verdict>) -> &'static str {
    verdict.map_or("skipped", Verdict::word)
}

pub(super) fn fact(label: &str, value: &str) -> Markup {
    html! { div { dt { (label) } dd { @if value.is_empty() { "not named" } @else { (value) } } } }
}

/// With a capital at the beginning.
pub(super) fn sentence_case(words: &str) -> String {
    let mut chars = words.chars();
    chars.next().map_or(String::new(), |first| first.to_uppercase().chain(chars).collect())
}
