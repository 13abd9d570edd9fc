//! What a scraper takes: the two headers that a metrics endpoint has to read, and nothing else of HTTP's negotiation.

use crate::format::Format;
#[cfg(any(feature = "tower", feature = "listener"))]
use std::borrow::Cow;

/// The lines of a header that is a list, as one; `None` if there is none.
#[cfg(any(feature = "tower", feature = "listener"))]
pub(crate) fn joined<'a>(mut lines: impl Iterator<Item = &'a str>) -> Option<Cow<'a, str>> {
    let first = lines.next()?;
    Some(lines.fold(Cow::Borrowed(first), |all, line| Cow::Owned(format!("{all},{line}"))))
}

/// The better of the two formats for this `Accept` header; text if it says nothing, or nothing we have.
pub(crate) fn format(accept: Option<&str>) -> Format {
    let Some(accept) = accept else { return Format::Text };
    let (mut text, mut open) = (0.0, 0.0);
    for range in accept.split(',') {
        let mut parameters = range.split(';').map(str::trim);
        let kind = parameters.next().unwrap_or("").to_ascii_lowercase();
        let (mut quality, mut version) = (1.0, None);
        for parameter in parameters {
            match parameter.split_once('=').map(|(name, value)| (name.trim(), value.trim().trim_matches('"'))) {
                Some(("q" | "Q", value)) => quality = read_quality(value),
                Some((name, value)) if name.eq_ignore_ascii_case("version") => version = Some(value),
                _ => {}
            }
        }
        match kind.as_str() {
            "application/openmetrics-text" if matches!(version, None | Some("1.0.0")) => open = quality.max(open),
            "text/plain" | "text/*" | "*/*" => text = quality.max(text),
            _ => {}
        }
    }
    // A browser's `*/*` is no wish for OpenMetrics: that has to be asked for by name.
    if open > 0.0 && open >= text { Format::OpenMetrics } else { Format::Text }
}

/// Whether this `Accept-Encoding` header takes gzip.
#[cfg(feature = "gzip")]
pub(crate) fn takes_gzip(accept_encoding: Option<&str>) -> bool {
    let (mut by_name, mut by_star) = (None, None);
    for coding in accept_encoding.unwrap_or("").split(',') {
        let (name, rest) = coding.split_once(';').unwrap_or((coding, ""));
        let is_quality = |name: &str| name.trim().eq_ignore_ascii_case("q");
        let quality = rest.split(';').filter_map(|parameter| parameter.split_once('='));
        let quality = quality.filter(|(name, _)| is_quality(name)).map(|(_, value)| read_quality(value.trim())).next();
        let quality = quality.unwrap_or(1.0);
        match name.trim().to_ascii_lowercase().as_str() {
            "gzip" | "x-gzip" => by_name = Some(quality),
            "*" => by_star = Some(quality),
            _ => {}
        }
    }
    by_name.or(by_star).is_some_and(|quality| quality > 0.0)
}

/// Something that is no quality is no wish either.
fn read_quality(text: &str) -> f64 {
    text.parse::<f64>().ok().filter(|quality| (0.0..=1.0).contains(quality)).unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::format;
    use crate::format::Format;

    #[test]
    fn openmetrics_is_served_to_those_that_ask_for_it_by_name() {
        let prometheus_2 = "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,\
                            text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
        let prometheus_3 = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,\
                            application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;q=0.4,\
                            text/plain;version=0.0.4;q=0.3,*/*;q=0.2";
        for accept in [prometheus_2, prometheus_3, "application/openmetrics-text", "APPLICATION/OpenMetrics-Text; q=1"]
        {
            assert_eq!(format(Some(accept)), Format::OpenMetrics, "{accept}");
        }
    }

    #[test]
    fn everybody_else_gets_text() {
        assert_eq!(format(None), Format::Text);
        for accept in [
            "",
            "*/*",
            "text/html,*/*;q=0.8",
            "application/json",
            "application/openmetrics-text;q=0",
            "a;;;=,,;q",
            "application/openmetrics-text;version=0.0.1",
            "application/openmetrics-text;q=0.1,text/plain;q=0.9",
            "application/openmetrics-text;q=NaN",
            "application/openmetrics-text;q=-1",
        ] {
            assert_eq!(format(Some(accept)), Format::Text, "{accept}");
        }
    }

    #[cfg(feature = "gzip")]
    #[test]
    fn gzip_is_taken_by_name_or_by_star() {
        use super::takes_gzip;
        for yes in ["gzip", "deflate, gzip;q=0.5", "*", "GZIP ; q=1"] {
            assert!(takes_gzip(Some(yes)), "{yes}");
        }
        for no in
            ["", "identity", "gzip;q=0", "*, gzip;q=0", "br", "gzip;q=x", "gzip;Q=0", "gzip; q = 0", "gzip;x=1;q=0"]
        {
            assert!(!takes_gzip(Some(no)), "{no}");
        }
        assert!(!takes_gzip(None));
    }
}
