//! Which case of a scenario is played.

use crate::variants::Variant;
use std::collections::BTreeMap;

/// Which case of a scenario: the variant and the parameters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Setting {
    /// The variant.
    pub(crate) variant: Variant,
    /// The parameters, by name.
    pub(crate) params: BTreeMap<String, String>,
}

impl Setting {
    /// The value of a parameter that every case of the scenario has.
    ///
    /// # Panics
    /// If the case does not have it: the catalogue's table and the scenario disagree.
    pub(crate) fn param(&self, name: &str) -> &str {
        self.params.get(name).unwrap_or_else(|| panic!("the case has no parameter `{name}`"))
    }

    /// Whether `guarded` can put `guard::Registry` in the place of the registry: it is one for `prometheus` 0.14.
    pub(crate) fn is_curable(&self) -> bool {
        !self.params.contains_key("prometheus")
    }
}
