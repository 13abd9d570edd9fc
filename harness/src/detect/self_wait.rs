//! `deadlocked` by a self-wait: the request's own wait path leads to a thread that waits for what it holds itself.

use super::cycle;
use super::scene::{Ruling, Scene};

/// The rule.
pub(super) fn detect<'a>(scene: &Scene<'a>) -> Option<Ruling<'a>> {
    cycle::reached(scene, true)
}
