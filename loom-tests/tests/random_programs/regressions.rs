//! Programs with the verdict that they must have.

use crate::program::{Act, Program};

/// All of them.
pub(crate) fn all() -> Vec<(Program, &'static str)> {
    [written(), found()].concat()
}

/// Written by hand: each says something that a random program seldom does.
fn written() -> Vec<(Program, &'static str)> {
    use Act::{Gather, Locked, NewSeries, Observe, Receive, Register, Send};
    let program = |collect, threads| Program { collect, threads };
    vec![
        (program(vec![Register], vec![vec![Gather]]), "deadlock"),
        (program(vec![Gather], vec![vec![Gather]]), "none"),
        (program(vec![Gather], vec![vec![Gather], vec![Register]]), "deadlock"),
        (program(vec![Locked(0, vec![])], vec![vec![Gather], vec![Locked(0, vec![Register])]]), "deadlock"),
        (program(vec![Locked(0, vec![])], vec![vec![Gather], vec![Locked(0, vec![]), Register]]), "none"),
        (program(vec![Locked(0, vec![])], vec![vec![Locked(0, vec![Gather])]]), "deadlock"),
        (program(vec![], vec![vec![Locked(0, vec![Locked(0, vec![])])]]), "deadlock"),
        (
            program(vec![], vec![vec![Locked(0, vec![Locked(1, vec![])])], vec![Locked(1, vec![Locked(0, vec![])])]]),
            "deadlock",
        ),
        (program(vec![NewSeries, Observe], vec![vec![Gather], vec![NewSeries, Register]]), "none"),
        (
            program(
                vec![Locked(0, vec![])],
                vec![vec![Gather], vec![Locked(0, vec![Locked(1, vec![])])], vec![Locked(1, vec![Register])]],
            ),
            "deadlock",
        ),
        // The actor: collect() waits for a value that is sent after a registration, and for one that is sent before it.
        (program(vec![Receive(0)], vec![vec![Gather], vec![Register, Send(0)]]), "blocked"),
        (program(vec![Receive(0)], vec![vec![Gather], vec![Send(0), Register]]), "none"),
        // A channel that is full under a lock that collect() wants, and one that has room.
        (program(vec![Locked(0, vec![])], vec![vec![Gather], vec![Locked(0, vec![Send(0), Send(0)])]]), "blocked"),
        (program(vec![Locked(0, vec![])], vec![vec![Gather], vec![Locked(0, vec![Send(0)])]]), "none"),
    ]
}

/// Found by the search.
fn found() -> Vec<(Program, &'static str)> {
    vec![]
}
