//! How an endpoint is asked, from the command line: bound, headers, tokens, trust; and the command line without secrets.

use super::args::RequestArgs;
use crate::gate::LookOptions;
use crate::probe::scrape::Trust;
use crate::probe::{Header, HttpUrl};
use crate::runner::plan::HANG_LIMIT_BOUNDS;

/// A token file larger than this holds no token.
const MOST_TOKEN: u64 = 64 << 10;

/// What to look at, and how.
pub(super) fn look_options(args: &RequestArgs, url: Option<HttpUrl>, pid: Option<i32>) -> Result<LookOptions, String> {
    let bounds = u32::try_from(HANG_LIMIT_BOUNDS).unwrap_or(3);
    let hang_limit = args.hang_limit.unwrap_or(args.bound * bounds);
    if hang_limit < args.bound {
        return Err("--hang-limit is shorter than --bound".to_string());
    }
    let secure = url.iter().chain(&args.health_url).any(HttpUrl::is_secure);
    let trust = if secure || args.ca_file.is_some() { Trust::load(args.ca_file.as_deref())? } else { Trust::default() };
    Ok(LookOptions {
        url,
        pid,
        always_sample: false,
        health_url: args.health_url.clone(),
        bound: args.bound,
        hang_limit,
        headers: headers(args)?,
        trust,
    })
}

fn headers(args: &RequestArgs) -> Result<Vec<Header>, String> {
    let mut headers = args.headers.clone();
    if let Some(path) = &args.bearer_file {
        let size = std::fs::metadata(path).map(|data| data.len());
        let text = match size {
            Ok(size) if size > MOST_TOKEN => return Err(format!("`{}` is too large for a token", path.display())),
            Ok(_) => std::fs::read_to_string(path),
            Err(error) => Err(error),
        };
        let text = text.map_err(|error| format!("cannot read `{}`: {error}", path.display()))?;
        headers.push(Header::bearer(&text).map_err(|error| format!("`{}`: {error}", path.display()))?);
    }
    Ok(headers)
}

/// The command line for a report: no value of a header, no folder of this machine.
pub(super) fn command() -> Vec<String> {
    let mut words = vec!["gatherlock".to_string()];
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        let (name, value) = match arg.split_once('=') {
            Some((name, value)) if name.starts_with("--") => (name.to_string(), Some(value.to_string())),
            _ => (arg, None),
        };
        let shown: Option<fn(&str) -> String> = match name.as_str() {
            "--header" => Some(header_name),
            // A command line may hold anything, and a report goes far.
            "--command" => Some(|_| "…".to_string()),
            "--bearer-file" | "--ca-file" | "--save" | "--snapshot" | "--out" | "--targets" => Some(file_name),
            _ => None,
        };
        match shown {
            Some(shown) => {
                words.push(name);
                words.extend(value.or_else(|| args.next()).map(|value| shown(&value)));
            }
            None => {
                words.push(name);
                words.extend(value);
            }
        }
    }
    words
}

fn header_name(header: &str) -> String {
    format!("{}: …", header.split(':').next().unwrap_or_default())
}

fn file_name(path: &str) -> String {
    let name = std::path::Path::new(path).file_name();
    name.map_or_else(|| path.to_string(), |name| name.to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_line_keeps_no_secret_and_no_folder() {
        assert_eq!(header_name("Authorization: Bearer s3cret"), "Authorization: …");
        assert_eq!(file_name("/home/somebody/token"), "token");
        assert_eq!(file_name("out/"), "out");
    }
}
