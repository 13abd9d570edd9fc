//! The catalogue executable: `list --format json`, or `child CASE --seed S --journal FILE` for one trial.

mod catalog;
mod claims;
mod isolate;
mod lesson;
mod locks;
mod official_registry;
mod peer;
mod scenarios;
mod setting;
mod stage;
mod variants;

fn main() -> std::process::ExitCode {
    gatherlock::catalogue::main(catalog::catalogue, catalog::play)
}
