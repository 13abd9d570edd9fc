//! An application whose metrics are beside the point: a canary in every library, for mistakes that are made elsewhere.
//!
//! The case's parameter `on` says who serves it: a route of the application's own server, or a listener of its own.

use super::handlers;
use super::prometheus::Registry;
use crate::lesson::Cell;
use crate::official_registry;
use crate::setting::Setting;
use crate::stage::{App, Stage};
use crate::variants::{Library, Variant, atomics, exporter, official};
use gatherlock::catalogue::Problem;

/// Whether the case is served by a listener of its own.
pub(super) fn has_listener(setting: &Setting) -> bool {
    setting.param("on") == "listener"
}

/// Why there is no such case, if there is none.
pub(super) fn skip(setting: &Setting) -> Option<Cell> {
    let skipped = has_listener(setting) && setting.variant != Variant::Guarded;
    skipped
        .then_some(Cell::Skip("a handler of the application's own server: a listener beside it is what `guarded` adds"))
}

/// The application.
pub(super) fn serve(stage: &Stage) -> Result<App, Problem> {
    match stage.setting.variant.library() {
        Library::Prometheus => on_prometheus(stage),
        Library::Official => {
            let (routes, bump) = official::routes(&official_registry::SharedRegistry::default());
            Ok(App::new(routes, bump))
        }
        Library::Exporter => {
            let (routes, bump) = exporter::routes()?;
            Ok(App::new(routes, bump))
        }
        Library::Atomics => {
            let (routes, bump) = atomics::routes(|_| ());
            Ok(App::new(routes, bump))
        }
    }
}

fn on_prometheus(stage: &Stage) -> Result<App, Problem> {
    let registry = Registry::new();
    let bump = handlers::canary(&registry)?;
    let listener = if has_listener(&stage.setting) { handlers::listener(&registry, stage.deadline())? } else { None };
    let app = App::new(handlers::routes(stage.setting.variant, registry, stage.deadline()), bump);
    Ok(match listener {
        Some(listener) => app.served_by(listener),
        None => app,
    })
}
