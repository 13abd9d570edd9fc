//! What a catalogue executable is asked to do: its command line and the one environment variable it knows.

use crate::model::CaseId;
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

/// The environment variable that tells a child the bound of its trial, in whole milliseconds. The runner sets it; a child
/// that is started by hand goes by one second.
pub const BOUND_VARIABLE: &str = "GATHERLOCK_BOUND_MS";

const DEFAULT_BOUND: Duration = Duration::from_secs(1);

/// A catalogue's command line, understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Invocation {
    /// `list --format json`: print the catalogue.
    List,
    /// `child CASE --seed S --journal FILE`: run one trial.
    Child {
        /// The case.
        case: CaseId,
        /// The seed of everything that is random in it.
        seed: u64,
        /// The file to append the journal to.
        journal: PathBuf,
    },
}

/// Why a command line makes no sense to a catalogue.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{problem}\n\nusage: list --format json\n       child CASE --seed S --journal FILE")]
pub struct BadArguments {
    problem: String,
}

impl Invocation {
    /// Reads the arguments that follow the executable's name.
    ///
    /// # Errors
    /// If they are neither of the two forms; the message names what is wrong and shows both.
    pub fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Invocation, BadArguments> {
        let bad = |problem: String| BadArguments { problem };
        let mut args = args.into_iter();
        let mut text = |what: &str| -> Result<Option<String>, BadArguments> {
            args.next()
                .map(|arg| arg.into_string().map_err(|arg| bad(format!("{what} is not valid UTF-8: {arg:?}"))))
                .transpose()
        };
        match text("the verb")?.as_deref() {
            Some("list") => match (text("an option")?.as_deref(), text("a value")?.as_deref(), text("an argument")?) {
                (None, None, None) | (Some("--format"), Some("json"), None) => Ok(Invocation::List),
                _ => Err(bad("`list` takes `--format json` and nothing else".into())),
            },
            Some("child") => {
                let case = text("the case")?.ok_or_else(|| bad("`child` needs a case".into()))?;
                let case = case.parse::<CaseId>().map_err(|error| bad(error.to_string()))?;
                let (mut seed, mut journal) = (None, None);
                while let Some(option) = text("an option")? {
                    let value = text("a value")?.ok_or_else(|| bad(format!("`{option}` needs a value")))?;
                    match option.as_str() {
                        "--seed" => {
                            let number = value.parse::<u64>();
                            seed = Some(number.map_err(|error| bad(format!("the seed `{value}`: {error}")))?);
                        }
                        "--journal" => journal = Some(PathBuf::from(value)),
                        other => return Err(bad(format!("`child` knows no option `{other}`"))),
                    }
                }
                Ok(Invocation::Child {
                    case,
                    seed: seed.ok_or_else(|| bad("`child` needs `--seed S`".into()))?,
                    journal: journal.ok_or_else(|| bad("`child` needs `--journal FILE`".into()))?,
                })
            }
            Some(other) => Err(bad(format!("no verb `{other}`"))),
            None => Err(bad("a verb is missing".into())),
        }
    }
}

/// The bound of this process's trial, from [`BOUND_VARIABLE`].
pub(super) fn bound() -> Result<Duration, BadArguments> {
    let Some(text) = std::env::var_os(BOUND_VARIABLE) else { return Ok(DEFAULT_BOUND) };
    match text.to_str().and_then(|text| text.parse::<u64>().ok()) {
        Some(millis) if millis > 0 => Ok(Duration::from_millis(millis)),
        _ => Err(BadArguments {
            problem: format!("{BOUND_VARIABLE} is {text:?}, not a positive number of milliseconds"),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Invocation, BadArguments> {
        Invocation::parse(line.split_whitespace().map(OsString::from))
    }

    #[test]
    fn both_forms_are_understood() {
        assert_eq!(parse("list --format json"), Ok(Invocation::List));
        assert_eq!(
            parse("child a[x=1]/naive --journal /tmp/j --seed 18446744073709551615"),
            Ok(Invocation::Child { case: "a[x=1]/naive".parse().unwrap(), seed: u64::MAX, journal: "/tmp/j".into() })
        );
    }

    #[test]
    fn everything_else_says_what_is_wrong() {
        for (line, word) in [
            ("", "verb"),
            ("run", "`run`"),
            ("list --format xml", "--format json"),
            ("list --format json more", "--format json"),
            ("child", "case"),
            ("child nonsense --seed 1 --journal j", "no case id"),
            ("child a/b --journal j", "--seed"),
            ("child a/b --seed 1", "--journal"),
            ("child a/b --seed", "needs a value"),
            ("child a/b --seed -1 --journal j", "`-1`"),
            ("child a/b --bound 1 --seed 1 --journal j", "`--bound`"),
        ] {
            let problem = parse(line).unwrap_err().to_string();
            assert!(problem.contains(word), "{line:?}: {problem}");
        }
    }
}
