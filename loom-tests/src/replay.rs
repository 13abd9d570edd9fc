//! The string that names one execution of a model, so that it can be run again.

use std::fmt;
use std::str::FromStr;

/// One execution of a model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Replay {
    /// loom's `execution`-th (from 1) with this preemption bound: its exploration is deterministic.
    Loom {
        /// The preemption bound; `None` is unbounded.
        preemptions: Option<u8>,
        /// Which execution.
        execution: u64,
    },
    /// shuttle's, by the tasks that it ran, in order.
    Shuttle {
        /// The tasks' numbers; 0 is the model's body.
        tasks: Vec<usize>,
    },
}

/// Why a string is no replay string.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplayError {
    text: String,
    why: &'static str,
}

impl fmt::Display for ReplayError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "not a replay string: {:?}: {}; expected loom:3:7, loom:all:7 or shuttle:0*4,1,0",
            self.text, self.why
        )
    }
}

impl std::error::Error for ReplayError {}

impl fmt::Display for Replay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Replay::Loom { preemptions: Some(bound), execution } => write!(f, "loom:{bound}:{execution}"),
            Replay::Loom { preemptions: None, execution } => write!(f, "loom:all:{execution}"),
            Replay::Shuttle { tasks } => {
                f.write_str("shuttle:")?;
                for (index, run) in tasks.chunk_by(|a, b| a == b).enumerate() {
                    let comma = if index == 0 { "" } else { "," };
                    match run.len() {
                        1 => write!(f, "{comma}{}", run[0])?,
                        times => write!(f, "{comma}{}*{times}", run[0])?,
                    }
                }
                Ok(())
            }
        }
    }
}

impl FromStr for Replay {
    type Err = ReplayError;

    fn from_str(text: &str) -> Result<Self, ReplayError> {
        let error = |why| ReplayError { text: text.to_owned(), why };
        match text.split_once(':') {
            Some(("loom", rest)) => {
                let (bound, execution) = rest.split_once(':').ok_or_else(|| error("no execution number"))?;
                let preemptions = match bound {
                    "all" => None,
                    bound => Some(bound.parse().map_err(|_| error("the preemption bound is no small number"))?),
                };
                let execution = execution.parse().map_err(|_| error("the execution is no number"))?;
                Ok(Replay::Loom { preemptions, execution })
            }
            Some(("shuttle", rest)) => {
                let mut tasks = Vec::new();
                for run in rest.split(',') {
                    let (task, times) = run.split_once('*').unwrap_or((run, "1"));
                    let task: usize = task.parse().map_err(|_| error("a task is no number"))?;
                    let times: usize = times.parse().map_err(|_| error("a repetition is no number"))?;
                    // No execution of any model here is longer; a typing error must not fill the memory.
                    if tasks.len() + times > 1_000_000 {
                        return Err(error("more than a million steps"));
                    }
                    tasks.extend(std::iter::repeat_n(task, times));
                }
                Ok(Replay::Shuttle { tasks })
            }
            _ => Err(error("unknown engine")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn replay() -> impl Strategy<Value = Replay> {
        prop_oneof![
            (any::<Option<u8>>(), any::<u64>())
                .prop_map(|(preemptions, execution)| Replay::Loom { preemptions, execution }),
            prop::collection::vec(0..5usize, 1..40).prop_map(|tasks| Replay::Shuttle { tasks }),
        ]
    }

    proptest! {
        #[test]
        fn a_replay_survives_printing_and_reading(replay in replay()) {
            prop_assert_eq!(replay.to_string().parse(), Ok(replay));
        }
    }

    #[test]
    fn nonsense_is_refused_with_the_reason() {
        for text in ["", "loom", "loom:3", "loom:many:1", "shuttle:", "shuttle:x", "shuttle:0*9999999", "tla:1"] {
            let error = text.parse::<Replay>().expect_err(text);
            assert!(error.to_string().contains("expected loom:3:7"), "{error}");
        }
    }
}
