//! Which models a word on the command line means.

use crate::models::{Model, VERSIONS};
use glob::Pattern;

/// How many near names are told, and how alike they must be, from 0 to 1.
const NEAREST: usize = 3;
const ALIKE: f64 = 0.7;

/// The models of each version that any of `words` means, all if there are none: a name, a scenario (all models of it), or
/// a pattern of either in which `*` stands for any text and `?` for any one character; brackets are themselves.
///
/// # Errors
/// If a word or the version means nothing; the message names what is near.
pub fn select(words: &[String], version: Option<&str>) -> Result<Vec<(&'static str, Model)>, String> {
    if let Some(unknown) = version.filter(|wanted| VERSIONS.iter().all(|known| known.number != *wanted)) {
        let known: Vec<&str> = VERSIONS.iter().map(|version| version.number).collect();
        return Err(format!("prometheus `{}` is not modelled; modelled are {}", printable(unknown), known.join(", ")));
    }
    let patterns: Vec<(&String, Pattern)> =
        words.iter().map(|word| Ok((word, pattern(word)?))).collect::<Result<_, String>>()?;
    let means = |pattern: &Pattern, model: &Model| pattern.matches(model.name) || pattern.matches(model.scenario());
    let mut selected = Vec::new();
    for known in VERSIONS.iter().filter(|known| version.is_none_or(|wanted| wanted == known.number)) {
        let models = (known.models)();
        let wanted = |model: &Model| patterns.is_empty() || patterns.iter().any(|(_, pattern)| means(pattern, model));
        selected.extend(models.into_iter().filter(wanted).map(|model| (known.number, model)));
    }
    match patterns.iter().find(|(_, pattern)| !selected.iter().any(|(_, model)| means(pattern, model))) {
        Some((word, _)) => Err(unknown(word)),
        None => Ok(selected),
    }
}

fn pattern(word: &str) -> Result<Pattern, String> {
    let escaped = word.replace('[', "\u{1}").replace(']', "[]]").replace('\u{1}', "[[]");
    Pattern::new(&escaped).map_err(|error| format!("`{}` is no pattern: {}", printable(word), error.msg))
}

fn unknown(word: &str) -> String {
    let models = VERSIONS.last().map(|newest| (newest.models)()).unwrap_or_default();
    let mut names: Vec<&str> = models.iter().flat_map(|model| [model.name, model.scenario()]).collect();
    names.sort_unstable();
    names.dedup();
    let mut alike: Vec<(f64, &str)> = names
        .into_iter()
        .map(|name| (strsim::jaro_winkler(word, name), name))
        .filter(|(like, _)| *like >= ALIKE)
        .collect();
    alike.sort_by(|(a, _), (b, _)| b.total_cmp(a));
    let nearest: Vec<String> = alike.into_iter().take(NEAREST).map(|(_, name)| format!("`{name}`")).collect();
    let hint = match nearest.as_slice() {
        [] => "`--list` shows all".to_owned(),
        names => format!("did you mean {}?", names.join(" or ")),
    };
    format!("no model is called `{}`; {hint}", printable(word))
}

fn printable(word: &str) -> String {
    word.chars().filter(|c| !c.is_control()).take(200).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(words: &[&str]) -> Vec<&'static str> {
        let words: Vec<String> = words.iter().map(ToString::to_string).collect();
        select(&words, Some("0.14.0")).expect("a selection").into_iter().map(|(_, model)| model.name).collect()
    }

    #[test]
    fn a_word_is_a_name_a_scenario_or_a_pattern() {
        assert_eq!(names(&["register-in-collect"]), ["register-in-collect"]);
        assert_eq!(names(&["inc-during-gather[metric=counter]"]), ["inc-during-gather[metric=counter]"]);
        assert_eq!(names(&["inc-during-gather"]).len(), 5);
        assert_eq!(names(&["*-in-collect"]), ["register-in-collect", "unregister-in-collect", "gather-in-collect"]);
        assert_eq!(names(&["*[lock=std]", "two-gathers"]), ["register-under-app-lock[lock=std]", "two-gathers"]);
        assert_eq!(names(&[]).len(), (VERSIONS[1].models)().len());
    }

    #[test]
    fn a_word_that_means_nothing_is_told_what_is_near() {
        let error = |words: &[&str], version| {
            let words: Vec<String> = words.iter().map(ToString::to_string).collect();
            select(&words, version).expect_err("means nothing")
        };
        let says = error(&["register-in-colect", "two-gathers"], None);
        assert!(
            says.starts_with("no model is called `register-in-colect`; did you mean `register-in-collect`"),
            "{says}"
        );
        assert_eq!(error(&["qqq"], None), "no model is called `qqq`; `--list` shows all");
        assert!(error(&["**x"], None).contains("is no pattern"));
        assert!(error(&[], Some("0.12.0")).ends_with("modelled are 0.13.4, 0.14.0"));
    }
}
