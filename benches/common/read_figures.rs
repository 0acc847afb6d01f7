//! Figures, read again.

use std::error::Error;
use std::path::Path;

use crate::figure::{COLUMNS, Figure};
use crate::lines::lines;

/// The figures that this bench has recorded.
pub(crate) fn figures(folder: &Path, bench: &str) -> Result<Vec<Figure>, Box<dyn Error>> {
    let end = |value: &str| if value.is_empty() { Ok(None) } else { value.parse().map(Some) };
    let figure = |line: Vec<String>| -> Result<Figure, Box<dyn Error>> {
        Ok(Figure {
            bench: line[0].clone(),
            name: line[1].clone(),
            value: line[2].parse()?,
            unit: line[3].clone(),
            at_least: end(&line[4])?,
            at_most: end(&line[5])?,
        })
    };
    lines(folder, &format!("{bench}.csv"), &COLUMNS)?.into_iter().map(figure).collect()
}
