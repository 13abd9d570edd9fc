//! What the cases say together: the sentences at the top of a report, each with the cases that must hold for it.

use gatherlock::model::{CaseId, Claim};

/// A sentence as it is written here.
struct Sentence {
    cases: &'static [&'static str],
    held: &'static str,
    broken: &'static str,
}

/// In the order in which reports show them: the incident's own suspicion first.
const SENTENCES: &[Sentence] = &[
    Sentence {
        cases: &[
            "inc-during-gather/naive",
            "inc-during-gather[prometheus=0.13.4]/naive",
            "new-series-during-gather/naive",
        ],
        held: "The root cause that the incident's report wrote down was not reproduced: updating metrics, or creating new \
               label sets, while gather() runs did not hang it, although the updates were made while a gather was provably \
               inside. That is what these trials showed, not a proof that it cannot happen; only a model check can be one.",
        broken: "The controls did not all hold, so nothing can be said about plain updates against gather()",
    },
    Sentence {
        cases: &[
            "register-in-collect/naive",
            "gather-in-collect/naive",
            "register-under-app-lock[lock=parking-lot]/naive",
            "register-under-app-lock[lock=std]/naive",
        ],
        held: "What does hang gather() is code that meets the registry's lock from inside a collector, or an application \
               lock that one thread takes in collect() and another holds while it registers a metric.",
        broken: "The lock patterns did not all reproduce",
    },
    Sentence {
        cases: &["gather-in-collect/naive", "gather-in-collect-no-writer/naive"],
        held: "gather() inside collect() is served as long as nobody registers a metric at that moment, and deadlocks as \
               soon as somebody does: a test without a writer cannot see it.",
        broken: "The nested gather with and without a writer did not behave as expected",
    },
    Sentence {
        cases: &[
            "register-in-collect/timeout-inline",
            "gather-in-collect/timeout-inline",
            "register-under-app-lock[lock=parking-lot]/timeout-inline",
            "register-under-app-lock[lock=std]/timeout-inline",
            "app-lock-retaken/timeout-inline",
            "slow-collect/timeout-inline",
        ],
        held: "Fix 1, a tokio timeout around a synchronous gather(), changes nothing: the timer cannot fire, because the \
               thread that would poll it is the one that is stuck.",
        broken: "Fix 1 as a timer around gather() did not behave as expected",
    },
    Sentence {
        cases: &[
            "register-in-collect/timeout-offload",
            "gather-in-collect/timeout-offload",
            "register-under-app-lock[lock=parking-lot]/timeout-offload",
            "register-under-app-lock[lock=std]/timeout-offload",
        ],
        held: "Fix 1 with spawn_blocking answers within the bound with a refusal, and every scrape takes one more thread and \
               keeps it: contained, not cured.",
        broken: "Fix 1 with spawn_blocking did not behave as expected",
    },
    Sentence {
        cases: &["register-under-app-lock[lock=std]/try-lock", "app-lock-retaken/try-lock", "lost-updates/try-lock"],
        held: "Fix 1's try_lock turns a hang into a wrong answer: whole families are missing from a scrape, and updates are \
               lost without a word.",
        broken: "try_lock did not behave as expected",
    },
    Sentence {
        cases: &["frozen-canary/atomics", "incident/atomics"],
        held: "Fix 2, hand-written atomics, meets no lock of a registry, and answers just as fast when nobody updates the \
               values any more: only a canary that must move can tell.",
        broken: "The hand-written page did not behave as expected",
    },
    Sentence {
        cases: &[
            "register-in-collect/guarded",
            "unregister-in-collect/guarded",
            "gather-in-collect/guarded",
            "register-under-app-lock[lock=parking-lot]/guarded",
            "register-under-app-lock[lock=std]/guarded",
            "three-party-cycle/guarded",
            "actor-cycle/guarded",
            "app-lock-retaken/guarded",
            "signal-handler-updates/guarded",
            "slow-collect/guarded",
            "timeout-leaks[stuck=for-good]/guarded",
        ],
        held: "This project's own fix: with a registry that holds no lock while it collects, every one of these rows whose cause \
               is the registry's lock is served; where the cause is the application's own, the endpoint refuses in time, and one \
               thread stays stuck for all scrapes together. That is contained, not cured: what is dead in the application stays \
               dead.",
        broken: "This project's own fix did not behave as expected",
    },
    Sentence {
        cases: &["incident/naive", "incident[prometheus=0.13.4]/naive"],
        held: "The incident's symptom, /metrics hanging on three nodes at once, was shown with a mechanism chosen to show it \
               (a metric registered under an application lock that a collector takes). The incident's own code, as far as it \
               is known, did not hang; which mechanism it met cannot be said.",
        broken: "The incident's symptom was not shown",
    },
];

/// The claims; ids that cannot be parsed are left to the test below.
pub(crate) fn claims() -> Vec<Claim> {
    SENTENCES
        .iter()
        .map(|sentence| Claim {
            cases: sentence.cases.iter().filter_map(|id| id.parse::<CaseId>().ok()).collect(),
            held: sentence.held.to_string(),
            broken: sentence.broken.to_string(),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_claim_rests_on_cases_that_run() {
        let catalogue = crate::catalog::catalogue();
        for (sentence, claim) in SENTENCES.iter().zip(claims()) {
            assert_eq!(sentence.cases.len(), claim.cases.len(), "an id cannot be parsed: {:?}", sentence.cases);
            for id in claim.cases {
                let case = catalogue.cases.iter().find(|case| case.id == id);
                assert!(case.is_some_and(|case| case.skip.is_none()), "no such case runs: {id}");
            }
        }
    }
}
