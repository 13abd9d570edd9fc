//! A metric with as many series as one likes, in every library: what scenarios about size are made of.

use super::handlers;
use super::prometheus::{IntCounterVec, Opts, Registry};
use crate::official_registry;
use crate::stage::{App, Stage};
use crate::variants::{Library, atomics, exporter, official};
use gatherlock::catalogue::Problem;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use std::fmt::Write;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

const NAME: &str = "queries_total";
const HELP: &str = "Queries by client and upstream";

/// The application, and what creates further series of `queries_total`, those with the numbers given.
pub(crate) struct Series {
    pub(crate) app: App,
    pub(crate) create: Box<dyn FnMut(Range<usize>)>,
}

/// The labels of a series: a client's address and one of seven upstreams.
fn labels(number: usize) -> [(&'static str, String); 2] {
    let client = format!("10.{}.{}.{}", number >> 16, (number >> 8) & 255, number & 255);
    [("client", client), ("upstream", format!("up-{}", number % 7))]
}

/// An application with `count` series, each of which has the value 1.
pub(crate) fn serve(stage: &Stage, count: usize) -> Result<Series, Problem> {
    let mut series = match stage.setting.variant.library() {
        Library::Prometheus => on_prometheus(stage)?,
        Library::Official => on_official(),
        Library::Exporter => on_exporter()?,
        Library::Atomics => return Ok(on_atomics(count)),
    };
    (series.create)(0..count);
    Ok(series)
}

fn on_prometheus(stage: &Stage) -> Result<Series, Problem> {
    let registry = Registry::new();
    let bump = handlers::canary(&registry)?;
    let queries = IntCounterVec::new(Opts::new(NAME, HELP), &["client", "upstream"])?;
    registry.register(Box::new(queries.clone()))?;
    let app = App::new(handlers::routes(stage.setting.variant, registry, stage.deadline()), bump);
    let create = move |numbers: Range<usize>| {
        for number in numbers {
            let [(_, client), (_, upstream)] = labels(number);
            queries.with_label_values(&[client, upstream]).inc();
        }
    };
    Ok(Series { app, create: Box::new(create) })
}

fn on_official() -> Series {
    let registry = official_registry::SharedRegistry::default();
    let (routes, bump) = official::routes(&registry);
    let queries = Family::<[(&'static str, String); 2], Counter>::default();
    official_registry::write(&registry).register("queries", HELP, queries.clone());
    let create = move |numbers: Range<usize>| {
        for number in numbers {
            queries.get_or_create(&labels(number)).inc();
        }
    };
    Series { app: App::new(routes, bump), create: Box::new(create) }
}

fn on_exporter() -> Result<Series, Problem> {
    let (routes, bump) = exporter::routes()?;
    metrics::describe_counter!(NAME, HELP);
    let create = |numbers: Range<usize>| {
        for number in numbers {
            let [(_, client), (_, upstream)] = labels(number);
            metrics::counter!(NAME, "client" => client, "upstream" => upstream).increment(1);
        }
    };
    Ok(Series { app: App::new(routes, bump), create: Box::new(create) })
}

/// The labels are rendered once; a page is made of copies and of the numbers. No further series can be created.
fn on_atomics(count: usize) -> Series {
    let lines: Arc<[(String, AtomicU64)]> = (0..count)
        .map(|number| {
            let [(_, client), (_, upstream)] = labels(number);
            (format!("{NAME}{{client=\"{client}\",upstream=\"{upstream}\"}} "), AtomicU64::new(1))
        })
        .collect();
    let (routes, bump) = atomics::routes(move |text| {
        let _ = writeln!(text, "# HELP {NAME} {HELP}\n# TYPE {NAME} counter");
        for (labelled, value) in &*lines {
            text.push_str(labelled);
            let _ = writeln!(text, "{}", value.load(Ordering::Relaxed));
        }
    });
    Series { app: App::new(routes, bump), create: Box::new(|_| {}) }
}
