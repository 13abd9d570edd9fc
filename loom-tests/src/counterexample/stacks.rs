//! Stacks of the code under test: resolved after the execution, without the frames of the engine and of the shim.

use super::{Frame, labels};
use crate::shim::Event;

/// Where the code under test was called from; frames further out say how the model is run, not what it does.
const CALLERS: [&str; 6] =
    ["loom-0.", "shuttle-", "generator-", "corosensei-", "loom-tests/src/explore", "loom-tests/shim/src/thread.rs"];

/// Frames between those of the code under test that say nothing about it.
const MACHINERY: [&str; 4] = ["library/", "backtrace-", "scoped-tls-", "loom-tests/shim/"];

/// The frames of the event's stack that belong to the code under test, innermost first.
pub(super) fn of(event: &Event) -> Vec<Frame> {
    let Some(stack) = &event.stack else { return Vec::new() };
    let mut stack = (**stack).clone();
    stack.resolve();
    let mut frames = Vec::new();
    for symbol in stack.frames().iter().flat_map(|frame| frame.symbols()) {
        let (Some(name), Some(file), Some(line)) = (symbol.name(), symbol.filename(), symbol.lineno()) else {
            continue;
        };
        let file = labels::file(&file.to_string_lossy());
        let is = |files: &[&str]| files.iter().any(|start| file.starts_with(start));
        if is(&CALLERS) && !frames.is_empty() {
            break;
        }
        if !is(&CALLERS) && !is(&MACHINERY) {
            frames.push(Frame { function: function(&format!("{name:#}")), at: format!("{file}:{line}") });
        }
    }
    frames
}

/// A function's name without what the wrapper crates add in front, and of a length that somebody reads.
fn function(name: &str) -> String {
    let name = name
        .replace("gatherlock_model_prometheus_0_13::", "prometheus::")
        .replace("gatherlock_model_prometheus_0_14::", "prometheus::")
        .replace("gatherlock_loom_tests::", "");
    gatherlock::diagnose::shorten(&name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_function_is_named_as_in_the_published_crate_and_briefly() {
        let on = "gatherlock_model_prometheus_0_14::registry::Registry::gather";
        assert_eq!(function(on), "prometheus::registry::Registry::gather");
        let closure = "gatherlock_loom_tests::models::v0_14_0::on_prometheus::registry_calling<".to_owned()
            + "gatherlock_loom_tests::models::v0_14_0::on_prometheus::recursive::app_lock_retaken::{{closure}}"
            + ">::{{closure}}";
        assert_eq!(function(&closure), "models::v0_14_0::on_prometheus::registry_calling<…>::{{closure}}");
    }
}
