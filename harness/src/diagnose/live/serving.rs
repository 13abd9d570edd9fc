//! Who runs a request where no frame's name says so: link-time optimisation inlines a handler into the server's code, and what
//! is left of it is the code ahead. A thread inside a connection, whose code goes on to write a page, runs a request for one.

use super::layout::Mapped;
use super::rules;
use super::stacks::{Named, Stack};
use super::walk::Walker;
use crate::model::{Explained, Gap};
use iced_x86::{Decoder, DecoderOptions, FlowControl, Instruction, OpKind};
use std::collections::HashSet;

/// Crates that run a connection: they serve one request after another, whichever route it is for.
const CONNECTIONS: [&str; 8] = ["hyper", "hyper_util", "h2", "actix_http", "warp", "tiny_http", "may_minihttp", "ntex"];
/// Crates that stand between a connection and its handlers.
const SERVERS: [&str; 7] = ["axum", "axum_core", "actix_web", "rocket", "poem", "salvo_core", "tonic"];
/// Instructions of one function that are looked at.
const MAX_STEPS: u32 = 4000;
/// Bytes of the longest instruction.
const MAX_INSTRUCTION: usize = 15;

/// Whether one of the stack's functions inside a connection goes on to write a page.
pub(super) fn goes_on_to_write(stack: &Stack<'_>, walker: &Walker<'_>) -> bool {
    // The connection's own loop reaches every route.
    let Some(end) = stack.frames.iter().position(|frame| is_of(frame, &CONNECTIONS)) else { return false };
    let own = stack.frames[..end].iter().filter(|frame| !frame.system && !frame.is_lock_code());
    let mut ahead = own.map(|frame| {
        let module = walker.layout.find(frame.frame.lookup())?;
        Ahead { walker, module, seen: HashSet::new() }.writes(frame.frame.pc, frame.frame.lookup(), true)
    });
    ahead.any(|writes| writes == Some(true))
}

/// Blocked workers that serve a connection, where no thread shows a request of the endpoint: its own may be among them.
pub(super) fn unnamed_gap(stacks: &[Stack<'_>], explained: &Explained) -> Option<Gap> {
    let runtime = explained.runtime.as_ref()?;
    if explained.threads.iter().any(|thread| thread.serves_request) {
        return None;
    }
    let in_server =
        |stack: &&Stack<'_>| stack.frames.iter().any(|frame| is_of(frame, &CONNECTIONS) || is_of(frame, &SERVERS));
    let stuck = stacks.iter().filter(|stack| runtime.stuck.contains(&stack.raw.tid)).filter(in_server).count();
    let why = match stuck {
        0 => return None,
        1 => "1 worker is blocked inside a connection, in code that shows no page: it may be the request's".to_owned(),
        n => {
            format!("{n} workers are blocked inside connections, in code that shows no page: one may be the request's")
        }
    };
    Some(Gap { what: "which thread runs the request".into(), why, uncovers: true })
}

fn is_of(frame: &Named, crates: &[&str]) -> bool {
    frame.names.iter().any(|function| crates.contains(&rules::crate_of(function)))
}

/// What lies ahead of a place in the code.
struct Ahead<'a> {
    walker: &'a Walker<'a>,
    module: &'a Mapped,
    seen: HashSet<u64>,
}

impl Ahead<'_> {
    /// Whether code that can be reached from `pc` within the function around `within` calls what writes a page; with
    /// `deeper`, or calls a function that does.
    fn writes(&mut self, pc: u64, within: u64, deeper: bool) -> Option<bool> {
        let image = &self.module.image;
        let (start, end) = image.function_bounds(within.wrapping_sub(self.module.bias))?;
        let bounds = start.wrapping_add(self.module.bias)..end.wrapping_add(self.module.bias);
        let mut paths = vec![pc];
        let mut called = Vec::new();
        let mut steps = 0;
        while let Some(mut pc) = paths.pop() {
            while bounds.contains(&pc) && self.seen.insert(pc) {
                steps += 1;
                if steps > MAX_STEPS || !self.walker.affords(1) {
                    return Some(false);
                }
                let Some(i) = self.decode(pc) else { break };
                let target = (i.op0_kind() == OpKind::NearBranch64).then(|| i.near_branch_target());
                let inside = target.filter(|target| bounds.contains(target));
                match i.flow_control() {
                    FlowControl::Next | FlowControl::IndirectCall => {}
                    FlowControl::ConditionalBranch => paths.extend(inside),
                    FlowControl::UnconditionalBranch if inside.is_some() => {
                        paths.extend(inside);
                        break;
                    }
                    FlowControl::Call | FlowControl::UnconditionalBranch => {
                        let target = target?;
                        let place = target.wrapping_sub(self.module.bias);
                        if rules::is_page_writer(&image.function(place)) {
                            return Some(true);
                        }
                        if i.flow_control() == FlowControl::UnconditionalBranch || image.never_returns(place) {
                            break;
                        }
                        called.push(target);
                    }
                    _ => break,
                }
                pc = i.next_ip();
            }
        }
        Some(deeper && called.into_iter().any(|target| self.writes(target, target, false) == Some(true)))
    }

    fn decode(&self, pc: u64) -> Option<Instruction> {
        let code = self.module.image.code(pc.wrapping_sub(self.module.bias), MAX_INSTRUCTION);
        let i = Decoder::with_ip(64, code, pc, DecoderOptions::NONE).decode();
        (!i.is_invalid()).then_some(i)
    }
}
