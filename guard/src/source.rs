//! What can stand behind an endpoint: any closure that returns a body, and the registries of the usual libraries.

use crate::format::Format;
use crate::page::Page;
use crate::panic::add_panics;
use bytes::Bytes;
use std::error::Error;
use std::fmt::Display;

/// Why a source has nothing to give.
pub type SourceError = Box<dyn Error + Send + Sync>;

/// Something that writes an exposition. It is called by its group's own thread, one call at a time; it may block and it
/// may panic.
///
/// Any `Fn() -> Result<B, E>` whose `B` becomes [`Bytes`] is a source of [`Format::Text`]; see [`openmetrics`] for the
/// other format.
pub trait Source: Send + Sync + 'static {
    /// Fills an empty page.
    ///
    /// # Errors
    /// If there is nothing to show; the group is then missing from the answer, with this error as the reason.
    fn write(&self, page: &mut Page) -> Result<(), SourceError>;
}

impl<F, B, E> Source for F
where
    F: Fn() -> Result<B, E> + Send + Sync + 'static,
    B: Into<Bytes>,
    E: Display,
{
    fn write(&self, page: &mut Page) -> Result<(), SourceError> {
        page.push(self().map_err(|error| error.to_string())?);
        Ok(())
    }
}

/// Several sources, one after the other on one thread; they must all write the same format. One that fails is missing from
/// the answer as `source-1`, `source-2`, …; if all fail, the group does.
impl Source for Vec<Box<dyn Source>> {
    fn write(&self, page: &mut Page) -> Result<(), SourceError> {
        let mut format = None;
        let mut failed = Vec::new();
        for (at, source) in self.iter().enumerate() {
            let mut part = page.part();
            match source.write(&mut part) {
                Ok(()) => {
                    if *format.get_or_insert(part.format) != part.format {
                        return Err("the sources of this group write different formats".into());
                    }
                    page.append(part);
                }
                Err(error) => {
                    part.panics.drain(..).for_each(|(name, count)| add_panics(&mut page.panics, name, count));
                    failed.push((format!("source-{}", at + 1), error.to_string()));
                }
            }
        }
        if format.is_none() && !failed.is_empty() {
            let reasons: Vec<String> = failed.iter().map(|(name, reason)| format!("{name}: {reason}")).collect();
            return Err(reasons.join("; ").into());
        }
        page.set_format(format.unwrap_or_default());
        page.missing.append(&mut failed);
        Ok(())
    }
}

/// A source from a closure that returns OpenMetrics text 1.0.0.
pub fn openmetrics<F, B, E>(write: F) -> impl Source
where
    F: Fn() -> Result<B, E> + Send + Sync + 'static,
    B: Into<Bytes> + 'static,
    E: Display + 'static,
{
    OpenMetrics(write)
}

struct OpenMetrics<F>(F);

impl<F, B, E> Source for OpenMetrics<F>
where
    F: Fn() -> Result<B, E> + Send + Sync + 'static,
    B: Into<Bytes> + 'static,
    E: Display + 'static,
{
    fn write(&self, page: &mut Page) -> Result<(), SourceError> {
        self.0.write(page)?;
        page.set_format(Format::OpenMetrics);
        Ok(())
    }
}

#[cfg(feature = "prometheus")]
mod prometheus_0_14 {
    use super::{Page, Source, SourceError};
    use crate::gather::FailedCollector;
    use crate::{Registry, text};
    use std::sync::Arc;

    impl Source for Registry {
        fn write(&self, page: &mut Page) -> Result<(), SourceError> {
            let progress = Arc::clone(&page.progress);
            let mut collected = self.collect(&mut |name| progress.enter(Some(Arc::clone(name))));
            progress.enter(None);
            Registry::write(self, &mut collected, page.body());
            page.panics = collected.panics;
            let empty = page.body().is_empty();
            finish(page, empty, &collected.failed)?;
            page.drop_later(collected.families);
            Ok(())
        }
    }

    /// Its lock is held while it collects, so this contains what [`Registry`] cures.
    impl Source for prometheus::Registry {
        fn write(&self, page: &mut Page) -> Result<(), SourceError> {
            let families = self.gather();
            let mut failed = Vec::new();
            text::encode(&families, None, &[], None, page.body(), &mut failed);
            let empty = page.body().is_empty();
            finish(page, empty, &failed)?;
            page.drop_later(families);
            Ok(())
        }
    }

    /// A page on which everything failed is no page.
    fn finish(page: &mut Page, empty: bool, failed: &[FailedCollector]) -> Result<(), SourceError> {
        if empty && !failed.is_empty() {
            let reasons: Vec<String> = failed.iter().map(FailedCollector::to_string).collect();
            return Err(reasons.join("; ").into());
        }
        for failure in failed {
            page.missing(&*failure.name, &failure.reason);
        }
        Ok(())
    }
}

#[cfg(feature = "prometheus-client")]
mod official {
    use super::{Format, Page, Source, SourceError};
    use prometheus_client::registry::Registry;
    use std::fmt;
    use std::sync::{Arc, Mutex, PoisonError, RwLock};

    struct Text<'a>(&'a mut Vec<u8>);

    impl fmt::Write for Text<'_> {
        fn write_str(&mut self, text: &str) -> fmt::Result {
            self.0.extend_from_slice(text.as_bytes());
            Ok(())
        }
    }

    fn encode(registry: &Registry, page: &mut Page) -> Result<(), SourceError> {
        page.set_format(Format::OpenMetrics);
        prometheus_client::encoding::text::encode(&mut Text(page.body()), registry)
            .map_err(|error| format!("prometheus-client cannot encode its registry: {error}").into())
    }

    impl Source for Arc<Registry> {
        fn write(&self, page: &mut Page) -> Result<(), SourceError> {
            encode(self, page)
        }
    }

    /// A poisoned lock is read all the same.
    impl Source for Arc<RwLock<Registry>> {
        fn write(&self, page: &mut Page) -> Result<(), SourceError> {
            encode(&self.read().unwrap_or_else(PoisonError::into_inner), page)
        }
    }

    /// A poisoned lock is read all the same.
    impl Source for Arc<Mutex<Registry>> {
        fn write(&self, page: &mut Page) -> Result<(), SourceError> {
            encode(&self.lock().unwrap_or_else(PoisonError::into_inner), page)
        }
    }
}

#[cfg(feature = "metrics-exporter-prometheus")]
impl Source for metrics_exporter_prometheus::PrometheusHandle {
    fn write(&self, page: &mut Page) -> Result<(), SourceError> {
        page.push(self.render());
        Ok(())
    }
}
