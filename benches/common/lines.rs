//! Raw results, read again.

use std::error::Error;
use std::fs;
use std::path::Path;

/// Of each line its values.
pub(crate) type Lines = Vec<Vec<String>>;

/// The lines of a file, which must have these columns.
pub(crate) fn lines(folder: &Path, file: &str, columns: &[&str]) -> Result<Lines, Box<dyn Error>> {
    let path = folder.join(file);
    let text = fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    let mut lines = text.lines();
    if lines.next() != Some(&columns.join(",")) {
        return Err(format!("{}: other columns than {columns:?}", path.display()).into());
    }
    let values = |line: &str| -> Result<Vec<String>, String> {
        let values: Vec<_> = line.split(',').map(ToOwned::to_owned).collect();
        if values.len() == columns.len() {
            Ok(values)
        } else {
            Err(format!("{}: not as many values as columns: {line}", path.display()))
        }
    };
    Ok(lines.map(values).collect::<Result<_, _>>()?)
}
