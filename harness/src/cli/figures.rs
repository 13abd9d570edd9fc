//! Figures that were measured apart from the trials, from the documents that the measurements left.

use crate::model::Figures;
use std::path::Path;

/// Reads every `.json` file of the folder; none is given, nothing was measured.
pub(super) fn read(folder: Option<&Path>) -> Result<Figures, String> {
    let mut all = Figures::default();
    let Some(folder) = folder else { return Ok(all) };
    let failed = |path: &Path, error: &dyn std::fmt::Display| format!("cannot read `{}`: {error}", path.display());
    let entries = std::fs::read_dir(folder).map_err(|error| failed(folder, &error))?;
    let paths = entries.map(|entry| entry.map(|entry| entry.path())).collect::<Result<Vec<_>, _>>();
    let mut paths = paths.map_err(|error| failed(folder, &error))?;
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "json"));
    paths.sort();
    for path in paths {
        let text = std::fs::read_to_string(&path).map_err(|error| failed(&path, &error))?;
        all.add(serde_json::from_str(&text).map_err(|error| failed(&path, &error))?);
    }
    Ok(all)
}
