//! The exposition formats.

/// The exposition format in which a source writes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// The Prometheus text format, version 0.0.4.
    #[default]
    Text,
    /// OpenMetrics text, version 1.0.0, ending in `# EOF`. It is served as such if every group of the endpoint writes it
    /// and the scraper prefers it, and is otherwise rewritten as [`Format::Text`].
    OpenMetrics,
}
