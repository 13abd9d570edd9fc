//! The words on the command line.

/// What is printed with `--help`, and below what is wrong with the words.
pub(crate) const USAGE: &str = "\
[NAME|GLOB…] [--prometheus VERSION] [--engine loom|shuttle] [--exhaustive] [--format text|json|jsonl]
NAME --replay STRING [--prometheus VERSION] [--format text|json]
--list [--format text|json]

NAME is a model, e.g. 'inc-during-gather[metric=histogram]', or a scenario, e.g. inc-during-gather: all models of it.
Default: all models, prometheus 0.13.4 and 0.14.0, loom up to 3 preemptions and 1000 random schedules of shuttle.

  --prometheus VERSION   only on this version
  --engine ENGINE        only under this engine
  --exhaustive           loom without a preemption bound, 100000 schedules of shuttle; some models take minutes
  --replay STRING        one execution again, step by step: the string that a counterexample ends with
  --list                 the models, and what is outside of every model
  --format FORMAT        text, json (one array) or jsonl (a line for each check, as soon as it is there)

Exit codes: 0 held, 1 violated or vanished, 2 could not judge.";

/// What stdout gets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Format {
    /// For people.
    #[default]
    Text,
    /// One JSON document.
    Json,
    /// A JSON document a line.
    Lines,
}

/// Which engines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Engines {
    Loom,
    Shuttle,
}

/// The words, read.
#[derive(Debug, Default)]
pub(crate) struct Asked {
    pub(crate) names: Vec<String>,
    pub(crate) version: Option<String>,
    pub(crate) engine: Option<Engines>,
    pub(crate) replay: Option<String>,
    pub(crate) exhaustive: bool,
    pub(crate) list: bool,
    pub(crate) help: bool,
    pub(crate) format: Format,
}

/// Reads the words. `--option value` and `--option=value` are the same.
pub(crate) fn parse(words: impl Iterator<Item = String>) -> Result<Asked, String> {
    let mut asked = Asked::default();
    let mut words = words.flat_map(|word| match word.split_once('=') {
        Some((option, value)) if option.starts_with("--") => vec![option.to_owned(), value.to_owned()],
        _ => vec![word],
    });
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or_else(|| format!("{word} needs a value"));
        match word.as_str() {
            "--prometheus" => asked.version = Some(value()?),
            "--engine" => {
                asked.engine = Some(match value()?.as_str() {
                    "loom" => Engines::Loom,
                    "shuttle" => Engines::Shuttle,
                    other => return Err(format!("unknown engine `{other}`: loom or shuttle")),
                });
            }
            "--format" => {
                asked.format = match value()?.as_str() {
                    "text" => Format::Text,
                    "json" => Format::Json,
                    "jsonl" => Format::Lines,
                    other => return Err(format!("unknown format `{other}`: text, json or jsonl")),
                };
            }
            "--replay" => asked.replay = Some(value()?),
            "--exhaustive" => asked.exhaustive = true,
            "--list" => asked.list = true,
            "--help" | "-h" => asked.help = true,
            option if option.starts_with('-') => return Err(format!("unknown option {option}")),
            _ => asked.names.push(word),
        }
    }
    Ok(asked)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(words: &[&str]) -> Result<Asked, String> {
        parse(words.iter().map(ToString::to_string))
    }

    #[test]
    fn options_and_names_may_be_mixed() {
        let asked =
            read(&["a[b=c]", "--engine=shuttle", "--prometheus", "0.14.0", "d", "--format", "jsonl"]).expect("fine");
        assert_eq!(asked.names, ["a[b=c]", "d"]);
        assert_eq!((asked.engine, asked.format), (Some(Engines::Shuttle), Format::Lines));
        assert_eq!(asked.version.as_deref(), Some("0.14.0"));
    }

    #[test]
    fn a_replay_string_keeps_its_signs() {
        let asked = read(&["a", "--replay=shuttle:0*4,1,0"]).expect("fine");
        assert_eq!(asked.replay.as_deref(), Some("shuttle:0*4,1,0"));
    }

    #[test]
    fn what_is_wrong_is_said() {
        assert_eq!(read(&["--engine"]).expect_err("no value"), "--engine needs a value");
        assert_eq!(read(&["--engine", "tla"]).expect_err("unknown"), "unknown engine `tla`: loom or shuttle");
        assert_eq!(read(&["--all"]).expect_err("unknown"), "unknown option --all");
    }
}
