//! Whether the canary, a metric that is bumped before each judged scrape, moved in the exposition.

use serde::de::{self, Deserializer, Visitor};
use serde::{Deserialize, Serialize, Serializer};

/// `true`, `false` or `"not_checked"` in JSON: "nobody looked" must not read as "it stood still".
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CanaryMoved {
    /// Its value rose by at least as much as it was bumped.
    Yes,
    /// It is absent, or its value did not rise as it should have.
    No,
    /// No answered scrape to look at, or the case has no canary.
    #[default]
    NotChecked,
}

impl Serialize for CanaryMoved {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            CanaryMoved::Yes => serializer.serialize_bool(true),
            CanaryMoved::No => serializer.serialize_bool(false),
            CanaryMoved::NotChecked => serializer.serialize_str("not_checked"),
        }
    }
}

impl<'de> Deserialize<'de> for CanaryMoved {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<CanaryMoved, D::Error> {
        struct Word;
        impl Visitor<'_> for Word {
            type Value = CanaryMoved;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("true, false or \"not_checked\"")
            }
            fn visit_bool<E: de::Error>(self, moved: bool) -> Result<CanaryMoved, E> {
                Ok(if moved { CanaryMoved::Yes } else { CanaryMoved::No })
            }
            fn visit_str<E: de::Error>(self, word: &str) -> Result<CanaryMoved, E> {
                match word {
                    "not_checked" => Ok(CanaryMoved::NotChecked),
                    other => Err(E::invalid_value(de::Unexpected::Str(other), &self)),
                }
            }
        }
        deserializer.deserialize_any(Word)
    }
}

#[cfg(feature = "schema")]
impl schemars::JsonSchema for CanaryMoved {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "CanaryMoved".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "enum": [true, false, "not_checked"] })
    }
}
