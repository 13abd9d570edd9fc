//! One trial: start the child, let it be scraped, look at it before it is killed, and say what was seen.

use super::halt::Halt;
use super::setup::TrialSetup;
use super::stage::Stage;
use crate::detect::{Detected, TrialFacts, detect};
use crate::model::{Command, Outcome, Release, Target, TrialProbes, TrialReport, Void};
use std::time::Instant;

/// Runs one trial on the calling thread, which must be the one that stays until its end.
pub(crate) fn run_trial(setup: &TrialSetup<'_>) -> TrialReport {
    let begun = Instant::now();
    let mut stage = match Stage::open(setup) {
        Ok(stage) => stage,
        Err(reason) => return void_report(setup, begun, reason),
    };
    let halted = play(&mut stage, setup).err();
    stage.close(halted.is_none());
    let seen = look(&mut stage, setup);
    let mut report = report(setup, begun, seen);
    report.classified_in_ms = stage.classified_ms();
    if let Some(Halt::Void(reason)) = halted {
        report.outcome = None;
        report.void = Some(Void::because(reason));
    }
    report
}

/// The three phases. What stops it early is either void or, if the child is gone, left to the detectors to say.
fn play(stage: &mut Stage<'_>, setup: &TrialSetup<'_>) -> Result<(), Halt> {
    let (drive, release) = (setup.planned.scenario.drive, setup.planned.scenario.release);
    stage.ready()?;
    stage.before(drive)?;
    stage.command(Command::Bump)?;
    stage.command(Command::Arm)?;
    stage.during(drive, release)?;
    if stage.judged_hangs() {
        // The hang limit has just passed: nothing may stand between it and the second sample.
        stage.sample();
        stage.explain();
        let _ = look(stage, setup);
        stage.classified();
        if setup.witness.is_due(&setup.planned.case.id) {
            stage.ask_detector()?;
        }
        stage.give_up()?;
    } else if stage.explained().is_none() && stage.something_may_be_stuck() {
        stage.look_twice()?;
    }
    if release != Release::Never {
        stage.release()?;
        stage.command(Command::Bump)?;
        stage.after(|stage, number| {
            let requests = look(stage, setup).requests;
            requests.iter().any(|request| request.request == number && request.class == Some(Outcome::Served))
        })?;
    }
    Ok(())
}

/// What the detectors make of the trial as it stands.
fn look(stage: &mut Stage<'_>, setup: &TrialSetup<'_>) -> Detected {
    stage.read_bodies();
    let target = Target {
        url: stage.first_url(),
        pid: Some(stage.pid()),
        inner_pid: None,
        exe: setup.exe.file_name().map(|name| name.to_string_lossy().into_owned()),
    };
    detect(&TrialFacts {
        case: &setup.planned.case,
        drive: setup.planned.scenario.drive,
        release: setup.planned.scenario.release,
        bound_us: setup.planned.bound_ms * 1000,
        hang_limit_us: setup.planned.hang_limit_ms * 1000,
        observations: stage.observations(),
        explained: stage.explained(),
        target: &target,
        advice: &setup.planned.scenario.advice,
    })
}

fn report(setup: &TrialSetup<'_>, begun: Instant, seen: Detected) -> TrialReport {
    let outcome = if seen.void.is_some() { None } else { Some(seen.outcome) };
    TrialReport {
        seed: setup.planned.seed,
        bound_ms: setup.planned.bound_ms,
        hang_limit_ms: setup.planned.hang_limit_ms,
        outcome,
        duration_ms: u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX),
        probes: TrialProbes {
            requests: seen.requests,
            prometheus: seen.prometheus,
            thread_states: seen.thread_states,
            parking_lot_detector: seen.parking_lot_detector,
            lag_ms: seen.lag_ms,
        },
        void: seen.void,
        residue: seen.residue,
        limits: seen.limits,
        canary_moved: seen.canary_moved,
        evidence: seen.evidence,
        covered: seen.covered,
        diagnosis: seen.diagnosis,
        timeline: seen.timeline,
        release: Some(setup.planned.scenario.release).filter(|release| *release != Release::Never),
        replay: setup.replay.clone(),
        ..TrialReport::default()
    }
}

/// A trial that did not come to anything.
fn void_report(setup: &TrialSetup<'_>, begun: Instant, reason: String) -> TrialReport {
    TrialReport {
        seed: setup.planned.seed,
        bound_ms: setup.planned.bound_ms,
        hang_limit_ms: setup.planned.hang_limit_ms,
        duration_ms: u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX),
        void: Some(Void::because(reason)),
        replay: setup.replay.clone(),
        ..TrialReport::default()
    }
}
