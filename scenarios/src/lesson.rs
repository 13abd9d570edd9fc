//! What a scenario file hands to the catalogue: its place, its expectations and the way to play it.

use crate::setting::Setting;
use crate::stage::{App, Stage};
use crate::variants::because;
use gatherlock::catalogue::Problem;
use gatherlock::model::{Company, Drive, Expectation, ExpectedLimits, Outcome, Range, Release, Scenario};

/// One mistake. Its title and its story are the scenario file's own module doc, so that code, doc and report cannot
/// tell different stories.
pub(crate) struct Lesson {
    /// Lower-case id.
    pub(crate) id: &'static str,
    /// The heading it stands under.
    pub(crate) family: &'static str,
    /// `include_str!` of its own file: see [`Lesson::scenario`].
    pub(crate) source: &'static str,
    /// Where it happened for real.
    pub(crate) origin: &'static [&'static str],
    /// How its trials get on with others.
    pub(crate) company: Company,
    /// The bound of its trials, if the run's default does not fit.
    pub(crate) bound_ms: Option<u64>,
    /// What the parent does to it.
    pub(crate) drive: Drive,
    /// When the parent lets the cause go.
    pub(crate) release: Release,
    /// What to change in one's code.
    pub(crate) advice: &'static [&'static str],
    /// What each variant must or may show.
    pub(crate) expect: fn(&Setting) -> Cell,
    /// Sets it up; called only where `expect` is not a skip.
    pub(crate) play: fn(&Stage) -> Result<App, Problem>,
}

/// A cell of the matrix: what a case is expected to show, or why there is none.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Cell {
    /// It runs.
    Expect(Expectation),
    /// It does not, for this reason.
    Skip(&'static str),
}

impl Cell {
    /// Every trial shows `outcome`, because of this mechanism.
    pub(crate) fn must(outcome: Outcome, because: &str) -> Cell {
        Cell::Expect(Expectation::must(outcome, because))
    }

    /// Which of `outcomes` it is is measured, not promised.
    pub(crate) fn may(outcomes: impl IntoIterator<Item = Outcome>, because: &str) -> Cell {
        Cell::Expect(Expectation::may(outcomes, because))
    }

    /// Answered in time while every scrape leaves exactly `threads` stuck.
    pub(crate) fn contained_leaking(threads: f64, because: &str) -> Cell {
        Cell::must(Outcome::Contained, because)
            .limited(|limits| limits.threads_leaked_per_scrape = Some(Range::exactly(threads)))
    }

    /// Answered in time while one thread stays stuck for all of the `scrapes` together.
    pub(crate) fn contained_once(scrapes: u32, because: &str) -> Cell {
        Cell::contained_leaking(1.0 / f64::from(scrapes), because)
    }

    /// What `guarded` shows where the cause is the registry's own lock: `served`, because `guard::Registry` holds none
    /// while it collects; or contained, where the registry is an older one that it cannot replace.
    pub(crate) fn cured(setting: &Setting, scrapes: u32, because: &str) -> Cell {
        if setting.is_curable() {
            Cell::must(Outcome::Served, because)
        } else {
            Cell::contained_once(scrapes, because::REGISTRY_OF_ITS_OWN)
        }
    }

    /// The same, and a scrape is or is not served again once the cause is gone.
    pub(crate) fn recovers(self, recovers: bool) -> Cell {
        self.limited(|limits| limits.recovers = Some(recovers))
    }

    /// The same with further limits graded.
    pub(crate) fn limited(self, set: impl FnOnce(&mut ExpectedLimits)) -> Cell {
        match self {
            Cell::Expect(mut expectation) => {
                set(&mut expectation.limits);
                Cell::Expect(expectation)
            }
            skip => skip,
        }
    }
}

impl Lesson {
    /// The scenario as the catalogue lists it. The title is the first paragraph of the file's module doc, the story is
    /// what follows up to the first heading or drawing.
    pub(crate) fn scenario(&self) -> Scenario {
        let doc: Vec<&str> = self.source.lines().map_while(|line| line.strip_prefix("//!")).map(str::trim).collect();
        let prose = doc.split(|line| line.starts_with("## ") || line.starts_with("```")).next().unwrap_or_default();
        let mut paragraphs = prose.split(|line| line.is_empty()).map(|lines| lines.join(" ")).filter(|p| !p.is_empty());
        let title = paragraphs.next().unwrap_or_default();
        Scenario {
            id: self.id.to_string(),
            family: self.family.to_string(),
            title: title.trim_end_matches('.').to_string(),
            story: paragraphs.collect::<Vec<_>>().join("\n\n"),
            origin: self.origin.iter().map(|origin| origin.to_string()).collect(),
            company: self.company,
            bound_ms: self.bound_ms,
            drive: self.drive,
            release: self.release,
            advice: self.advice.iter().map(|advice| advice.to_string()).collect(),
        }
    }
}
