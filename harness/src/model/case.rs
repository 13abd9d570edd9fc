//! The name of a case: `scenario[param=value,…]/variant`, the one string by which people, the command line and reports
//! refer to it.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

/// `register-under-app-lock[lock=std]/naive`: a scenario, its parameters (often none), and the variant it runs against.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct CaseId {
    /// The scenario's id, e.g. `register-in-collect`.
    pub scenario: String,
    /// Parameters that tell cases of one scenario apart, in the order of their names.
    pub params: BTreeMap<String, String>,
    /// The variant's id, e.g. `naive`.
    pub variant: String,
}

#[cfg(feature = "schema")]
impl schemars::JsonSchema for CaseId {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "CaseId".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string",
            "description": "scenario[param=value,…]/variant",
            "pattern": "^[a-z0-9.-]+(\\[[a-z0-9.-]+=[a-z0-9.-]+(,[a-z0-9.-]+=[a-z0-9.-]+)*\\])?/[a-z0-9.-]+$"
        })
    }
}

impl CaseId {
    /// A case without parameters.
    pub fn new(scenario: impl Into<String>, variant: impl Into<String>) -> CaseId {
        CaseId { scenario: scenario.into(), params: BTreeMap::new(), variant: variant.into() }
    }

    /// The same case with one parameter more.
    pub fn with(mut self, name: impl Into<String>, value: impl Into<String>) -> CaseId {
        self.params.insert(name.into(), value.into());
        self
    }

    /// `scenario[params]`, the row of the matrix that this case stands in.
    pub fn row(&self) -> String {
        if self.params.is_empty() {
            return self.scenario.clone();
        }
        let params: Vec<String> = self.params.iter().map(|(name, value)| format!("{name}={value}")).collect();
        format!("{}[{}]", self.scenario, params.join(","))
    }
}

impl fmt::Display for CaseId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.row(), self.variant)
    }
}

/// Why a string is no case id.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no case id: {problem} (expected `scenario/variant` or `scenario[param=value]/variant`)")]
pub struct BadCaseId {
    /// What was given.
    pub text: String,
    /// What is wrong with it.
    pub problem: &'static str,
}

/// Ids are lower-case words, so that they can stand in file names, URLs, globs and shell commands unquoted.
fn is_word(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'.')
}

impl FromStr for CaseId {
    type Err = BadCaseId;

    fn from_str(text: &str) -> Result<CaseId, BadCaseId> {
        let bad = |problem| BadCaseId { text: text.to_string(), problem };
        let (row, variant) = text.rsplit_once('/').ok_or_else(|| bad("it has no `/`"))?;
        let (scenario, params) = match row.split_once('[') {
            None => (row, None),
            Some((scenario, rest)) => {
                (scenario, Some(rest.strip_suffix(']').ok_or_else(|| bad("its `[` is not closed before the `/`"))?))
            }
        };
        if !is_word(scenario) || !is_word(variant) {
            return Err(bad("names are made of a-z, 0-9, `-` and `.`"));
        }
        let mut id = CaseId::new(scenario, variant);
        for pair in params.map(|p| p.split(',')).into_iter().flatten() {
            let (name, value) = pair.split_once('=').ok_or_else(|| bad("a parameter has no `=`"))?;
            if !is_word(name) || !is_word(value) {
                return Err(bad("names are made of a-z, 0-9, `-` and `.`"));
            }
            if id.params.insert(name.to_string(), value.to_string()).is_some() {
                return Err(bad("a parameter is given twice"));
            }
        }
        Ok(id)
    }
}

impl TryFrom<String> for CaseId {
    type Error = BadCaseId;
    fn try_from(text: String) -> Result<CaseId, BadCaseId> {
        text.parse()
    }
}

impl From<CaseId> for String {
    fn from(id: CaseId) -> String {
        id.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn parses_the_three_shapes() {
        let plain: CaseId = "register-in-collect/naive".parse().unwrap();
        assert_eq!(plain, CaseId::new("register-in-collect", "naive"));
        let with: CaseId = "register-under-app-lock[lock=std]/naive".parse().unwrap();
        assert_eq!(with.params["lock"], "std");
        assert_eq!(with.row(), "register-under-app-lock[lock=std]");
        let two: CaseId = "a[x=1,b=0.13.4]/c".parse().unwrap();
        assert_eq!(two.to_string(), "a[b=0.13.4,x=1]/c");
    }

    #[test]
    fn refuses_what_is_none() {
        for text in
            ["", "a", "a/", "/b", "a[/b", "a[]/b", "a[x]/b", "a[x=1,x=2]/b", "A/b", "a b/c", "a/b\n", "a[x=1]y/b"]
        {
            assert!(text.parse::<CaseId>().is_err(), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn display_and_parse_are_inverse(s in "[a-z][a-z0-9-]{0,8}", v in "[a-z][a-z0-9-]{0,8}",
                                         p in prop::collection::btree_map("[a-z]{1,3}", "[a-z0-9.]{1,4}", 0..3)) {
            let id = CaseId { scenario: s, params: p, variant: v };
            prop_assert_eq!(id.to_string().parse::<CaseId>().unwrap(), id);
        }

        #[test]
        fn parsing_never_panics(text in ".*") {
            let _ = text.parse::<CaseId>();
        }
    }
}
